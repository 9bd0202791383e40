"""The tables about evidence: cells are the queries' numbers; what was not looked at has neither table nor column."""

from dataclasses import replace
from typing import Any

import pytest
from evidence_rows import power
from synthetic import SETS, report_of
from synthetic_evidence import compliance_report_of

from provenance.analyses.results.answers import ActivityTable
from provenance.analyses.results.behaviour import ItemReading, ReplyExample
from provenance.analyses.results.cards import NeuronAnswer, NeuronVocabulary
from provenance.analyses.results.claims import Claim, Reason
from provenance.analyses.results.drift import LayerSpread, NeuronGroup, RankBin
from provenance.analyses.results.lineage import ConfigDifference, TensorSimilarity
from provenance.analyses.results.overlap import OverlapResult
from provenance.analyses.results.probes import CurvePoint
from provenance.analyses.results.replicates import ReplicateNeuron
from provenance.analyses.results.reports import Evidence
from provenance.analyses.results.transfer import DirectionLayer, ScaleControl, SignAgreement
from provenance.cells import beside, fixed
from provenance.db.reading.run_query import QueryResult, run_query
from provenance.db.schema.result_tables import RESULTS
from provenance.figures.gallery import Attempt
from provenance.figures.report.html import report_html
from provenance.figures.report.sections import QUERIES, folded_sections, shown_sections
from provenance.figures.tables.comparison import drift, overlap, transfer
from provenance.figures.tables.evidence import (
    agreement,
    cells,
    drift_tests,
    intervention,
    kept,
    ladder,
    overlap_nulls,
    scales,
    trace,
)
from provenance.figures.tables.evidence import power as power_table
from provenance.figures.wording.evidence_words import claim_table, power_sentence, reason_words
from provenance.figures.wording.run_words import control_words
from provenance.table_declaration import declared
from provenance.words import against_words, detectable_words

TABLES = (ladder, cells, agreement, scales, drift_tests, overlap_nulls, power_table, intervention)


def results_of(url: str) -> dict[str, QueryResult]:
    return {name: run_query(url, name) for name in QUERIES}


@pytest.fixture(scope="module")
def results(finished: str) -> dict[str, QueryResult]:
    return results_of(finished)


def column(table: Any, name: str) -> list[str]:
    return [row[list(table.header).index(name)] for row in table.rows]


def test_every_row_of_every_query_has_a_line(results: dict[str, QueryResult]) -> None:
    names = ("cells", "agreement", "scales", "drift-tests", "overlap-nulls", "power", "interventions")
    for table, name in zip((cells, agreement, scales, drift_tests, overlap_nulls, power_table, intervention), names,
                           strict=True):  # fmt: skip
        found = table(results)
        assert len(found.rows) == len(results[name].rows) > 0, name
        assert {len(row) for row in found.rows} == {len(found.header)}


def test_every_label_of_a_declared_result_is_in_a_table_of_the_report(
    results: dict[str, QueryResult], timeline: str, stored: Any
) -> None:
    """But columns that say nothing in this run; of some classes the report says a sentence, a summary or a figure."""
    others = (results_of(timeline), results_of(stored(compliance_report_of())))
    tables = [table for each in (results, *others) for table in (*shown_sections(each), *folded_sections(each))]
    shown = {table.title: set[str]() for table in tables}
    for table in tables:
        shown[table.title] |= {*table.header, *(row[0] for row in table.rows)}
    shown["Readable at each point"] |= shown["Weights and activations at each point"]
    labels = {cls: {column.label for column in declared(cls).columns if column.label} for cls in RESULTS}
    missing = {cls: said - shown.get(declared(cls).title, set()) for cls, said in labels.items()}
    assert {cls for cls, left in missing.items() if left == labels[cls]} <= {
        CurvePoint, SignAgreement, Claim, Reason, ActivityTable, TensorSimilarity, ConfigDifference,
        NeuronAnswer, NeuronVocabulary, LayerSpread, DirectionLayer, RankBin, NeuronGroup, ReplicateNeuron,
        ReplyExample, ItemReading,
    }  # fmt: skip
    assert missing[OverlapResult] == {
        "Jaccard index of two halves of the questions, base model", "Jaccard index over that of two halves, base model"
    }  # fmt: skip
    assert [cls for cls, left in missing.items() if left and left != labels[cls] and cls is not OverlapResult] == []


def test_a_run_without_evidence_has_none_of_these_tables(stored: Any) -> None:
    """Not even the sentence on interventions, since nobody knew of them."""
    without = results_of(stored(replace(report_of(), evidence=Evidence())))
    assert [table(without) for table in TABLES] == [None] * len(TABLES)
    assert (trace(without), kept(without)) == (None, None)
    assert claim_table(without) == []
    assert transfer(without).header[-1] == "SD over training sets"  # from the transfer rows, not from evidence


