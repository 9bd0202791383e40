"""The ladder figure: every rung is a row of the query, and what has no number is not drawn as one."""

from typing import Any

import pytest
from artists import assert_inside, legend_of, named, tick_labels
from evidence_rows import KINDS, power, rung, rungs, transfer
from matplotlib.figure import Figure
from synthetic import SETS

from provenance.db.reading.run_query import run_query
from provenance.figures.drawing import style
from provenance.figures.gallery import drawn
from provenance.figures.plots.ladder import MAX_PANELS, drawn_sets, figure_ladder, rung_places
from provenance.words import TRANSFER_NULLS


def heights(figure: Figure, name: str = "set") -> dict[str, float]:
    found = named(figure)
    return {kind: float(found[f"auroc:{name}:{kind}"].get_ydata()[0]) for kind in ("probe", *KINDS)}


def test_points_intervals_ranges_and_p_are_those_of_the_queries(finished: str) -> None:
    rows, sets = run_query(finished, "ladder").records(), run_query(finished, "transfer").records()
    found = named(figure_ladder(rows, sets))
    for row in rows:
        gid = f"{row['dataset']}:{row['kind']}"
        for column in ("auroc", "gain"):
            assert found[f"{column}:{gid}"].get_xdata()[0] == row[column]
            assert list(found[f"{column} interval:{gid}"].get_xdata()) == [row[f"{column}_low"], row[f"{column}_high"]]
        assert found[f"p:{gid}"].get_text() == f"{row['p_holm']:.3f}"
    for row in sets:
        assert found[f"auroc:{row['dataset']}:probe"].get_xdata()[0] == row["auroc"]
        for column, kind in TRANSFER_NULLS.items():
            band = found[f"sets:{row['dataset']}:{kind}"]
            assert band.get_x() == row[f"{column}_low"]
            assert band.get_x() + band.get_width() == pytest.approx(row[f"{column}_high"])
            assert list(found[f"p95:{row['dataset']}:{kind}"].get_xdata()) == [row[f"{column}_p95"]] * 2
    assert [row["dataset"] for row in sets] == list(SETS)


def test_the_probe_stands_at_the_top_and_rungs_follow_in_the_order_of_the_rows() -> None:
    figure = figure_ladder(rungs(), [transfer()])
    assert list(heights(figure)) == sorted(heights(figure), key=heights(figure).__getitem__)
    assert figure.axes[0].yaxis_inverted()
    labels = [label.replace("\n", " ") for label in tick_labels(figure.axes[0])]
    assert labels[0] == "the probe"
    assert labels[-2:] == [
        "length, texts and log-probability together",
        "both directions of the residual stream together",
    ]


def test_a_reference_line_stands_at_chance_at_no_gain_and_at_the_probe() -> None:
    found = named(figure_ladder(rungs(), [transfer(auroc=0.83)]))
    assert set(found["chance:set"].get_xdata()) == {0.5}
    assert set(found["no gain:set"].get_xdata()) == {0.0}
    assert set(found["level:set"].get_xdata()) == {0.83}


@pytest.mark.parametrize(("p_holm", "filled"), [(0.049, True), (0.05, False), (None, False)])
def test_a_gain_is_filled_only_where_it_holds_after_the_correction(p_holm: float | None, filled: bool) -> None:
    figure = figure_ladder([rung("random", p_value=0.001, p_holm=p_holm)], [transfer()])
    assert (named(figure)["gain:set:random"].get_markerfacecolor() == style.BLUE) == filled
    assert ("gain, p < 0.05" in legend_of(figure)) == filled


def test_a_rung_without_number_is_words_and_one_that_this_set_lacks_as_well() -> None:
    figure = figure_ladder(
        [*rungs(), rung("random", "other", None, None, p_value=None, p_holm=None)], [transfer(), transfer("other")]
    )
    found = named(figure)
    assert not [gid for gid in found if gid.startswith(("gain:other", "auroc:other:random", "sets:other"))]
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert said.count("not computed") == len(KINDS)


def test_a_rung_without_interval_has_a_point_alone() -> None:
    found = named(figure_ladder([rung("random", auroc_low=None, auroc_high=None)], [transfer()]))
    assert "auroc:set:random" in found
    assert "auroc interval:set:random" not in found


def test_sets_without_power_have_no_panel_and_there_are_six_at_most() -> None:
    names = [f"set {i}" for i in range(8)]
    rows = [row for name in ("silent", *names) for row in rungs(name)]
    sets = [transfer("silent", None, verdict="no power"), *(transfer(name) for name in names)]
    assert drawn_sets(rows, sets) == names[:MAX_PANELS]
    assert not [gid for gid in named(figure_ladder(rows, sets)) if "silent" in gid or "set 7" in gid]


