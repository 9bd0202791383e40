"""A pair is gone through once, block by block, and every neuron comes out as the definition says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from provenance.analyses.weights import paired_pass
from provenance.analyses.weights.by_layers import Here
from provenance.analyses.weights.paired_pass import compare_mapped, compare_neurons
from provenance.analyses.weights.row_sums import RowComparison, compare_rows
from provenance.errors import CheckpointError, NonFiniteError
from provenance.weights.neuron_weights import MlpWeights
from provenance.weights.shards import Shards

Make = Callable[..., Any]
NOISE = torch.Generator().manual_seed(17)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows, which divide no tensor here."""
    monkeypatch.setattr(paired_pass, "BLOCK_BYTES", 1100)


def noised(_: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor + 0.05 * torch.randn(tensor.shape, generator=NOISE)


def stored(source: Any, dtype: torch.dtype, columns: tuple[str, ...] = (), *, fused: bool = False) -> Any:
    """The same checkpoint in another dtype, some kinds transposed, gate and up in one tensor."""
    tensors = {name: tensor.to(dtype) for name, tensor in source.tensors.items()}
    for kind in columns:
        for layer in range(source.layers):
            tensors[f"{layer}.{kind}"] = tensors[f"{layer}.{kind}"].T.contiguous()
    if fused:
        for layer in range(source.layers):
            tensors[f"{layer}.gate_up"] = torch.cat([tensors.pop(f"{layer}.gate"), tensors.pop(f"{layer}.up")])
    return type(source)(tensors, source.kinds, columns)


def by_definition(base: Any, instruct: Any) -> dict[str, list[RowComparison]]:
    return {
        kind: [compare_rows(base.neurons(kind, n), instruct.neurons(kind, n)) for n in range(base.layers)]
        for kind in base.kinds
    }


def assert_by_definition(found: dict[str, RowComparison], base: Any, instruct: Any, rtol: float = 1e-10) -> None:
    for kind, layers in by_definition(base, instruct).items():
        for field in ("delta", "norm_a", "norm_b"):
            expected = np.concatenate([getattr(layer, field) for layer in layers])
            np.testing.assert_allclose(getattr(found[kind], field), expected, rtol=rtol, atol=1e-30)
        np.testing.assert_array_equal(found[kind].equal, np.concatenate([layer.equal for layer in layers]))


@pytest.mark.parametrize("columns", [(), ("down",), ("gate", "up")])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (torch.bfloat16, torch.bfloat16),
        (torch.float32, torch.bfloat16),
        (torch.float16, torch.float64),
        (torch.float16, torch.float16),
    ],
)
def test_every_neuron_comes_out_as_defined(
    checkpoint: Make, changed: Make, first: torch.dtype, second: torch.dtype, columns: tuple[str, ...]
) -> None:
    """Whatever the dtypes of the two sides, neurons as rows or as columns."""
    plain = checkpoint(d_m=43, d=37)
    base, tuned = stored(plain, first, columns), stored(changed(plain, noised), second, columns)
    assert_by_definition(compare_neurons(base, tuned), base, tuned)


def test_half_of_a_fused_tensor_meets_a_tensor_of_its_own(checkpoint: Make, changed: Make) -> None:
    """A release that joined gate and up."""
    plain = checkpoint(d_m=43, d=37)
    base, tuned = plain, stored(changed(plain, noised), torch.float32, fused=True)
    assert_by_definition(compare_neurons(base, tuned), base, tuned)


def test_sides_that_store_a_kind_differently_are_compared_whole(checkpoint: Make, changed: Make) -> None:
    """Columns on one side, rows on the other: no block of one is a block of the other."""
    plain = checkpoint(d_m=43, d=37)
    base, tuned = stored(plain, torch.float32, ("down",)), changed(plain, noised)
    assert_by_definition(compare_neurons(base, tuned), base, tuned)
    assert not any(rows.name.endswith("down") for rows in base.streamed)


@pytest.mark.parametrize("columns", [(), ("gate", "up", "down")])
@pytest.mark.parametrize("streams", [1, 2])
def test_each_row_is_read_once_in_blocks_of_a_few_rows(
    checkpoint: Make, columns: tuple[str, ...], streams: int
) -> None:
    """No whole tensor, however large; the buffer's content is gone when the next block comes."""
    pair = [stored(checkpoint(d_m=43, d=37, seed=seed), torch.bfloat16, columns) for seed in (0, 1)]
    compare_neurons(*pair, Here(*pair, streams))
    for source in pair:
        assert source.reads == []
        width = source.shape("0.up")[1]
        assert max((rows.stop - rows.start) * width * 2 for rows in source.streamed) <= 1100
        seen = sorted((rows.name, row) for rows in source.streamed for row in range(rows.start, rows.stop))
        names = sorted(name for name in source.tensor_names() if name != "embedding")
        assert seen == [(name, row) for name in names for row in range(source.shape(name)[0])]


