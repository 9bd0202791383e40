"""Replicates of scaled neurons and of timelines: medians and each replicate in figures, tables, report and CSV."""

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from artists import assert_inside, legend_of, named
from synthetic import begin, both_scaled, digests_of, questions_of, replicated_report_of, report_of, stored_timeline_run
from synthetic_evidence import replicated_timeline_report_of, timeline_report_of, with_compliance

from provenance.analyses.results.behaviour import ComplianceSlope
from provenance.analyses.results.reports import OriginReport
from provenance.analyses.summary.report import summary_of
from provenance.db.reading.run_query import run_query
from provenance.db.reading.study_query import over_replicates, study_query
from provenance.db.store import Store
from provenance.db.studies import Membership, keep_study, record_run
from provenance.figures import gallery
from provenance.figures.catalogue import GALLERY, STUDY_GALLERY
from provenance.figures.gallery import Attempt, Drawn, attempted, study_attempted, write_figures
from provenance.figures.report.sections import folded_sections, read_results, shown_sections, terminal_sections
from provenance.figures.report.study import study_html, study_tables
from provenance.figures.tables.compliance import TITLE

SLOPES = {"three draws": (0.12, 0.09, 0.15), "two draws": (0.02, -0.03)}
ALONE = "one draw"
FOLLOWED = {"followed": (0.0, 0.03, -0.02), "followed once": ()}
"""Timelines, and how much higher the AUROCs of each replicate lie."""
ASKED = {"behaviour": {"benchmarks": [["misled", "misleading context", "d"]], "alphas": [0, 1, 2, 3]}}


def alone() -> OriginReport:
    """A report of one draw, without a trace of others."""
    none: dict[str, Any] = {"replicates": (), "replicate_claims": (), "replicate_neurons": (), "variance": ()}
    return replace(with_compliance(report_of(seed=9), *both_scaled(0.06)), **none)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a database with a study: families of three, two and one draws, timelines of three and one."""
    url = f"sqlite:///{tmp_path_factory.mktemp('scaled') / 'p.db'}"
    reports = [replicated_report_of((0.8, 0.7, 0.75)[: len(each)], slopes=each) for each in SLOPES.values()]
    with Store.open(url) as store:
        families = [Membership("family", name, "o/x", name) for name in (*SLOPES, ALONE)]
        keep_study(
            store, "s", "S", "", "", [*families, *(Membership("timeline", name, "o/x", name) for name in FOLLOWED)]
        )
        for family, report in zip(families, [*reports, alone()], strict=True):
            for name, digest in digests_of(report).items():
                store.add_questions(name, digest, f"{name}.jsonl", questions_of())
            run = begin(store, family.name, **ASKED)
            store.save(run, report, digests_of(report))
            store.finish_run(run, "done", [], 1)
            record_run(store, "s", family.name, run)
        for name, shifts in FOLLOWED.items():
            report = replicated_timeline_report_of(shifts) if shifts else timeline_report_of()
            record_run(store, "s", name, stored_timeline_run(store, report, name))
    return url


@pytest.fixture(scope="module")
def drawn(study: str) -> Attempt:
    """The figures of the study that this is about."""
    with pytest.MonkeyPatch.context() as patch:
        names = ("study_figure_3", "study_trajectory")
        patch.setattr(gallery, "STUDY_GALLERY", {name: STUDY_GALLERY[name] for name in names})
        return study_attempted(study, "s")


@pytest.fixture(scope="module")
def figures(drawn: Attempt) -> dict[str, Drawn]:
    return {figure.spec.name: figure for figure in drawn.figures}


def run_figure(study: str, run: int, name: str) -> Drawn:
    """One figure of a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "GALLERY", {name: GALLERY[name]})
        [found] = attempted(study, run).figures
    return found


def shares(rows: list[dict[str, Any]], **of: object) -> list[float]:
    """Shares of the H-Neurons in the order of the factors."""
    own = [row for row in rows if all(row[key] == value for key, value in {"kind": "h_neurons", **of}.items())]
    return [row["share"] for row in sorted(own, key=lambda row: float(row["alpha"]))]


def test_shares_and_slopes_over_replicates_are_medians_and_their_p_is_twice_the_median(study: str) -> None:
    arms, slopes = (study_query(study, "s", name) for name in ("compliance", "compliance-slopes"))
    for family, own in SLOPES.items():
        each = [
            shares(arms.each_replicate(), family=family, stage="instruct", replicate=number)
            for number in range(1, len(own) + 1)
        ]
        assert each == [shares(rows_of_one(slope), stage="instruct") for slope in own]
        assert shares(arms.records(), family=family, stage="instruct") == pytest.approx(
            [median(values) for values in zip(*each, strict=True)]
        )
    one = next(row for row in slopes.records() if row["kind"] == "random")
    assert (one["family"], one["stage"], one["n_draws"]) == ("three draws", "instruct", 40)
    of = ("family", "stage", "kind")
    each = [row["p_value"] for row in slopes.each_replicate() if all(row[name] == one[name] for name in of)]
    assert each == pytest.approx([1 / 41] * 3)
    assert one["p_value"] == pytest.approx(2 / 41)