def test_all_panels_have_the_same_scales_and_hold_what_lies_far_out() -> None:
    rows = [*rungs("a"), rung("random", "b", 0.2, -0.5)]
    figure = figure_ladder(rows, [transfer("a"), transfer("b")])
    assert len({axes.get_xlim() for axes in figure.axes[::2]}) == 1
    assert len({axes.get_xlim() for axes in figure.axes[1::2]}) == 1
    assert figure.axes[0].get_xlim()[0] < 0.16
    assert figure.axes[1].get_xlim()[0] < -0.54


@pytest.mark.parametrize("n_sets", [1, 2, 5])
def test_nothing_is_cut_off_with_any_number_of_sets_or_long_names(n_sets: int) -> None:
    long = "BioASQ factoid questions, Task 13b, golden enriched, and whatever else a file may be called"
    names = [f"{long} {i}" if i % 2 == 0 else "W" * 40 + str(i) for i in range(n_sets)]
    names[-1] = "cities_$x^{2$_&"
    figure = figure_ladder([row for name in names for row in rungs(name)], [transfer(name) for name in names])
    assert_inside(figure)
    assert figure.get_figwidth() == (style.column_in() if n_sets == 1 else style.page_in())
    hidden = [axes for axes in figure.axes if not axes.get_visible()]
    assert len(hidden) == (2 if n_sets == 5 else 0)


def test_the_check_for_what_is_cut_off_can_fail() -> None:
    figure = figure_ladder(rungs(), [transfer()])
    figure.axes[1].text(1.5, 0, "far out to the right", transform=figure.axes[1].transAxes).set_in_layout(False)
    assert_inside(figure)  # what is out of the layout is not looked at
    figure.axes[1].texts[-1].set_in_layout(True)
    figure.set_layout_engine("none")
    with pytest.raises(AssertionError):
        assert_inside(figure)


def test_a_name_of_two_lines_takes_more_room() -> None:
    assert rung_places(["random", "answer_text"]) == [0.0, 1.0, 2.0]
    assert rung_places(["random", "all_together"]) == [0.0, 1.0, 2.5]


def caption_of(rows: list[dict[str, Any]], sets: list[dict[str, Any]], tests: list[dict[str, Any]]) -> list[str]:
    from provenance.db.reading.run_query import QueryResult
    from provenance.figures.plots.ladder import caption_ladder

    def result(records: list[dict[str, Any]]) -> QueryResult:
        return QueryResult(tuple(records[0]), tuple(tuple(row.values()) for row in records)) if records else NONE

    NONE = QueryResult((), ())
    run = {"run": 1, "run_key": "k", "command": "compare", "base": "org/base", "instruct": "org/it", "quick": False}
    probes = [{"stage": "instruct", "n_h_neurons": 9, "n_neurons": 12}]
    parts = {"run": result([run]), "probes": result(probes), "ladder": result(rows), "transfer": result(sets),
             "power": result(tests), "drift": NONE, "neuron-list": NONE}  # fmt: skip
    return caption_ladder(parts)


def test_the_caption_gives_n_k_draws_gains_and_what_could_have_been_found() -> None:
    rows = [rung("random", gain=0.2), rung("question_text", gain=None, auroc=None)]
    tests = [power("chance"), power("random", smallest_detectable=None), power("chance", dataset="other")]
    lede, more, line, silent, _ = caption_of(rows, [transfer(), transfer("mute", None, verdict="no power")], tests)
    assert "k = 9 H-Neurons, 12 neurons with a weight" in lede
    assert "40 sets of as many neurons as the probe has weights" in more
    assert line == (
        "set: AUROC 0.80 [0.76, 0.84], n = 200 faithful + 180 hallucinated; gain over random neurons 0.20 [0.16, 0.24] "
        "(p 0.020). Smallest AUROC found with 80 % power (k = 9, n = 380): 0.57 against chance (SD 0.03), none against "
        "random neurons (SD 0.03)."
    )
    assert silent == "mute: no power: 200 faithful, 180 hallucinated."


def test_the_table_has_the_sets_that_have_no_panel(finished: str) -> None:
    figure = next(figure for figure in drawn(finished) if figure.spec.name == "figure_ladder")
    rows = figure.spec.table(figure.parts).rows
    assert len(rows) == len(SETS) * (1 + len(KINDS))
    assert rows[0] == ("in-domain", "the probe", "0.90 [0.86, 0.94]", "–", "0.004", "0.008", "–", "–")
    assert (*rows[1][:3], rows[1][-2]) == ("in-domain", "random neurons", "0.55 [0.51, 0.59]", "40")
