"""Queries about probes: what they list is what the slow way finds, in the stated order."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import (
    GIVEN_FILE,
    PER_LAYER,
    SETS,
    given_report,
    report_of,
    store_neuron_set,
    stored_run,
    stored_weights_run,
    weights_report_of,
)
from synthetic_probe import BASELINES, CURVE

from provenance.db.reading.run_query import run_query
from provenance.db.store import Store


def flat(row: dict, layer: str = "layer", index: str = "neuron_index") -> int | None:
    return None if row[layer] is None else row[layer] * PER_LAYER + row[index]


def test_the_path_says_which_c_was_chosen(finished: str) -> None:
    found = run_query(finished, "probe-path").records()
    assert [row["stage"] for row in found] == ["instruct"] * 4 + ["base"] * 4
    assert [row["c"] for row in found if row["is_chosen"]] == [1.0, 1.0]
    assert {row["suppressed_accuracy"] is None for row in found[4:]} == {True}


def test_the_curve_comes_by_question_set_with_c_ascending(finished: str) -> None:
    found = [row for row in run_query(finished, "probe-curve").records() if row["stage"] == "instruct"]
    assert [(row["dataset"], row["c"], row["n_positive"]) for row in found] == [
        (name, C, k) for name in SETS for C, k in CURVE
    ]


def test_baselines_stand_beside_the_probes_own_auroc(finished: str) -> None:
    found = run_query(finished, "baselines").records()
    assert [row["kind"] for row in found[: len(BASELINES)]] == list(BASELINES)
    assert {row["probe_auroc"] for row in found} == {0.88}
    for row in found:
        assert row["gain"] == pytest.approx(row["probe_auroc"] - row["auroc"])


def test_stability_counts_stable_selected_and_used_neurons(finished: str) -> None:
    probe = report_of().identification
    frequency = probe.stability.frequency
    row = run_query(finished, "stability").records()[0]
    assert row["n_stable"] == (frequency >= 0.6).sum()
    assert row["n_stable_used"] == (frequency[probe.h_neurons] >= 0.6).sum()
    assert row["n_stable_used"] < row["n_stable"]
    assert (row["n_selected"], row["n_h_neurons"]) == ((frequency > 0).sum(), 6)
    assert row["n_clusters"] == len(set(probe.stability.cluster.tolist()))


def test_stable_neurons_come_most_often_selected_first_and_name_what_the_probe_uses_instead(finished: str) -> None:
    """The neuron that half-samples pick in place of the probe's last one shows that one."""
    probe = report_of().identification
    frequency = probe.stability.frequency
    found = [row for row in run_query(finished, "stable-neurons").records() if row["stage"] == "instruct"]
    assert [row["selection_frequency"] for row in found] == sorted(frequency[frequency > 0], reverse=True)
    assert {flat(row) for row in found} == set(np.flatnonzero(frequency))
    for row in found:
        assert bool(row["is_stable"]) is bool(frequency[flat(row)] >= 0.6)
    instead = {
        flat(row): flat(row, "instead_layer", "instead_index") for row in found if row["instead_layer"] is not None
    }
    picked = np.setdiff1d(np.arange(64), probe.h_neurons)[-1]
    assert instead == {picked: probe.h_neurons[-1]}
    assert frequency[picked] >= 0.6


def test_a_neuron_of_the_same_cluster_with_a_negative_weight_is_not_used_instead(url: str) -> None:
    """The probe does not use it as an H-Neuron; without that condition it would be named."""
    report = report_of()
    probe = report.identification
    last, picked = probe.h_neurons[-1], np.setdiff1d(np.arange(64), probe.h_neurons)[-1]
    weights = probe.weights.copy()
    weights[last] = -0.5
    negative = replace(probe, weights=weights, h_neurons=probe.h_neurons[:-1])
    with Store.open(url) as store:
        stored_run(store, replace(report, identification=negative))
    row = next(r for r in run_query(url, "stable-neurons").records() if flat(r) == picked)
    assert row["instead_layer"] is None


def test_the_limit_of_stable_neurons_is_for_each_probe(finished: str) -> None:
    found = run_query(finished, "stable-neurons", {"limit": 2}).records()
    assert [row["stage"] for row in found] == ["instruct"] * 2 + ["base"] * 2


def test_clusters_agree_with_counting(finished: str) -> None:
    probe = report_of().identification
    stability = probe.stability
    found = {row["cluster"]: row for row in run_query(finished, "clusters").records() if row["stage"] == "instruct"}
    assert set(found) == set(stability.cluster.tolist())
    for cluster, row in found.items():
        members = stability.clustered[stability.cluster == cluster]
        used = np.intersect1d(members, probe.h_neurons)
        assert (row["neurons"], row["h_neurons"]) == (members.size, used.size)
        assert row["highest_frequency"] == stability.frequency[members].max()
        assert flat(row, "frequent_layer", "frequent_index") == members[np.argmax(stability.frequency[members])]
        assert flat(row, "used_layer", "used_index") == (used[0] if used.size else None)
    assert next(iter(found.values()))["neurons"] == 2


def test_h_neurons_carry_frequency_own_auroc_and_cluster(finished: str) -> None:
    probe = report_of().identification
    for row in run_query(finished, "h-neurons").records():
        neuron = flat(row)
        assert row["selection_frequency"] == probe.stability.frequency[neuron]
        own = probe.neuron_auroc[neuron]
        assert row["training_auroc"] == (None if np.isnan(own) else own)
        assert row["cluster"] == probe.stability.cluster[probe.stability.clustered == neuron][0]


def test_overlap_has_the_ceilings_of_both_models(finished: str) -> None:
    row = run_query(finished, "overlap").records()[0]
    assert (row["ceiling_base"], row["ceiling_instruct"]) == (None, 0.31)


def test_a_probe_of_given_neurons_names_its_source_and_the_base_probe_none(url: str) -> None:
    with Store.open(url) as store:
        stored_run(store, given_report())
        stored_weights_run(store, weights_report_of())
    found = [(row["stage"], row["rule"], row["source"]) for row in run_query(url, "probes").records()]
    assert found == [("instruct", "given", GIVEN_FILE), ("base", "one-se", None)]
    lists = [run_query(url, "neuron-list", {"run": run}).records()[0] for run in (1, 2)]
    assert [row["is_compared"] for row in lists] == [1, 0]


def test_imported_sets_and_their_neurons_are_listed_without_any_run_of_them(finished: str) -> None:
    with Store.open(finished) as store:
        store_neuron_set(store)
    found = run_query(finished, "neuron-sets").records()
    assert [(row["neuron_set"], row["checkpoint"], row["n_neurons"]) for row in found] == [
        (1, "org/instruct@0123abc", 3)
    ]
    members = run_query(finished, "neuron-set-members").records()
    assert [(row["layer"], row["neuron_index"], row["weight"]) for row in members] == [
        (1, 1, 2.0), (0, 2, -0.5), (3, 0, None)
    ]  # fmt: skip
