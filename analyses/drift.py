"""How far each neuron's weights moved, and whether the H-Neurons moved less than their neighbours.

The one idea: tuning moves weights by 1e-3 of their size and less, where 1 - cos computed in
float32 is noise; so directions are compared in float64 through the difference of unit vectors.
And layers drift at different rates, so the H-Neurons are compared with neurons of the same layers.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from scipy.stats import norm, ttest_ind

from analyses.controls import distinct_draws, layer_counts, null_distribution, permutation_p
from analyses.ranks import combined_delta, stability_rank
from analyses.results import DriftResult, NeuronDrift
from analyses.weight_source import WeightSource, mlp_shape
from provenance.errors import ArchitectureError, NonFiniteError, PairError
from provenance.records import Verdict

BLOCK_ELEMENTS = 2**18  # 2 MB in float64: stays in cache, whatever the size of the tensor
PERMUTATIONS = 10_000  # standard error of a p near 0.05 is then 0.002
SIGNIFICANCE = 0.05
POWER = 0.80


@dataclass(frozen=True)
class RowComparison:
    """Two matrices compared row by row."""

    delta: Float64[np.ndarray, " rows"]
    """1 - cos of the angle between the rows."""
    norm_a: Float64[np.ndarray, " rows"]
    """L2 norm of the first matrix's rows."""
    norm_b: Float64[np.ndarray, " rows"]
    """L2 norm of the second matrix's rows."""
    equal: Bool[np.ndarray, " rows"]
    """Every weight of the row is the same number in both."""


