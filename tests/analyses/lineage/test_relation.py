"""Lineage tells the same, tuned, noised, permuted, pruned, widened and unrelated models apart, with its evidence."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_factory import DENSE, tuned_copy
from lineage_factory import (
    MemoryReader,
    Model,
    Tensors,
    each_layer,
    emptied,
    make_model,
    noised,
    partial_order,
    permuted,
    pruned,
    reordered,
    source,
    widened,
    with_layers,
)
from safetensors.torch import save_file

from provenance.analyses.lineage.relation import lineage
from provenance.analyses.results.lineage import LineageResult
from provenance.analyses.weights import tensor_pairs
from provenance.architectures import layout_of
from provenance.errors import NonFiniteError
from provenance.weights.neuron_weights import MlpWeights
from provenance.weights.shards import Shards

VOCAB = {"a": 0, "b": 1, "c": 2, "d": 3}


def related(base: Model, instruct: Model, **settings: Any) -> LineageResult:
    return lineage(base.source(), instruct.source(), (VOCAB, VOCAB), (base.config, instruct.config), **settings)


def renewed(model: Model, layers: list[int], seed: int = 4) -> Model:
    """Some layers initialised again."""
    fresh = make_model(layers=len(model.layers), d_m=model.layers[0].shape[1], seed=seed).layers
    return each_layer(model, lambda layer, weights: fresh[layer] if layer in layers else weights)


def test_a_checkpoint_and_itself_are_the_same_model() -> None:
    result = related(make_model(), make_model())
    assert (result.verdict, result.reason) == ("same model", "all 17 tensors are bit-identical")
    assert (result.share_identical_tensors, result.tensors_compared) == (1.0, 17)
    assert (result.self_match, result.found_in_base, result.found_in_instruct) == (1.0, 1.0, 1.0)
    assert result.neurons_sampled == 3 * 48
    assert result.nearest_cosine == pytest.approx(1, abs=1e-6)
    assert max(result.nearest_cosine, *result.median_cosine.values()) <= 1
    assert result.layer_of == (0, 1, 2)
    assert result.same_tokenizer
    assert result.config == ()
    assert len(result.tensors) == 17


@pytest.mark.parametrize("share", [1e-3, 0.05, 0.5, 1.0])
def test_tuning_makes_a_descendant_whether_it_changes_little_or_as_much_as_there_was(share: float) -> None:
    base = make_model(d_m=300)
    result = related(base, noised(base, share))
    assert result.verdict == "descendant"
    assert (result.self_match, result.found_in_base, result.found_in_instruct) == (1.0, 1.0, 1.0)
    assert result.share_identical_tensors == 0
    assert result.neurons_sampled == 3 * 64
    assert result.moved == (0, 0, 0)
    assert "another index" not in result.reason
    for cosine in result.median_cosine.values():
        assert cosine == pytest.approx(1 / math.sqrt(1 + share**2), abs=0.02)


def test_an_index_is_believed_when_the_direction_is_nearly_lost() -> None:
    """At three times the weights' size no cosine passes for the same neuron, yet each is nearest to its own index."""
    result = related(make_model(), noised(make_model(), 3.0))
    assert result.verdict == "descendant"
    assert result.found_in_base == 0
    assert result.self_match > 0.9


def test_noise_that_buries_the_weights_makes_models_unrelated() -> None:
    result = related(make_model(), noised(make_model(), 30.0))
    assert (result.verdict, result.layer_of) == ("unrelated", (None, None, None))


@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
def test_permuted_neurons_are_found_elsewhere(share: float) -> None:
    base = make_model()
    result = related(base, noised(permuted(base), share))
    assert result.verdict == "descendant, neurons permuted"
    assert result.self_match < 0.2
    assert result.found_in_base > 0.9
    assert abs(result.median_cosine["up"]) < 0.2
    assert result.layer_of == (0, 1, 2)
    assert "found at another index in layer (share): 0 (" in result.reason
    assert min(result.moved) > 0.85
    assert "no neurons of the base" not in result.reason


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
def test_partly_permuted_checkpoints_are_called_permuted_and_their_layers_named(share: float) -> None:
    """Also where most neurons are at their own index."""
    base = make_model(d_m=100)
    orders = {layer: partial_order(100, layer, share) for layer in (0, 1)}
    result = related(base, reordered(noised(base, 0.05), orders), sample=100)
    assert result.verdict == "descendant, neurons permuted"
    assert result.self_match == pytest.approx(1 - share * 2 / 3)
    assert result.moved == pytest.approx((share, share, 0))
    assert f"found at another index in layer (share): 0 ({share:.2g}), 1 ({share:.2g})" in result.reason
    assert "2 (" not in result.reason.partition("(share)")[2].partition(", 1 (")[2]