def test_the_ladder_leads_with_the_probe_and_says_its_smallest_margin_over(results: dict[str, QueryResult]) -> None:
    table = ladder(results)
    assert table.rows[0] == ("in-domain", "the probe", "0.90 [0.86, 0.94]", "–", "0.004", "0.008", "–", "–")
    assert table.rows[10] == (
        "in-domain", "length, texts and log-probability together", "0.85 [0.81, 0.89]", "-0.130 [-0.180, -0.080]",
        "0.010", "0.020", "–", "–",
    )  # fmt: skip
    rung = report_of().evidence.ladder[0]
    assert column(table, "sets p95")[1] == f"{rung.sets_p95:.2f}"
    assert "in-domain: smallest margin over answer text" in table.note


def test_a_cell_is_marked_and_one_without_number_says_why(results: dict[str, QueryResult]) -> None:
    table = cells(results)
    assert column(table, "AUROC")[0] == "● 0.90 [0.87, 0.93]"
    assert column(table, "AUROC")[-1] == "–"
    assert column(table, "why there is no number")[-1] == "no hallucinated answers left"
    assert column(table, "not placed")[-1] == "180"


def test_a_column_that_says_nothing_anywhere_is_left_out(stored: Any) -> None:
    report = report_of()
    plain = ScaleControl(SETS[0], "raw", report.transfer[0].auroc, None, None, "")
    table = scales(results_of(stored(replace(report, evidence=replace(report.evidence, scales=(plain,), signs=None)))))
    assert list(table.header) == ["question set", "scale", "AUROC"]
    assert "Signs" not in table.note


def test_signs_are_said_with_what_chance_gives_and_n(results: dict[str, QueryResult]) -> None:
    assert (
        "Signs: 6 of 7 neurons with a weight (0.86) are more active on the same kind of answer in both models, "
        "expected of neurons of the same layers 0.55, one-sided p 0.040 (n = 380 answers of the base, 400 of the "
        "instruct checkpoint)."
    ) in scales(results).note


def test_a_number_that_rounds_to_zero_has_no_sign() -> None:
    assert [fixed(value) for value in (-0.001, 0.0, -0.01, None)] == ["0.00", "0.00", "-0.01", "–"]


def test_overlap_nulls_say_whether_they_are_exact_and_what_could_not_be_found(results: dict[str, QueryResult]) -> None:
    table = overlap_nulls(results)
    assert column(table, "pairs drawn") == ["exact"] * 4 + ["50"]
    assert column(table, "least detectable")[-1] == "–"
    assert column(table, "SD")[-1] == "–"
    assert column(table, "drawn from")[-1] == "the same searches on shuffled labels"
    assert "Shared neurons: 3." in table.note


def test_interventions_stand_beside_their_control_sets(results: dict[str, QueryResult]) -> None:
    table = intervention(results)
    assert table.rows[0][:5] == ("base", "0", "H-Neurons", "log-probability of faithful answers", "6")
    assert column(table, "sets")[0] == "–"
    assert column(table, "sets")[4] == "4"
    assert set(column(table, "p of the H-Neurons")) == {"–", "0.050"}


def test_power_is_in_the_words_of_drift_overlap_and_its_own_table(stored: Any) -> None:
    report = report_of()
    evidence = report.evidence
    drift_row = replace(
        evidence.power[-2], test="delta/layer", sd=0.11, smallest_detectable=0.79, unit="factor of change"
    )
    faithful = replace(drift_row, test="faithful/delta/layer", k=3)
    changed = replace(evidence, power=(drift_row, faithful, evidence.power[-1]))
    found = results_of(stored(replace(report, evidence=changed)))
    words = "Largest factor of change found with 80 % power (k = 6): 0.79 against Δ up and down; layer (SD 0.11)."
    assert drift(found).note.endswith(words)
    assert overlap(found).note.endswith(
        "Smallest number of shared neurons found with 80 % power (k = 6): none against the same searches on shuffled "
        "labels (SD 0.5)."
    )
    assert column(power_table(found), "against")[1] == "negative weights; Δ up and down; layer"
    assert column(power_table(found), "smallest detectable") == ["0.79", "0.79", "none"]


def test_transfer_and_overlap_have_the_numbers_that_decide(results: dict[str, QueryResult]) -> None:
    table = transfer(results)
    assert column(table, "p (Holm)") == ["0.008", "0.210"]
    assert column(table, "smallest margin over") == ["answer text", "layer-matched neurons"]
    cells_of = dict(overlap(results).rows)
    assert cells_of["Jaccard index over clusters of correlated neurons"] == "0.600"
    assert "Jaccard index over that of two halves, base model" not in cells_of  # it has none


