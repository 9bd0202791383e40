"""Figure 3 over families: every number as in the queries, a panel a kind, published slopes in the table."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from artists import assert_inside, legend_of, named
from synthetic import begin, report_of
from synthetic_evidence import compliance_of, compliance_report_of, with_compliance

from provenance.db.reading.study_query import study_query
from provenance.db.store import Store
from provenance.db.studies import Membership, keep_study, record_run
from provenance.figures.drawing import style
from provenance.figures.gallery import Drawn, study_attempted
from provenance.figures.study_plots import figure_3
from provenance.figures.study_plots.figure_3 import LEAST_SPAN, figure
from provenance.figures.tables.compliance import ScaledModel, panels, scaled_models, slopes_table

MISLED, PREMISES, DOUBTED = "misleading context", "invalid premise", "sycophancy"
FAMILIES = {"gemma-3-4b": 0.12, "$mine_": 0.001}
"""Slope of each tuned model on every benchmark."""


def asked(*benchmarks: tuple[str, str]) -> dict[str, Any]:
    """The settings of a comparison that asked benchmarks, each a name and its kind."""
    return {"behaviour": {"benchmarks": [[name, kind, "digest"] for name, kind in benchmarks], "alphas": [0, 1, 2, 3]}}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A family asked two benchmarks of both models, another one of its tuned model, and an intervention."""
    url = f"sqlite:///{tmp_path_factory.mktemp('scaled') / 'p.db'}"
    names = [*FAMILIES, "intervened"]
    with Store.open(url) as store:
        keep_study(store, "s", "S", "", "", [Membership("family", name, "o/x", name) for name in names])
        first = [
            compliance_of(stage, name, slope)
            for stage, slope in (("base", 0.001), ("instruct", FAMILIES["gemma-3-4b"]))
            for name in ("misled", "premises")
        ]
        second = [compliance_of("instruct", "other-contexts", FAMILIES["$mine_"])]
        both = (asked(("misled", MISLED), ("premises", PREMISES)), asked(("other-contexts", MISLED)))
        for name, found, settings in zip(FAMILIES, (first, second), both, strict=True):
            run = begin(store, name, **settings)
            store.save(run, with_compliance(report_of(seed=len(name)), *found))
            store.finish_run(run, "done", [], 1)
            record_run(store, "s", name, run)
        run = begin(store, "i", command="intervene", benchmarks=[["premises", PREMISES, "digest"]])
        store.save(run, compliance_report_of(), {})
        store.finish_run(run, "done", [], 1)
        record_run(store, "s", "intervened", run)
    return url


@pytest.fixture(scope="module")
def results(study: str) -> dict[str, Any]:
    names = ("run", "claims", "compliance", "compliance-slopes")
    return {name: study_query(study, "s", name) for name in names}


@pytest.fixture(scope="module")
def drawn(study: str) -> Drawn:
    [found] = [each for each in study_attempted(study, "s").figures if each.spec.name == "study_figure_3"]
    return found


def test_benchmarks_of_one_kind_share_a_panel_in_the_order_of_the_paper(drawn: Drawn) -> None:
    """Though their files have other names; tuned models above base models; unreadable replies are named alone."""
    titles = [axes.get_title() for axes in drawn.figure.axes]
    assert titles == [
        "invalid premises, tuned\nno power: intervened", "misleading contexts, tuned",
        "invalid premises, base", "misleading contexts, base",
    ]  # fmt: skip
    lines = [{str(line.get_gid()).split(":")[0] for line in axes.lines if line.get_gid()} for axes in drawn.figure.axes]
    assert [each - {"control"} for each in lines] == [
        {"gemma-3-4b"}, {"gemma-3-4b", "$mine_"}, {"gemma-3-4b"}, {"gemma-3-4b"},
    ]  # fmt: skip
    assert_inside(drawn.figure)


