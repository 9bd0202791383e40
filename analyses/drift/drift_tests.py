"""Did a set of neurons change less than similar neurons? Several measures, several matchings.

Tuning moves layers, large neurons and busy neurons by different amounts, so a set is compared with neurons of the same
layers, and of the same cells of layer, weight norm and activity. In cells, ranks are compared as they are and without
the trend fitted by `provenance.analyses.drift.adjusted_ranks`; the larger p-value is reported, since cells miss a steep
trend and a fit misses a step as wide as a cell.
Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.2, for Delta. Choice: the other measures, the matching.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import t as student

from provenance.analyses.controls.control_sets import layer_counts, permutation_p
from provenance.analyses.drift.adjusted_ranks import expected_ranks
from provenance.analyses.drift.drift_nulls import Strata, drift_strata, matched_means, matched_moments, pools_of
from provenance.analyses.drift.stability_ranks import grouped_z_scores, unknown_unranked
from provenance.analyses.drift.weight_drift import PERMUTATIONS, detectable_mean
from provenance.analyses.results.drift import DriftTest, Matching, Measure, NeuronDrift, ProbeSide
from provenance.records import Estimate
from provenance.statistics.auroc import CONFIDENCE

MOST_COMPARED = 0.5  # share of the H-Neurons that must have matched controls
MOST_RECOGNISED = 0.5  # share of the H-Neurons that must still match their base neuron


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
    strata = drift_strata(drift, activity, d_m)
    found: dict[tuple[ProbeSide, Measure], list[DriftTest]] = {}
    for measure, change in changes(drift, correlation).items():
        ranked = _Ranked.of(measure, change, strata, d_m)
        for side, ids in sides.items():
            tests = [_test(side, ranked, number, ids, draws, seed) for number in range(len(strata))]
            found[side, measure] = [test for test in tests if test is not None]
    return tuple(test for side in sides for (of, _), tests in found.items() if of == side for test in tests)


def layer_test(
    drift: NeuronDrift, ids: Int[np.ndarray, " k"], d_m: int, *, draws: int = PERMUTATIONS, seed: int = 0
) -> DriftTest | None:
    """Delta of one set against neurons of the same layers, as in `drift_tests` with this seed; None without a rank."""
    by_layer = drift_strata(drift, None, d_m)[:1]
    return _test("hallucinated", _Ranked.of("delta", drift.delta, by_layer, d_m), 0, ids, draws, seed)


def of_delta(tests: Sequence[DriftTest]) -> list[DriftTest]:
    """The tests that decide: of the H-Neurons' Delta, the finest matching last."""
    return [test for test in tests if (test.side, test.measure) == ("hallucinated", "delta")]


def finest_matching(tests: Sequence[DriftTest]) -> Matching:
    """The finest matching of the H-Neurons' Delta; `layer` if there is none."""
    own = of_delta(tests)
    return own[-1].matching if own else "layer"


def compared(tests: Sequence[DriftTest]) -> float | None:
    """Fraction of ranked H-Neurons that have matched controls beyond those of their layers; None without H-Neurons.

    0 in layers too narrow for matching, and if activity was requested and none is known; if not requested, norms match.
    """
    own = of_delta(tests)
    if not own:
        return None
    return own[-1].k / own[0].k if own[-1].matching != "layer" else 0.0


def changes(
    drift: NeuronDrift, correlation: Float[np.ndarray, " neurons"] | None
) -> dict[Measure, Float[np.ndarray, " neurons"]]:
    """Change of each neuron by every available measure; larger = changed more, NaN = not known."""
    found: dict[Measure, Float[np.ndarray, " neurons"]] = {"delta": drift.delta}
    if drift.delta_gate is not None:
        found["gate"] = drift.delta_gate
    found["norm"] = norm_change(drift)
    if correlation is not None:
        found["functional"] = np.asarray(1 - correlation)
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
class _Ranked:
    """All neurons by one measure, with the strata and expected ranks of each matching."""

    measure: Measure
    ranks: Float[np.ndarray, " neurons"]
    z: tuple[Float[np.ndarray, " neurons"], Float[np.ndarray, " neurons"]]  # over all neurons, within layers
    matched: Sequence[Strata]
    expected: tuple[Float[np.ndarray, " neurons"], ...]  # rank by each matching's covariates; 0 without any

    @classmethod
    def of(
        cls, measure: Measure, change: Float[np.ndarray, " neurons"], matched: Sequence[Strata], d_m: int
    ) -> "_Ranked":
        ranks, layer = unknown_unranked(change), np.arange(change.size) // d_m
        z = grouped_z_scores(change, np.zeros_like(layer)), grouped_z_scores(change, layer)
        expected = [
            expected_ranks(ranks, strata.covariates, d_m) if strata.covariates else np.zeros(ranks.size)
            for strata in matched
        ]
        return cls(measure, ranks, z, matched, tuple(expected))


