"""The exact L1 probe at any number of neurons: screening, a solve on few columns, a check of every neuron.

    min_{theta, b}  C * sum_i log(1 + exp(-y_i (theta . x_i + b))) + ||theta||_1 (+ |b|)

Of hundreds of thousands of neurons a few hundred matter, and one pass over all of them finds these. After a solve at
one C the gradients g_j of all neurons are known; the sequential strong rule drops those with |g_j| < 2 C / C' - 1 at
the next C', and the steepest of the others are loaded as a pool of columns. The problem is solved on the pool, see
`l1_newton`; then one pass checks every neuron, and violators join the pool. The result is exact: the last pass finds no
violation.

Several problems on the same rows (halves of the questions, permuted labels) share passes, and a pool where it is small.
Source: Tibshirani et al. 2012, doi:10.1111/j.1467-9868.2011.01004.x (strong rules with a check); Johnson and Guestrin
2015, PMLR 37:1171, and Massias, Gramfort and Salmon 2018, PMLR 80:3315 (working sets of the steepest).
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int
from sklearn import config_context

from provenance.errors import ConvergenceError, FitError
from provenance.probe.block_products import BLOCK_BYTES, WidenedMatrix, columns, exact_products, in_rows, products
from provenance.probe.l1_newton import ADDED, Point, furthest, solve_columns, violations
from provenance.probe.l1_objective import dual_value, first_weights, loss, null_intercept, null_probability
from provenance.probe.rounded_copy import RoundedCopy
from provenance.processes.blas_threads import blas_threads
from provenance.processes.fork_join import fork_join

TOLERANCE = 1e-6  # of the optimality conditions, whose bound is 1
POOL_BYTES = 1 << 27  # of columns in float64: 4,096 neurons at 4,000 rows
ROOM = 512  # neurons that join the pool of a large problem at least,
SPARE = 8  # or so many times as have a weight
# Products of smaller matrices only wait for one another on several threads: fifty times longer on a busy machine. A
# process takes longer to begin than their problems to solve.
ONE_THREAD = 1 << 26  # values
C_BOUNDS = (1e-30, 1e30)  # float32 holds gradients at 1 / C and at C
MAX_ROUNDS = 50  # of pools at one C; two or three are the rule


@dataclass(frozen=True)
class Problem:
    """One probe: its rows and labels."""

    labels: Bool[np.ndarray, " rows"]
    """Labels of all rows of the matrix."""
    rows: Bool[np.ndarray, " rows"]
    """Mask of the rows that are used."""


@dataclass(frozen=True)
class Fit:
    """The optimum at one C."""

    C: float
    """Inverse regularisation strength."""
    ids: Int[np.ndarray, " used"]
    """Neurons with a weight, ascending."""
    weights: Float[np.ndarray, " used"]
    """Their theta."""
    intercept: float
    """b."""
    objective: float
    """P(theta, b)."""
    gap: float
    """(P - D) / P: no weights have an objective lower than (1 - gap) P."""
    violation: float
    """Largest violation of the optimality conditions over all neurons and the intercept."""
    separates: bool
    """Whether every row of the fit is classified correctly."""


@dataclass
class _State:
    problem: Problem
    steepness: Float32[np.ndarray, " neurons"] = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    """|g_j| / C at the last solution."""
    at: float = 0.0
    """The C of that solution."""
    ids: Int[np.ndarray, " used"] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    weights: Float[np.ndarray, " used"] = field(default_factory=lambda: np.empty(0))
    intercept: float = 0.0
    fits: list[Fit] = field(default_factory=list)


class L1Path:
    """Paths of one or several problems over one neurons × rows array.

    Args:
        matrix: Mean CETT, neurons × rows, each neuron's rows contiguous; an array or a memory-mapped file, float16 to
            float64.
        problems: Problems on these rows.
        rounded: A copy of the array, for faster passes over all neurons.
        tolerance: Tolerance of the optimality conditions.
        block_bytes: Block size of a pass over the matrix.
        pool_bytes: Bytes of columns, in float64, that join a pool at a time at most.

    Raises:
        FitError: A problem has one class only, or a value is not finite.
    """

    def __init__(
        self,
        matrix: Float[np.ndarray, "neurons rows"],
        problems: Sequence[Problem],
        *,
        rounded: RoundedCopy | None = None,
        intercept_penalised: bool = True,
        tolerance: float = TOLERANCE,
        block_bytes: int = BLOCK_BYTES,
        pool_bytes: int = POOL_BYTES,
    ) -> None:
        self._matrix = matrix
        self._penalised = intercept_penalised
        self._tolerance = tolerance
        self._block_bytes = block_bytes
        self._pool = int(max(ADDED, pool_bytes // (8 * max(1, matrix.shape[1]))))
        self.passes = 0
        for problem in problems:
            check_labels(problem.labels[problem.rows])
        self._states = [_State(problem) for problem in problems]
        with self._threads():
            self._screen = WidenedMatrix.of(matrix, block_bytes) if rounded is None else rounded
        if not np.isfinite(self._screen.norms).all():
            raise FitError("finite features", found="NaN or infinity in a row", remedy="capture these responses again")

    def starts(self) -> list[float]:
        """alpha_max of every problem: the C below which every weight is zero; infinite if nothing varies."""
        return [self._start(state) for state in self._states]

    def steepest(self, count: int) -> Int[np.ndarray, " count"]:
        """The neurons with the largest |g_j| in the first problem's last solution, in any order."""
        steepness = self._states[0].steepness
        return furthest(np.arange(steepness.size), steepness, count)

    def fit(self, Cs: Sequence[float], likely: Int[np.ndarray, " likely"] | None = None) -> list[Fit]:
        """Every problem at its own next C of `Cs`, which must not be smaller than the one before.

        Neurons `likely` used, for example by a related problem, are tried first; that changes no result.

        Raises:
            FitError: A C is not positive, or beyond the range of float32 gradients.
            ConvergenceError: Rounding keeps a solution from the tolerance.
        """
        waiting = dict(enumerate(Cs))
        check_strengths(Cs)
        if not any(state.fits for state in self._states):
            self._from_null(Cs)
        added: dict[int, Int[np.ndarray, " v"]] = {i: self._screened(self._states[i], C) for i, C in waiting.items()}
        pools = dict.fromkeys(waiting, np.empty(0, dtype=np.int64) if likely is None else likely)
        # thousands of tiny solves of values checked here: scikit-learn's own checks would take a third of the time
        with self._threads(), config_context(skip_parameter_validation=True, assume_finite=True):
            for _ in range(MAX_ROUNDS):
                pools = self._pools({i: [pools[i], added[i], self._states[i].ids] for i in waiting})
                points = dict(zip(waiting, self._all_solved(waiting, pools), strict=True))
                added = self._checked(points, waiting, pools)
                waiting = {i: C for i, C in waiting.items() if i in added}
                if not waiting:
                    return [state.fits[-1] for state in self._states]
        raise ConvergenceError(
            f"probes at C = {', '.join(f'{C:g}' for C in waiting.values())}",
            found=f"violations after {MAX_ROUNDS} pools of neurons",
            remedy="raise pool_bytes, or leave the largest C out of the grid",
        )

    def _start(self, state: _State) -> float:
        """alpha_max, in float64 for the neurons that come first in float32."""
        labels, rows = state.problem.labels, state.problem.rows
        indicators = np.stack([labels & rows, rows], axis=1).astype(np.float64)
        with self._threads():
            sums = products(self._matrix, indicators, self._block_bytes)
        roughly = first_weights(sums[:, 0], sums[:, 1], labels[rows], intercept_penalised=self._penalised)
        leading = np.argsort(roughly, kind="stable")[:ADDED]
        sums = exact_products(self._matrix, leading, indicators, self._block_bytes)
        first = first_weights(sums[:, 0], sums[:, 1], labels[rows], intercept_penalised=self._penalised)
        return float(first.min(initial=np.inf))

    def _from_null(self, Cs: Sequence[float]) -> None:
        """The solutions without weights, and one pass for their gradients."""
        differences = []
        for state, C in zip(self._states, Cs, strict=True):
            labels, rows = state.problem.labels, state.problem.rows
            used = labels[rows]
            p = null_probability(used, C) if self._penalised else float(used.mean())
            differences.append((labels - p) * rows)
            state.at, state.intercept = C, null_intercept(used, C, intercept_penalised=self._penalised)
        with self._threads():
            g = self._products(np.stack(differences))
        for state, slopes in zip(self._states, g, strict=True):
            state.steepness = np.abs(slopes)

    def _screened(self, state: _State, C: float) -> Int[np.ndarray, " k"]:
        """Neurons that the sequential strong rule keeps at the next C, only the steepest if there are many."""
        bound = 2 / C - 1 / state.at if state.fits else 1 / C
        return furthest(np.flatnonzero(state.steepness >= bound), state.steepness, self._room(state))

    def _room(self, state: _State) -> int:
        """Neurons that may join a problem's pool at a time."""
        if self._is_small:
            return max(ADDED, self._pool // len(self._states))
        return min(self._pool, max(ROOM, SPARE * int(state.ids.size)))

    def _pools(self, wanted: dict[int, list[Int[np.ndarray, " _"]]]) -> dict[int, Int[np.ndarray, " pool"]]:
        """Each problem's own pool; one for all where that is little to load."""
        if self._is_small:
            return dict.fromkeys(wanted, np.unique(np.concatenate([ids for parts in wanted.values() for ids in parts])))
        return {i: np.unique(np.concatenate(parts)) for i, parts in wanted.items()}

    def _all_solved(self, waiting: dict[int, float], pools: dict[int, Int[np.ndarray, " pool"]]) -> list[Point]:
        """Every problem solved on its pool, all at once where that takes longer than to begin a process."""
        shared = columns(self._matrix, next(iter(pools.values()))) if self._is_small else None
        work = [partial(self._solved, self._states[i], pools[i], C, shared) for i, C in waiting.items()]
        solved = fork_join(work, at_once=not self._is_small)
        for i, point in zip(waiting, solved, strict=True):
            used, state = np.flatnonzero(point.weights), self._states[i]
            state.ids, state.weights, state.intercept = pools[i][used], point.weights[used], point.intercept
        return solved

    def _solved(
        self, state: _State, pool: Int[np.ndarray, " pool"], C: float, shared: Float64[np.ndarray, "pool all"] | None
    ) -> Point:
        """A problem's solution on a pool; rows that are not used have no residuals."""
        weights, rows, labels = np.zeros(pool.size), state.problem.rows, state.problem.labels
        weights[np.searchsorted(pool, state.ids)] = state.weights
        x = columns(self._matrix, pool, rows) if shared is None else in_rows(shared, rows)
        point = solve_columns(
            x, labels[rows], C, (weights, state.intercept),
            intercept_penalised=self._penalised, tolerance=self._tolerance,
        )  # fmt: skip
        r = np.zeros(rows.size)
        r[rows] = point.r
        return replace(point, r=r)

    def _checked(
        self, points: dict[int, Point], wanted: dict[int, float], pools: dict[int, Int[np.ndarray, " pool"]]
    ) -> dict[int, Int[np.ndarray, " violated"]]:
        """One pass over all neurons: violators per problem; problems without any are done."""
        g = self._products(np.stack([point.r for point in points.values()]))
        violated: dict[int, Int[np.ndarray, " violated"]] = {}
        for slopes, (i, point) in zip(g, points.items(), strict=True):
            state, C, steep = self._states[i], wanted[i], np.abs(slopes)
            certain = steep + self._screen.doubt(point.r, slopes) <= 1  # not where a product is no number
            near = np.setdiff1d(np.flatnonzero(~certain), pools[i], assume_unique=True)
            exact = np.abs(exact_products(self._matrix, near, point.r[:, None], self._block_bytes)[:, 0])
            outside = near[exact > 1 + self._tolerance]
            steep[near] = exact
            state.steepness, state.at = steep / np.float32(C), C
            if outside.size:
                violated[i] = furthest(outside, steep, self._room(state))
            else:
                state.fits.append(self._finished(state, C, point, float(exact.max(initial=0.0))))
        return violated

    def _finished(self, state: _State, C: float, point: Point, steepest: float) -> Fit:
        """The fit, with its certificate; `steepest` is the largest |g_j| beyond the pool."""
        rows, labels = state.problem.rows, state.problem.labels
        x = columns(self._matrix, state.ids, rows)
        scores = state.weights @ x + state.intercept
        penalty = float(np.abs(state.weights).sum()) + (abs(state.intercept) if self._penalised else 0.0)
        objective = C * loss(scores, labels[rows]) + penalty
        total = abs(float(point.r.sum()))
        own = violations(x @ point.r[rows], state.weights)
        violation = max(point.violation, float(own.max(initial=0.0)), steepest - 1)
        bound = dual_value(point.r, C, max(1.0 + violation, total if self._penalised else 0.0))
        if not self._penalised:
            bound -= total * abs(state.intercept)  # residuals that do not quite add up to 0 leave b this much room
        return Fit(
            C, state.ids, state.weights, state.intercept, objective, max(0.0, 1 - bound / objective), violation,
            bool(((scores > 0) == labels[rows]).all()),
        )  # fmt: skip

    @property
    def _is_small(self) -> bool:
        return self._matrix.size < ONE_THREAD

    def _threads(self) -> AbstractContextManager[None]:
        return blas_threads(1 if self._is_small else None)

    def _products(self, vectors: Float[np.ndarray, "vectors rows"]) -> Float32[np.ndarray, "vectors neurons"]:
        self.passes += 1
        return np.ascontiguousarray(self._screen.products(np.ascontiguousarray(vectors.T)).T)


def check_strengths(Cs: Sequence[float]) -> None:
    """Refuse values of C without a computable solution.

    Raises:
        FitError: One is not a number between the bounds.
    """
    low, high = C_BOUNDS
    refused = [C for C in Cs if not low <= C <= high]
    if refused:
        raise FitError(
            f"values of C between {low:g} and {high:g}", found=f"{refused[0]!r}", remedy="choose C near alpha_max"
        )


def check_labels(labels: Bool[np.ndarray, " rows"]) -> None:
    """Refuse rows of one class.

    Raises:
        FitError: A class is missing.
    """
    if labels.all() or not labels.any():
        raise FitError(
            "both classes among the training rows",
            found=f"{int(labels.sum())} hallucinated and {int((~labels).sum())} faithful",
            remedy="ask more questions, or easier and harder ones",
        )
