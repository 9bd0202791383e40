"""The L1 probe on a pool of columns: proximal Newton, whose quadratic models coordinate descent solves.

Around a point the loss is a parabola with Hessian H = X W X^T, and a parabola plus ||theta||_1 is a Lasso problem with
H as its Gram matrix. A step changes the columns with a weight and as many of the steepest others; the next one looks at
all columns again. The intercept is eliminated from each model exactly where it is free or keeps its sign: CETT is
positive everywhere, and coordinate descent would be slow along the direction that the intercept shares with every
column.

Source: Yuan, Ho and Lin 2012, JMLR 13:1999 (newGLMNET); Friedman, Hastie and Tibshirani 2010, JSS 33(1), for
warm starts along a path.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

from provenance.errors import ConvergenceError
from provenance.probe.l1_objective import loss, residuals

MAX_STEPS = 200  # well-posed probes take 3 to 5, large ones far from their start 20
ADDED = 64  # columns that may join a step, or a pool, at a time, at least
ROUGH = 10.0  # times the bound: a violation this large needs the step's direction and not its length
NARROW = 30  # steps whose H is in float32 at most; nearly collinear columns need more digits, or its factor fails
SWEEPS = 20  # of coordinate descent at a time: it finds signs soon, and correlated weights slowly
TURNS = 5  # of coordinate descent and linear solves in one step: an inexact step is followed by another one
RIDGE = 1e-10  # of H's diagonal: repeated columns leave H singular; it bends a step, never the optimum
NARROW_RIDGE = 1e-6  # the same where H is in float32
MODEL_PRECISION = 1e-2  # of the conditions of a step's model, relative to the violation it removes
SOLVE_PRECISION = 1e-4  # the same where linear solves end; most are repeated only if weights that turned cost digits
SMALLEST_STEP = 2.0**-30
VALUE_ROUNDING = 2.0**-49  # near the optimum rounding of P hides the gain of a step: violations decide there
TURNED = 64  # weights that change their sign before H is factored again
NO_TARGET = np.array([1e100])  # so long that the duality gap, by which scikit-learn stops, ends no sweeps


@dataclass(frozen=True)
class Point:
    """Weights of all columns, and their distance from optimality."""

    weights: Float[np.ndarray, " k"]
    """theta."""
    intercept: float
    """b."""
    r: Float[np.ndarray, " rows"]
    """Residuals C y sigmoid(-y f) of the rows."""
    violation: float
    """Largest violation of the optimality conditions over these columns and the intercept."""


def violations(g: Float[np.ndarray, " k"], weights: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Distance of each column from optimality: |g - sign(theta)| with a weight, |g| beyond 1 without one."""
    return np.asarray(np.where(weights != 0, np.abs(g - np.sign(weights)), np.maximum(np.abs(g) - 1, 0)))


def furthest(ids: Int[np.ndarray, " k"], values: Float[np.ndarray, " all"], room: int) -> Int[np.ndarray, " kept"]:
    """Those of some columns with the largest values, as many as there is room for."""
    return ids if ids.size <= room else ids[np.argpartition(-values[ids], room - 1)[:room]]


def solve_columns(
    x: Float[np.ndarray, "k rows"],
    labels: Bool[np.ndarray, " rows"],
    C: float,
    start: tuple[Float[np.ndarray, " k"], float],
    *,
    intercept_penalised: bool,
    tolerance: float,
) -> Point:
    """Minimise C * sum of losses + ||theta||_1 (+ |b|) over the given columns.

    Args:
        x: Columns, each with its rows contiguous, float64.
        labels: Both classes.
        start: Initial weights and intercept.
        tolerance: Largest allowed violation; the bound of the conditions is 1.

    Raises:
        ConvergenceError: The steps run out, or rounding ends progress before the tolerance is reached.
    """
    problem = _Problem(labels, C, intercept_penalised)
    theta, b = start[0].copy(), start[1]
    scores, narrow = theta[theta != 0] @ x[theta != 0] + b, True
    for count in range(MAX_STEPS):
        r = residuals(scores, labels, C)
        g, total = x @ r, float(r.sum())
        off, slack = violations(g, theta), problem.intercept_violation(total, b)
        worst = max(float(off.max(initial=0.0)), slack)
        if worst <= tolerance:
            return Point(theta, b, r, worst)
        live, narrow = _live(theta, off), narrow and count < NARROW
        at = _At(x[live], scores, theta[live], b, g[live], total, worst)
        found = problem.stepped(at, narrow=narrow)
        if found is not None:
            theta[live], b, scores = found
        elif narrow:
            narrow = False
        else:
            raise _stuck(C, worst, tolerance)
    raise _stuck(C, worst, tolerance)