@dataclass(frozen=True)
class _Compared:
    """A set's mean of some values against matched sets."""

    null_mean: float
    null_sd: float
    p_more: float
    p_less: float
    detectable: float | None
    effects: Float[np.ndarray, " k"]  # of each neuron against its own stratum

    @classmethod
    def of(
        cls,
        values: Float[np.ndarray, " neurons"],
        strata: Int[np.ndarray, " neurons"],
        ids: Int[np.ndarray, " k"],
        draws: int,
        seed: int,
        offset: float = 0.0,
    ) -> "_Compared":
        pools, observed = pools_of(strata, ids), float(values[ids].mean())
        drawn = matched_means(values, pools, draws, np.random.default_rng(seed))
        means = np.array([values[members].mean() for members in pools.members])
        effects = values[ids] - means[np.searchsorted(np.unique(strata[ids]), strata[ids])]
        more, less = permutation_p(drawn, observed), permutation_p(-drawn, -observed)
        (null_mean, null_sd), detectable = matched_moments(values, pools), detectable_mean(values, pools, drawn)
        shifted = None if detectable is None else offset + detectable
        return cls(offset + null_mean, null_sd, more, less, shifted, effects)


def _test(
    side: ProbeSide, ranked: _Ranked, number: int, ids: Int[np.ndarray, " k"], draws: int, seed: int
) -> DriftTest | None:
    matched, expected = ranked.matched[number], ranked.expected[number]
    strata = np.where(np.isnan(ranked.ranks), -1, matched.of)
    inside = ids[strata[ids] >= 0]
    if not inside.size:
        return None
    found = _Compared.of(ranked.ranks, strata, inside, draws, seed)
    smallest = found.detectable
    if matched.covariates:
        # The set's ranks without the trend, shifted back by its own mean expected rank.
        adjusted = _Compared.of(ranked.ranks - expected, strata, inside, draws, seed, float(expected[inside].mean()))
        smallest = _reachable(found.detectable, adjusted.detectable)
        less = max(found.p_less, adjusted.p_less)
        found = replace(max(found, adjusted, key=lambda compared: compared.p_more), p_less=less)
    return DriftTest(
        side, ranked.measure, matched.matching, matched.bins, int(inside.size), float(ranked.ranks[inside].mean()),
        found.null_mean, found.null_sd, mean_with_interval(found.effects), found.p_more, found.p_less, smallest,
        finite_mean(ranked.z[0][inside]), finite_mean(ranked.z[1][inside]),
    )  # fmt: skip


def _reachable(*detectable: float | None) -> float | None:
    found = [value for value in detectable if value is not None and value <= 1]
    return max(found) if len(found) == len(detectable) else None


def finite_mean(values: Float[np.ndarray, " k"]) -> float | None:
    """Mean of the values that are numbers; None where none is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None


def mean_with_interval(values: Float[np.ndarray, " k"]) -> Estimate:
    """Mean with its 95 % Student's t interval (a bootstrap covers 55 % of two, 83 % of five); NaN bounds for one."""
    mean = float(values.mean())
    if values.size < 2:
        return Estimate(mean, float("nan"), float("nan"), int(values.size))
    half = float(student.ppf((1 + CONFIDENCE) / 2, values.size - 1) * values.std(ddof=1) / math.sqrt(values.size))
    return Estimate(mean, mean - half, mean + half, int(values.size))
