"""What makes logits of a neuron's output: down column, norm after the MLP, final norm, unembedding.

A neuron with output z adds z c to the residual stream, where c is its down column; in layouts with a norm between MLP
and residual addition, c times that norm's weights. The final norm multiplies by weights g, which are folded into the
unembedding U as in Stolfo et al. 2024 (arXiv:2406.16254), and a LayerNorm takes the mean out of c first. Divisors of
both norms are positive numbers common to all directions at a token, and change no order of tokens, nor does a soft cap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float32

from provenance.architectures import Vocabulary
from provenance.errors import ArchitectureError
from provenance.weights.neuron_weights import FLOAT_DTYPES, MlpWeights
from provenance.weights.tensors import Rows

BLOCK_BYTES = 1 << 21  # of float32 values
UNEMBEDDING_BYTES = 1 << 24  # of float32 values, since products of rows with one another are faster of many


@dataclass(frozen=True)
class Unembedding:
    """The unembedding of one checkpoint, read in blocks."""

    weights: MlpWeights
    places: Vocabulary
    name: str
    """Its tensor, which is the input embedding's where both are tied."""
    scale: Float32[torch.Tensor, " d"]
    """What the final norm multiplies by."""

    @classmethod
    def of(cls, weights: MlpWeights, config: Mapping[str, Any]) -> "Unembedding":
        """Find the unembedding of a checkpoint.

        Raises:
            ArchitectureError: It or the final norm is not where the family has it, or its numbers are quantised.
        """
        places = weights.layout.architecture.vocabulary
        if places is None:
            raise ArchitectureError(
                f"a table named vocabulary in the file of {weights.layout.architecture.name!r}",
                found="none",
                remedy="describe its final norm and unembedding in that file under provenance/architectures",
            )
        name, norm = _name(weights, places, config), weights.layout.prefix + places.norm
        shapes = {found: weights.shape(found) for found in (name, norm) if found in weights.tensor_names()}
        wrong = [found for found in (name, norm) if found not in shapes or shapes[found][-1:] != (weights.d,)]
        wrong += [found for found in shapes if found not in wrong and weights.dtype_of(found) not in FLOAT_DTYPES]
        if wrong:
            raise ArchitectureError(
                f"{wrong[0]} of width {weights.d}, in one of {', '.join(FLOAT_DTYPES)}",
                found=f"shape {shapes[wrong[0]]}" if wrong[0] in shapes else "no such tensor",
                remedy="check that config.json belongs to these weights",
            )
        return cls(weights, places, name, _norm_weight(weights, places, norm))

    @property
    def tokens(self) -> int:
        """Rows of the tensor, some of which may belong to no token."""
        return self.weights.shape(self.name)[0]

    def blocks(self, tokens: int, beside: int = 0) -> Iterator[Float[torch.Tensor, "block d"]]:
        """The first `tokens` rows in the storage dtype, in blocks, each valid until the next.

        With `beside` values more for every row a block is `UNEMBEDDING_BYTES` of float32 at most.
        """
        step = max(1, UNEMBEDDING_BYTES // (4 * (self.weights.d + beside)))
        yield from self.weights.stream(_pieces(self.name, 0, tokens, step))

    def written(self, layer: int, index: Sequence[int]) -> Float32[torch.Tensor, "k d"]:
        """What neurons of a layer add to the residual stream for each unit of their output, up to a norm's divisor.

        A mean that the final norm takes out is taken out.
        """
        columns = _down_columns(self.weights, layer, index) * self._after(layer)
        return columns - columns.mean(dim=1, keepdim=True) if self.places.centred else columns

    def all_written(self, layer: int) -> Iterator[tuple[slice, slice, Float32[torch.Tensor, "neurons widths"]]]:
        """The same of all neurons of a layer in blocks, with the neurons and the places of the stream that each holds.

        A mean that the final norm takes out is still in. Blocks are valid until the next.
        """
        part, after = self.weights.slice("down", layer), self._after(layer)
        of_rows = part.neurons == "rows"
        step = max(1, BLOCK_BYTES // (4 * (self.weights.d if of_rows else self.weights.d_m)))
        start = 0
        for block in self.weights.stream(_pieces(part.name, part.start, part.stop, step)):
            here, everything = slice(start, start + block.shape[0]), slice(None)
            yield (here, everything, block * after) if of_rows else (everything, here, block.T * after[here])
            start += block.shape[0]

    def _after(self, layer: int) -> Float32[torch.Tensor, " d"]:
        """Weights of the norm between MLP and residual addition; ones where there is none."""
        name = self.weights.layout.prefix + self.places.after_mlp.format(layer=layer)
        if not self.places.after_mlp or name not in self.weights.tensor_names():
            return torch.ones(self.weights.d)
        return _norm_weight(self.weights, self.places, name)


def _name(weights: MlpWeights, places: Vocabulary, config: Mapping[str, Any]) -> str:
    """Name of the tensor that `transformers` computes logits with."""
    layout = weights.layout
    own = [name for name in weights.tensor_names() if f".{name}".endswith(f".{places.unembedding}")]
    text = config.get("text_config")
    said = config.get("tie_word_embeddings")
    if said is None and isinstance(text, Mapping):
        said = text.get("tie_word_embeddings")
    tied = layout.model_type in places.tied if said is None else bool(said)
    return layout.prefix + places.embedding if tied or not own else own[0]


def _norm_weight(weights: MlpWeights, places: Vocabulary, name: str) -> Float32[torch.Tensor, " d"]:
    weight = weights.tensor(name).float()
    return weight + 1 if weights.layout.model_type in places.one_plus else weight


def _down_columns(weights: MlpWeights, layer: int, index: Sequence[int]) -> Float32[torch.Tensor, "k d"]:
    """Down columns of some neurons, without the whole matrix in memory."""
    part = weights.slice("down", layer)
    if part.neurons == "rows":
        places = [Rows(part.name, part.start + neuron, part.start + neuron + 1) for neuron in index]
        return torch.cat([row.to(torch.float32, copy=True) for row in weights.stream(places)])
    chosen = torch.tensor(index, dtype=torch.long)
    step = max(1, BLOCK_BYTES // (4 * weights.d_m))
    blocks = weights.stream(_pieces(part.name, part.start, part.stop, step))
    return torch.cat([block[:, chosen].float() for block in blocks]).T.contiguous()


def _pieces(name: str, start: int, stop: int, step: int) -> list[Rows]:
    return [Rows(name, first, min(first + step, stop)) for first in range(start, stop, step)]