def test_one_layer_of_many_that_is_permuted_as_a_whole_is_enough() -> None:
    base = make_model(layers=24)
    result = related(base, reordered(base, {7: np.roll(np.arange(48), 1)}))
    assert np.mean(result.moved) < 0.05
    assert (result.verdict, result.moved[7]) == ("descendant, neurons permuted", 1)
    single = related(base, reordered(base, {7: partial_order(48, 7, 0.1)}))
    assert single.verdict == "descendant"
    assert "found at another index in layer (share): 7 (0.1)" in single.reason


def test_two_swapped_neurons_are_found_though_neither_was_sampled() -> None:
    """All neurons are compared with those of the same index, and so the few that are elsewhere show."""
    base = make_model(d_m=400)
    for seed in range(3):
        swapped = reordered(noised(base, 0.1), {1: partial_order(400, 1, 0, seed)})
        result = related(base, swapped, sample=8)
        assert result.verdict == "descendant"
        assert result.moved[0] == result.moved[2] == 0
        assert result.moved[1] > 0


def test_a_swap_is_found_among_many_neurons_that_became_zeros() -> None:
    """Neurons of zeros are not at their own index either, and not worth a look."""
    base = make_model(d_m=400)
    for seed in range(3):
        tuned = reordered(base, {1: partial_order(400, 1, 0, seed)})
        swapped = np.flatnonzero(partial_order(400, 1, 0, seed) != np.arange(400))
        dead = np.setdiff1d(np.arange(0, 400, 2), swapped)
        tuned.layers[1][:, dead] = 0
        assert related(base, tuned, sample=8).moved[1] > 0
        assert related(
            base, each_layer(base, lambda _, w, dead=dead: w.index_fill(1, torch.from_numpy(dead), 0))
        ).moved == (0, 0, 0)


def test_clusters_of_near_copies_under_noise_are_no_permutation() -> None:
    """Most neurons are nearest to a copy of theirs, and none of these is clearly it."""
    base = make_model(d_m=48)
    for weights in base.layers:
        weights[:] = weights[:, :1].repeat(1, 48, 1) + 0.02 * weights
    result = related(base, noised(base, 0.3))
    assert result.self_match < 0.3
    assert (result.verdict, result.moved) == ("descendant", (0, 0, 0))


def test_near_copies_of_a_neuron_that_were_tuned_apart_are_not_elsewhere() -> None:
    """Chance decides which of them is the nearest; exact copies in another order are elsewhere."""
    base = make_model(d_m=40)
    for weights in base.layers:
        weights[:, 20:] = weights[:, :20] + 0.05 * weights[:, 20:]
    result = related(base, noised(base, 0.2))
    assert (result.verdict, result.moved) == ("descendant", (0, 0, 0))
    assert result.self_match < 1
    assert related(base, reordered(base, dict.fromkeys(range(3), np.roll(np.arange(40), 20)))).moved == (1, 1, 1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.75, 0.95])
def test_layers_that_are_mostly_zeros_are_not_lost(share: float, seed: int) -> None:
    """Whichever side the zeros are on, and whether the sample meets another neuron or not."""
    base = make_model(d_m=160)
    empty, tuned = emptied(base, share, seed), emptied(noised(base, 0.1), share, seed)
    for ours, theirs in ((empty, tuned), (base, tuned), (empty, noised(base, 0.1))):
        result = related(ours, theirs, seed=seed, sample=16)
        assert (result.verdict, result.layer_of, result.moved) == ("descendant", (0, 1, 2), (0, 0, 0))
        assert max(result.found_in_base, result.found_in_instruct) == 1
    strangers = related(empty, emptied(make_model(d_m=160, seed=9), share, seed), seed=seed, sample=16)
    assert (strangers.verdict, strangers.layer_of) == ("unrelated", (None, None, None))


