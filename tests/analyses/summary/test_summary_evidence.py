"""Evidence in the JSON: every number of a result under its name, draws left out, null for what is not known."""

import json
import math
from dataclasses import asdict, fields, replace

import pytest
from test_comparison import make_report, make_weights_report, nothing_found, something_found

from provenance.analyses.results.behaviour import CausalEffect
from provenance.analyses.results.claims import Claim, Power, Reason
from provenance.analyses.results.drift import DriftTest
from provenance.analyses.results.overlap import OverlapNull
from provenance.analyses.results.reports import Evidence
from provenance.analyses.results.timeline import TimelinePoint
from provenance.analyses.results.transfer import (
    DirectionTransfer,
    LabelAgreement,
    Rung,
    ScaleControl,
    SignAgreement,
    TransferCell,
)
from provenance.analyses.summary.evidence import summarise_timeline
from provenance.analyses.summary.report import summarise, summarise_weights
from provenance.records import Estimate

E = Estimate(0.7, 0.6, math.nan, 40)
SHOWN = {"estimate": 0.7, "low": 0.6, "high": None, "n": 40}
DRIFT = DriftTest(
    "faithful", "functional", "layer_norm", 3, E, 0.2, 0.8, None, 0.1, 0.6, math.nan, -0.1
)  # fmt: skip
EVIDENCE = Evidence(
    ladder=(
        Rung("a", "question_text", E, Estimate(0.1, 0.0, 0.2, 40), 0.01, 0.02, 0, gain_sd=0.05),
        Rung("a", "random", None, None, None, None, 100),
        Rung("b", "question_text", E, None, 0.5, math.nan, 0),
    ),
    directions=(DirectionTransfer("a", "instruct", "base", "mean_difference", 2, None, 0.9, E, E, 0.01, None, None),),
    cells=(TransferCell("a", "base", "instruct", "base", E, 20, 20, 3, 0.6, None, ""),),
    agreement=(LabelAgreement("a", 40, 30, E, E, None, "no disagreeing question has a hallucination"),),
    scales=(ScaleControl("a", "rank", None, None, 0.6, "no training answers of the base"),),
    signs=SignAgreement(5, 4, 0.8, 0.5, math.nan, 40, 41),
    drift=(DRIFT,),
    overlap=(OverlapNull("shuffled_labels", 0.1, 0.3, 1.0, 0.9, None, 40),),
    power=(Power("transfer", "chance", "a", 5, 40, 0.09, 0.72, "AUROC"),),
    causal=(CausalEffect("base", 0.0, "random", "selectivity", 5, E, (0.1, math.nan, 0.3), 0.25),),
    claims=(
        Claim(
            "transfer",
            "supported",
            "a",
            "Readable.",
            (Reason("transfer.chance", "a", 0.01, "<", 0.05, True, "shown", "chance"),),
            "transfer.chance",
        ),
        Claim("overlap", "no power", "", "Nothing.", (Reason("overlap.p_zero", "", None, "<", 0.5, None, "power"),)),
    ),
)
POINT = TimelinePoint(
    0, "m@1", "d" * 64, False, "base", None, None, None, 0, 3, E, 0.6, 0.61, 0.5, 0.5, 0.4, 0.1, 0.2, math.nan, 0.3,
    "one class",
)  # fmt: skip


def shown(evidence: Evidence = EVIDENCE, control: str = "") -> dict:
    """The JSON of a comparison as another program reads it."""
    content = summarise(replace(make_report(), evidence=evidence, control=control))
    return json.loads(json.dumps(content, allow_nan=False))


def test_the_ladder_stands_inside_the_transfer_of_its_question_set_by_kind() -> None:
    first, second = shown()["transfer"]
    assert list(first["ladder"]) == ["question_text", "random"]
    assert first["ladder"]["question_text"] == {
        "auroc": SHOWN, "gain": {"estimate": 0.1, "low": 0.0, "high": 0.2, "n": 40},
        "p_value": 0.01, "p_holm": 0.02, "draws": 0, "sets_low": None, "sets_high": None, "sets_p95": None,
        "gain_sd": 0.05,
    }  # fmt: skip
    assert first["ladder"]["random"]["draws"] == 100
    assert second["ladder"]["question_text"]["p_holm"] is None


def test_transfer_says_what_decided_and_null_where_nothing_did() -> None:
    report = make_report()
    decided = replace(report.transfer[0], p_value=0.01, p_holm=0.02, decided_by="answer_text", p_chance=0.001)
    found = summarise(replace(report, transfer=(decided, report.transfer[1])))["transfer"]
    names = ("p_value", "p_holm", "decided_by", "p_chance")
    assert [found[0][name] for name in names] == [0.01, 0.02, "answer_text", 0.001]
    assert [found[1][name] for name in names] == [None] * 4


