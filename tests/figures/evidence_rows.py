"""Rows of the evidence queries as plain values, of which any may be changed."""

from typing import Any

from provenance.analyses.controls.control_sets import SET_KINDS
from provenance.words import DIRECTIONS, TRANSFER_NULLS

Row = dict[str, Any]
KINDS = (
    *SET_KINDS, "answer_length", "question_text", "answer_text", "answer_log_probability", *DIRECTIONS, "all_together",
    "directions_together",
)  # fmt: skip


def around(name: str, value: float | None, half: float = 0.04) -> Row:
    """A column with its interval."""
    low, high = (None, None) if value is None else (value - half, value + half)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def rung(kind: str, dataset: str = "set", auroc: float | None = 0.6, gain: float | None = 0.2, **changes: Any) -> Row:
    row = {"dataset": dataset, "kind": kind, **around("auroc", auroc), **around("gain", gain)}
    low, high, p95 = (0.5, 0.6, 0.59) if kind in SET_KINDS else (None,) * 3
    sets = {"sets_low": low, "sets_high": high, "sets_p95": p95, "draws": 0 if low is None else 40}
    return {**row, "p_value": 0.01, "p_holm": 0.02, **sets, **changes}


def rungs(dataset: str = "set") -> list[Row]:
    return [rung(kind, dataset, 0.55 + i / 40, 0.25 - i / 40) for i, kind in enumerate(KINDS)]


def transfer(dataset: str = "set", auroc: float | None = 0.8, **changes: Any) -> Row:
    nulls = {
        f"{kind}_{part}": value
        for kind in TRANSFER_NULLS
        for part, value in (("mean", 0.55), ("low", 0.5), ("high", 0.6), ("p95", 0.59), ("p", 0.01), ("draws", 40))
    }
    row = {"dataset": dataset, **around("auroc", auroc), "n_faithful": 200, "n_hallucinated": 180, **nulls}
    decided = {"p_value": 0.01, "p_holm": 0.02, "decided_by": "answer_text"}
    return {**row, "verdict": "supported", "reason": "", **decided, **changes}


def cell(activations: str, answers: str, prompt: str, auroc: float | None = 0.8, **changes: Any) -> Row:
    who = {"dataset": "set", "activations": activations, "answers": answers, "prompt": prompt}
    n = {"n_faithful": 200, "n_hallucinated": 180, "n_dropped": 0}
    return {**who, **around("auroc", auroc), **n, "random_p95": 0.6, "layer_matched_p95": 0.65, "reason": "", **changes}


def agreement(dataset: str = "set", **changes: Any) -> Row:
    row = {"dataset": dataset, "n_common": 300, "n_agree": 240, **around("kappa", 0.6, 0.1)}
    return {**row, **around("auroc_agree", 0.9), **around("auroc_disagree", 0.4, 0.2), "reason": "", **changes}


def drift_test(side: str = "hallucinated", measure: str = "delta", matching: str = "layer", **changes: Any) -> Row:
    about = {"side": side, "measure": measure, "matching": matching, "k": 9, **around("ratio", 0.7, 0.2)}
    p = {"p_more_stable": 0.03, "p_less_stable": 0.97, "smallest_detectable": 0.78, "sd": 0.1}
    return {**about, **p, "mean_rank": 0.7, "z_all": -0.4, "z_layer": -0.3, **changes}


def point(position: int, ref: str, forced: float | None, own: float | None, **changes: Any) -> Row:
    who = {"position": position, "ref": ref, "digest": "d", "is_floor": position < 0, "prompt": "base"}
    areas = {**around("own", own), "own_random_p95": 0.6, "own_layer_matched_p95": 0.62, "n_faithful": 90,
             "n_hallucinated": 80, **around("forced", forced), "forced_random_p95": 0.63,
             "forced_layer_matched_p95": None}  # fmt: skip
    kept = {"mean_stability_rank": 0.6, "null_mean": 0.5, "p_value": 0.1, "change_h": 0.1, "change_all": 0.2}
    return {**who, **areas, **kept, "correlation_h": 0.9, "correlation_all": 0.7, "reason": "", **changes}


def power(test: str, claim: str = "transfer", dataset: str = "set", **changes: Any) -> Row:
    units = {"transfer": "AUROC", "drift": "factor of change", "overlap": "shared neurons"}
    about = {"claim": claim, "test": test, "dataset": dataset if claim == "transfer" else "", "k": 9, "n": 380}
    return {**about, "sd": 0.03, "smallest_detectable": 0.57, "unit": units[claim], **changes}
