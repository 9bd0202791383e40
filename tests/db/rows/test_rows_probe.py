"""Probes as rows: every number of a result is found again under its C, question set, kind or neuron."""

from dataclasses import replace
from itertools import product

import numpy as np
from synthetic import GIVEN_FILE, PER_LAYER, SETS, given_report, no_probe_report, report_of, rows, stored_run
from synthetic_probe import CURVE

from provenance.analyses.results.probes import Baseline, CurvePoint, PathPoint, StabilityResult
from provenance.db.rows.comparison import summary_rows
from provenance.db.rows.probe import probe_neuron_rows, probe_row, probe_rows
from provenance.db.schema.result_tables import TABLES
from provenance.db.schema.tables import ProbeNeuron
from provenance.db.store import Store


def test_only_paths_with_suppression_and_only_instruct_curves_with_transfer_have_these_numbers() -> None:
    found = summary_rows(report_of(), PER_LAYER)
    assert {(row["stage"], row["suppressed_accuracy"] is None) for row in found[TABLES[PathPoint]]} == {
        ("instruct", False), ("base", True)
    }  # fmt: skip
    names = ("transfer", "transfer_low", "transfer_high")
    assert {row[name] for row in found[TABLES[CurvePoint]] if row["stage"] == "base" for name in names} == {None}


def test_a_curve_comes_by_question_set_and_sets_that_were_not_scored_last() -> None:
    probe = report_of().identification
    found = probe_rows([replace(probe, test=probe.test[1:])], PER_LAYER)[TABLES[CurvePoint]]
    assert [(row["position"], row["dataset"], row["c"]) for row in found] == [
        (place, name, C) for place, (name, (C, _)) in enumerate(product(reversed(SETS), CURVE))
    ]


def test_neuron_rows_are_the_used_the_given_and_the_selected() -> None:
    probe = report_of().identification
    found = {row["layer"] * PER_LAYER + row["neuron_index"]: row for row in probe_neuron_rows(probe, PER_LAYER)}
    selected = np.flatnonzero(probe.stability.frequency)
    assert set(found) == set(np.flatnonzero(probe.weights)) | set(selected)
    for neuron, row in found.items():
        assert row["weight"] == probe.weights[neuron]
        assert row["is_h_neuron"] is (neuron in probe.h_neurons)
        assert row["selection_frequency"] == probe.stability.frequency[neuron]
        expected = probe.neuron_auroc[neuron]
        assert row["auroc"] == (None if np.isnan(expected) else expected)
        place = np.flatnonzero(probe.stability.clustered == neuron)
        assert row["cluster"] == probe.stability.cluster[place[0]]
    assert any(row["weight"] == 0.0 and row["selection_frequency"] > 0 for row in found.values())


def test_a_neuron_that_is_used_and_was_never_selected_has_frequency_zero_and_not_null() -> None:
    probe = report_of(seed=1).identification
    never = [row for row in probe_neuron_rows(probe, PER_LAYER) if row["weight"] < 0]
    assert [row["selection_frequency"] for row in never] == [0.0]


def test_without_half_samples_frequency_and_cluster_are_null() -> None:
    probe = replace(report_of().identification, stability=None, neuron_auroc=None)
    found = probe_neuron_rows(probe, PER_LAYER)
    assert len(found) == 7
    assert {row[name] for row in found for name in ("selection_frequency", "cluster", "auroc")} == {None}


def test_given_neurons_without_weights_have_none() -> None:
    probe = replace(given_report().identification, weights=None)
    found = probe_neuron_rows(probe, PER_LAYER)
    assert [row["weight"] for row in found] == [None] * 6
    assert all(row["is_h_neuron"] for row in found)


def test_a_comparison_of_given_neurons_stores_the_list_and_its_source(store: Store) -> None:
    stored_run(store, given_report())
    assert rows(store, "SELECT source, n_neurons, n_weighted FROM neuron_list") == [
        {"source": GIVEN_FILE, "n_neurons": 7, "n_weighted": 7}
    ]
    assert rows(store, "SELECT rule, c, gap FROM probe WHERE stage = 'instruct'") == [
        {"rule": "given", "c": None, "gap": None}
    ]


def test_a_search_stores_no_list(store: Store) -> None:
    stored_run(store, report_of())
    assert rows(store, "SELECT 1 FROM neuron_list") == []


def test_the_draws_of_neuron_sets_are_stored_and_those_of_others_are_none(store: Store) -> None:
    stored_run(store, report_of())
    drawn = rows(
        store,
        "SELECT value FROM null_draw WHERE claim = 'baseline' AND stage = 'instruct' AND dataset = :d AND kind = :k",
        d=SETS[1],
        k="layer_matched",
    )
    assert [row["value"] for row in drawn] == [0.58, 0.6, 0.62]
    assert rows(store, "SELECT 1 FROM null_draw WHERE claim = 'baseline' AND kind = 'question_text'") == []


def test_without_a_probe_there_is_no_row_that_could_be_read_as_a_result() -> None:
    found = summary_rows(no_probe_report(), PER_LAYER)
    assert found[ProbeNeuron] == []
    assert not {TABLES[cls] for cls in (PathPoint, CurvePoint, Baseline, StabilityResult)} & found.keys()
    assert probe_row(no_probe_report().identification)["rule"] == "one-se"
