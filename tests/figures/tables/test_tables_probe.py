"""The tables about probes: cells are the queries' numbers; what was not looked at has neither table nor column."""

from dataclasses import replace
from typing import Any

import pytest
from synthetic import given_report, no_probe_report, report_of, weights_report_of
from synthetic_probe import BASELINES

from provenance.db.reading.run_query import QueryResult, run_query
from provenance.figures.report.sections import QUERIES
from provenance.figures.tables.comparison import h_neurons, overlap
from provenance.figures.tables.probe import baselines, clusters, identification, path, stability, stable_neurons
from provenance.words import RULES, rule_words


def results_of(url: str) -> dict[str, QueryResult]:
    return {name: run_query(url, name) for name in QUERIES}


@pytest.fixture(scope="module")
def results(finished: str) -> dict[str, QueryResult]:
    return results_of(finished)


def cells(table: Any, column: str) -> list[str]:
    return [row[list(table.header).index(column)] for row in table.rows]


def test_baselines_stand_below_the_probe_with_auroc_and_gain(results: dict[str, QueryResult]) -> None:
    table = baselines(results)
    assert len(table.rows) == 4 * (1 + len(BASELINES))  # two probes, two question sets
    assert table.rows[0] == ("instruct", "in-domain", "the probe", "0.88 [0.85, 0.90]", "–", "–")
    assert table.rows[1] == (
        "instruct", "in-domain", "random neurons", "0.60 [0.57, 0.63]", "0.280 [0.240, 0.320]", "3"
    )  # fmt: skip
    assert cells(table, "predictor")[1:8] == [
        "random neurons", "layer-matched neurons", "the same search on shuffled labels", "answer length",
        "question text", "answer text",
        "answer log-probability",
    ]  # fmt: skip


def test_a_baseline_of_a_kind_without_words_keeps_its_name(stored: Any) -> None:
    report = report_of()
    held = report.identification.test[0]
    odd = replace(held, baselines=(replace(held.baselines[0], kind="tea_leaves", gain=None),))
    results = results_of(stored(replace(report, identification=replace(report.identification, test=(odd,)))))
    assert baselines(results).rows[1][2:] == ("tea_leaves", "0.60 [0.57, 0.63]", "–", "3")


def test_the_path_has_every_c_marks_the_chosen_one_and_says_how_it_was_chosen(results: dict[str, QueryResult]) -> None:
    table = path(results)
    assert cells(table, "C") == ["0.01", "0.1", "1*", "10"] * 2
    assert cells(table, "k")[:4] == ["0", "2", "6", "20"]
    assert cells(table, "accuracy, H-Neurons suppressed") == ["0.400", "0.600", "0.700", "0.690", *["–"] * 4]
    assert cells(table, "violation")[0] == "3.0e-07"
    assert f"How C was chosen (asterisk): {RULES['one-se']}." in table.note


def test_a_path_without_suppression_has_no_such_column(stored: Any) -> None:
    report = report_of()
    probe = replace(report.identification, path=report.base_identification.path)
    table = path(results_of(stored(replace(report, identification=probe))))
    assert "accuracy, H-Neurons suppressed" not in table.header
    assert "AUROC, cross-validated" in table.header


def test_stability_has_a_column_for_each_probe(results: dict[str, QueryResult]) -> None:
    table = stability(results)
    assert table.header == ("quantity", "instruct", "base")
    found = {row[0]: row[1:] for row in table.rows}
    assert found["stable neurons"] == ("6", "3")
    assert found["stable H-Neurons of the probe"] == ("5 of 6", "2 of 3")
    assert found["Jaccard index of two halves, mean"] == ("0.310", "0.310")