def _live(theta: Float[np.ndarray, " k"], off: Float[np.ndarray, " k"]) -> Int[np.ndarray, " live"]:
    """Columns that a step changes: those with a weight, and the furthest from optimal of those without.

    As many as have a weight join, fewer while the weights themselves are further off: their steps overshoot at first,
    and then most columns seem to matter.
    """
    used, others = np.flatnonzero(theta), np.flatnonzero((theta == 0) & (off > 0))
    settled = off[used].max(initial=0.0) <= off[others].max(initial=0.0)
    room = max(ADDED, used.size) if settled else ADDED
    return np.union1d(used, furthest(others, off, room))


@dataclass(frozen=True)
class _At:
    """Where a step begins, for the columns that it changes; all others have no weight."""

    x: Float[np.ndarray, "live rows"]
    scores: Float[np.ndarray, " rows"]
    theta: Float[np.ndarray, " live"]
    b: float
    g: Float[np.ndarray, " live"]
    """-1 times the gradient of the loss."""
    total: float
    """-1 times its derivative by the intercept."""
    worst: float
    """Largest violation over all columns and the intercept."""


@dataclass(frozen=True)
class _Problem:
    labels: Bool[np.ndarray, " rows"]
    C: float
    penalised: bool

    def value(self, scores: Float[np.ndarray, " rows"], theta: Float[np.ndarray, " k"], b: float) -> float:
        """P(theta, b), from the scores that they give."""
        penalty = float(np.abs(theta).sum()) + (abs(b) if self.penalised else 0.0)
        return self.C * loss(scores, self.labels) + penalty

    def intercept_violation(self, total: float, b: float) -> float:
        """Violation of the intercept's condition, from the sum of the residuals."""
        if not self.penalised:
            return abs(total)
        return abs(total - float(np.sign(b))) if b else max(abs(total) - 1, 0.0)

    def stepped(
        self, at: _At, *, narrow: bool
    ) -> tuple[Float[np.ndarray, " live"], float, Float[np.ndarray, " rows"]] | None:
        """Weights, intercept and scores after a step, halved until P falls; None where no step is found that helps."""
        try:
            change, change_b = self._step(at, narrow=narrow)
        except np.linalg.LinAlgError:  # rounding has left the Hessian without a factor
            return None
        most, size = self.value(at.scores, at.theta, at.b) * (1 + VALUE_ROUNDING), 1.0
        while size >= SMALLEST_STEP:
            theta, b = at.theta + size * change, at.b + size * change_b
            scores = theta @ at.x + b
            if self.value(scores, theta, b) <= most:
                return theta, b, scores
            size /= 2
        return None

    def _step(self, at: _At, *, narrow: bool) -> tuple[Float[np.ndarray, " live"], float]:
        """Changes of weights and intercept to the minimum of the parabola that touches the loss at these scores.

        The Hessian of the columns around their means is in float32 if `narrow`.
        """
        p = expit(at.scores)
        w = self.C * p * (1 - p)
        mixed, curvature = at.x @ w, max(float(w.sum()), np.finfo(float).tiny)
        rough = narrow and at.worst > ROUGH
        # a difference of Hessians would lose the digits that columns around their means keep
        hessian = _hessian(at.x, mixed / curvature, w, narrow=narrow)
        if at.b or not self.penalised:
            slope = (float(np.sign(at.b)) if self.penalised else 0.0) - at.total
            change = _change(hessian, at.g + mixed * slope / curvature, at.theta, at.worst, rough=rough)
            change_b = float(-(slope + mixed @ change) / curvature)
            if not self.penalised or (at.b + change_b) * at.b > 0:
                return change, change_b
        # |b| has its kink within reach: the intercept takes part as one more column
        whole = np.empty((mixed.size + 1, mixed.size + 1))
        whole[:-1, :-1] = hessian + np.outer(mixed, mixed / curvature)
        whole[:-1, -1] = whole[-1, :-1] = mixed
        whole[-1, -1] = curvature
        whole[np.diag_indices_from(whole)] *= 1 + RIDGE
        change = _change(whole, np.append(at.g, at.total), np.append(at.theta, at.b), at.worst, rough=rough)
        return change[:-1], float(change[-1])