def test_a_layer_of_nothing_but_zeros_in_both_is_in_its_place() -> None:
    base = each_layer(make_model(), lambda layer, weights: weights * 0 if layer == 1 else weights)
    tuned = each_layer(noised(base, 0.1), lambda layer, weights: weights * 0 if layer == 1 else weights)
    result = related(base, tuned)
    assert (result.verdict, result.layer_of, result.moved) == ("descendant", (0, 1, 2), (0, 0, 0))


def test_layers_of_a_shortened_zero_heavy_checkpoint_are_followed() -> None:
    """By the only neuron of a layer that is not zero."""
    base = emptied(make_model(layers=5, d_m=32), 31 / 32)
    assert related(base, with_layers(base, [1, 4])).layer_of == (1, 4)


def test_the_reason_of_unrelated_models_names_layers_that_are_related() -> None:
    base = make_model(layers=4)
    result = related(base, renewed(base, [0, 1, 2]))
    assert result.verdict == "unrelated"
    assert result.reason.endswith("; yet neurons of the base are found in layer 3")


@pytest.mark.parametrize("name", ["model.layers.1.mlp.up_proj.weight", "model.norm.weight"])
def test_weights_too_large_to_square_are_refused_for_what_they_are(name: str) -> None:
    base = replace(make_model(), dtype=torch.float64)
    large = base.tensors()
    large[name].view(-1)[3] = 1e200
    with pytest.raises(NonFiniteError, match=rf"{name} of the instruct checkpoint whose squares.*\n?.*1e\+200"):
        lineage(base.source(), source(large, base.config), (None, None), ({}, {}))


def test_neurons_whose_products_leave_float32_are_refused_and_not_called_unrelated() -> None:
    base = replace(make_model(), dtype=torch.float64)
    for factor, fits in ((1e15, True), (1e100, False)):
        scaled = each_layer(base, lambda _, weights, by=factor: weights.double() * by)
        if fits:
            assert related(base, scaled).verdict == "descendant"
        else:
            with pytest.raises(NonFiniteError, match="norms up to 1e"):
                related(base, scaled)


def test_subnormal_neurons_beside_others_are_harmless() -> None:
    """Weight decay leaves some; the inverse of their norm is no float32."""
    base = make_model()
    for weights in base.layers:
        weights[:, 5] = 1e-44
    result = related(base, noised(base, 0.0))
    assert result.verdict == "same model"
    assert np.isfinite(result.nearest_cosine)
    assert result.moved == (0, 0, 0)


@pytest.mark.parametrize("share", [0.75, 0.5, 0.25])
def test_a_checkpoint_with_fewer_neurons_is_found_in_its_base_and_the_other_way_round_in_part(share: float) -> None:
    base = make_model(d_m=64)
    result = related(base, noised(pruned(base, share), 0.05))
    assert result.verdict == "descendant, pruned or widened"
    assert result.found_in_base == 1.0
    assert result.found_in_instruct == share
    assert result.median_cosine == {}
    assert f"3 layers of 64 neurons became 3 of {round(64 * share)}" in result.reason


@pytest.mark.parametrize("more", [16, 200])
def test_a_checkpoint_with_more_neurons_holds_those_of_its_base(more: int) -> None:
    """Even when most neurons are new."""
    base = make_model(layers=8)
    result = related(base, noised(widened(base, more), 0.05))
    assert result.verdict == "descendant, pruned or widened"
    assert result.found_in_instruct == 1.0
    assert result.found_in_base == pytest.approx(48 / (48 + more), abs=0.15)  # 64 runs: an SD of 0.05


@pytest.mark.parametrize(("kept", "found"), [([0, 1, 4, 5], 4 / 6), ([0, 1, 2, 2, 3, 3, 4, 5], 1.0), ([2, 3], 2 / 6)])
def test_layers_that_were_taken_out_or_doubled_are_followed(kept: list[int], found: float) -> None:
    """Tensors are compared with those of the layer that they come from."""
    base = make_model(layers=6)
    result = related(base, noised(with_layers(base, kept), 0.01))
    assert result.verdict == "descendant, pruned or widened"
    assert result.layer_of == tuple(kept)
    assert result.found_in_instruct == pytest.approx(found)
    assert all(row.cosine_low > 0.99 for row in result.tensors)
    unused = sorted(set(range(6)) - set(kept))
    assert {name.split(".")[2] for name in result.only_base} == {str(layer) for layer in unused}


