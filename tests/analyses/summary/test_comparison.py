"""The JSON of a comparison: numbers and nulls only, the same keys whatever came out."""

import json
import math
from dataclasses import replace

import numpy as np

from provenance.analyses.results.drift import DriftResult, DriftTest, NeuronDrift
from provenance.analyses.results.lineage import (
    Alignment,
    ConfigDifference,
    LineageResult,
    MappedNeurons,
    TensorSimilarity,
)
from provenance.analyses.results.overlap import OverlapResult
from provenance.analyses.results.probes import (
    Baseline,
    CurvePoint,
    HeldOut,
    IdentificationResult,
    PathPoint,
    StabilityResult,
)
from provenance.analyses.results.reports import Evidence, OriginReport, WeightsReport
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.analyses.summary.evidence import NOT_LOOKED_AT
from provenance.analyses.summary.report import summarise, summarise_lineage, summarise_weights
from provenance.records import Estimate

LINEAGE = LineageResult(
    verdict="descendant, pruned or widened",
    reason="some are gone",
    share_identical_tensors=0.5,
    tensors_compared=10,
    only_base=("lm_head.weight",),
    only_instruct=(),
    median_cosine={"up": 0.9},
    self_match=1.0,
    nearest_cosine=0.9,
    found_in_base=1.0,
    found_in_instruct=math.nan,
    neurons_sampled=8,
    layer_of=(0, None),
    moved=(0.25, 0.0),
    same_tokenizer=True,
    vocabulary_shared=1.0,
    vocabulary_sizes=(300, 0),
    config=(ConfigDifference("hidden_act", None, '"gelu"'),),
    tensors=(TensorSimilarity("lm_head", None, 1, 0, math.nan, math.nan, math.nan),),
)
NO_DRIFT = DriftResult(0, *[None] * 8, 0.0, 1e-6, "no power", "k = 0")
ALIGNMENT = Alignment("assignment", np.array([0, 1, 2, -1, -1, 9, 10, 11]), "")
MAPPED = MappedNeurons(
    np.array([2, 3, 5]), np.array([2, -1, 9]), np.array([0.99, np.nan, 0.97]), np.array([0.7, np.nan, 0.8])
)
SETS = Rung("a", "layer_matched", Estimate(0.5, 0.4, 0.6, 4), None, 0.25, None, 3, 0.41, 0.59, 0.59, (0.4, 0.5, 0.6))
TEST = DriftTest(
    "hallucinated", "delta", "layer", 3, Estimate(0.7, math.nan, 0.9, 3), 0.2, 0.9, None, 0.1, 0.6, -0.1, -0.2
)


def nothing_found(stage: str) -> IdentificationResult:
    none = np.empty(0, dtype=np.int64)
    return IdentificationResult(
        stage, None, None, None, None, "3-vs-1", True, (), {"faithful": 0, "hallucinated": 3}, none, (), "one class"
    )  # type: ignore[arg-type]


def something_found() -> IdentificationResult:
    """A probe on neurons 2 and 5 of eight; half-samples pick 6 as often as 5."""
    flat = np.array([2, 5])
    half = StabilityResult(
        0.05, 20, 0.6, np.array([0, 0, 1.0, 0, 0, 0.6, 0.7, 0.1]), np.array([2, 5, 6]), 2.4, 1.0, 4.0, None, 1.1, 0.4,
        math.nan, 0.9, np.array([2, 5, 6, 7]), np.array([1, 2, 2, 3]),
    )  # fmt: skip
    baselines = (
        Baseline(
            "random", Estimate(0.6, 0.5, 0.7, 9), Estimate(0.6, 0.5, 0.7, 9), Estimate(0.2, 0.0, 0.3, 9), (0.5, 0.7)
        ),
        Baseline("answer_text", None, Estimate(0.65, math.nan, 0.7, 9), None, ()),
    )
    return replace(
        nothing_found("instruct"),
        weights=np.array([0, 0, 1.0, 0, -1.0, 2.0, 0, 0]),
        C=0.1,
        path=(PathPoint(0.1, 2, 1, 4, 3, 0.7, math.nan, None, 1e-9, 1.0),),
        h_neurons=flat,
        test=(
            HeldOut("a", None, Estimate(0.8, 0.7, 0.9, 9), None, 5, 4, baselines),
            HeldOut("b", None, None, None, 0, 4),
        ),
        reason="",
        gap=1e-9,
        curve=(CurvePoint(0.1, 2, 3, "a", Estimate(0.7, 0.6, 0.8, 9), Estimate(0.8, 0.7, 0.9, 9), None),),
        stability=half,
    )