def _hessian(
    taken: Float[np.ndarray, "live rows"],
    means: Float[np.ndarray, " live"],
    w: Float[np.ndarray, " rows"],
    *,
    narrow: bool,
) -> Float64[np.ndarray, "live live"]:
    """Sum of w (x - mean)(x - mean)^T over the rows, with a little more on its diagonal."""
    precision, ridge = (np.float32, NARROW_RIDGE) if narrow else (np.float64, RIDGE)
    rooted = np.empty(taken.shape, dtype=precision)
    np.subtract(taken, means[:, None], out=rooted, casting="same_kind")
    rooted *= np.sqrt(w).astype(precision)
    hessian = (rooted @ rooted.T).astype(np.float64, copy=False)
    diagonal = np.diag_indices_from(hessian)
    hessian[diagonal] += ridge * np.maximum(hessian[diagonal], np.finfo(float).tiny)
    return hessian


def _change(
    hessian: Float[np.ndarray, "k k"],
    g: Float[np.ndarray, " k"],
    theta: Float[np.ndarray, " k"],
    worst: float,
    *,
    rough: bool,
) -> Float[np.ndarray, " k"]:
    """Argmin over d of -g.d + d^T H d / 2 + ||theta + d||_1, or near to it: its direction alone if `rough`.

    Coordinate descent finds most signs, and linear solves what it exchanges between nearly collinear columns in tiny
    steps; both in turn until the conditions hold.

    Raises:
        numpy.linalg.LinAlgError: H is not positive definite.
    """
    if not theta.size:
        return theta
    target, found, unit = hessian @ theta + g, theta, min(worst, 1.0)
    for _ in range(TURNS):
        found = _descended(hessian, target, found)
        if rough:
            break
        found = _settled(hessian, target, found, SOLVE_PRECISION * unit)
        if violations(target - hessian @ found, found).max(initial=0.0) <= MODEL_PRECISION * unit:
            break
    return np.asarray(found - theta)


def _descended(
    hessian: Float[np.ndarray, "k k"], target: Float[np.ndarray, " k"], start: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Some sweeps of coordinate descent towards argmin over t of t^T H t / 2 - target.t + ||t||_1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # sweeps are counted
        _, found, _ = lasso_path(
            np.zeros((1, start.size), order="F"),  # the design, which H and the target stand for
            NO_TARGET,
            precompute=hessian,
            Xy=target.copy(),
            alphas=[1.0],
            coef_init=start.copy(),
            tol=0.0,
            max_iter=SWEEPS,
            check_input=False,
        )
    return np.array(found[:, 0])


def _settled(
    hessian: Float[np.ndarray, "k k"], target: Float[np.ndarray, " k"], found: Float[np.ndarray, " k"], precision: float
) -> Float[np.ndarray, " k"]:
    """Move to the model's minimum with these signs, by linear solves until its slopes are within a precision.

    A weight that would change its sign is left at zero and the others continue, so the model's value only falls.
    """
    turned = True
    while turned and (used := np.flatnonzero(found)).size:
        slope = (target - hessian @ found)[used] - np.sign(found[used])
        if np.abs(slope).max() <= precision:
            break
        found[used], turned = _towards(hessian[np.ix_(used, used)], slope, found[used])
    return found


def _towards(
    hessian: Float[np.ndarray, "used used"], slope: Float[np.ndarray, " used"], start: Float[np.ndarray, " used"]
) -> tuple[Float[np.ndarray, " used"], bool]:
    """Weights on the way to the minimum, and whether some have become zero, which costs digits.

    All of it takes one factor. With weights Z held at zero the minimum is free - B (B_Z)^-1 free_Z, where `free` is the
    minimum without that, and B are the columns Z of the inverse of H.
    """
    # solving for the change keeps its digits where columns are nearly alike
    factor = cho_factor(hessian.T, overwrite_a=True, check_finite=False)
    free = start + cho_solve(factor, slope, check_finite=False)
    found, exact, zeros = start, free, list[int]()
    inverse = np.empty((start.size, TURNED), order="F")
    while len(zeros) < TURNED:
        turning = np.flatnonzero((found != 0) & (np.sign(exact) != np.sign(found)))
        if not turning.size:
            return exact, bool(zeros)
        shares = found[turning] / (found[turning] - exact[turning])
        found = found + float(shares.min()) * (exact - found)
        zeros.append(int(turning[np.argmin(shares)]))
        found[zeros], column = 0, np.zeros(start.size)
        column[zeros[-1]] = 1
        inverse[:, len(zeros) - 1] = cho_solve(factor, column, overwrite_b=True, check_finite=False)
        known = inverse[:, : len(zeros)]
        exact = free - known @ np.linalg.solve(known[zeros], free[zeros])
        exact[zeros] = 0
    return found, True


def _stuck(C: float, worst: float, tolerance: float) -> ConvergenceError:
    return ConvergenceError(
        f"a probe at C = {C:g} with violations of at most {tolerance:g}",
        found=f"{worst:.2g} when no further step helped",
        remedy="leave the largest C out of the grid",
    )