def test_layers_in_another_order_are_not_the_same_model_though_all_tensors_are() -> None:
    base = make_model(layers=4)
    result = related(base, with_layers(base, [1, 0, 2, 3]))
    assert result.verdict == "descendant, pruned or widened"
    assert result.layer_of == (1, 0, 2, 3)
    assert "in other places" in result.reason
    assert result.share_identical_tensors == 1.0


def test_layers_initialised_again_are_named_and_the_others_still_make_a_descendant() -> None:
    base = make_model(layers=4)
    result = related(base, renewed(base, [2]))
    assert (result.verdict, result.layer_of) == ("descendant", (0, 1, None, 3))
    assert result.self_match == pytest.approx(0.75, abs=0.03)
    assert "no neurons of the base in layer 2" in result.reason
    assert related(base, renewed(base, [0, 1, 2])).verdict == "unrelated"


@pytest.mark.parametrize("size", [{}, {"d_m": 200, "d": 64}, {"d_m": 64, "d": 96, "layers": 5}])
def test_two_seeds_are_unrelated(size: dict[str, Any]) -> None:
    result = related(make_model(**size), make_model(seed=1, **size))
    assert result.verdict == "unrelated"
    assert (result.share_identical_tensors, result.found_in_base, result.found_in_instruct) == (0.0, 0.0, 0.0)
    assert result.self_match < 0.1
    assert "taken for the same neuron" in result.reason


def test_kept_embeddings_do_not_make_a_descendant() -> None:
    """All layers initialised again around the tables of the base; the reason says what is shared."""
    base = make_model()
    result = related(base, renewed(base, [0, 1, 2]))
    assert result.verdict == "unrelated"
    assert result.reason.endswith("; yet 8 of 17 tensors of the same shape are bit-identical")
    strangers = related(base, make_model(seed=1)).reason
    assert "; yet" not in strangers
    assert result.share_identical_tensors > 0.4
    (table,) = (row for row in result.tensors if row.kind == "embed_tokens")
    assert (table.identical_rows, table.rows, table.layer) == (50, 50, None)


@pytest.mark.parametrize("size", [{"d_m": 30}, {"layers": 2}, {"d_m": 90, "layers": 5}])
def test_unrelated_models_of_other_sizes_are_no_pruned_ones(size: dict[str, int]) -> None:
    assert related(make_model(), make_model(seed=1, **size)).verdict == "unrelated"


def test_models_whose_neurons_cannot_be_compared_are_unrelated_in_these_words() -> None:
    result = related(make_model(), make_model(d=32))
    assert result.verdict == "unrelated"
    assert result.reason == "their neurons cannot be compared: hidden size 64 against 32"
    assert (result.neurons_sampled, result.self_match, result.median_cosine) == (0, 0.0, {})
    assert "model.layers.0.mlp.up_proj.weight" in result.only_base
    ungated = gpt_neox(make_model())
    other = lineage(make_model().source(), ungated, (None, None), ({}, {}))
    assert other.reason == (
        "their neurons cannot be compared: weights gate, up, down against up, down"
        "; yet 6 of 6 tensors of the same shape are bit-identical"
    )


def gpt_neox(model: Model) -> MlpWeights:
    """The up and down weights of a model in the layout of Pythia."""
    tensors = {}
    for layer, (_, up, down) in enumerate(model.layers):
        tensors[f"gpt_neox.layers.{layer}.mlp.dense_h_to_4h.weight"] = up
        tensors[f"gpt_neox.layers.{layer}.mlp.dense_4h_to_h.weight"] = down.T.contiguous()
    return source(tensors, model.config | {"model_type": "gpt_neox"})


def gpt2(model: Model) -> MlpWeights:
    """The same in the layout of GPT-2, which stores both transposed."""
    tensors = {}
    for layer, (_, up, down) in enumerate(model.layers):
        tensors[f"h.{layer}.mlp.c_fc.weight"] = up.T.contiguous()
        tensors[f"h.{layer}.mlp.c_proj.weight"] = down
    _, d_m, d = model.layers[0].shape
    return source(tensors, {"model_type": "gpt2", "n_layer": len(model.layers), "n_embd": d, "n_inner": d_m})


