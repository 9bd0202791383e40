"""The L1 probe on a few columns: proximal Newton, whose quadratic models scikit-learn's Lasso solves.

Around a point the loss is a parabola with Hessian H = X^T W X, and a parabola plus ||theta||_1 is a Lasso problem with
a Cholesky factor of H as its design. So every step is a coordinate descent that starts from the current weights, which
liblinear cannot do. The intercept is eliminated from each model exactly where it is free or keeps its sign: CETT is
positive everywhere, and coordinate descent would be slow along the direction that the intercept shares with every
column.

Source: Yuan, Ho and Lin 2012, JMLR 13:1999 (newGLMNET); Friedman, Hastie and Tibshirani 2010, JSS 33(1), for
warm starts along a path.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

from provenance.errors import ConvergenceError
from provenance.probe.l1_objective import loss, residuals

MAX_STEPS = 200  # well-posed probes take 5 to 15
MAX_SWEEPS = 100  # of coordinate descent within a step: enough for the signs, too slow for correlated weights
RIDGE = 1e-10  # of H's diagonal: repeated columns leave H singular; it bends a step, never the optimum
MODEL_PRECISION = 1e-3  # of a step's model, relative to the gain of removing the violation
REST = 0.05  # a column without a weight whose gradient is this far below 1 is not part of a step
SMALLEST_STEP = 2.0**-30
VALUE_ROUNDING = 2.0**-49  # near the optimum rounding of P hides the gain of a step: violations decide there


@dataclass(frozen=True)
class Point:
    """Weights of some columns, and their distance from optimality."""

    weights: Float[np.ndarray, " k"]
    """theta of these columns."""
    intercept: float
    """b."""
    r: Float[np.ndarray, " rows"]
    """Residuals C y sigmoid(-y f) of the rows."""
    violation: float
    """Largest violation of the optimality conditions over these columns and the intercept."""


def violations(g: Float[np.ndarray, " k"], weights: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Distance of each column from optimality: |g - sign(theta)| with a weight, |g| beyond 1 without one."""
    return np.asarray(np.where(weights != 0, np.abs(g - np.sign(weights)), np.maximum(np.abs(g) - 1, 0)))


def solve_columns(
    x: Float[np.ndarray, "rows k"],
    labels: Bool[np.ndarray, " rows"],
    C: float,
    start: tuple[Float[np.ndarray, " k"], float],
    *,
    intercept_penalised: bool,
    tolerance: float,
) -> Point:
    """Minimise C * sum of losses + ||theta||_1 (+ |b|) over the given columns.

    Args:
        x: Columns, float64.
        labels: Both classes among them.
        start: Initial weights and intercept.
        tolerance: Largest allowed violation; the bound of the conditions is 1.

    Raises:
        ConvergenceError: The steps run out, or rounding ends progress before the tolerance is reached.
    """
    problem = _Problem(x, labels, C, intercept_penalised)
    theta, b = start[0].copy(), start[1]
    value = problem.value(theta, b)
    for _ in range(MAX_STEPS):
        scores = x @ theta + b
        r = residuals(scores, labels, C)
        g, slack = x.T @ r, problem.intercept_violation(float(r.sum()), b)
        worst = max(float(violations(g, theta).max(initial=0.0)), slack)
        if worst <= tolerance:
            return Point(theta, b, r, worst)
        # columns at rest far below their bound stay there in this step; the next check looks at all of them again
        live = np.flatnonzero((theta != 0) | (np.abs(g) > 1 - max(worst, REST)))
        step = np.zeros_like(theta)
        step[live], step_b = problem.step(live, scores, g[live], float(r.sum()), theta[live], b, worst)
        size = 1.0
        while (new := problem.value(theta + size * step, b + size * step_b)) > value * (1 + VALUE_ROUNDING):
            size /= 2
            if size < SMALLEST_STEP:
                raise _stuck(C, worst, tolerance)
        theta, b, value = theta + size * step, b + size * step_b, new
    raise _stuck(C, worst, tolerance)


