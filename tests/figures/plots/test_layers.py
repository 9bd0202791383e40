"""The figure of layers: every H-Neuron stands in its layer, with its activity in both models."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from artists import assert_inside, legend_of, named
from synthetic import SETS

from provenance.db.reading.run_query import run_query
from provenance.figures.drawing.direction_panels import panels_of
from provenance.figures.gallery import drawn
from provenance.figures.plots.layers import figure_layers
from provenance.words import DIRECTIONS, baseline_words

BASE, INSTRUCT = (0.1, 0.3), (0.2, None)


def neuron(layer: int, index: int, *, shared: bool = False, base: tuple[float | None, ...] = BASE) -> dict[str, Any]:
    """A row of the query; the instruct model has no hallucinated answers."""
    return {
        "layer": layer, "neuron_index": index, "is_base_h_neuron": shared,
        "base_cett_faithful": base[0], "base_cett_hallucinated": base[1],
        "instruct_cett_faithful": INSTRUCT[0], "instruct_cett_hallucinated": INSTRUCT[1],
    }  # fmt: skip


def test_neurons_stand_side_by_side_in_their_layer_with_both_activities() -> None:
    figure = figure_layers([neuron(2, 7, shared=True), neuron(0, 1), neuron(2, 3), neuron(2, 5)], 4)
    found = named(figure)
    assert found["H-Neurons:2"].get_height() == 3
    assert found["found again:2"].get_height() == 1
    assert "found again:0" not in found
    instruct, base = found["instruct"], found["base"]
    assert instruct.get_xdata()[1] == 0
    side_by_side = [instruct.get_xdata()[row] for row in (0, 2, 3)]
    assert side_by_side == sorted(side_by_side)
    assert all(1.5 < place < 2.5 for place in side_by_side)
    assert list(base.get_ydata()) == pytest.approx([0.2] * 4)  # the mean over labels
    assert list(instruct.get_ydata()) == pytest.approx([0.2] * 4)  # of the one label that there is
    assert "found again in the base" in legend_of(figure)
    assert_inside(figure)


def test_what_is_not_known_of_a_neuron_is_not_drawn() -> None:
    """Without a counterpart in the base, and where it was silent, which has no place on a logarithmic axis."""
    found = named(figure_layers([neuron(0, 1, base=(None, None)), neuron(1, 2, base=(0.0, 0.0))], 2))
    assert np.isnan(found["base"].get_ydata()).all()
    assert list(found["instruct"].get_ydata()) == pytest.approx([0.2, 0.2])


def test_many_layers_take_the_width_of_a_page() -> None:
    narrow, wide = (figure_layers([neuron(layers - 1, 0)], layers) for layers in (24, 80))
    assert wide.get_figwidth() > narrow.get_figwidth()
    assert_inside(wide)


def test_the_gallery_draws_the_neurons_of_the_query(finished: str) -> None:
    [figure] = [each for each in drawn(finished) if each.spec.name == "figure_layers"]
    rows = run_query(finished, "h-neurons").records()
    found = named(figure.figure)
    assert len(found["instruct"].get_xdata()) == len(rows) > 0
    assert len(figure.spec.table(figure.parts).rows) == len({row["layer"] for row in rows})


def by_layer(
    fitted_on: str, answers: str, kind: str, areas: Sequence[float], left_out: Sequence[float], **more: Any
) -> list[dict[str, Any]]:
    """Rows of the query of directions, one a layer, the last layer first."""
    return [
        {
            "dataset": "set", "fitted_on": fitted_on, "answers": answers, "kind": kind, "layer": layer,
            "left_out": known, "auroc": area, "auroc_low": area - 0.05, "auroc_high": area + 0.05, "auroc_n": 90,
            **more,
        }
        for layer, (area, known) in reversed(list(enumerate(zip(areas, left_out, strict=True))))
    ]  # fmt: skip


AREAS, LEFT_OUT = (0.6, 0.8, 0.9), (0.7, 0.95, 0.95)


def directions_of_both() -> list[dict[str, Any]]:
    """Both kinds of both models on the answers of both, and one kind on another question set."""
    lower = [area - 0.2 for area in AREAS]
    return [
        *(
            row
            for stage, other in (("instruct", "base"), ("base", "instruct"))
            for kind in DIRECTIONS
            for row in (*by_layer(stage, stage, kind, AREAS, LEFT_OUT), *by_layer(stage, other, kind, lower, LEFT_OUT))
        ),
        *by_layer("instruct", "base", DIRECTIONS[0], AREAS, LEFT_OUT, dataset="other"),
    ]


def test_directions_stand_below_their_layers_carried_over_and_on_their_own_answers() -> None:
    scales = [
        {"dataset": name, "kind": kind, "auroc": area}
        for name, shift in (("other", 0.3), ("set", 0.0))
        for kind, area in (("raw", 0.97 - shift), ("forward", 0.83 - shift), ("refit", 0.99 - shift))
    ]
    figure = figure_layers([neuron(0, 1)], 3, panels_of(directions_of_both(), scales))
    found = named(figure)
    assert len(figure.axes) == 4
    for stage, level in (("instruct", 0.97), ("base", 0.83)):
        assert set(found[f"probe:{stage}"].get_ydata()) == {level}
        assert set(found[f"chance:{stage}"].get_ydata()) == {0.5}
        for kind in DIRECTIONS:
            own, carried = (found[f"{stage}:{kind}:{answers}"] for answers in ("own", "carried"))
            assert list(carried.get_xdata()) == list(own.get_xdata()) == [0, 1, 2]
            assert list(own.get_ydata()) == list(AREAS)
            assert list(carried.get_ydata()) == pytest.approx([area - 0.2 for area in AREAS])
            assert (own.get_markerfacecolor(), carried.get_markerfacecolor()) == ("white", carried.get_color())
            ends = found[f"interval:{stage}:{kind}:carried"].get_segments()
            np.testing.assert_allclose([(low[1], high[1]) for low, high in ends], [(a - 0.25, a - 0.15) for a in AREAS])
            assert list(found[f"chosen:{stage}:{kind}:carried"].get_xdata()) == [1]  # the first among equals
    assert "logistic regression" in legend_of(figure)
    assert "the probe on neurons, carried over" in legend_of(figure)
    assert_inside(figure)


def test_without_directions_there_is_no_panel_and_without_a_probe_no_level() -> None:
    assert panels_of([], []) == []
    plain = figure_layers([neuron(0, 1)], 3, panels_of([], []))
    assert len(plain.axes) == 2
    assert "logistic regression" not in legend_of(plain)
    one = figure_layers([neuron(0, 1)], 3, panels_of(by_layer("base", "instruct", DIRECTIONS[1], AREAS, LEFT_OUT), []))
    assert len(one.axes) == 3
    assert not [gid for gid in named(one) if gid.startswith("probe:")]
    assert "the probe on neurons, carried over" not in legend_of(one)
    assert_inside(one)


def test_many_layers_with_directions_stay_inside() -> None:
    areas = list(np.linspace(0.4, 0.9, 80))
    rows = [row for kind in DIRECTIONS for row in by_layer("instruct", "base", kind, areas, areas)]
    assert_inside(figure_layers([neuron(79, 0)], 80, panels_of(rows, [])))


def test_the_caption_gives_the_chosen_layers_with_their_numbers(finished: str) -> None:
    [figure] = [each for each in drawn(finished) if each.spec.name == "figure_layers"]
    chosen = [row for row in run_query(finished, "directions").records() if row["dataset"] == SETS[0]]
    assert len(chosen) == 4
    for row in chosen:
        said = f"{baseline_words(row['kind'])}, {row['fitted_on']} → {row['answers']}: layer {row['layer']}, AUROC "
        assert said in figure.caption[-2]
    assert named(figure.figure)[f"instruct:{DIRECTIONS[0]}:carried"].get_xdata().tolist() == [0, 1, 2, 3]
