"""Did a set of neurons change less than similar neurons? Several measures, several matchings.

Tuning moves layers, large neurons and busy neurons by different amounts, so a set is compared with the other neurons of
its layers, and with what layer, weight norms and activity lead one to expect
(`provenance.analyses.drift.relative_change`).
Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.2, for Delta. Choice: logarithms, the other measures, the matching.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from provenance.analyses.controls.control_sets import layer_counts, permutation_p
from provenance.analyses.drift.drift_nulls import Strata, drift_strata
from provenance.analyses.drift.relative_change import RelativeChange, log_change, relative_change
from provenance.analyses.drift.stability_ranks import grouped_z_scores, unknown_unranked
from provenance.analyses.drift.weight_drift import DETECTABLE_SDS, PERMUTATIONS, SIGNIFICANCE, mean_with_interval
from provenance.analyses.results.drift import DriftTest, Matching, Measure, NeuronDrift, ProbeSide
from provenance.records import Estimate

LARGEST_LOG = 70.0  # of a factor that is reported
LEAST_COMPARED = 0.5  # share of the H-Neurons that must have matched controls
LEAST_RECOGNISED = 0.5  # share of the H-Neurons that must still match their base neuron


def drift_tests(
    drift: NeuronDrift,
    sides: Mapping[ProbeSide, Int[np.ndarray, " _"]],
    activity: Float[np.ndarray, " neurons"] | None,
    correlation: Float[np.ndarray, " neurons"] | None,
    layers: int,
    d_m: int,
    *,
    draws: int = PERMUTATIONS,
    seed: int = 0,
) -> tuple[DriftTest, ...]:
    """Test every set by every measure against every kind of matched neurons, in this order.

    Excludes neurons without a value of the measure or of a matching criterion; a side without neurons left has no test.

    Args:
        drift: NaN for a neuron without a counterpart in the base.
        sides: Flat ids of the sets in the instruct checkpoint, distinct.
        activity: Mean CETT of every neuron in the base, in the instruct checkpoint's order; NaN where not known. None:
            match on layer and weight norm only.
        correlation: Of each neuron's activation in both models over the same tokens; NaN where not defined.

    Raises:
        PairError: An id outside the model, or given twice.
    """
    for ids in sides.values():
        layer_counts(ids, layers, d_m)  # raises on invalid ids
    matchings = drift_strata(drift, activity, d_m)
    found: dict[tuple[ProbeSide, Measure], list[DriftTest]] = {}
    for measure, (change, logs) in changes(drift, correlation).items():
        measured = _Measured.of(measure, change, logs, d_m)
        for side, ids in sides.items():
            tests = [_test(side, measured, matched, ids, d_m, draws, seed) for matched in matchings]
            found[side, measure] = [test for test in tests if test is not None]
    return tuple(test for side in sides for (of, _), tests in found.items() if of == side for test in tests)


def of_delta(tests: Sequence[DriftTest]) -> list[DriftTest]:
    """The tests that decide: of the H-Neurons' Delta, the finest matching last."""
    return [test for test in tests if (test.side, test.measure) == ("hallucinated", "delta")]


def finest_matching(tests: Sequence[DriftTest]) -> Matching:
    """The finest matching of the H-Neurons' Delta; `layer` if there is none."""
    own = of_delta(tests)
    return own[-1].matching if own else "layer"


def compared(tests: Sequence[DriftTest], k: int) -> float | None:
    """Fraction of the `k` H-Neurons that have matched controls beyond those of their layers; None without a test.

    0 in layers too narrow for matching, and if activity was requested and none is known; if not requested, norms match.
    """
    own = of_delta(tests)
    if not own:
        return None
    return own[-1].k / k if own[-1].matching != "layer" else 0.0


