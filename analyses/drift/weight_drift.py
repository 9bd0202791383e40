"""Weight change of each neuron with a counterpart in the base, and the paper's tests that H-Neurons changed less.

    Delta = (z(Delta_up) + z(Delta_down)) / 2,   Delta_up, Delta_down = 1 - cos of a neuron's weights in both models

The cosines are summed up in `provenance.analyses.weights`; z-scores and ranks are in `stability_ranks`.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import norm, ttest_ind
from scipy.stats import t as student

from provenance.analyses.controls.control_sets import layer_counts, permutation_p
from provenance.analyses.drift.drift_nulls import layer_strata, matched_means, matched_moments, of_stratum, pools_of
from provenance.analyses.drift.stability_ranks import combined_delta, stability_rank
from provenance.analyses.results.drift import DriftResult, NeuronDrift
from provenance.analyses.weights.by_layers import ByLayers
from provenance.analyses.weights.paired_pass import compare_mapped, compare_neurons
from provenance.analyses.weights.weight_source import WeightSource, mlp_shape, shape_words
from provenance.checkpoints.headers import TORCH_DTYPES
from provenance.errors import ArchitectureError, PairError
from provenance.records import Estimate
from provenance.statistics.bootstrap import CONFIDENCE

PERMUTATIONS = 10_000  # standard error of a p near 0.05 is then 0.002
SIGNIFICANCE = 0.05
POWER = 0.80
DETECTABLE_SDS = float(norm.ppf(1 - SIGNIFICANCE) + norm.ppf(POWER))  # from the null mean to the smallest effect


def rounding_floor(*dtypes: torch.dtype) -> float:
    """The 1 - cos that rounding to the coarsest of some dtypes alone can cause.

        floor = u^2 / 6,   u = eps / 2 (unit roundoff)

    Relative errors spread evenly within u have variance u^2 / 3, and 1 - cos is half of that. Mantissas above 1 make
    the real value up to four times smaller. 2.5e-6 for bfloat16, 4.0e-8 for float16, 5.9e-16 for float32.
    """
    coarsest = max(torch.finfo(dtype).eps for dtype in dtypes)
    return (coarsest / 2) ** 2 / 6


def check_comparable(base: WeightSource, instruct: WeightSource) -> None:
    """Raise PairError if layers, neurons per layer, width or MLP layout differ."""
    if mlp_shape(base) != mlp_shape(instruct):
        raise PairError(
            f"an instruct checkpoint shaped like the base: {shape_words(base)}",
            found=shape_words(instruct),
            remedy="name the base that this checkpoint was tuned from (its model card says which)",
        )


def measure_drift(
    base: WeightSource,
    instruct: WeightSource,
    base_ids: Int[np.ndarray, " neurons"] | None = None,
    who: ByLayers | None = None,
) -> NeuronDrift:
    """Weight change of every instruct neuron, streamed from files of any dtype, shards and storage; loads no model.

    Args:
        base_ids: Counterpart of each neuron in the base (flat ids, -1: none), which reads whole tensors, one per
            checkpoint at a time; None: the same layer and index.
        who: Reads the layers; None for one stream here.

    Returns:
        Float64, over all D = layers * d_m neurons, layer by layer. Neurons without a counterpart are NaN and not
        identical; z-scores and ranks are among the others.

    Raises:
        PairError: The shapes differ, or `base_ids` does not fit them.
        ArchitectureError: Weights are stored as integers (a quantised checkpoint).
        NonFiniteError: A named weight or its square (from 1e154 on, in float64 files) is NaN or infinite.

    Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.2. Choice: the gate is measured too, outside Delta.
    """
    if base_ids is None:
        check_comparable(base, instruct)
    else:
        _check_mapping(base, instruct, base_ids)
    floor = rounding_floor(*_float_dtypes(base, "base"), *_float_dtypes(instruct, "instruct"))
    kinds = compare_neurons(base, instruct, who) if base_ids is None else compare_mapped(base, instruct, base_ids, who)
    up, down, gate = kinds["up"], kinds["down"], kinds.get("gate")
    delta, rank = (np.full(up.delta.size, np.nan) for _ in range(2))
    known = np.isfinite(up.delta)
    delta[known] = combined_delta(up.delta[known], down.delta[known])
    rank[known] = stability_rank(delta[known])
    return NeuronDrift(
        delta_gate=gate.delta if gate else None,
        delta_up=up.delta,
        delta_down=down.delta,
        delta=delta,
        stability_rank=rank,
        norm_up_base=up.norm_a,
        norm_up_instruct=up.norm_b,
        norm_down_base=down.norm_a,
        norm_down_instruct=down.norm_b,
        identical=np.logical_and.reduce([part.equal for part in kinds.values()]),
        rounding_floor=floor,
    )


def _check_mapping(base: WeightSource, instruct: WeightSource, base_ids: Int[np.ndarray, " neurons"]) -> None:
    if (base.d, base.kinds) != (instruct.d, instruct.kinds):
        raise PairError(
            f"neurons with the base's weights: {shape_words(base)}",
            found=shape_words(instruct),
            remedy="name the base that this checkpoint was made from (its model card says which)",
        )
    ours, theirs = base.layers * base.d_m, instruct.layers * instruct.d_m
    if base_ids.size != theirs or base_ids.min(initial=0) < -1 or base_ids.max(initial=-1) >= ours:
        raise PairError(
            f"an id below {ours}, or -1, for each of {theirs} neurons",
            found=f"{base_ids.size} ids from {base_ids.min(initial=0)} to {base_ids.max(initial=-1)}",
            remedy="use the mapping that was made for this pair",
        )


def _float_dtypes(source: WeightSource, name: str) -> set[torch.dtype]:
    found = set()
    for kind, layer in itertools.product(source.kinds, range(source.layers)):
        dtype = TORCH_DTYPES[source.dtype_of(source.slice(kind, layer).name)]
        if not dtype.is_floating_point:
            raise ArchitectureError(
                f"floating-point {kind} weights in layer {layer} of the {name} checkpoint",
                found=f"{dtype}",
                remedy="use the checkpoint from before quantisation",
            )
        found.add(dtype)
    return found


@dataclass(frozen=True)
class RankTest:
    """Mean stability rank of a set against sets of as many neurons of the same layers."""

    mean_rank: float
    null_mean: float
    """Exact."""
    null_sd: float
    """Exact."""
    effect: Estimate
    """Mean rank minus the layer's, over the neurons of the set."""
    p_more_stable: float
    """One-sided, by permutation within layers."""


