"""Replicates: from reports to one verdict, rows, tables and a figure."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import SETS, replicated_report_of, report_of, with_area

from provenance.analyses.jobs.replicates import BETWEEN, STRENGTH, TEST, TRAINING, components
from provenance.analyses.results.reports import OriginReport
from provenance.db.reading.run_query import run_query
from provenance.figures.gallery import draw
from provenance.figures.plots.replicates import replicates_figure
from provenance.figures.report.sections import folded_sections, read_results, terminal_sections

AREAS = (0.80, 0.70, 0.75)


@pytest.fixture(scope="module")
def drawn() -> OriginReport:
    return replicated_report_of(AREAS)


def test_the_report_is_the_first_draw_with_every_draw_beside_it(drawn: OriginReport) -> None:
    first = with_area(report_of(seed=0), AREAS[0])
    assert drawn.transfer == first.transfer
    assert drawn.overall.startswith("Over 3 replicates: ")
    assert drawn.overall.endswith("All other numbers are of the first one, seed 5.")
    assert {row.seed for row in drawn.replicates} == {5, 6, 7}
    assert [row.auroc.estimate for row in drawn.replicates if row.dataset == SETS[0] and row.auroc] == list(AREAS)
    names = {claim.name for claim in first.evidence.claims}
    assert {(row.seed, row.claim) for row in drawn.replicate_claims} == {
        (seed, name) for seed in (5, 6, 7) for name in names
    }
    assert {claim.name for claim in drawn.evidence.claims} == names


def test_components_of_variance_are_those_of_the_definition() -> None:
    """SDs of 0.01 by questions and 0.03 by training, as put in; 0.05 between replicates, by hand."""
    reports = [with_area(report_of(seed=seed), area, half_width=0.01 * 1.959964) for seed, area in enumerate(AREAS)]
    alone = [replace(r, identification=replace(r.identification, curve=())) for r in reports]
    found = {part.source: part.sd for part in components(SETS[0], alone)}
    assert found == {
        TEST: pytest.approx(0.01, rel=1e-5), TRAINING: pytest.approx(0.03), STRENGTH: None, BETWEEN: pytest.approx(0.05)
    }  # fmt: skip
    steady = [with_area(report, 0.7) for report in reports]
    assert {part.source: part.sd for part in components(SETS[0], steady)}[BETWEEN] == 0.0
    assert components(SETS[0], reports[:1]) == []


def test_the_variance_of_c_is_over_the_values_that_the_draws_chose() -> None:
    """Two draws choose C of another step: each is scored at both steps of its own curve."""
    report = with_area(report_of(), 0.8)
    points = [point for point in report.identification.curve if point.dataset == SETS[0] and point.transfer is not None]
    assert report.identification.alpha_max is not None
    chosen = [replace(report, identification=replace(report.identification, C=point.C)) for point in points[:2]]
    values = [point.transfer.estimate for point in points[:2] if point.transfer is not None]
    found = {part.source: part.sd for part in components(SETS[0], chosen)}
    assert found[STRENGTH] == pytest.approx(np.std(values, ddof=1))
    assert found[STRENGTH] > 0


@pytest.mark.costly
def test_rows_tables_and_figure_show_every_draw(
    drawn: OriginReport, stored: Callable[[Any], str], tmp_path: Path
) -> None:
    url = stored(drawn)
    rows = run_query(url, "replicates").records()
    known = [row for row in rows if row["auroc"] is not None]
    assert len(rows) == 3 * len(drawn.transfer)
    parts = run_query(url, "variance").records()
    assert {(row["dataset"], row["source"]) for row in parts} >= {(SETS[0], name) for name in (TEST, TRAINING, BETWEEN)}
    titles = [table.title for table in folded_sections(read_results(url, 1))]
    assert titles[:3] == ["Replicates: transfer", "Replicates: claims", "Where the variance of transfer comes from"]
    assert {"Replicates: transfer", "Replicates: claims"} <= {
        table.title for table in terminal_sections(read_results(url, 1), verbose=True)
    }
    axes = replicates_figure(rows).axes[0]
    drawn_gids = {line.get_gid(): line for line in axes.lines}
    for row in known:
        line = drawn_gids[f"auroc:{row['dataset']}:{row['seed']}"]
        assert line.get_xdata()[0] == row["auroc"]
    middle = drawn_gids[f"median:{SETS[0]}"].get_xdata()[0]
    assert middle == sorted(AREAS)[1]
    names = {path.stem for path in draw(url, 1, tmp_path, forms=("svg",))}
    assert "figure_replicates" in names


def test_a_run_of_one_draw_has_neither_rows_nor_figure(stored: Callable[[Any], str], tmp_path: Path) -> None:
    url = stored(replace(report_of(), replicates=(), replicate_claims=(), replicate_neurons=(), variance=()))
    assert run_query(url, "replicates").records() == []
    assert "Replicates: transfer" not in [table.title for table in folded_sections(read_results(url, 1))]
    assert "figure_replicates" not in {path.stem for path in draw(url, 1, tmp_path, forms=())}