@dataclass(frozen=True)
class _Problem:
    x: Float[np.ndarray, "rows k"]
    labels: Bool[np.ndarray, " rows"]
    C: float
    penalised: bool

    def value(self, theta: Float[np.ndarray, " k"], b: float) -> float:
        """P(theta, b)."""
        penalty = float(np.abs(theta).sum()) + (abs(b) if self.penalised else 0.0)
        return self.C * loss(self.x @ theta + b, self.labels) + penalty

    def intercept_violation(self, total: float, b: float) -> float:
        """Violation of the intercept's condition, from the sum of the residuals."""
        if not self.penalised:
            return abs(total)
        return abs(total - float(np.sign(b))) if b else max(abs(total) - 1, 0.0)

    def step(
        self,
        live: Int[np.ndarray, " k"],
        scores: Float[np.ndarray, " rows"],
        g: Float[np.ndarray, " k"],
        total: float,
        theta: Float[np.ndarray, " k"],
        b: float,
        worst: float,
    ) -> tuple[Float[np.ndarray, " k"], float]:
        """Changes of weights and intercept to the minimum of the quadratic model over the live columns."""
        p = expit(scores)
        w = self.C * p * (1 - p)
        x = self.x if live.size == self.x.shape[1] else self.x[:, live]
        rooted = x * np.sqrt(w)[:, None]
        hessian, mixed, curvature = rooted.T @ rooted, x.T @ w, max(float(w.sum()), np.finfo(float).tiny)
        if b or not self.penalised:
            slope = (float(np.sign(b)) if self.penalised else 0.0) - total
            reduced = hessian - np.outer(mixed, mixed) / curvature
            change = _lasso_step(reduced, -g - mixed * slope / curvature, theta, worst, np.diag(hessian))
            change_b = float(-(slope + mixed @ change) / curvature)
            if not self.penalised or (b + change_b) * b > 0:
                return change, change_b
        # |b| has its kink within reach: the intercept takes part as one more column
        joint = np.block([[hessian, mixed[:, None]], [mixed[None, :], np.array([[curvature]])]])
        change = _lasso_step(joint, np.append(-g, -total), np.append(theta, b), worst, np.diag(joint))
        return change[:-1], float(change[-1])


def _lasso_step(
    hessian: Float[np.ndarray, "k k"],
    gradient: Float[np.ndarray, " k"],
    theta: Float[np.ndarray, " k"],
    worst: float,
    scale: Float[np.ndarray, " k"],
) -> Float[np.ndarray, " k"]:
    """Argmin over d of g.d + d^T H d / 2 + ||theta + d||_1, as a Lasso with design L^T, where H = L L^T."""
    k = theta.size
    if k == 0:
        return theta
    hessian = hessian + np.diag(RIDGE * np.maximum(scale, np.finfo(float).tiny))
    factor = cholesky(hessian, lower=True)
    target = factor.T @ theta - solve_triangular(factor, gradient, lower=True)
    # a column alone that is v from its optimum holds the model v^2 / 2h above its minimum
    attainable = worst**2 / (2 * float(scale.max()) * float(target @ target))
    precision = float(np.clip(MODEL_PRECISION * attainable, np.finfo(float).eps, 1e-4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # an inexact step is followed by another one
        _, found, _ = lasso_path(
            np.asfortranarray(factor.T),
            target,
            alphas=[1 / k],
            coef_init=theta.copy(),
            tol=precision,
            max_iter=MAX_SWEEPS,
            check_input=False,
            precompute=False,  # what "auto" means of a square design; 1.8 cannot read "auto" without its checks
        )
    return np.asarray(_settled(hessian, gradient, theta, found[:, 0]) - theta)


def _settled(
    hessian: Float[np.ndarray, "k k"],
    gradient: Float[np.ndarray, " k"],
    theta: Float[np.ndarray, " k"],
    found: Float[np.ndarray, " k"],
) -> Float[np.ndarray, " k"]:
    """Move from `found` to the model's minimum with these signs, by linear solves.

    A weight that would change its sign is left at zero and the others continue, so the model's value only falls. Nearly
    collinear columns need this: coordinate descent exchanges them in tiny steps.
    """
    settled = found.copy()
    while (used := np.flatnonzero(settled)).size:
        signs = np.sign(settled[used])
        slope = gradient - hessian @ np.where(settled == 0, theta, 0)
        change = cho_solve(cho_factor(hessian[np.ix_(used, used)]), -slope[used] - signs)
        exact = theta[used] + change  # solving for the change keeps its digits where columns are nearly alike
        turning = np.flatnonzero(exact * signs <= 0)
        if not turning.size:
            settled[used] = exact
            return settled
        shares = settled[used[turning]] / (settled[used[turning]] - exact[turning])
        settled[used] += float(shares.min()) * (exact - settled[used])
        settled[used[turning[np.argmin(shares)]]] = 0
    return settled


def _stuck(C: float, worst: float, tolerance: float) -> ConvergenceError:
    return ConvergenceError(
        f"a probe at C = {C:g} with violations of at most {tolerance:g}",
        found=f"{worst:.2g} when no further step helped",
        remedy="leave the largest C out of the grid",
    )