def compare_rows(
    a: Float[torch.Tensor, "rows d"],
    b: Float[torch.Tensor, "rows d"],
    *,
    name_a: str = "the first matrix",
    name_b: str = "the second matrix",
) -> RowComparison:
    """Angle, norms and equality of corresponding rows.

        1 - cos(u, v) = 0.5 * || u/|u| - v/|v| ||^2

    The right side has no cancellation: at an angle phi its relative error is about 1e-16 / phi,
    while 1 - cos itself loses everything below phi = 1e-8 in float64 and 3e-4 in float32.

    Args:
        a: Any floating dtype and strides; widened to float64 block by block.
        b: The same shape; its dtype may differ.
        name_a: How an error calls `a`.
        name_b: How an error calls `b`.

    Returns:
        Dimensionless delta in [0, 2] and norms in weight units, float64. Choice: two zero rows
        have delta 0 (nothing changed), a zero row and a non-zero one have 1 (no direction in common).

    Raises:
        NonFiniteError: A row holds NaN or infinity; diverged training or a damaged shard is the usual cause.
    """
    rows, d = a.shape
    step = max(1, BLOCK_ELEMENTS // max(d, 1))
    delta, norm_a, norm_b = (torch.empty(rows, dtype=torch.float64) for _ in range(3))
    equal = torch.empty(rows, dtype=torch.bool)
    buffer_a, buffer_b = torch.empty((2, min(step, rows), d), dtype=torch.float64)
    for start in range(0, rows, step):
        part = slice(start, min(start + step, rows))
        wide_a = buffer_a[: part.stop - start].copy_(a[part])
        wide_b = buffer_b[: part.stop - start].copy_(b[part])
        # Widening is exact, so comparing the wide values also serves pairs stored in different dtypes.
        equal[part] = (wide_a == wide_b).all(dim=1)
        norm_a[part] = _normalise(wide_a, name_a)
        norm_b[part] = _normalise(wide_b, name_b)
        delta[part] = 0.5 * wide_a.sub_(wide_b).square_().sum(dim=1)
    delta[(norm_a == 0) != (norm_b == 0)] = 1.0
    return RowComparison(delta.numpy(), norm_a.numpy(), norm_b.numpy(), equal.numpy())


def one_minus_cosine(
    a: Float[torch.Tensor, "rows d"], b: Float[torch.Tensor, "rows d"]
) -> Float64[np.ndarray, " rows"]:
    """1 - cos of the angle between corresponding rows, by `compare_rows`."""
    return compare_rows(a, b).delta


def _normalise(rows: Float[torch.Tensor, "rows d"], name: str) -> Float[torch.Tensor, " rows"]:
    """Scale rows to unit length in place (zero rows stay zero) and return the norms they had."""
    norms: torch.Tensor = torch.linalg.vector_norm(rows, dim=1)
    if not torch.isfinite(norms).all():
        raise NonFiniteError(
            f"finite weights in {name}",
            found=f"{int((~torch.isfinite(norms)).sum())} or more rows with NaN or infinity",
            remedy="fetch the file again and check its digest; weights that are like this cannot be compared",
        )
    rows.div_(torch.where(norms == 0, 1.0, norms)[:, None])
    return norms


def rounding_floor(*dtypes: torch.dtype) -> float:
    """The 1 - cos that rounding to the coarsest of some dtypes can cause by itself.

        floor = u^2 / 6,   u = eps / 2 (unit roundoff)

    Relative rounding errors lie within u; spread evenly they have variance u^2 / 3, and 1 - cos is half
    the relative variance. Mantissas above 1 make the real value up to four times smaller.

    Returns:
        Dimensionless; 2.5e-6 for bfloat16, 4.0e-8 for float16, 5.9e-16 for float32.
    """
    coarsest = max(torch.finfo(dtype).eps for dtype in dtypes)
    return (coarsest / 2) ** 2 / 6


def check_comparable(base: WeightSource, instruct: WeightSource) -> None:
    """Refuse two checkpoints whose neurons cannot be put side by side.

    Raises:
        PairError: Layers, neurons per layer, width or MLP layout differ.
    """
    if mlp_shape(base) != mlp_shape(instruct):
        raise PairError(
            f"an instruct checkpoint shaped like the base: {_shape_words(base)}",
            found=_shape_words(instruct),
            remedy="name the base that this checkpoint was tuned from (its model card says which)",
        )


def _shape_words(source: WeightSource) -> str:
    """A checkpoint's MLP shape, in words."""
    kinds = ", ".join(source.kinds)
    return f"{source.layers} layers of {source.d_m} neurons, width {source.d}, weights {kinds}"


def measure_drift(base: WeightSource, instruct: WeightSource) -> NeuronDrift:
    """Weight change of every neuron of a pair, streamed: one tensor of each checkpoint at a time.

    Args:
        base: The checkpoint before tuning.
        instruct: The one after; the same shapes, dtypes may differ.

    Returns:
        Float64 arrays over all D = layers * d_m neurons, layer by layer.

    Raises:
        PairError: The shapes differ.
        ArchitectureError: Weights are stored as integers (a quantised checkpoint).
        NonFiniteError: A weight is NaN or infinite; the message names the tensor.

    Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.2. Choice: the gate is measured too, outside Delta.
    """
    check_comparable(base, instruct)
    dtypes: set[torch.dtype] = set()
    kinds = {kind: _measure_kind(base, instruct, kind, dtypes) for kind in base.kinds}
    up, down, gate = kinds["up"], kinds["down"], kinds.get("gate")
    delta = combined_delta(up.delta, down.delta)
    return NeuronDrift(
        delta_gate=gate.delta if gate else None,
        delta_up=up.delta,
        delta_down=down.delta,
        delta=delta,
        stability_rank=stability_rank(delta),
        norm_up_base=up.norm_a,
        norm_up_instruct=up.norm_b,
        norm_down_base=down.norm_a,
        norm_down_instruct=down.norm_b,
        identical=np.logical_and.reduce([part.equal for part in kinds.values()]),
        rounding_floor=rounding_floor(*dtypes),
    )


def _measure_kind(base: WeightSource, instruct: WeightSource, kind: str, dtypes: set[torch.dtype]) -> RowComparison:
    """One kind of weight over all layers; adds the storage dtypes that it meets to `dtypes`."""
    parts = [_measure_layer(base, instruct, kind, layer, dtypes) for layer in range(base.layers)]
    return RowComparison(
        delta=np.concatenate([part.delta for part in parts]),
        norm_a=np.concatenate([part.norm_a for part in parts]),
        norm_b=np.concatenate([part.norm_b for part in parts]),
        equal=np.concatenate([part.equal for part in parts]),
    )


def _measure_layer(
    base: WeightSource, instruct: WeightSource, kind: str, layer: int, dtypes: set[torch.dtype]
) -> RowComparison:
    """One tensor of each checkpoint; both are free again on return."""
    a, b = base.neurons(kind, layer), instruct.neurons(kind, layer)
    dtypes.update((a.dtype, b.dtype))
    for tensor, name in ((a, "base"), (b, "instruct")):
        if not tensor.dtype.is_floating_point:
            raise ArchitectureError(
                f"floating-point {kind} weights in layer {layer} of the {name} checkpoint",
                found=f"{tensor.dtype}",
                remedy="use the checkpoint from before quantisation",
            )
    place = f"the {kind} weights of layer {layer}"
    return compare_rows(a, b, name_a=f"{place} (base checkpoint)", name_b=f"{place} (instruct checkpoint)")


def summarise_drift(
    drift: NeuronDrift,
    h_neurons: Int[np.ndarray, " h"],
    layers: int,
    d_m: int,
    *,
    draws: int = PERMUTATIONS,
    seed: int = 0,
) -> DriftResult:
    """Mean stability rank of the H-Neurons against random neurons of the same layers.

    Args:
        drift: Every neuron's weight change.
        h_neurons: Flat ids of the H-Neurons, distinct.
        layers: Layers of the model.
        d_m: Neurons per layer.
        draws: Permutations.
        seed: Of the permutations.

    Returns:
        `supported` when p_permutation < 0.05. `no power` when not even the most stable neurons of the same
        layers would reach it: no H-Neurons, layers that hold nothing else, ranks that are all tied.

    Raises:
        PairError: An id outside the model, or given twice.

    Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.2, for the t-test. Choice: the layer-matched
    permutation decides, since a layer trend alone moves the mean rank.
    """
    counts = layer_counts(h_neurons, layers, d_m)
    if h_neurons.size == 0:
        return _without_neurons(drift)
    ranks = drift.stability_rank
    by_layer = ranks.reshape(layers, d_m)
    null_draws = matched_mean_ranks(by_layer, counts, draws, np.random.default_rng(seed))
    observed = float(ranks[h_neurons].mean())
    null = null_distribution("layer_matched", null_draws, observed)
    null_mean, null_sd = matched_moments(by_layer, counts)
    best = _best_mean_rank(by_layer, counts)
    p_best = permutation_p(null_draws, best)
    detectable = null_mean + float(norm.ppf(1 - SIGNIFICANCE) + norm.ppf(POWER)) * null_sd
    verdict, reason = _decide(h_neurons.size, observed, null_mean, null.p_value, p_best)
    if detectable > best and verdict == "not distinguishable":
        verdict, reason = "no power", f"{reason}; no reachable mean rank would be detected with 80 % power"
    return DriftResult(
        k=int(h_neurons.size),
        mean_stability_rank=observed,
        matched_null=null,
        effect=observed - null.mean,
        p_t=welch_p(ranks, h_neurons),
        p_permutation=null.p_value,
        uniform_sd=1 / math.sqrt(12 * h_neurons.size),
        smallest_detectable=detectable if detectable <= best else None,
        share_identical=float(drift.identical.mean()),
        rounding_floor=drift.rounding_floor,
        verdict=verdict,
        reason=reason,
    )


def _without_neurons(drift: NeuronDrift) -> DriftResult:
    """The result where there are no H-Neurons to ask about."""
    return DriftResult(
        k=0,
        mean_stability_rank=None,
        matched_null=None,
        effect=None,
        p_t=None,
        p_permutation=None,
        uniform_sd=None,
        smallest_detectable=None,
        share_identical=float(drift.identical.mean()),
        rounding_floor=drift.rounding_floor,
        verdict="no power",
        reason="there are no H-Neurons whose drift could be ranked",
    )


def _decide(k: int, observed: float, null_mean: float, p_value: float, p_best: float) -> tuple[Verdict, str]:
    """The verdict of a non-empty set, with the numbers that decided."""
    numbers = (
        f"mean stability rank {observed:.3f} of {k} H-Neurons against {null_mean:.3f} for random "
        f"neurons of the same layers, p = {p_value:.2g}"
    )
    if p_best >= SIGNIFICANCE:
        return "no power", f"{numbers}; even the most stable neurons there would only reach p = {p_best:.2g}"
    return ("supported" if p_value < SIGNIFICANCE else "not distinguishable"), numbers


def matched_mean_ranks(
    ranks: Float[np.ndarray, "layers d_m"],
    counts: Int[np.ndarray, " layers"],
    draws: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, " draws"]:
    """Mean rank of random neuron sets with given numbers of neurons in each layer.

    Within a layer neurons are drawn without replacement, H-Neurons among them, as a permutation test asks.
    """
    total = np.zeros(draws)
    for layer in np.flatnonzero(counts):
        picked = distinct_draws(ranks.shape[1], int(counts[layer]), draws, rng)
        total += ranks[layer][picked].sum(axis=1)
    return np.asarray(total / counts.sum())


def matched_moments(ranks: Float[np.ndarray, "layers d_m"], counts: Int[np.ndarray, " layers"]) -> tuple[float, float]:
    """Exact mean and SD of `matched_mean_ranks`, by sampling without replacement in strata.

        mean = sum_l k_l m_l / k,   var = sum_l k_l s_l^2 (1 - k_l / d_m) / k^2

    Source: Cochran 1977, Sampling Techniques, Sec. 5.3.
    """
    k, d_m = int(counts.sum()), ranks.shape[1]
    mean = float(counts @ ranks.mean(axis=1)) / k
    spread = ranks.var(axis=1, ddof=1) if d_m > 1 else np.zeros(ranks.shape[0])
    variance = float((counts * spread * (1 - counts / d_m)).sum()) / k**2
    return mean, math.sqrt(variance)


def _best_mean_rank(ranks: Float[np.ndarray, "layers d_m"], counts: Int[np.ndarray, " layers"]) -> float:
    """Mean rank of the most stable neurons, with given numbers in each layer."""
    ordered = np.sort(ranks, axis=1)[:, ::-1]
    best = sum(float(ordered[layer, : counts[layer]].sum()) for layer in np.flatnonzero(counts))
    return best / int(counts.sum())


def welch_p(ranks: Float[np.ndarray, " neurons"], h_neurons: Int[np.ndarray, " h"]) -> float | None:
    """One-sided Welch t-test: do H-Neurons have higher stability ranks than all other neurons?

    Returns:
        p in [0, 1]; None where the test is not defined (fewer than two neurons on a side, or no spread).

    Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.2; Welch 1947, doi:10.1093/biomet/34.1-2.28.
    """
    others = np.delete(ranks, h_neurons)
    inside = ranks[h_neurons]
    if inside.size < 2 or others.size < 2 or np.ptp(inside) == 0 or np.ptp(others) == 0:
        return None
    return float(ttest_ind(inside, others, equal_var=False, alternative="greater").pvalue)