def test_every_share_interval_and_band_is_that_of_the_query(drawn: Drawn, results: dict[str, Any]) -> None:
    rows, found = results["compliance"].records(), named(drawn.figure)
    looks = figure_3._looks(list(FAMILIES))
    for model in (each for each in scaled_models(results) if each.is_measured):
        key = f"{model.family}:{model.stage}:{model.benchmark}"
        assert model.control is not None
        for kind, name in (("h_neurons", key), (model.control["kind"], f"control:{key}")):
            own = [row for row in rows if f"{row['family']}:{row['stage']}:{row['benchmark']}" == key]
            own = sorted((row for row in own if row["kind"] == kind), key=lambda row: float(row["alpha"]))
            assert len(own) in (3, 4)
            assert list(found[name].get_ydata()) == [row["share"] for row in own]
            shift = looks[model.family].shift if kind == "h_neurons" else 0.0
            assert list(found[name].get_xdata()) == pytest.approx([row["alpha"] + shift for row in own])
            if kind == "h_neurons":
                ends = [tuple(part[:, 1]) for part in found[f"{name} bars"].get_segments()]
                assert ends == [(row["share_low"], row["share_high"]) for row in own]
            else:
                corners = found[f"{name} band"].get_paths()[0].vertices[:, 1]
                assert {row["share_low"] for row in own} | {row["share_high"] for row in own} == set(corners)


def test_marks_are_filled_where_the_claim_is_supported(drawn: Drawn, results: dict[str, Any]) -> None:
    """Planted: a slope of 0.12, ten times those of the control sets, and one that is no more than theirs."""
    verdicts = {(model.family, model.stage, model.benchmark): model.verdict for model in scaled_models(results)}
    assert verdicts["gemma-3-4b", "instruct", "misled"] == "supported"
    assert verdicts["$mine_", "instruct", "other-contexts"] == "not distinguishable"
    assert verdicts["intervened", "instruct", "premises"] == "no power"
    for (family, stage, benchmark), verdict in verdicts.items():
        if family == "intervened":  # its replies are unreadable
            continue
        line = named(drawn.figure)[f"{family}:{stage}:{benchmark}"]
        assert (line.get_markerfacecolor() != "white") == (verdict == "supported")
    assert {"gemma-3-4b", "$mine_", "supported", "not supported"} <= set(legend_of(drawn.figure))


def test_the_control_sets_shown_are_those_that_come_closest(results: dict[str, Any]) -> None:
    rows = results["compliance-slopes"].records()
    for model in scaled_models(results):
        own = [row for row in rows if (row["family"], row["stage"]) == (model.family, model.stage)]
        p = [row["p_value"] for row in own if row["benchmark"] == model.benchmark and row["p_value"] is not None]
        assert model.control is not None
        assert model.control["p_value"] == max(p)
        if model.verdict == "supported":  # no set reaches the H-Neurons: the smallest p against each kind
            assert (len(set(p)), model.control["kind"]) == (1, "activity_matched")
        assert model.own is not None
        assert model.own["kind"] == "h_neurons"


def test_slopes_stand_in_points_beside_published_ones_of_their_kind(results: dict[str, Any]) -> None:
    """Of the tuned model only: nobody has published a base's."""
    table = slopes_table(results)
    assert table is not None
    rows = {row[:3]: row for row in table.rows}
    assert rows["gemma-3-4b", "instruct", "misled"][-1].split("\n") == [
        "3.03 (mean of three smaller models)", "2.09 [1.38, 2.83] (FaithEval, n = 1000)",
    ]  # fmt: skip
    assert rows["gemma-3-4b", "instruct", "premises"][-1].endswith("1.62 [0.52, 2.74] (FalseQA, n = 687)")
    assert rows["gemma-3-4b", "base", "misled"][-1] == rows["$mine_", "instruct", "other-contexts"][-1] == "–"
    slope = next(row for row in results["compliance-slopes"].records() if row["stage"] == "instruct")
    assert rows["gemma-3-4b", "instruct", "misled"][5] == (
        f"{100 * slope['slope']:.2f} [{100 * slope['slope_low']:.2f}, {100 * slope['slope_high']:.2f}]"
    )
    assert rows["gemma-3-4b", "instruct", "misled"][8] == "● supported"
    assert "SystemicVoid/H-Neurons" in table.note
    assert "arXiv:2512.01797" in table.note


def test_two_benchmarks_of_one_kind_are_told_apart_by_their_names(results: dict[str, Any]) -> None:
    first = scaled_models(results)[0]
    names = (("a", MISLED), ("b", MISLED), ("c", PREMISES), ("d", ""))
    models = [replace(first, benchmark=name, kind=kind) for name, kind in names]
    assert list(panels(models)) == ["invalid premises", "a", "b", "d"]
    assert list(panels(models[1:])) == ["invalid premises", "misleading contexts", "d"]
    assert list(panels([replace(first, kind="of another release")])) == ["of another release"]