def test_a_neuron_that_l1_passed_over_names_the_one_that_it_picked(stored: Any) -> None:
    report = report_of(seed=1)
    probe = report.identification
    assert probe.h_neurons[0] > 0  # the neuron that was selected once is then none that the probe uses
    table = stable_neurons(results_of(stored(report)))
    layer, index = divmod(int(probe.h_neurons[-1]), 16)
    used = cells(table, "in the probe")
    assert f"no; same cluster: layer {layer}, index {index}, weight 1.5" in used
    assert used[0] == "weight 1.5"
    assert "no" in used  # selected once, and nothing of its cluster is used


def test_clusters_of_one_neuron_are_counted_and_not_listed(results: dict[str, QueryResult]) -> None:
    table = clusters(results)
    assert [row[0] for row in table.rows] == ["instruct", "base"]
    assert cells(table, "neurons") == ["2", "2"]
    assert cells(table, "H-Neurons") == ["1", "1"]
    total = len(results["clusters"].rows)
    assert f"clusters of more than one: 2 of {total}." in table.note


def test_h_neurons_have_drift_activity_in_both_models_frequency_and_own_auroc(results: dict[str, QueryResult]) -> None:
    """What is left in the database: drift of gates, clusters."""
    table = h_neurons(results)
    assert table.header[3:-2] == (
        "stability rank", "Δ up", "Δ down", "CETT base", "CETT instruct", "r base–instruct", "also in base",
    )  # fmt: skip
    assert table.header[-2:] == ("frequency", "own AUROC")
    for stage in ("base", "instruct"):
        rows = results["h-neurons"].records()
        means = [(row[f"{stage}_cett_faithful"] + row[f"{stage}_cett_hallucinated"]) / 2 for row in rows]
        assert [float(cell) for cell in cells(table, f"CETT {stage}")] == pytest.approx(means, rel=0.01)
    for words in ("Δ: 1 − cosine", "CETT: mean share", "r base–instruct: correlation"):
        assert words in table.note
    assert sorted(cells(table, "frequency"))[0] == "0.20"
    assert "Own AUROC" in table.note


def test_without_a_forward_pass_the_h_neurons_have_neither_activity_nor_words_about_it(stored: Any) -> None:
    table = h_neurons(results_of(stored(weights_report_of())))
    assert "Δ up" in table.header
    assert not any("CETT" in words for words in (*table.header, table.note))


def test_overlap_shows_only_the_ceilings_that_are_known(results: dict[str, QueryResult]) -> None:
    names = [row[0] for row in overlap(results).rows]
    assert "Jaccard index of two halves of the questions, instruct model" in names
    assert "Jaccard index of two halves of the questions, base model" not in names


def test_identification_says_how_each_c_was_chosen_and_how_well_it_was_solved(results: dict[str, QueryResult]) -> None:
    note = identification(results).note
    assert "The instruct probe: C = 1, design 3-vs-1" in note
    assert f"How C was chosen: {RULES['one-se']}." in note
    assert "Duality gap over the objective 2e-09, largest violation of |g| ≤ 1 over all neurons 3.0e-07." in note


@pytest.mark.costly
@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_is_put_in_the_same_words_everywhere(stored: Any, rule: str) -> None:
    report = report_of()
    results = results_of(stored(replace(report, identification=replace(report.identification, rule=rule))))
    assert rule_words(rule, "") in identification(results).note
    assert rule_words(rule, "") in path(results).note


def test_given_neurons_have_no_search_to_report_and_the_base_probe_keeps_its_own(stored: Any) -> None:
    results = results_of(stored(given_report()))
    assert "The instruct probe: no search: neurons from their_neurons.json" in identification(results).note
    assert "The base probe: C = 1, design" in identification(results).note
    assert set(cells(path(results), "model")) == {"base"}
    assert stability(results).header == ("quantity", "base")
    assert "frequency" not in h_neurons(results).header


def test_without_probes_there_are_no_tables_about_them(stored: Any) -> None:
    results = results_of(stored(no_probe_report()))
    assert [table(results) for table in (baselines, path, stability, stable_neurons, clusters)] == [None] * 5
    assert "The instruct probe: none, no faithful responses to fit on." in identification(results).note