def test_a_claim_has_its_conditions_in_order_and_no_other_claims(results: dict[str, QueryResult]) -> None:
    first, *_, last = claim_table(results)
    assert [reason["code"] for reason in first["reasons"]] == [
        "transfer.chance", "transfer.gain.question_text", "transfer.gain.answer_text",
    ]  # fmt: skip
    assert [reason["holds"] for reason in first["reasons"]] == ["yes", "yes", "not measured"]
    assert first["reasons"][2]["value"] == "–"
    assert last["reasons"][0]["bar"] == "≥ 0"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("transfer.p.question_text", "p against question text"),
        ("transfer.p.chance", "p against chance"),
        ("drift.p.layer_norm", "p against neurons of the same layer, norm"),
        ("overlap.p.shuffled_labels", "p against the same searches on shuffled labels"),
        ("overlap.reads.base", "lower end of the base probe’s AUROC on its own model"),
        ("function.selectivity.alpha_0", "hallucinated minus faithful, α = 0: upper end of the interval"),
        ("function.selectivity.alpha_2.random", "hallucinated minus faithful, α = 2: p against random neurons"),
        ("overlap.p_zero", "probability that chance shares none"),
        ("tea.leaves", "tea.leaves"),
        ("function.tea", "function.tea"),
        ("", ""),
    ],
)
def test_a_condition_is_named_in_words_and_one_that_is_not_known_by_its_code(code: str, words: str) -> None:
    assert reason_words(code) == words


def test_every_condition_that_claims_are_made_of_has_words() -> None:
    """A code that is shown as it is would be one that was forgotten here."""
    from provenance.analyses.claims import claim_conditions as claims
    from provenance.analyses.transfer.probe_transfer import DECIDING_KINDS

    transfers, rungs = report_of().transfer, report_of().evidence.ladder
    made = [
        claims.transfer_claim(transfers, rungs, ""),
        claims.beyond_confidence_claim(transfers, rungs),
        claims.own_labels_claim(transfers, report_of().evidence.agreement),
        claims.drift_claim(report_of().evidence.drift, "", 1.0, 6, (report_of().identification,)),
        claims.overlap_claim(report_of().overlap, report_of().evidence.overlap, (report_of().identification,), ""),
    ]
    codes = [reason.code for claim in made for reason in claim.reasons]
    assert len(codes) > len(DECIDING_KINDS)
    assert [code for code in codes if reason_words(code) == code] == []


def test_the_power_sentence_names_k_n_sd_and_what_could_not_be_found() -> None:
    rows = [power("chance"), power("answer_length", smallest_detectable=None, k=12)]
    assert power_sentence(rows) == (
        "Smallest AUROC found with 80 % power (k = 9 to 12, n = 380): 0.57 against chance (SD 0.03), none against "
        "answer length (SD 0.03)."
    )
    assert power_sentence([]) == ""
    nested = power("lengths_and_texts", smallest_detectable=None)  # not "none": nobody knows
    assert power_sentence([power("chance"), nested]) == power_sentence([power("chance")])
    assert power_sentence([nested]) == ""
    assert detectable_words(power("layer", "overlap", smallest_detectable=2.345)) == "2.3"
    assert against_words({"claim": "drift", "test": "faithful/uniform"}) == "negative weights; any neurons"
    assert against_words({"claim": "overlap", "test": "odd"}) == "odd"


@pytest.mark.parametrize("command", ["compare", "", None, "compare --causal"])
def test_a_real_run_is_not_called_a_control(command: str | None) -> None:
    assert control_words({"command": command}) == ""
    assert "permuted-labels" in control_words({"command": "compare --control permuted-labels"})


def test_a_control_with_another_model_names_it() -> None:
    said = control_words({"command": "compare --control unrelated --other org/another model@main"})
    assert said.startswith("Negative control: unrelated, org/another model@main in the base's place. There is")
    said = control_words({"command": "compare --control unrelated"})
    assert "unrelated, a randomly initialised model in the base's place" in said


def test_a_timeline_has_the_floor_first_and_says_why_numbers_are_missing(timeline: str) -> None:
    found = results_of(timeline)
    table = trace(found)
    assert column(table, "checkpoint")[:2] == ["random initialisation", "org/model@step-0350"]
    assert ": no faithful answers of its own." in table.note
    assert column(table, "own answers")[1] == "–"
    assert column(kept(found), "mean rank")[-1] == "–"
    assert column(kept(found), "r, all")[-1] == "0.85"


def test_a_near_miss_has_as_many_digits_as_tell_it_from_its_bar() -> None:
    shown = [beside(value, 0.05) for value in (0.01234, 0.04999, 0.0500000001, 0.05, None)]
    assert shown == ["0.0123", "0.04999", "0.0500000001", "0.05", "–"]


def test_a_code_from_outside_is_text_and_never_markup(stored: Any) -> None:
    report = report_of()
    odd = Reason("<b>x</b>", "<i>set</i>", 1.0, ">=", 0.5, True, "shown")
    claims = (replace(report.evidence.claims[0], reasons=(odd,), decided_by=odd.code),)
    html = report_html(
        stored(replace(report, evidence=replace(report.evidence, claims=claims))), figures=Attempt([], {})
    )
    assert "&lt;b&gt;x&lt;/b&gt;" in html
    assert "<b>x</b>" not in html
    assert "<i>set</i>" not in html
