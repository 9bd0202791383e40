"""The table at the end: how the probe was chosen, what it has to beat, and how far it can be trusted."""

import io
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from provenance.console import highest_baseline, probe_facts
from provenance.words import RULES


def estimate(value: float) -> dict[str, float]:
    return {"estimate": value, "low": value - 0.05, "high": value + 0.05, "n": 400}


def probe_of(**changes: Any) -> dict[str, Any]:
    baselines = {
        "random": {"accuracy": None, "auroc": estimate(0.6), "gain": estimate(0.28), "n_draws": 100},
        "question_text": {"accuracy": None, "auroc": estimate(0.7), "gain": estimate(0.18), "n_draws": 0},
        "answer_text": {"accuracy": None, "auroc": None, "gain": None, "n_draws": 0},
    }
    stability = {
        "stable": [[0, 1, 1.0], [2, 3, 0.7]], "selected": 9, "stable_h": 1, "threshold": 0.6, "half_samples": 100,
        "split_half_jaccard": 0.31,
    }  # fmt: skip
    about = {"C": 0.25, "rule": "one-se", "source": None, "reason": "", "stability": stability}
    numbers = {"accuracy": estimate(0.8), "auroc": estimate(0.88), "random_accuracy": estimate(0.6)}
    return {**about, **numbers, "held_out": [{"dataset": "a", "baselines": baselines}], **changes}


def words_of(probe: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {words}" for name, words in probe_facts(probe))


@pytest.mark.parametrize("rule", sorted(RULES))
def test_the_probe_says_its_c_and_the_rule_in_words(rule: str) -> None:
    assert f"probe: C = 0.25: {RULES[rule]}" in words_of(probe_of(rule=rule))


def test_given_neurons_say_their_file_and_no_c() -> None:
    words = words_of(probe_of(rule="given", source="theirs.json", C=None, stability=None))
    assert "probe: no search: neurons from theirs.json\n" in words
    assert "C =" not in words
    assert "stability" not in words


def test_without_a_probe_the_reason_stands_in_its_place() -> None:
    words = words_of(probe_of(reason="no faithful responses", C=None, held_out=[], stability=None, auroc=None))
    assert "probe: none: no faithful responses\n" in words
    assert "top baseline" not in words
    assert "AUROC –" in words


def test_the_highest_baseline_is_the_one_of_highest_auroc_on_the_first_question_set() -> None:
    probe = probe_of()
    probe["held_out"].append({"dataset": "b", "baselines": {"random": {"auroc": estimate(0.99), "gain": None}}})
    assert highest_baseline(probe)[0] == "question_text"
    assert "top baseline: question text: AUROC 0.700 [0.650, 0.750]" in words_of(probe)
    assert "the probe’s AUROC minus that 0.180 [0.130, 0.230]" in words_of(probe)
    del probe["held_out"][0]["baselines"]["question_text"]
    assert highest_baseline(probe)[0] == "random"


def test_baselines_without_any_number_are_no_best_one() -> None:
    empty = {"answer_text": {"auroc": None, "gain": None}}
    assert highest_baseline(probe_of(held_out=[{"dataset": "a", "baselines": empty}])) is None


def test_stability_says_how_many_are_stable_and_what_two_halves_share() -> None:
    words = words_of(probe_of())
    assert "stability: 2 of 9 selected neurons are stable (1 in the probe)," in words
    assert "selected in 60% or more of 100 half-samples" in words
    assert "two halves of the questions: Jaccard 0.310" in words


def test_only_the_rule_needs_a_second_line_beside_the_longest_verdict_in_a_hundred_columns() -> None:
    facts = probe_facts(probe_of(rule="one-se"))
    table = Table("", "", "verdict")
    for name, words in facts:
        table.add_row(name, words, "not distinguishable")
    out = io.StringIO()
    Console(file=out, width=100).print(table)
    lines = out.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 100
    assert len(lines) - 4 == len(facts) + 1