def make_report() -> OriginReport:
    values = np.linspace(0, 1, 8)
    drift = NeuronDrift(None, values, values, values, values, values, values, values, values, np.zeros(8, bool))
    return OriginReport(
        layers=2,
        neurons_per_layer=4,
        lineage=LINEAGE,
        alignment=ALIGNMENT,
        mapped=MAPPED,
        funnel=(),
        identification=nothing_found("instruct"),
        base_identification=nothing_found("base"),
        transfer=(
            TransferResult("a", Estimate(0.7, math.nan, math.inf, 4), 2, 2, "no power", "few"),
            TransferResult("b", None, 0, 4, "no power", "one class"),
        ),
        neuron_drift=drift,
        drift=NO_DRIFT,
        overlap=OverlapResult(0, 0, 0, None, 0.0, None, None, "no power", "empty"),
        activity=(),
        activation_correlation=None,
        overall="Nothing could be decided.",
        evidence=Evidence(ladder=(SETS,), drift=(TEST,)),
    )


def make_weights_report() -> WeightsReport:
    full = make_report()
    return WeightsReport(
        layers=2,
        neurons_per_layer=4,
        lineage=LINEAGE,
        alignment=ALIGNMENT,
        mapped=MAPPED,
        neuron_drift=full.neuron_drift,
        drift=DriftResult(
            3, 0.6, 0.5, 0.1, None, 0.2, 0.2, 0.3, 0.1, 0.0, 1e-6, "not distinguishable", "0.6 against 0.5"
        ),
        h_neurons=MAPPED.ids,
        weights=None,
        source="their.json",
        verdict_drift="not distinguishable",
        overall="They moved like others.",
        drift_tests=(TEST,),
    )


def test_every_key_is_there_even_when_nothing_was_found() -> None:
    summary = summarise(make_report())
    assert summary["schema"] == 1
    assert summary["neurons"] == {"total": 8, "h": 0, "per_mille": 0.0, "list": []}
    assert {"C", "accuracy", "auroc", "random_accuracy"} <= set(summary["identification"])
    assert {"k", "p_t", "uniform_sd", "share_identical", "rounding_floor", "tests"} <= set(summary["drift"])
    assert {"mean_rank", "null_mean", "null_sd", "effect", "p_rank", "p_t_similarity"} <= set(summary["drift"])
    keys = {"mean_rank", "ratio", "sd", "p_more_stable", "smallest_detectable"}
    assert keys <= set(summary["drift"]["tests"][0])
    assert summary["transfer"][1]["auroc"] is None
    assert summary["verdict"] == {
        "transfer": "no power",
        "drift": "no power",
        "overlap": "no power",
        "overall": "Nothing could be decided.",
        "claims": [],
    }


def test_it_is_json_without_nan() -> None:
    text = json.dumps(summarise(make_report()), allow_nan=False)
    first = json.loads(text)["transfer"][0]
    assert first["auroc"] == {"estimate": 0.7, "low": None, "high": None, "n": 4}
    assert first["ladder"]["layer_matched"] == {
        "auroc": {"estimate": 0.5, "low": 0.4, "high": 0.6, "n": 4}, "gain": None, "p_value": 0.25, "p_holm": None,
        "draws": 3, "sets_low": 0.41, "sets_high": 0.59, "sets_p95": 0.59, "gain_sd": None,
    }  # fmt: skip


def test_lineage_keeps_its_evidence_under_its_names() -> None:
    found = summarise_lineage(LINEAGE)
    assert json.loads(json.dumps(found, allow_nan=False))["schema"] == 1
    lineage = found["lineage"]
    assert lineage == summarise(make_report())["lineage"]
    assert (lineage["verdict"], lineage["reason"]) == (LINEAGE.verdict, LINEAGE.reason)
    assert (lineage["median_cosine"], lineage["found_in_base"], lineage["found_in_instruct"]) == (
        {"up": 0.9},
        1.0,
        None,
    )
    assert lineage["layer_of"] == [0, None]
    assert lineage["vocabulary_sizes"] == {"base": 300, "instruct": 0}
    assert lineage["config"] == [{"key": "hidden_act", "base": None, "instruct": '"gelu"'}]
    assert lineage["tensors"][0]["kind"] == "lm_head"
    assert lineage["tensors"][0]["cosine_median"] is None


