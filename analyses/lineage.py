"""Is one checkpoint a descendant of the other, so that neuron j means the same neuron in both?

The one idea: tuning moves a neuron a little, while any other neuron points elsewhere. So a
sample of neurons is looked up in the other model: related models find each neuron at its own
index, permuted ones find it at another index, unrelated ones do not find it at all.

The evidence is symmetric: it says that two checkpoints are related, not which came first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from analyses.results import LineageResult
from analyses.weight_source import WeightSource, mlp_shape
from provenance.errors import NonFiniteError

NEURONS_PER_LAYER = 64  # 18 layers then give 1,152 neurons: a share is known to 1.5 points
BLOCK_ELEMENTS = 2**20  # rows of the other model per product: 4 MB in float32

# Related pairs find (nearly) all sampled neurons at their own index, others one in d_m. One half says
# that the index maps most neurons rightly, which is what the comparison by index needs.
SELF_MATCH_RELATED = 0.5
# Cosine to the nearest neighbour of any index. Tuning keeps it above 0.9; the best of d_m random directions
# reaches sqrt(2 ln d_m / (kinds * d)): 0.09 for 2,048 neurons of width 640, 0.3 in the smallest test models.
NEAREST_COSINE_RELATED = 0.6
# Two cosines closer than this are equal as far as float32 products of unit vectors can tell.
COSINE_TOLERANCE = 1e-5

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class _Census:
    """All tensors of a pair, compared by name."""

    compared: int
    identical: int
    only_base: tuple[str, ...]
    only_instruct: tuple[str, ...]


@dataclass(frozen=True)
class _NeuronMatch:
    """Sampled neurons looked up in the other model; cosines of corresponding neurons."""

    median_cosine: dict[str, float]
    self_match: float
    nearest_cosine: float
    sampled: int


def lineage(
    base: WeightSource,
    instruct: WeightSource,
    base_vocab: Mapping[str, int],
    instruct_vocab: Mapping[str, int],
    *,
    sample: int = NEURONS_PER_LAYER,
    seed: int = 0,
) -> LineageResult:
    """Evidence that two checkpoints are related, tensor by tensor and neuron by neuron.

    Args:
        base: The checkpoint said to be the ancestor.
        instruct: The checkpoint said to be its descendant.
        base_vocab: Token to id, of the base's tokenizer.
        instruct_vocab: Token to id, of the other tokenizer.
        sample: Neurons looked up per layer.
        seed: Of the sample.

    Returns:
        `same model`: every tensor in both, bit by bit. `descendant`: neurons are found at their own
        index. `descendant, neurons permuted`: found, at other indices of their layer. `unrelated`: not
        found, or MLPs of different shape, for which no neuron is sampled and the cosines are 0.

    Raises:
        NonFiniteError: A tensor of both checkpoints holds NaN or infinity; the message names it.
    """
    census = _compare_tensors(base, instruct)
    matched = _match_neurons(base, instruct, sample, np.random.default_rng(seed))
    shared = sum(instruct_vocab.get(token) == index for token, index in base_vocab.items())
    either = len(base_vocab.keys() | instruct_vocab.keys())
    return LineageResult(
        verdict=_verdict(census, matched),
        share_identical_tensors=census.identical / census.compared if census.compared else 0.0,
        tensors_compared=census.compared,
        only_base=census.only_base,
        only_instruct=census.only_instruct,
        median_cosine=matched.median_cosine,
        self_match=matched.self_match,
        nearest_cosine=matched.nearest_cosine,
        neurons_sampled=matched.sampled,
        same_tokenizer=shared == either,
        vocabulary_shared=shared / either if either else 1.0,
    )


def _verdict(census: _Census, matched: _NeuronMatch) -> str:
    """One of the four relations."""
    nothing_else = not census.only_base and not census.only_instruct
    if census.compared and census.identical == census.compared and nothing_else:
        return "same model"
    if matched.nearest_cosine < NEAREST_COSINE_RELATED and matched.self_match < SELF_MATCH_RELATED:
        return "unrelated"
    return "descendant" if matched.self_match >= SELF_MATCH_RELATED else "descendant, neurons permuted"


def _compare_tensors(base: WeightSource, instruct: WeightSource) -> _Census:
    """Stream all tensors that both have in the same shape, one pair at a time."""
    base_names, instruct_names = set(base.tensor_names()), set(instruct.tensor_names())
    both = sorted(n for n in base_names & instruct_names if base.shape(n) == instruct.shape(n))
    identical = sum(_identical_tensor(base, instruct, name) for name in both)
    return _Census(
        compared=len(both),
        identical=identical,
        only_base=tuple(sorted(base_names - set(both))),
        only_instruct=tuple(sorted(instruct_names - set(both))),
    )


def _identical_tensor(base: WeightSource, instruct: WeightSource, name: str) -> bool:
    """Whether a tensor is the same in both; refuses values that are not finite."""
    a, b = base.tensor(name), instruct.tensor(name)
    same = same_bits(a, b)
    _check_finite(a, f"{name} of the base checkpoint")
    if not same:
        _check_finite(b, f"{name} of the instruct checkpoint")
    return same


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Same dtype, shape and bits: -0.0 differs from 0.0, and a value from itself stored in another dtype."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    bits = _BITS[a.dtype.itemsize]
    return torch.equal(a.view(bits), b.view(bits))


def _check_finite(tensor: torch.Tensor, name: str) -> None:
    """Refuse NaN and infinity."""
    if not tensor.dtype.is_floating_point or tensor.numel() == 0:
        return
    # One-byte floats know no reductions. NaN travels through aminmax, and infinity is an extreme.
    wide = tensor.float() if tensor.dtype.itemsize == 1 else tensor
    low, high = torch.aminmax(wide)
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise NonFiniteError(
            f"finite weights in {name}",
            found=f"values from {low.item()} to {high.item()}",
            remedy="fetch the file again and check its digest; weights that are like this cannot be compared",
        )


def _match_neurons(base: WeightSource, instruct: WeightSource, sample: int, rng: np.random.Generator) -> _NeuronMatch:
    """Look up sampled neurons of every layer among all neurons of that layer in the other model."""
    if mlp_shape(base) != mlp_shape(instruct):
        return _NeuronMatch({}, 0.0, 0.0, 0)
    own_cosine: dict[str, list[Float[np.ndarray, " d_m"]]] = {kind: [] for kind in base.kinds}
    found: list[Float[np.ndarray, "2 sampled"]] = []
    for layer in range(base.layers):
        ids = np.sort(rng.choice(base.d_m, size=min(sample, base.d_m), replace=False))
        similarity = np.zeros((ids.size, base.d_m), dtype=np.float32)
        for kind in base.kinds:
            cosines, table = cosine_tables(base.neurons(kind, layer), instruct.neurons(kind, layer), ids)
            own_cosine[kind].append(cosines)
            similarity += table
        similarity /= len(base.kinds)
        found.append(np.stack([similarity[np.arange(ids.size), ids], similarity.max(axis=1)]))
    own, nearest = np.concatenate(found, axis=1)
    return _NeuronMatch(
        median_cosine={kind: float(np.median(np.concatenate(parts))) for kind, parts in own_cosine.items()},
        self_match=float((own >= nearest - COSINE_TOLERANCE).mean()),
        nearest_cosine=float(np.median(nearest)),
        sampled=int(own.size),
    )


def cosine_tables(
    base: Float[torch.Tensor, "d_m d"],
    instruct: Float[torch.Tensor, "d_m d"],
    ids: Int[np.ndarray, " sampled"],
) -> tuple[Float[np.ndarray, " d_m"], Float[np.ndarray, "sampled d_m"]]:
    """Cosines of corresponding rows, and of sampled rows with every row of the other matrix.

    Averaging the second over kinds of weight gives the cosine of the kinds' unit vectors joined end to end.

    Returns:
        Dimensionless, in [-1, 1], float32 arithmetic (a lookup needs no more); 0 for zero rows.
    """
    d_m, d = base.shape
    sampled = _unit_rows(base[torch.from_numpy(ids)])
    own = torch.empty(d_m)
    table = torch.empty(ids.size, d_m)
    step = max(1, BLOCK_ELEMENTS // max(d, 1))
    for start in range(0, d_m, step):
        part = slice(start, start + step)
        other = _unit_rows(instruct[part])
        torch.mm(sampled, other.T, out=table[:, part])
        own[part] = (_unit_rows(base[part]) * other).sum(dim=1)
    # Rounding puts the cosine of a row with itself a bit above 1.
    return own.clamp_(-1, 1).numpy(), table.clamp_(-1, 1).numpy()


def _unit_rows(rows: Float[torch.Tensor, "rows d"]) -> Float[torch.Tensor, "rows d"]:
    """Rows scaled to length 1 in float32; zero rows stay zero."""
    wide = rows.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    norms = torch.linalg.vector_norm(wide, dim=1, keepdim=True)
    return wide.div_(torch.where(norms == 0, 1.0, norms))
