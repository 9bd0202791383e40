"""Probes as rows: every number of a result is found again under its C, question set, kind or neuron."""

from dataclasses import replace

import numpy as np
from synthetic import GIVEN_FILE, PER_LAYER, SETS, given_report, no_probe_report, report_of, rows, stored_run
from synthetic_probe import CURVE

from db.rows import summary_rows
from db.rows_probe import curve_rows, path_rows, probe_neuron_rows, probe_row
from db.schema import ProbeBaseline, ProbeCurve, ProbeNeuron, ProbeStability
from db.store import Store


def test_the_path_keeps_every_number_and_null_where_nothing_was_suppressed() -> None:
    report = report_of()
    for probe, suppressed in ((report.identification, True), (report.base_identification, False)):
        found = path_rows(probe)
        assert [(row["step"], row["c"], row["n_positive"], row["n_nonzero"]) for row in found] == [
            (step, point.C, point.positive, point.nonzero) for step, point in enumerate(probe.path)
        ]
        for row, point in zip(found, probe.path, strict=True):
            assert (row["validation_auroc"], row["gap"]) == (point.validation_auroc, point.gap)
            assert row["suppressed_accuracy"] == point.suppressed_accuracy
            assert (row["suppressed_accuracy"] is not None) is suppressed


def test_nan_on_the_path_is_null() -> None:
    probe = report_of().identification
    point = replace(probe.path[0], validation_auroc=float("nan"), violation=float("nan"))
    row = path_rows(replace(probe, path=(point,)))[0]
    assert (row["validation_auroc"], row["violation"]) == (None, None)


def test_the_curve_marks_the_chosen_c_alone_and_counts_steps_over_all_sets() -> None:
    found = curve_rows(report_of().identification)
    assert [row["c"] for row in found if row["is_chosen"]] == [1.0] * len(SETS)
    assert [(row["step"], row["dataset"], row["position"]) for row in found] == [
        (step, name, position) for step in range(len(CURVE)) for position, name in enumerate(SETS)
    ]
    assert not any(row["is_chosen"] for row in curve_rows(replace(report_of().identification, C=0.5)))


def test_the_curve_of_a_base_probe_has_no_transfer() -> None:
    found = curve_rows(report_of().base_identification)
    assert found
    assert {row[name] for row in found for name in ("transfer", "transfer_low", "transfer_high")} == {None}


def test_a_curve_names_sets_that_were_not_scored_after_those_that_were() -> None:
    probe = report_of().identification
    found = curve_rows(replace(probe, test=probe.test[1:]))
    assert {row["dataset"]: row["position"] for row in found} == {SETS[1]: 0, SETS[0]: 1}


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
    probe = report_of().identification
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


def test_baselines_and_their_draws_are_stored(store: Store) -> None:
    report = report_of()
    stored_run(store, report)
    for probe in (report.identification, report.base_identification):
        for held in probe.test:
            found = rows(
                store, "SELECT * FROM probe_baseline WHERE stage = :s AND dataset = :d ORDER BY position",
                s=probe.stage, d=held.dataset,
            )  # fmt: skip
            assert [row["kind"] for row in found] == [baseline.kind for baseline in held.baselines]
            for row, baseline in zip(found, held.baselines, strict=True):
                assert (row["auroc"], row["auroc_high"]) == (baseline.auroc.estimate, baseline.auroc.high)
                assert (row["gain"], row["gain_low"]) == (baseline.gain.estimate, baseline.gain.low)
                assert (row["accuracy"] is None) is (baseline.accuracy is None)
                assert row["n_draws"] == len(baseline.draws)
    drawn = rows(
        store,
        "SELECT value FROM null_draw WHERE claim = 'baseline' AND stage = 'instruct' AND dataset = :d AND kind = :k",
        d=SETS[1],
        k="layer_matched",
    )
    assert [row["value"] for row in drawn] == [0.58, 0.6, 0.62]
    assert rows(store, "SELECT 1 FROM null_draw WHERE claim = 'baseline' AND kind = 'question_text'") == []


def test_stability_and_ceilings_are_stored(store: Store) -> None:
    report = report_of()
    stored_run(store, report)
    found = rows(store, "SELECT * FROM probe_stability WHERE stage = 'instruct'")[0]
    expected = report.identification.stability
    assert (found["n_half_samples"], found["threshold"], found["c"]) == (100, 0.6, 0.5)
    assert found["n_stable"] == expected.stable.size
    assert found["n_clusters"] == len(set(expected.cluster.tolist()))
    assert (found["split_half_jaccard"], found["false_bound"]) == (0.31, 0.75)
    assert rows(store, "SELECT ceiling_base, ceiling_instruct FROM overlap") == [
        {"ceiling_base": None, "ceiling_instruct": 0.31}
    ]


def test_without_a_probe_there_is_no_row_that_could_be_read_as_a_result() -> None:
    found = summary_rows(no_probe_report())
    for table in (ProbeCurve, ProbeBaseline, ProbeStability, ProbeNeuron):
        assert found[table] == []
    assert probe_row(no_probe_report().identification)["rule"] == "one-se"