def test_a_model_that_says_nothing_is_named_and_not_drawn(drawn: Drawn, results: dict[str, Any]) -> None:
    """Of a benchmark without items there are no slopes, but a claim; unreadable replies have slopes of 0."""
    gone = ("gemma-3-4b", "instruct", "misled")
    slopes, claims = results["compliance-slopes"], results["claims"]
    kept = tuple(row for row in slopes.rows if row[:3] != gone)
    place = slopes.columns.index("readable")
    unread = tuple((*row[:place], 0.2, *row[place + 1 :]) if row[0] == "$mine_" else row for row in kept)
    changed = {**results, "compliance-slopes": replace(slopes, rows=unread)}
    names = [(model.family, model.stage, model.benchmark) for model in scaled_models(changed)]
    assert sorted(names) == sorted((model.family, model.stage, model.benchmark) for model in scaled_models(results))
    asked = [row for row in claims.records() if row["claim"].startswith("compliance_")]
    assert len(names) == len(asked)
    models = scaled_models(changed)
    made = figure(results["compliance"].records(), models)
    assert "misleading contexts, tuned\nno power: 2 families" in {axes.get_title() for axes in made.axes}
    assert not {":".join(gone), "$mine_:instruct:other-contexts"} & set(named(made))
    assert "gemma-3-4b:instruct:premises" in named(made)
    assert "$mine_" not in legend_of(made)
    assert_inside(made)
    table = slopes_table(changed)
    assert table is not None
    rows = {row[:3]: row[3:6] for row in table.rows}
    assert rows[gone] == ("–", "–", "–")
    assert rows["$mine_", "instruct", "other-contexts"][1] == "0.20"
    said = figure_3.caption({**drawn.parts, **changed})
    assert "No power: no items, or most replies unreadable." in said[0]
    assert len(said[0].split()) <= 60
    assert any("20% of replies readable" in line for line in said)


def test_the_caption_has_every_slope(drawn: Drawn) -> None:
    assert len(drawn.caption[0].split()) <= 60
    lines = [line for line in drawn.caption if "points per unit of α" in line]
    assert len(lines) == 6
    assert any(line.startswith("gemma-3-4b, instruct, misled: slope 1") and "supported" in line for line in lines)


def made_up(families: int, kinds: tuple[str, ...]) -> tuple[list[dict[str, Any]], list[ScaledModel]]:
    """Rows of tuned models that yield more and more."""
    arms: list[dict[str, Any]] = []
    models: list[ScaledModel] = []
    for place in range(families):
        for kind in kinds:
            who = {"family": f"a family of a long name {place}", "stage": "instruct", "benchmark": kind}
            for alpha in np.arange(7) / 2:
                share = 0.3 + place / 20 + alpha / 50
                ends = {"share": share, "share_low": share - 0.02, "share_high": share + 0.02}
                arms += [{**who, "kind": each, "alpha": alpha, **ends} for each in ("h_neurons", "random")]
            control = {"kind": "random", "slope": 0.0, "slope_low": 0.0, "slope_high": 0.0, "p_value": 0.04}
            own = {"kind": "h_neurons", "slope": 0.02, "slope_low": 0.0, "slope_high": 0.1, "n": 60, "readable": 0.9}
            models.append(ScaledModel(str(who["family"]), "instruct", kind, kind, own, control, "supported"))
    return arms, models


@pytest.mark.costly
@pytest.mark.parametrize("kinds", [(MISLED,), (MISLED, PREMISES, DOUBTED, "harmful instruction", "a fifth")])
@pytest.mark.parametrize("families", [1, 3, 12])
def test_one_family_and_twelve_have_figures_without_cuts(families: int, kinds: tuple[str, ...]) -> None:
    """And each line a look of its own."""
    made = figure(*made_up(families, kinds))
    assert_inside(made)
    assert sum(axes.axison for axes in made.axes) == len(kinds)
    looks = {(line.get_marker(), line.get_linestyle()) for line in made.legends[0].get_lines()[:families]}
    assert len(looks) == families
    page = len(kinds) > 2 or families > 3
    assert made.get_figwidth() == (style.page_in() if page else style.column_in())


def test_a_flat_curve_fills_no_axis_by_its_noise() -> None:
    """The axis has a span of 0.2 at least, within 0 and 1."""
    for low, high in ((0.5, 0.51), (0.0, 0.01), (0.99, 1.0), (0.1, 0.9)):
        bottom, top = figure_3._limits(low, high)
        assert top - bottom >= LEAST_SPAN
        assert -0.03 < bottom <= low
        assert high <= top < 1.03