@pytest.mark.parametrize(
    ("key", "results"),
    [
        ("directions", EVIDENCE.directions),
        ("two_by_two", EVIDENCE.cells),
        ("agreement", EVIDENCE.agreement),
        ("scales", EVIDENCE.scales),
        ("power", EVIDENCE.power),
    ],
)
def test_a_row_has_every_field_under_its_name(key: str, results: tuple) -> None:
    found = shown()[key]
    assert len(found) == len(results)
    for row, result in zip(found, results, strict=True):
        assert list(row) == [field.name for field in fields(result)]
        for name, value in row.items():
            expected = getattr(result, name)
            assert value == (SHOWN if isinstance(expected, Estimate) else expected), name


def test_signs_are_one_object() -> None:
    assert shown()["signs"] == asdict(EVIDENCE.signs) | {"p_value": None}
    assert shown(replace(EVIDENCE, signs=None))["signs"] is None


def test_drift_tests_and_overlap_nulls_stand_beside_what_they_test() -> None:
    found = shown()
    assert found["drift"]["tests"] == [asdict(DRIFT) | {"ratio": SHOWN, "z_all": None}]
    assert found["overlap"]["nulls"] == [asdict(EVIDENCE.overlap[0])]
    assert found["drift"]["k"] == 0


def test_single_draws_stay_out_and_are_counted() -> None:
    found = shown()["interventions"]
    assert "draws" not in found[0]
    assert (found[0]["n_draws"], found[0]["effect"], found[0]["p_value"]) == (3, SHOWN, 0.25)


def test_without_an_intervention_there_is_null_and_no_empty_list_of_effects() -> None:
    assert shown(replace(EVIDENCE, causal=()))["interventions"] is None


DECIDED = {
    "code": "transfer.chance", "dataset": "a", "value": 0.01, "relation": "<", "bar": 0.05, "holds": True,
    "role": "shown", "against": "chance",
}  # fmt: skip


def test_claims_carry_their_conditions_in_order_with_null_for_what_was_not_measured() -> None:
    verdict = shown()["verdict"]
    assert [claim["claim"] for claim in verdict["claims"]] == ["transfer", "overlap"]
    assert verdict["claims"][0] == {
        "claim": "transfer", "verdict": "supported", "dataset": "a", "words": "Readable.", "not_met": 0,
        "decision": DECIDED, "reasons": [DECIDED],
    }  # fmt: skip
    assert verdict["claims"][1]["decision"] is None
    assert verdict["claims"][1]["reasons"][0]["holds"] is None
    assert (verdict["transfer"], verdict["overlap"], verdict["drift"]) == ("supported", "no power", "no power")


def test_a_control_says_which_and_a_real_comparison_says_null() -> None:
    assert shown(control="permuted-index")["control"] == "permuted-index"
    assert shown()["control"] is None


def test_every_key_is_there_without_evidence() -> None:
    nothing, something = shown(Evidence()), shown()
    assert list(nothing) == list(something)
    assert (nothing["two_by_two"], nothing["signs"], nothing["interventions"]) == ([], None, None)
    assert (nothing["verdict"]["claims"], nothing["drift"]["tests"], nothing["transfer"][0]["ladder"]) == ([], [], {})


def test_a_weights_only_run_has_its_drift_tests_and_null_for_the_rest() -> None:
    found = summarise_weights(replace(make_weights_report(), drift_tests=(DRIFT,)))
    assert [row["measure"] for row in json.loads(json.dumps(found, allow_nan=False))["drift"]["tests"]] == [
        "functional"
    ]
    for key in ("two_by_two", "agreement", "scales", "signs", "power", "interventions", "control"):
        assert found[key] is None, key
    assert found["verdict"]["claims"] is None


def test_a_timeline_lists_its_points_as_they_come_beside_the_one_probe() -> None:
    floor = replace(POINT, position=-1, is_floor=True)
    found = json.loads(json.dumps(summarise_timeline((POINT, floor), something_found(), 4, 2), allow_nan=False))
    assert list(found) == ["schema", "neurons", "identification", "points"]
    listed = [{"layer": 1, "index": 1, "weight": 2.0}, {"layer": 0, "index": 2, "weight": 1.0}]
    assert (found["schema"], found["neurons"]) == (1, {"total": 8, "h": 2, "per_mille": 250.0, "list": listed})
    assert [point["is_floor"] for point in found["points"]] == [False, True]
    point = found["points"][0]
    assert list(point) == [field.name for field in fields(TimelinePoint)]
    assert (point["own"], point["forced"], point["correlation_h"]) == (None, SHOWN, None)
    assert found["identification"]["C"] == 0.1


def test_a_timeline_without_a_probe_still_counts_all_neurons() -> None:
    found = summarise_timeline((), nothing_found("instruct"), 4, 2)
    assert found["neurons"] == {"total": 8, "h": 0, "per_mille": 0.0, "list": []}
    assert found["identification"]["reason"] == "one class"
