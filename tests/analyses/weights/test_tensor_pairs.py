"""Tensors of two checkpoints find each other by their place in the model, and are gone through once."""

from collections import Counter
from typing import Any

import pytest
import torch
from lineage_factory import Tensors, make_model, pruned, source, with_layers

from provenance.analyses.weights import tensor_pairs
from provenance.analyses.weights.tensor_pairs import Step, pair_parts, parts_of, side_by_side, steps_of
from provenance.weights.neuron_weights import MlpWeights

GEMMA = {"model_type": "gemma3", "text_config": make_model(layers=2).config}


def gemma(text: str, outer: str, head: str) -> MlpWeights:
    """The tensors of a Gemma 3 with a vision tower, as one release or the other writes them."""
    tensors = make_model(layers=2).tensors(text) | {
        f"{outer}vision_tower.encoder.layers.0.mlp.fc1.weight": torch.ones(3, 4),
        f"{outer}multi_modal_projector.weight": torch.ones(3, 2),
        f"{head}lm_head.weight": torch.ones(5, 64),
    }
    return source(tensors, GEMMA)


def identity(layers: int) -> tuple[int, ...]:
    return tuple(range(layers))


NEW, OLD = ("model.language_model.", "model.", ""), ("language_model.model.", "", "language_model.")


@pytest.mark.parametrize("layouts", [(NEW, OLD), (OLD, NEW), (NEW, NEW)])
def test_places_are_the_same_whatever_the_prefixes_on_disk(layouts: tuple[tuple[str, str, str], ...]) -> None:
    """Both ways in which releases of the library write the same model name the same tensors."""
    base, other = (gemma(*prefixes) for prefixes in layouts)
    assert parts_of(base).keys() == parts_of(other).keys()
    assert {("gate", 0), ("self_attn.q_proj", 1), ("embed_tokens", None), ("lm_head", None)} <= parts_of(base).keys()
    found = pair_parts(base, other, identity(2))
    assert (found.only_base, found.only_instruct) == ((), ())
    assert len(found.pairs) == 15
    assert all(pair.whole for pair in found.pairs)


def test_a_text_model_is_found_inside_one_with_a_vision_tower() -> None:
    """What only the larger one has is named as it is on disk."""
    found = pair_parts(make_model(layers=2).source(), gemma(*NEW), identity(2))
    assert found.only_base == ()
    assert found.only_instruct == (
        "lm_head.weight", "model.multi_modal_projector.weight", "model.vision_tower.encoder.layers.0.mlp.fc1.weight",
    )  # fmt: skip


def test_names_that_only_differ_in_the_prefix_within_one_checkpoint_stay_apart() -> None:
    tensors = make_model(layers=1).tensors() | {"norm.weight": torch.zeros(3)}
    keys = parts_of(source(tensors, make_model(layers=1).config))
    assert ("model.norm.weight", None) in keys
    assert ("norm.weight", None) in keys


def test_halves_of_a_fused_tensor_are_paired_with_tensors_of_their_own() -> None:
    """Phi-3's gate_up_proj against the gate_proj and up_proj of the same model in Llama's layout."""
    model = make_model(layers=1, d_m=5)
    fused: Tensors = {}
    for name, tensor in model.tensors().items():
        if "gate_proj" in name:
            up = model.tensors()[name.replace("gate", "up")]
            fused[name.replace("gate_proj", "gate_up_proj")] = torch.cat([tensor, up])
        elif "up_proj" not in name:
            fused[name] = tensor
    base = source(fused, model.config | {"model_type": "phi3"})
    found = pair_parts(base, model.source(), (0,))
    assert (found.only_base, found.only_instruct) == ((), ())
    (up,) = (pair for pair in found.pairs if pair.kind == "up")
    assert (up.base.name, up.base.start, up.base.shape) == ("model.layers.0.mlp.gate_up_proj.weight", 5, (5, 64))
    steps = list(steps_of(up, [(1, 3)], []))
    for step, a, b in side_by_side(base, model.source(), steps):
        expected = model.layers[0][1][1:3] if step.sample else model.layers[0][1]
        assert a is not None
        assert torch.equal(a, expected)
        assert b is None or torch.equal(b, expected)