@pytest.mark.parametrize("layout", [gpt_neox, gpt2])
def test_ungated_and_transposed_layouts_are_looked_up_the_same_way(layout: Callable[[Model], MlpWeights]) -> None:
    base = make_model(d_m=40)

    def verdict(instruct: Model) -> str:
        return lineage(layout(base), layout(instruct), (None, None), ({}, {})).verdict

    assert verdict(base) == "same model"
    assert verdict(noised(base, 0.1)) == "descendant"
    assert verdict(noised(permuted(base), 0.1)) == "descendant, neurons permuted"
    assert verdict(pruned(base, 0.5)) == "descendant, pruned or widened"
    assert verdict(with_layers(base, [0, 2])) == "descendant, pruned or widened"
    assert verdict(make_model(d_m=40, seed=2)) == "unrelated"


def test_layouts_that_store_neurons_the_other_way_round_are_refused_in_words() -> None:
    result = lineage(gpt_neox(make_model()), gpt2(make_model()), (None, None), ({}, {}))
    assert (result.verdict, result.reason) == (
        "unrelated", "their neurons cannot be compared: neurons stored as rows against columns",
    )  # fmt: skip


@pytest.mark.costly
@pytest.mark.parametrize("model_type", DENSE)
def test_tiny_checkpoints_of_every_known_layout_are_related_to_their_tuned_copies(
    checkpoint_of: Callable[[str], Path], tmp_path: Path, model_type: str
) -> None:
    """As the real classes save them, every tensor of them finding its namesake."""
    base = checkpoint_of(model_type)
    tuned = tuned_copy(base, tmp_path)
    sources = [on_disk(folder) for folder in (base, tuned)]
    configs = tuple(json.loads((folder / "config.json").read_text("utf-8")) for folder in (base, tuned))
    result = lineage(sources[0], sources[1], (None, None), (configs[0], configs[1]))
    assert (result.verdict, result.self_match) == ("descendant", 1.0)
    assert (result.only_base, result.only_instruct) == ((), ())
    assert min(result.median_cosine.values()) > 0.99
    same = lineage(sources[0], sources[0], (None, None), (configs[0], configs[0]))
    assert (same.verdict, same.share_identical_tensors) == ("same model", 1.0)