def rank_test(
    ranks: Float[np.ndarray, " neurons"],
    ids: Int[np.ndarray, " k"],
    d_m: int,
    *,
    draws: int = PERMUTATIONS,
    seed: int = 0,
) -> RankTest | None:
    """A set's stability ranks against those of its layers; None without a rank."""
    strata = layer_strata(~np.isnan(ranks), d_m).of
    known = ids[strata[ids] >= 0]
    if not known.size:
        return None
    pools, observed = pools_of(strata, known), float(ranks[known].mean())
    drawn = matched_means(ranks, pools, draws, np.random.default_rng(seed))
    means = [ranks[members].mean() for members in pools.members]
    effect = mean_with_interval(ranks[known] - of_stratum(means, strata, known))
    return RankTest(observed, *matched_moments(ranks, pools), effect, permutation_p(drawn, observed))


def mean_with_interval(values: Float[np.ndarray, " k"], beside: float = 0.0) -> Estimate:
    """Mean with its 95 % Student's t interval (a bootstrap covers 55 % of two, 83 % of five); NaN bounds for one.

    `beside`: SD of an error that all values share.
    """
    mean = float(values.mean())
    if values.size < 2:
        return Estimate(mean, float("nan"), float("nan"), int(values.size))
    spread = math.hypot(float(values.std(ddof=1)) / math.sqrt(values.size), beside)
    half = float(student.ppf((1 + CONFIDENCE) / 2, values.size - 1)) * spread
    return Estimate(mean, mean - half, mean + half, int(values.size))


def summarise_drift(
    drift: NeuronDrift,
    h_neurons: Int[np.ndarray, " h"],
    layers: int,
    d_m: int,
    *,
    draws: int = PERMUTATIONS,
    seed: int = 0,
) -> DriftResult:
    """The paper's tests of the H-Neurons' similarity and stability ranks, and the limits of storage; not yet judged.

    H-Neurons (distinct flat ids) without a counterpart are left out, and counted in the reason.

    Raises:
        PairError: An id outside the model, or given twice.

    Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.2, for the t-test of similarities. Choice:
    `provenance.analyses.drift.drift_tests` decides, since a layer trend alone moves the mean rank.
    """
    layer_counts(h_neurons, layers, d_m)  # raises on invalid ids
    ranks = drift.stability_rank
    unmapped = int(np.isnan(ranks[h_neurons]).sum())
    known = h_neurons[np.isfinite(ranks[h_neurons])]
    by_layer = rank_test(ranks, known, d_m, draws=draws, seed=seed)
    return DriftResult(
        k=int(known.size),
        mean_rank=by_layer.mean_rank if by_layer else None,
        null_mean=by_layer.null_mean if by_layer else None,
        null_sd=by_layer.null_sd if by_layer else None,
        effect=by_layer.effect if by_layer else None,
        p_rank=by_layer.p_more_stable if by_layer else None,
        p_t_similarity=welch_p(1 - (drift.delta_up + drift.delta_down) / 2, known) if known.size else None,
        p_t=welch_p(ranks, known) if known.size else None,
        uniform_sd=1 / math.sqrt(12 * known.size) if known.size else None,
        share_identical=_share_identical(drift),
        rounding_floor=drift.rounding_floor,
        reason=f"{unmapped} of {h_neurons.size} H-Neurons have no counterpart in the base" if unmapped else "",
    )


def _share_identical(drift: NeuronDrift) -> float:
    known = np.isfinite(drift.stability_rank)
    return float(drift.identical[known].mean()) if known.any() else 0.0


def welch_p(values: Float[np.ndarray, " neurons"], h_neurons: Int[np.ndarray, " h"]) -> float | None:
    """One-sided p of a Welch t-test: are similarities (or stability ranks) of H-Neurons higher than all others'?

    None if undefined (fewer than two neurons on a side, or no spread). Source: Gao et al. 2025, arXiv:2512.01797, Sec.
    6.3.2; Welch 1947, doi:10.1093/biomet/34.1-2.28.
    """
    others, inside = np.delete(values, h_neurons), values[h_neurons]
    others = others[np.isfinite(others)]
    if inside.size < 2 or others.size < 2 or np.ptp(inside) == 0 or np.ptp(others) == 0:
        return None
    return float(ttest_ind(inside, others, equal_var=False, alternative="greater").pvalue)