@pytest.mark.parametrize("columns", [(), ("gate", "up", "down")])
def test_neurons_that_were_only_scaled_are_read_again_and_come_out_as_defined(
    checkpoint: Make, changed: Make, columns: tuple[str, ...]
) -> None:
    """Their sums have no digits left; only they, and what shares their blocks, cost a second look."""

    def scaled(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name == "1.up":
            tensor[[3, 40]] *= 1.37
            tensor[5] *= 4
        return noised(name, tensor) if name == "2.up" else tensor

    plain = checkpoint(d_m=43, d=37)
    base = stored(plain, torch.float32, columns)
    tuned = stored(changed(plain, scaled), torch.float32, columns)
    found = compare_neurons(base, tuned)
    np.testing.assert_array_equal(found["up"].delta[43 + 5], 0.0)
    again = base.streamed[-7:] if columns else base.streamed[-2:]
    assert {rows.name for rows in again} == {"1.up"}
    # Rounding to float32 turned them by about 4e-8, of which the definition itself knows eight digits.
    assert_by_definition(found, base, tuned, rtol=1e-6)


def test_the_numbers_do_not_depend_on_the_number_of_streams(checkpoint: Make, changed: Make) -> None:
    plain = checkpoint(layers=5, d_m=43, d=37)
    base, tuned = (stored(s, torch.bfloat16, ("down",)) for s in (plain, changed(plain, noised)))
    one, three = compare_neurons(base, tuned), compare_neurons(base, tuned, Here(base, tuned, 3))
    for kind in base.kinds:
        for field in ("delta", "norm_a", "norm_b", "equal"):
            assert getattr(one[kind], field).tobytes() == getattr(three[kind], field).tobytes()


@pytest.mark.parametrize("streams", [1, 2])
def test_what_goes_wrong_in_a_stream_is_raised(checkpoint: Make, changed: Make, streams: int) -> None:
    """Also when a thread of its own reads it."""
    base = checkpoint()

    def spoil(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name == "2.gate":
            tensor[39, 31] = torch.nan
        return tensor

    with pytest.raises(NonFiniteError, match=r"gate weights of layer 2 \(instruct"):
        compare_neurons(base, spoiled := changed(base, spoil), Here(base, spoiled, streams))


def local(folder: Path, tiny: Path) -> MlpWeights:
    """The tiny Llama's layout over the weights of another folder."""
    from provenance.architectures import layout_of
    from provenance.checkpoints.names import inspect

    shards = Shards(folder)
    return MlpWeights(shards, layout_of(inspect(tiny), shards.names()))


@pytest.mark.parametrize("streams", [1, 2])
def test_files_of_another_dtype_and_number_are_compared_as_they_are(
    tiny_llama: Path, tmp_path: Path, streams: int
) -> None:
    """One float32 file against three bfloat16 shards, straight from the disk."""
    tensors = load_file(tiny_llama / "model.safetensors")
    for number in range(3):
        part = {name: noised("", tensors[name]).bfloat16() for name in sorted(tensors)[number::3]}
        save_file(part, tmp_path / f"model-{number}.safetensors")
    base, tuned = local(tiny_llama, tiny_llama), local(tmp_path, tiny_llama)
    assert_by_definition(compare_neurons(base, tuned, Here(base, tuned, streams)), base, tuned)


def test_a_file_that_is_cut_under_way_is_an_error(tiny_llama: Path, tmp_path: Path) -> None:
    """Not a crash, and no numbers from what used to be in the buffer."""
    path = tmp_path / "model.safetensors"
    path.write_bytes((tiny_llama / "model.safetensors").read_bytes())
    base, tuned = local(tiny_llama, tiny_llama), local(tmp_path, tiny_llama)
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(CheckpointError, match="whole safetensors file"):
        compare_neurons(base, tuned)


def test_a_mapping_undoes_a_permutation(checkpoint: Make, changed: Make) -> None:
    """The same numbers for each neuron as in the pair whose neurons were left where they are."""
    plain = checkpoint(d_m=43, d=37)
    tuned = changed(plain, noised)
    order = [torch.randperm(43, generator=NOISE) for _ in range(3)]
    shuffled = changed(tuned, lambda name, t: t if name == "embedding" else t[order[int(name[0])]])
    base_ids = np.concatenate([layer * 43 + order[layer].numpy() for layer in range(3)])
    straight, mapped = compare_neurons(plain, tuned), compare_mapped(plain, shuffled, base_ids)
    by_position = compare_neurons(plain, shuffled)
    for kind in plain.kinds:
        np.testing.assert_allclose(mapped[kind].delta, straight[kind].delta[base_ids], rtol=1e-10)
        np.testing.assert_allclose(mapped[kind].norm_a, straight[kind].norm_a[base_ids], rtol=1e-14)
        assert np.median(by_position[kind].delta) > 100 * np.median(mapped[kind].delta)


def test_a_pruned_and_shortened_model_is_compared_where_it_has_counterparts(
    checkpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other widths and layers on the two sides; what is not mapped stays unknown, however damaged it is."""
    monkeypatch.setattr(paired_pass, "GATHERED", 7)
    base = stored(checkpoint(layers=3, d_m=43, d=37), torch.bfloat16, ("down",))
    kept = [2, 40, 0, 17]
    tensors = {"embedding": base.tensors["embedding"]}
    for layer, source in ((0, 0), (1, 2)):  # the middle layer was taken out
        for kind in base.kinds:
            rows = torch.cat([base.neurons(kind, source)[kept].float() * 1.5, torch.full((1, 37), torch.nan)])
            tensors[f"{layer}.{kind}"] = (rows.T if kind == "down" else rows).contiguous()
    pruned = type(base)(tensors, base.kinds, base.columns)
    base_ids = np.array([*kept, -1, *(86 + i for i in kept), -1])
    found = compare_mapped(base, pruned, base_ids)
    known = base_ids >= 0
    for kind in base.kinds:
        assert np.isnan(found[kind].delta[~known]).all()
        np.testing.assert_allclose(found[kind].delta[known], 0.0, atol=1e-15)
        np.testing.assert_allclose(found[kind].norm_b[known], 1.5 * found[kind].norm_a[known], rtol=1e-14)
        assert not found[kind].equal.any()
    assert {name[0] for name in base.reads if name != "embedding"} == {"0", "2"}


def test_a_mapping_of_nothing_reads_nothing(checkpoint: Make) -> None:
    base, other = checkpoint(), checkpoint(seed=1)
    found = compare_mapped(base, other, np.full(120, -1))
    assert np.isnan(found["up"].delta).all()
    assert base.reads == other.reads == []