def changes(
    drift: NeuronDrift, correlation: Float[np.ndarray, " neurons"] | None
) -> dict[Measure, tuple[Float[np.ndarray, " neurons"], Float[np.ndarray, " neurons"]]]:
    """Change of each neuron by every available measure, and its logarithm; larger = changed more, NaN = not known.

    The logarithm of Delta, which is below 0 for half of the neurons, is the mean of those of its two parts.
    """
    both = (log_change(drift.delta_up) + log_change(drift.delta_down)) / 2
    found: dict[Measure, tuple[Float[np.ndarray, " neurons"], Float[np.ndarray, " neurons"]]] = {
        "delta": (drift.delta, both)
    }
    if drift.delta_gate is not None:
        found["gate"] = drift.delta_gate, log_change(drift.delta_gate)
    norms = norm_change(drift)
    found["norm"] = norms, log_change(norms)
    if correlation is not None:
        distance = np.asarray(1 - correlation)
        found["functional"] = distance, log_change(distance)
    return found


def norm_change(drift: NeuronDrift) -> Float[np.ndarray, " neurons"]:
    """Change of the lengths of a neuron's up row and down column, regardless of direction.

        |log(||up'|| / ||up||)| + |log(||down'|| / ||down||)|

    Dimensionless, >= 0; infinite if only one of the two vectors is zero, 0 if both are, NaN without a counterpart.
    """
    pairs = ((drift.norm_up_base, drift.norm_up_instruct), (drift.norm_down_base, drift.norm_down_instruct))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.where(a == b, 0.0, np.abs(np.log(b) - np.log(a))) for a, b in pairs]
    return np.asarray(logs[0] + logs[1])


@dataclass(frozen=True)
class _Measured:
    """All neurons by one measure."""

    measure: Measure
    logs: Float[np.ndarray, " neurons"]
    ranks: Float[np.ndarray, " neurons"]
    z: tuple[Float[np.ndarray, " neurons"], Float[np.ndarray, " neurons"]]  # over all neurons, within layers

    @classmethod
    def of(
        cls, measure: Measure, change: Float[np.ndarray, " neurons"], logs: Float[np.ndarray, " neurons"], d_m: int
    ) -> "_Measured":
        layer = np.arange(change.size) // d_m
        z = grouped_z_scores(change, np.zeros_like(layer)), grouped_z_scores(change, layer)
        return cls(measure, logs, unknown_unranked(change), z)


def _test(
    side: ProbeSide,
    measured: _Measured,
    matched: Strata,
    ids: Int[np.ndarray, " k"],
    d_m: int,
    draws: int,
    seed: int,
) -> DriftTest | None:
    found = relative_change(measured.logs, matched, ids, d_m, draws=draws, seed=seed)
    if found is None:
        return None
    return DriftTest(
        side=side,
        measure=measured.measure,
        matching=matched.matching,
        k=found.ids.size,
        ratio=_ratio(found),
        sd=found.sd,
        p_more_stable=permutation_p(-found.drawn, -found.observed),
        p_less_stable=permutation_p(found.drawn, found.observed),
        smallest_detectable=_detectable(found),
        mean_rank=float(measured.ranks[found.ids].mean()),
        z_all=finite_mean(measured.z[0][found.ids]),
        z_layer=finite_mean(measured.z[1][found.ids]),
    )


def _ratio(found: RelativeChange) -> Estimate:
    """Factor by which the set changed, beside like neurons, with its 95 % interval (NaN bounds for one neuron)."""
    logs = mean_with_interval(found.effects, found.fit_sd)
    return Estimate(_factor(logs.estimate), _factor(logs.low), _factor(logs.high), logs.n)


def _factor(logarithm: float) -> float:
    """Within 1e-30 to 1e30, NaN of NaN: an interval of two neurons that differ by many decades exceeds all numbers."""
    return math.exp(min(max(logarithm, -LARGEST_LOG), LARGEST_LOG))


def _detectable(found: RelativeChange) -> float | None:
    """The largest factor that is found with 80 % power at one-sided 5 %: exp(-2.486 SD).

    None where nothing varies, and where even the neurons that changed least have no p < 0.05: where there are few
    sets, or many neurons at the lower end.
    """
    smallest_p = permutation_p(-found.drawn, -found.lowest)
    return _factor(-DETECTABLE_SDS * found.sd) if found.sd > 0 and smallest_p < SIGNIFICANCE else None


def finite_mean(values: Float[np.ndarray, " k"]) -> float | None:
    """Mean of the values that are numbers; None where none is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None