def rows_of_one(slope: float) -> list[dict[str, Any]]:
    """The shares of one draw, from what was made up and not from a database."""
    return [
        {"stage": arm.stage, "kind": arm.kind, "alpha": arm.alpha, "share": arm.share.estimate}
        for scaled in both_scaled(slope)
        for arm in scaled.arms
    ]


@pytest.mark.parametrize(
    "name", ["compliance", "compliance-slopes", "side-effects", "text-effects", "patching", "ladder", "drift-tests"]
)
def test_the_first_replicate_is_the_run_without_the_others(study: str, name: str) -> None:
    plain, over = run_query(study, name, {"run": 1}), over_replicates(study, name, 1)
    assert over.with_replicates is not None
    first = [row for row in over.each_replicate() if row.pop("replicate") == 1]
    assert first == plain.records()
    assert over.columns == plain.columns
    assert over_replicates(study, name, 3) == run_query(study, name, {"run": 3})  # one draw


def test_what_the_first_replicate_lacks_is_shown_where_most_have_it(tmp_path: Path) -> None:
    """It found no neurons to scale, and the other two did."""
    report = replicated_report_of(slopes=(0.1, 0.1, 0.1))
    over, first, *others = report.replicate_results
    emptied = replace(first, results=tuple(row for row in first.results if not isinstance(row, ComplianceSlope)))
    evidence = replace(report.evidence, compliance_slopes=())
    url = f"sqlite:///{tmp_path / 'p.db'}"
    with Store.open(url) as store:
        run = begin(store)
        store.save(run, replace(report, evidence=evidence, replicate_results=(over, emptied, *others)))
    assert run_query(url, "compliance-slopes", {"run": run}).rows == ()
    found = over_replicates(url, "compliance-slopes", run)
    assert len(found.rows) == 8
    assert {row["replicate"] for row in found.each_replicate()} == {2, 3}


def test_figure_3_has_the_median_and_a_dot_for_each_replicate(study: str, figures: Mapping[str, Drawn]) -> None:
    """Over a study with the marks of each family, and of one run alone."""
    arms = study_query(study, "s", "compliance")
    over, run = figures["study_figure_3"], run_figure(study, 1, "figure_3")
    for family in (*SLOPES, ALONE):
        line, dots = (named(over.figure).get(f"{name}{family}:instruct:misled") for name in ("", "replicate:"))
        assert list(line.get_ydata()) == shares(arms.records(), family=family, stage="instruct")
        each = [row for row in arms.each_replicate() if (row["family"], row["stage"]) == (family, "instruct")]
        expected = sorted(row["share"] for row in each if row["kind"] == "h_neurons")
        assert (dots is None) == (family == ALONE)
        assert dots is None or sorted(dots.get_ydata()) == expected
    panel = run.figure.axes[0]
    by_name = {str(line.get_gid()): line for line in panel.lines}
    assert list(by_name["h_neurons"].get_ydata()) == shares(arms.records(), family="three draws", stage="instruct")
    assert len(by_name["replicate:h_neurons"].get_ydata()) == 3 * 4
    for figure, counts in ((over, "1 to 3"), (run, "3")):
        assert_inside(figure.figure)
        assert "each replicate" in legend_of(figure.figure)
        assert f"Over {counts} replicates: medians, p doubled; dots: each." in figure.short_caption
        assert len(figure.short_caption.split()) <= 60
        assert figure.spec.table(figure.parts).caption.endswith(f"Over {counts} replicates: medians, p doubled.")
    single = run_figure(study, 3, "figure_3")
    assert "each replicate" not in legend_of(single.figure)
    assert "replicate" not in " ".join(single.caption)


def test_csv_has_every_replicate_and_is_as_ever_without_any(study: str, tmp_path: Path) -> None:
    def numbers(stem: str) -> set[str]:
        rows = list(csv.DictReader(io.StringIO((tmp_path / f"{stem}.csv").read_text("utf-8"))))
        return {row["replicate"] for row in rows}

    write_figures([run_figure(study, 1, "figure_3"), run_figure(study, 4, "figure_trajectory")], tmp_path, ())
    for stem in ("figure_3", "figure_3_slopes", "figure_trajectory"):
        assert numbers(stem) == {"0", "1", "2", "3"}, stem
    write_figures([run_figure(study, 3, "figure_3"), run_figure(study, 5, "figure_trajectory")], tmp_path, ())
    for stem, query, run in (("figure_3", "compliance", 3), ("figure_trajectory", "trace", 5)):
        assert (tmp_path / f"{stem}.csv").read_text("utf-8") == run_query(study, query, {"run": run}).as_csv()


