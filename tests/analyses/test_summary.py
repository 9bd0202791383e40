"""The JSON of a comparison: numbers and nulls only, the same keys whatever came out."""

import json
import math

import numpy as np

from analyses.results import (
    DriftResult,
    IdentificationResult,
    LineageResult,
    NeuronDrift,
    NullDistribution,
    OriginReport,
    OverlapResult,
    TransferResult,
)
from analyses.summary import summarise
from provenance.intervals import Estimate

NULL = NullDistribution("layer_matched", (0.4, 0.5, 0.6), 0.5, 0.41, 0.59, 0.59, 0.25)


def nothing_found(stage: str) -> IdentificationResult:
    none = np.empty(0, dtype=np.int64)
    return IdentificationResult(
        stage, None, None, None, None, "3-vs-1", True, (), {"faithful": 0, "hallucinated": 3}, none, (), "one class"
    )  # type: ignore[arg-type]


def make_report() -> OriginReport:
    values = np.linspace(0, 1, 8)
    drift = NeuronDrift(None, values, values, values, values, values, values, values, values, np.zeros(8, bool))
    return OriginReport(
        layers=2,
        neurons_per_layer=4,
        lineage=LineageResult("descendant", 0.5, 10, (), (), {"up": 0.9}, 1.0, 0.9, 8, True, 1.0),
        funnel=(),
        identification=nothing_found("instruct"),
        base_identification=nothing_found("base"),
        transfer=(
            TransferResult("a", Estimate(0.7, math.nan, math.inf, 4), 2, 2, {"random": NULL}, "no power", "few"),
            TransferResult("b", None, 0, 4, {}, "no power", "one class"),
        ),
        neuron_drift=drift,
        drift=DriftResult(0, None, None, None, None, None, None, None, 0.0, 1e-6, "no power", "k = 0"),
        overlap=OverlapResult(0, 0, 0, None, 0.0, None, None, "no power", "empty"),
        activity=(),
        activation_correlation=None,
        verdict_transfer="no power",
        verdict_drift="no power",
        verdict_overlap="no power",
        overall="Nothing could be decided.",
    )


def test_every_key_is_there_even_when_nothing_was_found() -> None:
    summary = summarise(make_report())
    assert summary["schema"] == 1
    assert summary["neurons"] == {"total": 8, "h": 0, "per_mille": 0.0}
    assert {"C", "accuracy", "auroc", "random_accuracy"} <= set(summary["identification"])
    assert {"mean_stability_rank", "matched_null", "p_t", "p_permutation", "share_identical"} <= set(summary["drift"])
    assert summary["transfer"][1]["auroc"] is None
    assert summary["verdict"] == {
        "transfer": "no power",
        "drift": "no power",
        "overlap": "no power",
        "overall": "Nothing could be decided.",
    }


def test_it_is_json_without_nan() -> None:
    text = json.dumps(summarise(make_report()), allow_nan=False)
    first = json.loads(text)["transfer"][0]
    assert first["auroc"] == {"estimate": 0.7, "low": None, "high": None, "n": 4}
    assert first["baselines"]["random"] == {
        "kind": "layer_matched", "mean": 0.5, "low": 0.41, "high": 0.59, "p95": 0.59, "p_value": 0.25, "n_draws": 3
    }  # fmt: skip
