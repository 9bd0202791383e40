"""The figure of layers: every H-Neuron stands in its layer, with its activity in both models."""

from typing import Any

import numpy as np
import pytest
from artists import assert_inside, legend_of, named

from provenance.db.reading.run_query import run_query
from provenance.figures.gallery import drawn
from provenance.figures.plots.layers import figure_layers

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