def test_the_table_of_slopes_has_a_row_for_every_replicate_with_its_verdict(study: str) -> None:
    [table] = [table for table in study_tables(study, "s") if table.title == TITLE]
    assert table.header[0] == "replicate"
    rows = [row for row in table.rows if row[1:4] == ("three draws", "instruct", "misled")]
    assert [row[0] for row in rows] == ["all", "1", "2", "3"]
    slopes = [row[6].partition(" ")[0] for row in rows]
    assert slopes[0] == sorted(slopes[1:], key=float)[1]
    assert {row[9] for row in rows} == {"● supported"}
    assert [row[8] for row in rows] == ["0.049", "0.024", "0.024", "0.024"]
    assert [row[0] for row in table.rows if row[1] == ALONE] == ["–", "–"]
    assert "Over 1 to 3 replicates: medians, p doubled." in table.note
    [brief] = [table for table in study_tables(study, "s", brief=True) if table.title == TITLE]
    assert len(brief.rows) == 6


def test_the_report_of_a_run_has_the_slopes_of_every_replicate_and_the_terminal_those_over_all(
    study: str, drawn: Attempt
) -> None:
    results = read_results(study, 1)
    [slopes] = [table for table in folded_sections(results) if table.title == "Compliance per unit of α"]
    assert [row[0] for row in slopes.rows] == ["all"] * 8 + [str(number) for number in (1, 2, 3) for _ in range(8)]
    [arms] = [table for table in folded_sections(results) if table.title == "Compliance"]
    assert arms.note.endswith("Over 3 replicates: medians, p doubled.")
    tables = (folded_sections(results), terminal_sections(results, verbose=True))
    [text, again] = [table for each in tables for table in each if table.title == "A text with the H-Neurons scaled"]
    assert text == again
    assert [row[:3] for row in text.rows] == [("instruct", "prose", "3")]
    assert text.note.endswith("Over 3 replicates: medians, p doubled.")
    [shown] = [table for table in terminal_sections(results, verbose=True) if table.title == slopes.title]
    assert list(shown.rows) == [row[1:] for row in slopes.rows[:8]]
    page = study_html(study, "s", drawn)
    assert "Over 1 to 3 replicates: medians, p doubled." in page


def test_a_trajectory_has_the_median_and_a_dot_for_each_replicate(study: str, figures: Mapping[str, Drawn]) -> None:
    rows = run_query(study, "trace", {"run": 4}).records()
    over, run = figures["study_trajectory"], run_figure(study, 4, "figure_trajectory")
    expected = [row["forced"] for row in sorted(rows, key=lambda row: row["position"]) if not row["is_floor"]]
    for figure in (over.figure, run.figure):  # shifts of 0, 0.03 and -0.02: the first one is the median
        lines = {str(line.get_gid()): line for line in figure.axes[0].lines}
        assert list(lines["forced"].get_ydata()) == expected
        found = np.asarray(lines["replicate:forced"].get_ydata()).reshape(-1, 3)
        np.testing.assert_allclose(found, np.add.outer(expected, FOLLOWED["followed"]))
        assert "each replicate" in legend_of(figure)
        assert_inside(figure)
    assert "Over 1 to 3 replicates: medians, p doubled; dots: each." in over.short_caption
    assert "k = 4 H-Neurons in the first replicate" in run.short_caption
    assert "each replicate" not in legend_of(run_figure(study, 5, "figure_trajectory").figure)


def test_the_report_of_a_timeline_has_every_replicate_and_its_sentence_is_about_all(study: str, drawn: Attempt) -> None:
    [table] = shown_sections(read_results(study, 4))
    first = [row for row in table.rows if row[1] == "org/model@step-0350"]
    assert [row[0] for row in first] == ["all", "1", "2", "3"]
    assert table.note.count("no faithful answers of its own") == 1
    page = study_html(study, "s", drawn)
    assert "Over 3 replicates, in medians, along 4 checkpoints the last one’s probe" in page
    assert "Along 4 checkpoints the last one’s probe" in page


def test_json_has_the_slopes_and_the_points_of_every_replicate() -> None:
    slopes = summary_of(replicated_report_of(slopes=(0.1, 0.1, 0.1)))["replicates"]["compliance_slopes"]
    assert [row["replicate"] for row in slopes] == [number for number in range(4) for _ in range(8)]
    assert {row["n_draws"] for row in slopes} == {0, 40}
    points = summary_of(replicated_timeline_report_of())["replicates"]
    assert [row["replicate"] for row in points] == [number for number in range(4) for _ in range(5)]
    assert summary_of(timeline_report_of())["replicates"] is None