def test_a_probe_says_how_it_was_chosen_and_what_it_has_to_beat() -> None:
    found = json.loads(json.dumps(summarise(replace(make_report(), identification=something_found())), allow_nan=False))
    probe = found["identification"]
    assert (probe["rule"], probe["source"], probe["gap"], probe["violation"]) == ("one-se", None, 1e-9, None)
    assert probe["path"] == [
        {"C": 0.1, "positive": 2, "fewest": 1, "most": 4, "nonzero": 3, "validation_accuracy": 0.7,
         "validation_auroc": None, "suppressed_accuracy": None, "gap": 1e-9, "violation": 1.0}
    ]  # fmt: skip
    assert [(row["C"], row["dataset"], row["auroc"]["low"], row["transfer"]) for row in probe["curve"]] == [
        (0.1, "a", 0.7, None)
    ]
    first, second = probe["held_out"]
    assert second["baselines"] == {}
    assert list(first["baselines"]) == ["random", "answer_text"]
    assert first["baselines"]["random"]["gain"] == {"estimate": 0.2, "low": 0, "high": 0.3, "n": 9}
    assert first["baselines"]["random"]["n_draws"] == 2
    assert first["baselines"]["answer_text"] == {
        "accuracy": None, "auroc": {"estimate": 0.65, "low": None, "high": 0.7, "n": 9}, "gain": None, "n_draws": 0
    }  # fmt: skip


def test_stability_lists_the_stable_neurons_alone_most_often_selected_first() -> None:
    found = json.loads(json.dumps(summarise(replace(make_report(), identification=something_found())), allow_nan=False))
    stability = found["identification"]["stability"]
    assert stability["stable"] == [[0, 2, 1.0], [1, 2, 0.7], [1, 1, 0.6]]
    assert (stability["selected"], stability["stable_h"], stability["clusters"]) == (4, 2, 3)
    assert (stability["false_bound"], stability["split_half_clusters"]) == (None, None)
    assert (stability["split_half_jaccard"], stability["half_samples"]) == (0.4, 20)
    assert "frequency" not in stability


def test_a_probe_that_was_not_found_has_the_same_keys() -> None:
    nothing = summarise(make_report())["identification"]
    something = summarise(replace(make_report(), identification=something_found()))["identification"]
    assert list(nothing) == list(something)
    assert (nothing["stability"], nothing["curve"], nothing["path"]) == (None, [], [])


def test_given_neurons_name_their_file() -> None:
    given = replace(something_found(), rule="given", source="theirs.json", C=None, path=(), curve=(), stability=None)
    probe = summarise(replace(make_report(), identification=given))["identification"]
    assert (probe["rule"], probe["source"], probe["C"], probe["path"]) == ("given", "theirs.json", None, [])


def test_overlap_stands_beside_what_two_halves_of_one_model_share() -> None:
    report = make_report()
    overlap = replace(report.overlap, ceiling_base=0.5, ceiling_instruct=math.nan)
    found = summarise(replace(report, overlap=overlap))["overlap"]
    assert (found["ceiling_base"], found["ceiling_instruct"]) == (0.5, None)
    assert summarise(report)["overlap"]["ceiling_base"] is None


def test_the_mapping_counts_what_was_found_and_lists_what_was_not() -> None:
    assert summarise(make_report())["mapping"] == {
        "method": "assignment",
        "mapped": 2,
        "unmapped": [[0, 3]],
        "lowest_similarity": 0.97,
        "lowest_margin": 0.7,
        "neurons_unmapped": 2,
        "reason": "",
    }


def test_a_weights_only_run_has_every_key_and_null_for_what_was_not_looked_at() -> None:
    summary = json.loads(json.dumps(summarise_weights(make_weights_report()), allow_nan=False))
    assert set(summarise(make_report())) <= set(summary)
    missing = {"funnel", "identification", "base_identification", "transfer", "overlap", "control", "replicates"}
    missing |= set(NOT_LOOKED_AT)
    assert {key for key, value in summary.items() if value is None} == missing
    listed = [{"layer": layer, "index": index, "weight": None} for layer, index in ((0, 2), (0, 3), (1, 1))]
    assert summary["neurons"] == {"total": 8, "h": 3, "per_mille": 375.0, "list": listed}
    assert summary["source"] == "their.json"
    assert (summary["drift"]["k"], [test["k"] for test in summary["drift"]["tests"]]) == (3, [3])
    assert summary["verdict"] == {
        "transfer": None, "drift": "not distinguishable", "overlap": None, "overall": "They moved like others.",
        "claims": None,
    }  # fmt: skip


def test_without_a_list_there_is_no_source_and_nothing_mapped() -> None:
    none = np.empty(0, dtype=np.int64)
    nothing = MappedNeurons(none, none, np.empty(0), np.empty(0))
    report = replace(make_weights_report(), mapped=nothing, h_neurons=none, source="", drift=NO_DRIFT)
    summary = summarise_weights(report)
    assert (summary["source"], summary["neurons"]["h"]) == (None, 0)
    assert (summary["mapping"]["mapped"], summary["mapping"]["lowest_margin"]) == (0, None)
