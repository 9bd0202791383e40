"""The 2 x 2 figure: each cell says its own number, what it rests on, or why it has none."""

from itertools import product

import pytest
from artists import assert_inside, legend_of, named, tick_labels
from evidence_rows import agreement, cell
from matplotlib.figure import Figure
from synthetic import SETS

from provenance.cells import interval
from provenance.db.reading.run_query import run_query
from provenance.figures.gallery import drawn
from provenance.figures.plots.two_by_two import MAX_SETS, beats_sets, figure_two_by_two, matrix_rows

STAGES = ("base", "instruct")


def square() -> list[dict[str, object]]:
    return [cell(read, told, read) for read, told in product(STAGES, STAGES)]


def test_each_cell_says_the_number_interval_n_and_bars_of_its_row(finished: str) -> None:
    rows = run_query(finished, "cells").records()
    found = named(figure_two_by_two(rows, []))
    drawn_rows = [row for row in rows if row["auroc"] is not None]
    assert len(drawn_rows) == 5
    for row in drawn_rows:
        name = f"{row['activations']}:{row['prompt']}:{row['answers']}"
        assert found[f"cell:{name}"].get_text()[2:] == interval(row, "auroc")
        said = found[f"n:{name}"].get_text()
        assert f"n = {row['n_faithful']} + {row['n_hallucinated']}" in said
        assert f"random {row['random_p95']:.2f}" in said
        assert ("matched" in said) == (row["layer_matched_p95"] is not None)
    assert found["reason:instruct:base:base"].get_text() == "no hallucinated answers left"


def test_rows_are_neurons_and_prompt_columns_are_answers() -> None:
    figure = figure_two_by_two([*square(), cell("instruct", "base", "base", 0.7)], [])
    assert matrix_rows([*square(), cell("instruct", "base", "base")]) == [
        ("base", "base"), ("instruct", "instruct"), ("instruct", "base"),
    ]  # fmt: skip
    assert tick_labels(figure.axes[0]) == [
        "base neurons,\nown prompt", "instruct neurons,\nown prompt", "instruct neurons,\nbase prompt",
    ]  # fmt: skip
    found = named(figure)
    x, y = found["cell:instruct:base:base"].get_position()
    assert (round(x, 1), int(y)) == (0.5, 2)
    assert found["reason:instruct:base:instruct"].get_text() == "not measured"
    assert "cell:instruct:base:instruct" not in found


@pytest.mark.parametrize(
    ("changes", "beaten"),
    [
        ({}, True),
        ({"random_p95": 0.77}, False),
        ({"layer_matched_p95": 0.77}, False),
        ({"random_p95": None, "layer_matched_p95": None}, True),
        ({"auroc_low": 0.5, "random_p95": 0.4, "layer_matched_p95": 0.4}, False),
        ({"auroc_low": None}, False),
    ],
)
def test_a_cell_is_marked_only_where_its_interval_lies_above_chance_and_both_bars(
    changes: dict[str, float | None], beaten: bool
) -> None:
    row = cell("base", "base", "base", 0.8, **changes)
    assert beats_sets(row) == beaten
    said = named(figure_two_by_two([row], []))["cell:base:base:base"].get_text()
    assert said.startswith("●" if beaten else "○")


def test_kappa_and_both_aurocs_are_those_of_the_query(finished: str) -> None:
    rows = run_query(finished, "agreement").records()
    found = named(figure_two_by_two([], rows))
    for row in rows:
        for column in ("kappa", "auroc_agree", "auroc_disagree"):
            gid = f"{column}:{row['dataset']}"
            if row[column] is None:
                assert gid not in found
                continue
            assert found[gid].get_xdata()[0] == row[column]
            ends = [row[f"{column}_low"], row[f"{column}_high"]]
            assert list(found[f"{column} interval:{row['dataset']}"].get_xdata()) == ends
        assert found[f"n:{row['dataset']}"].get_text() == f"{row['n_agree']} of {row['n_common']} agree"
    assert set(found["chance"].get_xdata()) == {0.5}
    assert set(found["kappa 0"].get_xdata()) == {0.0}
    assert [row["dataset"] for row in rows] == list(SETS)


def test_the_legend_names_only_what_is_there() -> None:
    agreed = agreement(auroc_disagree=None, auroc_disagree_low=None, auroc_disagree_high=None)
    assert [("agree" in words, "differ" in words) for words in legend_of(figure_two_by_two([], [agreed]))] == [
        (True, False)
    ]
    assert len(legend_of(figure_two_by_two([], [agreement()]))) == 2
    above = ["the interval is above 0.5 and both kinds of neuron sets"]
    assert legend_of(figure_two_by_two(square(), [])) == above
    below = [*square(), cell("instruct", "base", "base", random_p95=0.99)]
    assert legend_of(figure_two_by_two(below, [])) == [*above, "it is not above all of these"]
    assert legend_of(figure_two_by_two([cell("base", "base", "base", auroc=None)], [])) == []


def test_a_set_without_any_number_says_why() -> None:
    nothing = {name: None for name in agreement() if name.startswith(("kappa", "auroc"))}
    figure = figure_two_by_two(square(), [agreement(), agreement("mute", **nothing, reason="no common question")])
    found = named(figure)
    assert found["reason:mute"].get_text() == "no common question"
    assert "kappa:mute" not in found
    assert "reason:set" not in found
    assert {"kappa reason:set"}.isdisjoint(found)
    both = "kappa: one label only; same label: too few questions; different labels: none"
    told = named(figure_two_by_two([], [agreement("mute", **nothing, reason=both)]))
    assert told["kappa reason:mute"].get_text() == "one label only"
    assert told["reason:mute"].get_text() == "same label: too few questions"
    assert told["kappa reason:mute"].axes is not told["reason:mute"].axes


@pytest.mark.parametrize("n_sets", [0, 1, 5, 8])
def test_nothing_is_cut_off_with_any_number_of_sets_or_long_names(n_sets: int) -> None:
    long = "BioASQ factoid questions, Task 13b, golden enriched, and whatever else a file may be called"
    names = [f"{long} {i}" if i % 2 == 0 else "W" * 40 + str(i) for i in range(n_sets)]
    figure = figure_two_by_two(square(), [agreement(name) for name in names])
    if n_sets:
        assert_inside(figure)
        assert len(names[:MAX_SETS]) == len([gid for gid in named(figure) if gid.startswith("kappa:")])
        assert_cells_inside(figure)


def assert_cells_inside(figure: Figure) -> None:
    """What is written in a cell stays between its borders, however long the names below are."""
    boxes = [patch.get_window_extent() for patch in figure.axes[0].patches]
    for text in figure.axes[0].texts:
        inside = text.get_window_extent()
        assert any(box.x0 <= inside.x0 and inside.x1 <= box.x1 for box in boxes), text.get_text()


def test_caption_and_table_name_neurons_answers_prompt_and_what_was_lost(finished: str) -> None:
    figure = next(figure for figure in drawn(finished) if figure.spec.name == "figure_two_by_two")
    assert (
        "instruct neurons, instruct answers, base prompt: 0.79 [0.76, 0.82], n = 150 faithful + 140 hallucinated, 95th "
        "percentile of neuron sets: random 0.63; could not be placed in that prompt: 7."
    ) in figure.caption
    assert "k = 6" in figure.caption[0]
    assert figure.spec.table(figure.parts).rows[-1] == (
        "in-domain", "instruct", "base", "base", "–", "150 + 0", "180", "–", "–", "no hallucinated answers left",
    )  # fmt: skip
