"""A person at a terminal sees what each claim failed, what transfer had to beat, and what it could have found."""

from typing import Any

from provenance.console_evidence import print_evidence
from rich.console import Console

AREA = {"estimate": 0.7, "low": 0.6, "high": 0.8, "n": 40}
RUNG = {"auroc": AREA, "gain": AREA, "p_value": 0.01, "p_holm": 0.02, "draws": 0, "gain_sd": 0.1}


def reason(code: str, value: float | None, holds: bool | None) -> dict[str, Any]:
    return {"code": code, "dataset": "trivia", "value": value, "relation": "<", "bar": 0.05, "holds": holds}


def summary(**changes: Any) -> dict[str, Any]:
    claims = [
        {
            "claim": "transfer",
            "verdict": "not distinguishable",
            "dataset": "trivia",
            "words": "",
            "reasons": [
                reason("transfer.p.random", 0.01, True),
                reason("transfer.p.layer_norm_activity_and_more", 0.25, False),
                reason("transfer.p.answer_text", None, None),
            ],
        }
    ]
    ladder = {"random": RUNG, "all_together": {**RUNG, "auroc": None, "gain": None, "p_value": None, "p_holm": None}}
    rows = [
        {"dataset": "trivia", "auroc": AREA, "p_value": 0.25, "p_holm": 0.5, "ladder": ladder},
        {"dataset": "other", "auroc": None, "p_value": None, "p_holm": None, "ladder": {}},
    ]
    power = [
        {"test": "random", "dataset": "trivia", "smallest_detectable": 0.77},
        {"test": "random", "dataset": "other", "smallest_detectable": 0.99},
    ]
    plain = {"verdict": {"claims": claims}, "transfer": rows, "power": power, "two_by_two": [], "interventions": None}
    return {**plain, **changes}


def shown(content: dict[str, Any], width: int = 120) -> str:
    console = Console(width=width, record=True, force_terminal=False)
    with console.capture() as captured:
        print_evidence(content, console)
    return captured.get()


def test_a_claim_shows_the_conditions_it_failed_and_not_those_it_met() -> None:
    text = shown(summary())
    assert "1 of 3" in text
    assert "transfer.p.layer_norm_activity_and_more 0.25, needs < 0.05" in text
    assert "transfer.p.answer_text –, needs < 0.05" in text
    assert "transfer.p.random" not in text


def test_no_code_is_cut_off_on_a_narrow_terminal() -> None:
    text = shown(summary(), width=60)
    folded = "".join(line.split("│")[-2].strip() for line in text.splitlines() if line.count("│") == 5)
    assert "transfer.p.layer_norm_activity_and_more" in folded.replace(" ", "")
    assert "…" not in text.split("What transfer has to beat")[0]


def test_the_ladder_is_that_of_the_question_set_that_decides_with_what_it_could_have_found() -> None:
    text = shown(summary(), width=160)
    assert "What transfer has to beat on trivia" in text
    assert "0.25" in text
    assert "0.77" in text
    assert "0.99" not in text
    missing = next(line for line in text.splitlines() if "log-probability together" in line)
    assert missing.count("–") == 5


def test_cells_and_interventions_are_shown_where_there_are_any() -> None:
    cell = {
        "dataset": "trivia", "activations": "base", "answers": "instruct", "prompt": "base", "auroc": None,
        "n_faithful": 3, "n_hallucinated": 4, "reason": "one label only",
    }  # fmt: skip
    effects = [
        {"stage": "base", "alpha": 0.0, "outcome": "selectivity", "kind": kind, "effect": AREA, "p_value": p}
        for kind, p in (("h_neurons", None), ("random", 0.03))
    ]
    text = shown(summary(two_by_two=[cell], interventions=effects))
    assert "one label only" in text
    assert "Scaling the H-Neurons" in text
    row = next(line for line in text.splitlines() if "selectivity" in line)
    assert "0.03" in row
    assert row.count("–") == 2  # no layer-matched sets


def test_a_run_without_evidence_prints_nothing() -> None:
    assert shown(summary(verdict={"claims": []}, transfer=[], power=[])) == ""
