"""Weight change of each neuron that has a counterpart in the base, and the paper's test that H-Neurons changed less."""

import itertools
import math

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import norm, ttest_ind

from provenance.analyses.controls.control_sets import layer_counts, permutation_p
from provenance.analyses.drift.drift_nulls import Pools, highest_mean, matched_moments
from provenance.analyses.drift.stability_ranks import combined_delta, stability_rank
from provenance.analyses.results.drift import DriftResult, NeuronDrift
from provenance.analyses.weights.paired_pass import compare_mapped, compare_neurons
from provenance.analyses.weights.weight_source import WeightSource, mlp_shape, shape_words
from provenance.checkpoints.headers import TORCH_DTYPES
from provenance.errors import ArchitectureError, PairError

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
    *,
    streams: int = 1,
) -> NeuronDrift:
    """Weight change of every instruct neuron, streamed from files of any dtype, shards and storage; loads no model.

    Args:
        base_ids: Counterpart of each neuron in the base (flat ids, -1: none), which reads whole tensors, one per
            checkpoint at a time; None: the same layer and index.
        streams: Threads, each reading a pair of streams; more than one for local files only.

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
    kinds = compare_neurons(base, instruct, streams) if base_ids is None else compare_mapped(base, instruct, base_ids)
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


def summarise_drift(drift: NeuronDrift, h_neurons: Int[np.ndarray, " h"], layers: int, d_m: int) -> DriftResult:
    """The paper's test of the H-Neurons' stability ranks, and the limits of storage; not yet judged.

    H-Neurons (distinct flat ids) without a counterpart are left out, and counted in the reason.

    Raises:
        PairError: An id outside the model, or given twice.

    Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.2, for the t-test. Choice:
    `provenance.analyses.drift.drift_tests` decides, since a layer trend alone moves the mean rank.
    """
    layer_counts(h_neurons, layers, d_m)  # raises on invalid ids
    ranks = drift.stability_rank
    unmapped = int(np.isnan(ranks[h_neurons]).sum())
    known = h_neurons[np.isfinite(ranks[h_neurons])]
    return DriftResult(
        k=int(known.size),
        p_t=welch_p(ranks, known) if known.size else None,
        uniform_sd=1 / math.sqrt(12 * known.size) if known.size else None,
        share_identical=_share_identical(drift),
        rounding_floor=drift.rounding_floor,
        reason=f"{unmapped} of {h_neurons.size} H-Neurons have no counterpart in the base" if unmapped else "",
    )


def _share_identical(drift: NeuronDrift) -> float:
    known = np.isfinite(drift.stability_rank)
    return float(drift.identical[known].mean()) if known.any() else 0.0


def detectable_mean(
    ranks: Float[np.ndarray, " neurons"], pools: Pools, draws: Float[np.ndarray, " draws"]
) -> float | None:
    """The smallest mean rank that is detected with 80 % power at one-sided 5 %.

        m + (z_0.95 + z_0.80) s,   with m and s the exact mean and SD over matched sets

    None if the most stable neurons of the strata do not reach it, or not even p < 0.05 against `draws` of matched sets.
    """
    mean, sd = matched_moments(ranks, pools)
    best, detectable = highest_mean(ranks, pools), mean + DETECTABLE_SDS * sd
    return detectable if detectable <= best and permutation_p(draws, best) < SIGNIFICANCE else None


def _ranked(ranks: Float[np.ndarray, " some"]) -> Float[np.ndarray, " ranked"]:
    return np.asarray(ranks[np.isfinite(ranks)])


def welch_p(ranks: Float[np.ndarray, " neurons"], h_neurons: Int[np.ndarray, " h"]) -> float | None:
    """One-sided p of a Welch t-test: do H-Neurons have higher stability ranks than all other neurons?

    None if undefined (fewer than two neurons on a side, or no spread). Source: Gao et al. 2025, arXiv:2512.01797, Sec.
    6.3.2; Welch 1947, doi:10.1093/biomet/34.1-2.28.
    """
    others, inside = _ranked(np.delete(ranks, h_neurons)), ranks[h_neurons]
    if inside.size < 2 or others.size < 2 or np.ptp(inside) == 0 or np.ptp(others) == 0:
        return None
    return float(ttest_ind(inside, others, equal_var=False, alternative="greater").pvalue)
