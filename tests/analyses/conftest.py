"""Checkpoints in memory and features with planted neurons, for all analysis tests."""

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from provenance.activations.features import Features
from provenance.architectures import NeuronSlice
from provenance.checkpoints.headers import TORCH_DTYPES
from provenance.weights.tensors import Rows


@dataclass
class MemoryWeights:
    """A `WeightSource` that hands out copies, counts how many of them are alive, and takes streamed ones back."""

    tensors: dict[str, torch.Tensor]
    kinds: tuple[str, ...] = ("gate", "up", "down")
    columns: tuple[str, ...] = ()
    """Kinds whose tensors are stored (d, d_m); those of the others (d_m, d)."""
    alive: int = 0
    most_alive: int = 0
    reads: list[str] = field(default_factory=list)
    """Names of tensors that were handed out whole."""
    streamed: list[Rows] = field(default_factory=list)
    """Rows that were asked for in streams."""

    @property
    def layers(self) -> int:
        """Layers that have an up-projection, by itself or with the gate in one tensor."""
        return sum(name.endswith((".up", ".gate_up")) for name in self.tensors)

    @property
    def d_m(self) -> int:
        """Neurons per layer."""
        return self._mlp_shape[0]

    @property
    def d(self) -> int:
        """Width."""
        return self._mlp_shape[1]

    @property
    def _mlp_shape(self) -> tuple[int, int]:
        if "0.gate_up" in self.tensors:
            rows, d = self.tensors["0.gate_up"].shape
            return rows // 2, d
        rows, width = self.tensors["0.up"].shape
        return (width, rows) if "up" in self.columns else (rows, width)

    def slice(self, kind: str, layer: int) -> NeuronSlice:
        """Where a projection lies."""
        fused = f"{layer}.gate_up"
        if kind != "down" and fused in self.tensors:
            first = self.d_m * (kind == "up")
            return NeuronSlice(fused, first, first + self.d_m, "rows")
        name = f"{layer}.{kind}"
        return NeuronSlice(name, 0, self.tensors[name].shape[0], "columns" if kind in self.columns else "rows")

    def neurons(self, kind: str, layer: int) -> torch.Tensor:
        """One weight, a row per neuron."""
        place = self.slice(kind, layer)
        rows = self._lend(place.name)[place.start : place.stop]
        return rows.T if place.neurons == "columns" else rows

    def stream(self, wanted: Sequence[Rows]) -> Iterator[torch.Tensor]:
        """Rows one after the other; what was handed out before is overwritten, as a reused buffer would be."""
        for rows in wanted:
            self.streamed.append(rows)
            lent = self.tensors[rows.name][rows.start : rows.stop].clone()
            yield lent
            lent.view(torch.uint8).fill_(0x55)

    def tensor_names(self) -> list[str]:
        """All names."""
        return list(self.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape, without a read."""
        return tuple(self.tensors[name].shape)

    def dtype_of(self, name: str) -> str:
        """Storage dtype, without a read."""
        return next(spelling for spelling, dtype in TORCH_DTYPES.items() if dtype == self.tensors[name].dtype)

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor."""
        return self._lend(name)

    def _lend(self, name: str) -> torch.Tensor:
        """A copy whose memory is watched: the storage keeps the NumPy buffer alive, and views keep the storage."""
        stored = self.tensors[name]
        bits = stored.contiguous().view(torch.uint8).numpy().copy()
        self.alive += 1
        self.most_alive = max(self.most_alive, self.alive)
        self.reads.append(name)
        weakref.finalize(bits, self._returned)
        return torch.from_numpy(bits).view(stored.dtype).view(stored.shape)

    def _returned(self) -> None:
        self.alive -= 1


def make_checkpoint(
    *, layers: int = 3, d_m: int = 40, d: int = 32, seed: int = 0, gated: bool = True, embedding: int = 50
) -> MemoryWeights:
    """Random weights, as an initialisation gives them, in float32."""
    generator = torch.Generator().manual_seed(seed)
    kinds = ("gate", "up", "down") if gated else ("up", "down")
    tensors = {f"{layer}.{kind}": torch.randn(d_m, d, generator=generator) for layer in range(layers) for kind in kinds}
    tensors["embedding"] = torch.randn(embedding, d, generator=generator)
    return MemoryWeights(tensors, kinds)


def change_checkpoint(source: MemoryWeights, change: Callable[[str, torch.Tensor], torch.Tensor]) -> MemoryWeights:
    """The same names, each tensor passed through `change(name, tensor)`."""
    return MemoryWeights({n: change(n, t.clone()) for n, t in source.tensors.items()}, source.kinds, source.columns)


def make_features(
    neurons: int,
    planted: list[int],
    *,
    strength: float,
    faithful: int = 150,
    hallucinated: int = 150,
    seed: int = 0,
    scale: float = 0.01,
) -> Features:
    """CETT-like features in which planted neurons are more active on the answers of hallucinated responses."""
    rng = np.random.default_rng(seed)
    label = np.arange(faithful + hallucinated) >= faithful
    answer = rng.gamma(4.0, scale / 4, size=(label.size, neurons))
    other = rng.gamma(4.0, scale / 4, size=(label.size, neurons))
    answer[np.ix_(label, planted)] += strength * scale
    ids = tuple(f"q{i}" for i in range(label.size))
    return Features.of(answer.astype(np.float32), other.astype(np.float32), label, ids, ids)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny products on several threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint() -> Callable[..., MemoryWeights]:
    return make_checkpoint


@pytest.fixture(scope="session")
def changed() -> Callable[..., MemoryWeights]:
    return change_checkpoint


@pytest.fixture(scope="session")
def features() -> Callable[..., Features]:
    return make_features
