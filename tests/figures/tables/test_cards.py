"""The report's table of single H-Neurons: a row for each model, with tokens as text and never as markup."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import SETS, report_of, stored_run

from provenance.db.reading.run_query import run_query
from provenance.db.store import Store
from provenance.figures.gallery import Attempt
from provenance.figures.report.html import report_html
from provenance.figures.tables import cards as module
from provenance.figures.tables.cards import cards
from provenance.figures.tables.result_tables import ReportTable

QUERIES = ("neuron-card", "neuron-answers")


def table_of(store: Store) -> ReportTable | None:
    return cards({name: run_query(store.url, name) for name in QUERIES})


@pytest.fixture
def store(tmp_path: Path, migrated: Path) -> Store:
    del migrated
    return Store.open(f"sqlite:///{tmp_path / 'cards.db'}")


def test_every_h_neuron_has_a_row_for_each_model_largest_weight_first(store: Store) -> None:
    report = report_of()
    stored_run(store, report)
    found = table_of(store)
    assert found is not None
    weights = report.identification.weights
    order = sorted(report.identification.h_neurons.tolist(), key=lambda neuron: -weights[neuron])
    places = [f"{neuron // 16}:{neuron % 16}" for neuron in order]
    assert [row[0] for row in found.rows] == [place for place in places for _ in range(2)]
    assert [row[1] for row in found.rows] == ["base", "instruct"] * len(order)
    row = dict(zip(found.header, found.rows[1], strict=True))
    assert row["promotes"] == '" <b>Paris</b>" 9.1, "\\u001b[2J" 8.5, "word0" 8.0, "word1" 7.9, "word2" 7.8'
    assert row["suppresses"] == '"Rome" -6.0'
    lines = row["most active on (label, mean CETT)"].split("\n")
    assert lines == [f"answer {place} (hallucinated, {0.5 / place:.4f})" for place in (1, 2, 3)]
    activity = next(each for each in report.activity if (each.stage, each.dataset) == ("instruct", SETS[0]))
    assert row["mean CETT f, h"].endswith(f"{activity.mean_hallucinated[order[0]]:.3g}")


def test_a_neuron_without_a_counterpart_shows_the_reason_and_a_null_space_neuron_its_share(store: Store) -> None:
    report = report_of()
    stored_run(store, report)
    found = table_of(store)
    assert found is not None
    first, last = (f"{neuron // 16}:{neuron % 16}" for neuron in report.identification.h_neurons[[0, -1]].tolist())
    rows = {(row[0], row[1]): dict(zip(found.header, row, strict=True)) for row in found.rows}
    assert rows[first, "base"]["promotes"] == "no counterpart in this model"
    assert rows[last, "instruct"]["null space (rank in layer)"] == "0.97 (0.75)"


def test_the_report_holds_the_table_and_takes_no_token_for_markup(store: Store) -> None:
    stored_run(store, report_of())
    page = report_html(store.url, figures=Attempt([], {}))
    assert "H-Neurons, one by one" in page
    assert "&lt;b&gt;Paris&lt;/b&gt;" in page
    assert "<b>Paris" not in page
    assert "\x1b" not in page
    assert "which of the tokens carries it is not known" in page


def test_many_neurons_are_cut_with_the_query_that_has_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_run(store, report_of())
    monkeypatch.setattr(module, "CARDS_SHOWN", 2)
    found = table_of(store)
    assert found is not None
    assert len(found.rows) == 4
    assert "The first 2 of 6; all: provenance query neuron-card." in found.note


def test_a_run_that_kept_no_tokens_has_no_such_table(store: Store) -> None:
    stored_run(store, replace(report_of(), vocabulary=(), top_answers=()))
    assert table_of(store) is None
    assert "one by one" not in report_html(store.url, figures=Attempt([], {}))
    assert np.isfinite(run_query(store.url, "neuron-card").records()[0]["cosine_distance_up"])