def test_other_shapes_are_named_on_both_sides_and_neurons_still_paired() -> None:
    base, instruct = make_model(layers=1), pruned(make_model(layers=1), 0.5)
    found = pair_parts(base.source(), instruct.source(), (0,))
    mlp = tuple(f"model.layers.0.mlp.{kind}_proj.weight" for kind in ("down", "gate", "up"))
    assert (found.only_base, found.only_instruct) == (mlp, mlp)
    assert [(pair.kind, pair.comparable) for pair in found.pairs if pair.neurons] == [
        ("gate", False), ("up", False), ("down", False),
    ]  # fmt: skip


def test_a_longer_vocabulary_is_compared_as_far_as_the_shorter_one_goes() -> None:
    found = pair_parts(make_model(vocabulary=7).source(), make_model(vocabulary=9).source(), identity(3))
    (table,) = (pair for pair in found.pairs if pair.kind == "embed_tokens")
    assert (table.base.shape, table.instruct.shape, table.whole, table.comparable) == ((7, 64), (7, 64), False, True)
    assert found.only_base == found.only_instruct == ("model.embed_tokens.weight",)


def test_layers_are_paired_as_told() -> None:
    base = make_model(layers=3)
    found = pair_parts(base.source(), with_layers(base, [2, 0]).source(), (2, None))
    paired = {(pair.layer, pair.base.name) for pair in found.pairs if pair.kind == "up"}
    assert paired == {(0, "model.layers.2.mlp.up_proj.weight")}
    assert sum("layers.0" in name or "layers.1" in name for name in found.only_base) == 10
    assert len(found.only_base) == 10
    assert all("layers.1" in name for name in found.only_instruct)


@pytest.mark.parametrize("block", [1, 64, 200, 10**6])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_steps_hold_every_row_once_and_no_block_is_larger_than_allowed(
    monkeypatch: pytest.MonkeyPatch, block: int, share: float
) -> None:
    """Samples come first and apart; a single row may be larger than a block."""
    monkeypatch.setattr(tensor_pairs, "BLOCK_ELEMENTS", block)
    base, instruct = make_model(layers=1, d_m=12), pruned(make_model(layers=1, d_m=12), share)
    for pair in pair_parts(base.source(), instruct.source(), (0,)).pairs:
        steps = list(steps_of(pair, [(0, 2)], [(1, 4)]))
        for side, part in (("base", pair.base), ("instruct", pair.instruct)):
            blocks = [rows for step in steps if not step.sample and (rows := getattr(step, side))]
            counted = Counter(row for rows in blocks for row in range(rows.start, rows.stop))
            assert counted == Counter(range(part.rows))
            assert all((rows.stop - rows.start) * part.width <= max(block, part.width) for rows in blocks)
        samples = [step.sample for step in steps]
        assert samples == sorted(samples, reverse=True)
        assert any(samples) == (pair.kind in ("gate", "up"))


def test_both_sides_are_read_by_one_stream_in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that reads one side leaves the other's stream where it is."""
    monkeypatch.setattr(tensor_pairs, "BLOCK_ELEMENTS", 300)
    base, instruct = make_model(layers=2), pruned(make_model(layers=2), 0.5)
    ours, theirs = base.source(), instruct.source()
    steps: list[Step] = [s for p in pair_parts(ours, theirs, (0, 1)).pairs for s in steps_of(p, [(0, 3)], [(2, 4)])]
    tensors: Any = base.tensors(), instruct.tensors()
    for step, *blocks in side_by_side(ours, theirs, steps):
        for rows, block, stored in zip((step.base, step.instruct), blocks, tensors, strict=True):
            assert (rows is None) == (block is None)
            if rows is not None:
                assert torch.equal(block, stored[rows.name][rows.start : rows.stop])
