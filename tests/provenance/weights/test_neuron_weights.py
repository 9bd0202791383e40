"""Neurons come out one per row, whichever way and wherever a family stores them."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from checkpoint_factory import DENSE, SMALL, load, make_checkpoint, mlps, neurons_of
from safetensors.torch import load_file, save_file

from provenance.architectures import Layout, Projection, layout_of
from provenance.checkpoints.names import inspect
from provenance.errors import ArchitectureError
from provenance.models.loading import LoadedModel
from provenance.weights.neuron_weights import MlpWeights
from provenance.weights.shards import Shards
from provenance.weights.tensors import Rows

LAYERS, D_M, D = SMALL["num_hidden_layers"], SMALL["intermediate_size"], SMALL["hidden_size"]
Folder = Callable[[str], Path]
Loaded = Callable[[str], LoadedModel]


def opened(folder: Path) -> MlpWeights:
    shards = Shards(folder)
    return MlpWeights(shards, layout_of(inspect(folder), shards.names()))


def with_projection(layout: Layout, kind: str, **changes: str | None) -> Layout:
    """A layout that says something else about one projection."""
    part: Projection = dataclasses.replace(layout.architecture.projections[kind], **changes)  # type: ignore[arg-type]
    family = dataclasses.replace(layout.architecture, projections=layout.architecture.projections | {kind: part})
    return dataclasses.replace(layout, architecture=family)


def differing(weights: MlpWeights, loaded: LoadedModel) -> list[tuple[str, int]]:
    """Every (kind, layer) whose rows are not the neurons that the loaded model computes with."""
    found = []
    for layer, mlp in enumerate(mlps(loaded.model)):
        wanted = neurons_of(mlp)
        assert set(wanted) == set(weights.kinds)
        found += [(kind, layer) for kind in wanted if not wanted[kind].equal(weights.neurons(kind, layer))]
    return found


@pytest.mark.parametrize("model_type", DENSE)
def test_neurons_are_those_that_the_model_computes_with(
    checkpoint_of: Folder, loaded_of: Loaded, model_type: str
) -> None:
    """One row a neuron for gate, up and down, in the right layer, and as many as there are."""
    weights = opened(checkpoint_of(model_type))
    assert (weights.layers, weights.d_m, weights.d) == (LAYERS, D_M, D)
    assert weights.neurons("up", 0).shape == weights.neurons("down", 0).shape == (D_M, D)
    assert differing(weights, loaded_of(model_type)) == []


@pytest.mark.parametrize("model_type", DENSE)
def test_a_slice_is_enough_to_stream_the_same_neurons(checkpoint_of: Folder, model_type: str) -> None:
    """Whoever goes through rows of tensors block by block sees what `neurons` gives."""
    weights = opened(checkpoint_of(model_type))
    for kind in weights.kinds:
        part = weights.slice(kind, 1)
        blocks = [Rows(part.name, row, row + 1) for row in range(part.start, part.stop)]
        rows = torch.cat([block.clone() for block in weights.stream(blocks)])
        assert (rows.T if part.neurons == "columns" else rows).equal(weights.neurons(kind, 1))


def test_the_wrong_half_would_be_noticed(checkpoint_of: Folder, loaded_of: Loaded) -> None:
    weights = opened(checkpoint_of("phi3"))
    wrong = with_projection(weights.layout, "up", half="first")
    assert differing(MlpWeights(weights.reader, wrong), loaded_of("phi3")) == [("up", 0), ("up", 1)]


def test_a_missing_transpose_would_be_noticed_even_of_square_weights(
    tmp_path: Path,
) -> None:
    """As wide inside as outside, no shape tells rows from columns; the weights do."""
    folder = make_checkpoint(tmp_path / "square", "gpt2", intermediate_size=D)
    weights = opened(folder)
    loaded = load(folder)
    assert differing(weights, loaded) == []
    wrong = with_projection(with_projection(weights.layout, "up", neurons="rows"), "down", neurons="columns")
    assert len(differing(MlpWeights(weights.reader, wrong), loaded)) == 2 * LAYERS


class Recorder:
    """A reader that notes how much it was asked for."""

    def __init__(self, reader: Shards) -> None:
        self.reader = reader
        self.rows = 0

    def names(self) -> list[str]:
        return self.reader.names()

    def shape(self, name: str) -> tuple[int, ...]:
        return self.reader.shape(name)

    def dtype(self, name: str) -> str:
        return self.reader.dtype(name)

    def read(self, name: str) -> torch.Tensor:
        self.rows += self.shape(name)[0]
        return self.reader.read(name)

    def stream(self, wanted: Sequence[Rows]) -> Iterator[torch.Tensor]:
        self.rows += sum(rows.stop - rows.start for rows in wanted)
        return self.reader.stream(wanted)


def test_only_the_wanted_half_of_a_fused_tensor_is_read(checkpoint_of: Folder) -> None:
    """On the hub the other half would be fetched for nothing."""
    recorder = Recorder(Shards(checkpoint_of("glm")))
    weights = MlpWeights(recorder, opened(checkpoint_of("glm")).layout)
    assert recorder.rows == 0
    weights.neurons("up", 0)
    assert recorder.rows == D_M


def test_neurons_lie_in_memory_of_their_own(checkpoint_of: Folder) -> None:
    """A reader may use its buffer again; what `neurons` gave stays."""
    weights = opened(checkpoint_of("phi3"))
    gate = weights.neurons("gate", 0)
    kept = gate.clone()
    weights.neurons("up", 0)
    weights.neurons("gate", 1)
    assert gate.equal(kept)


def test_any_tensor_can_be_read_by_its_name(checkpoint_of: Folder) -> None:
    folder = checkpoint_of("gpt2")
    weights, saved = opened(folder), load_file(folder / "model.safetensors")
    assert weights.tensor_names() == sorted(saved)
    for name, tensor in saved.items():
        assert weights.tensor(name).equal(tensor)
        assert weights.shape(name) == tuple(tensor.shape)
        assert weights.dtype_of(name) == weights.dtype == "F32"


@pytest.mark.parametrize(
    ("model_type", "change", "error"),
    [
        ("llama", {"intermediate_size": D_M + 1}, r"\(24, 16\)"),
        ("llama", {"hidden_size": D + 1}, r"\(24, 16\)"),
        ("phi3", {"intermediate_size": 2 * D_M}, r"\(48, 16\)"),
        ("gpt2", {"n_inner": None}, r"\(16, 24\)"),
    ],
)
def test_sizes_that_do_not_fit_the_tensors_are_refused(
    checkpoint_of: Folder, model_type: str, change: dict[str, int | None], error: str
) -> None:
    folder = checkpoint_of(model_type)
    shards = Shards(folder)
    with pytest.raises(ArchitectureError, match=error):
        MlpWeights(shards, layout_of(inspect(folder) | change, shards.names()))


def test_quantised_weights_are_refused(checkpoint_of: Folder, tmp_path: Path) -> None:
    """An 8-bit number is a weight only together with its scale; compared as it is, it would tell lies."""
    tensors = load_file(checkpoint_of("llama") / "model.safetensors")
    name = "model.layers.1.mlp.down_proj.weight"
    tensors[name] = tensors[name].to(torch.float8_e4m3fn)
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ArchitectureError, match="not quantised") as caught:
        MlpWeights(Shards(tmp_path), opened(checkpoint_of("llama")).layout)
    assert name in caught.value.wanted
    assert caught.value.found.startswith("F8_E4M3")