def on_disk(folder: Path) -> MlpWeights:
    shards = Shards(folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    return MlpWeights(shards, layout_of(config, shards.names()))


def sharded(model: Model, folder: Path, files: int) -> MlpWeights:
    """The model on disk in so many files."""
    folder.mkdir()
    tensors = model.tensors()
    names = sorted(tensors)
    weight_map = {name: f"model-{i % files}.safetensors" for i, name in enumerate(names)}
    for file in sorted(set(weight_map.values())):
        save_file({name: tensors[name] for name in names if weight_map[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(model.config), encoding="utf-8")
    return on_disk(folder)


def test_shards_and_dtypes_may_differ_between_the_sides(tmp_path: Path) -> None:
    base = make_model(d_m=40)
    stored = replace(noised(base, 0.01), dtype=torch.bfloat16)
    ours, theirs = sharded(base, tmp_path / "a", 3), sharded(stored, tmp_path / "b", 2)
    result = lineage(ours, theirs, (None, None), ({}, {}))
    assert (result.verdict, result.share_identical_tensors) == ("descendant", 0.0)
    assert result == lineage(base.source(), stored.source(), (None, None), ({}, {}))


def test_another_dtype_is_not_identical_yet_related() -> None:
    base = replace(make_model(), dtype=torch.bfloat16)
    wider = replace(
        base, dtype=torch.float32, layers=tuple(w.bfloat16() for w in base.layers),
        attention=tuple(w.bfloat16() for w in base.attention), rest={n: t.bfloat16() for n, t in base.rest.items()},
    )  # fmt: skip
    result = related(base, wider)
    assert (result.verdict, result.share_identical_tensors) == ("descendant", 0.0)
    assert all(row.identical_rows == row.rows for row in result.tensors)


def beside(model: Model, extra: Tensors) -> MlpWeights:
    return source(model.tensors() | extra, model.config)


def test_tensors_of_one_side_are_named_and_end_sameness() -> None:
    base = make_model()
    result = lineage(base.source(), beside(base, {"lm_head.weight": torch.zeros(50, 64)}), (None, None), ({}, {}))
    assert (result.verdict, result.only_base, result.only_instruct) == ("descendant", (), ("lm_head.weight",))
    assert result.share_identical_tensors == 1.0


def test_layers_beyond_the_last_one_are_compared_like_other_tensors() -> None:
    """Some releases keep a layer that predicts further tokens in training, without an MLP of its own."""
    base, extra = make_model(), {"model.layers.3.eh_proj.weight": torch.ones(4, 2)}
    result = lineage(beside(base, extra), beside(noised(base, 0.1), extra), (None, None), ({}, {}))
    assert (result.verdict, result.only_base, result.only_instruct) == ("descendant", (), ())
    (row,) = (row for row in result.tensors if row.kind == "eh_proj")
    assert (row.layer, row.identical_rows) == (3, 4)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_tied_head_that_one_side_stores_a_second_time_is_still_the_same_model(swapped: bool) -> None:
    base = make_model()
    sides = [base.source(), beside(base, {"lm_head.weight": base.rest["embed_tokens.weight"].clone()})]
    ours, theirs = reversed(sides) if swapped else sides
    result = lineage(ours, theirs, (None, None), ({}, {}))
    assert result.verdict == "same model"
    assert (*result.only_base, *result.only_instruct) == ("lm_head.weight",)


def test_a_longer_vocabulary_is_compared_as_far_as_the_shorter_one_goes() -> None:
    """A chat format adds tokens at the end; the table itself counts as a tensor of another shape."""
    base = make_model(vocabulary=50)
    longer = replace(
        base, rest=base.rest | {"embed_tokens.weight": torch.cat([base.rest["embed_tokens.weight"], torch.ones(3, 64)])}
    )
    for pair in ((base, longer), (longer, base)):
        result = related(*pair)
        assert result.verdict == "descendant"
        assert (result.tensors_compared, result.share_identical_tensors) == (16, 1.0)
        assert result.only_base == result.only_instruct == ("model.embed_tokens.weight",)
        (table,) = (row for row in result.tensors if row.kind == "embed_tokens")
        assert (table.rows, table.identical_rows) == (50, 50)


@pytest.mark.parametrize("side", ["base", "instruct"])
@pytest.mark.parametrize("kind", ["gate", "down"])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_nan_is_refused_by_tensor_and_side_also_where_shapes_differ(side: str, kind: str, share: float) -> None:
    base, instruct = make_model(d_m=16), pruned(make_model(d_m=16), share)
    {"base": base, "instruct": instruct}[side].layers[1][0 if kind == "gate" else 2, 3, 5] = float("nan")
    with pytest.raises(NonFiniteError, match=rf"layers\.1\.mlp\.{kind}_proj\.weight of the {side}"):
        related(base, instruct)


def test_whole_numbers_and_one_byte_floats_beside_the_weights_are_compared() -> None:
    extra = {"scale": torch.ones(3).to(torch.float8_e4m3fn), "position": torch.arange(3)}
    sides = [beside(make_model(), extra) for _ in range(2)]
    assert lineage(*sides, (None, None), ({}, {})).verdict == "same model"


def test_neurons_of_zeros_count_neither_for_nor_against() -> None:
    """A pruned layer often keeps its shape: a neuron of zeros is like any other one of zeros, and like no neuron."""

    def emptied(_: int, weights: torch.Tensor) -> torch.Tensor:
        weights[:, 10:] = 0
        return weights

    base = make_model()
    for pair in ((base, each_layer(base, emptied)), (each_layer(base, emptied), base)):
        result = related(*pair)
        assert result.verdict == "descendant"
        assert max(result.found_in_base, result.found_in_instruct) == 1.0
    nothing = each_layer(base, lambda _, weights: weights * 0)
    assert related(base, nothing).verdict == "unrelated"
    assert related(nothing, make_model(seed=3)).verdict == "unrelated"
    assert related(nothing, nothing).verdict == "same model"


def test_joined_kinds_find_what_a_single_kind_would_miss() -> None:
    def shuffle_gate(_: int, weights: torch.Tensor) -> torch.Tensor:
        return torch.stack([weights[0].roll(1, dims=0), weights[1], weights[2]])

    result = related(make_model(), each_layer(make_model(), shuffle_gate))
    assert result.verdict == "descendant"
    assert abs(result.median_cosine["gate"]) < 0.2


@pytest.mark.parametrize("instruct", [noised(make_model(d_m=200), 0.1), pruned(make_model(d_m=200), 0.5)])
def test_every_tensor_is_read_once_and_in_blocks(monkeypatch: pytest.MonkeyPatch, instruct: Model) -> None:
    """Beside them only the few rows of sampled neurons."""
    monkeypatch.setattr(tensor_pairs, "BLOCK_ELEMENTS", 1000)
    sides = make_model(d_m=200).source(), instruct.source()
    lineage(*sides, (None, None), ({}, {}), sample=16)
    for side in sides:
        assert isinstance(side.reader, MemoryReader)
        for name, rows in side.reader.rows_read.items():
            sampled = 16 * (".gate_proj" in name or ".up_proj" in name)
            assert rows == side.shape(name)[0] + sampled, name
        assert set(side.reader.rows_read) == set(side.tensor_names())
        assert side.reader.largest <= 1000


def test_the_result_does_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    base = make_model(d_m=100)
    pairs = [(base, noised(permuted(base), 0.3)), (base, pruned(base, 0.4))]
    whole = [related(*pair) for pair in pairs]
    monkeypatch.setattr(tensor_pairs, "BLOCK_ELEMENTS", 64)
    for pair, expected in zip(pairs, whole, strict=True):
        result = related(*pair)
        assert replace(result, nearest_cosine=0.0, tensors=(), median_cosine={}, reason="") == replace(
            expected, nearest_cosine=0.0, tensors=(), median_cosine={}, reason=""
        )
        assert result.nearest_cosine == pytest.approx(expected.nearest_cosine, abs=1e-6)


def test_the_sample_is_bounded_by_layer_and_drawn_from_the_seed() -> None:
    base = make_model()
    other = noised(base, 3.0)
    results = [related(base, other, sample=10, seed=seed) for seed in (0, 0, 1)]
    assert results[0].neurons_sampled == 30
    assert results[0] == results[1]
    assert results[0].nearest_cosine != results[2].nearest_cosine


def test_vocabularies_and_configs_are_part_of_the_evidence() -> None:
    base = make_model(layers=1)
    configs = ({"rope": {"theta": 1}}, {"rope": {"theta": 2}})
    result = lineage(base.source(), base.source(), (VOCAB, VOCAB | {"<turn>": 4}), configs)
    assert (result.vocabulary_shared, result.vocabulary_sizes, result.same_tokenizer) == (4 / 5, (4, 5), False)
    assert [(row.key, row.base, row.instruct) for row in result.config] == [("rope.theta", "1", "2")]
    without = lineage(base.source(), base.source(), (None, VOCAB), configs)
    assert (without.vocabulary_sizes, without.same_tokenizer) == ((0, 4), False)
    assert math.isnan(without.vocabulary_shared)
    assert without.verdict == "same model"


def test_cosines_are_given_by_kind_and_layer() -> None:
    base = make_model()

    def turn_up_of_layer_1(layer: int, weights: torch.Tensor) -> torch.Tensor:
        if layer == 1:
            weights[1, :24] += torch.randn(24, 64, generator=torch.Generator().manual_seed(0))
        return weights

    rows = {(row.kind, row.layer): row for row in related(base, each_layer(base, turn_up_of_layer_1)).tensors}
    assert len(rows) == 17
    assert (rows["up", 1].rows, rows["up", 1].identical_rows) == (48, 24)
    assert rows["up", 1].cosine_low < 0.8
    assert rows["up", 1].cosine_high == 1.0
    assert all(row.cosine_low == 1.0 for key, row in rows.items() if key != ("up", 1))
    assert rows["input_layernorm", 0].rows == 1
    assert np.isfinite([row.cosine_median for row in rows.values()]).all()
