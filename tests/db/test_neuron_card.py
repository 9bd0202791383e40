"""One neuron's card holds what the rows of its run say, and asks for a neuron that there is."""

from dataclasses import asdict, replace

import pytest
from synthetic import (
    INSTRUCT,
    PER_LAYER,
    SETS,
    begin,
    given_report,
    lineage_of,
    no_probe_report,
    pruned_weights_report,
    questions_of,
    report_of,
    response_of,
    stored_lineage_run,
    stored_run,
    stored_weights_run,
    task_of,
)
from synthetic_cards import PROMOTED, REASON

from provenance.db.neuron_card import H_NEURONS_ONLY, NOT_KEPT, neuron_card
from provenance.db.reading import card_queries
from provenance.db.reading.run_query import run_query
from provenance.db.store import Store
from provenance.errors import InputError
from provenance.neuron_lists.listed_neurons import neuron_named
from provenance.words import HALLUCINATION

REPORT = report_of()
H_NEURON = int(REPORT.identification.h_neurons[-1])
OTHER = next(neuron for neuron in range(64) if neuron not in REPORT.identification.h_neurons)


def test_a_card_of_an_h_neuron_holds_what_was_measured_in_both_models(finished: str) -> None:
    card = neuron_card(finished, None, *divmod(H_NEURON, PER_LAYER))
    about = {"run": 1, "command": "compare", "base": "org/base", "instruct": INSTRUCT.ref, "newest": True}
    assert card["run"] == about | {"concept": asdict(HALLUCINATION)}
    assert card["is_h_neuron"]
    assert card["probe"]["probe_weight"] == pytest.approx(REPORT.identification.weights[H_NEURON])
    frequency = REPORT.identification.stability.frequency[H_NEURON]
    assert card["probe"]["selection_frequency"] == pytest.approx(frequency)
    drift = REPORT.neuron_drift
    assert card["drift"]["cosine_distance_down"] == drift.delta_down[H_NEURON]
    assert card["drift"]["stability_rank"] == drift.stability_rank[H_NEURON]
    assert card["drift"]["rounding_floor"] == REPORT.drift.rounding_floor
    told = {(row["stage"], row["dataset"]): row["mean_hallucinated"] for row in card["activity"]}
    assert told == {(each.stage, each.dataset): each.mean_hallucinated[H_NEURON] for each in REPORT.activity}
    assert [row["stage"] for row in card["vocabulary"]] == ["base", "instruct"]
    assert card["vocabulary"][1]["promotes"][0] == dict(zip(("token", "id", "z"), PROMOTED[0], strict=True))
    assert card["vocabulary"][1]["null_share"] == 0.97
    assert [(row["stage"], row["place"]) for row in card["answers"]] == [
        (stage, place) for stage in ("base", "instruct") for place in (1, 2, 3)
    ]
    assert card["notes"] == []


def test_answers_come_with_question_and_whole_response_as_far_as_they_are_known(finished: str) -> None:
    """Of the answering model, to the test question; the third was asked by nobody."""
    task = replace(task_of(), stage="base", dataset=SETS[0])
    said = replace(response_of(1), split="test", label="hallucinated", text="It was answer 1.")
    with Store.open(finished) as store:
        log = store.response_log(task, 1)
        log.put({0: replace(said, split="train", text="no"), 1: said})
    answers = neuron_card(finished, 1, *divmod(H_NEURON, PER_LAYER))["answers"]
    assert [row["response"] for row in answers] == ["It was answer 1.", *[None] * 5]
    wanted = [questions_of()[1].text, questions_of()[2].text, None]
    assert [row["question"] for row in answers] == [*wanted, *wanted]
    assert [row["answer"] for row in answers[:3]] == ["answer 1", "answer 2", "answer 3"]


def test_a_neuron_that_is_no_h_neuron_has_what_is_known_of_all(finished: str) -> None:
    card = neuron_card(finished, None, *divmod(OTHER, PER_LAYER))
    assert not card["is_h_neuron"]
    assert card["vocabulary"] == card["answers"] == []
    assert card["notes"] == [H_NEURONS_ONLY]
    assert len(card["activity"]) == len(REPORT.activity)
    assert card["probe"]["selection_frequency"] is not None


def test_a_neuron_without_a_counterpart_says_so(finished: str) -> None:
    """In its row of the base, whose tokens nobody could look up."""
    row = neuron_card(finished, None, *divmod(int(REPORT.identification.h_neurons[0]), PER_LAYER))["vocabulary"][0]
    assert (row["promotes"], row["null_share"], row["reason"]) == ([], None, REASON)


def test_runs_without_a_probe_or_without_answers_give_what_they_have(store: Store) -> None:
    stored_run(store, no_probe_report())
    stored_weights_run(store, pruned_weights_report())
    card = neuron_card(store.url, None, 0, 3)
    assert (card["run"]["run"], card["probe"]["probe_weight"], card["probe"]["selection_frequency"]) == (1, None, None)
    listed = pruned_weights_report().h_neurons[1]
    card = neuron_card(store.url, 2, *divmod(int(listed), PER_LAYER))
    assert card["activity"] == []
    assert card["notes"] == [NOT_KEPT]
    assert card["counterpart"]["similarity"] is not None


def test_the_newest_comparison_comes_before_a_newer_run_of_another_kind(store: Store) -> None:
    stored_run(store, given_report())
    stored_weights_run(store, pruned_weights_report())
    stored_run(store, report_of(), "k9", command="compare --control permuted-labels")
    assert neuron_card(store.url, None, 0, 0)["run"]["run"] == 1


def test_without_a_comparison_the_newest_run_is_taken(store: Store) -> None:
    stored_weights_run(store, pruned_weights_report())
    assert neuron_card(store.url, None, 0, 3)["run"]["run"] == 1


def test_runs_that_measured_no_neuron_are_refused(store: Store) -> None:
    """Of lineage alone, or not finished."""
    stored_lineage_run(store, lineage_of())
    unfinished = begin(store, "another")
    for run, command in ((1, "lineage"), (unfinished, "compare")):
        with pytest.raises(InputError, match=f"run {run} \\({command}\\), which holds none"):
            neuron_card(store.url, run, 0, 0)
    with pytest.raises(InputError, match="run 9"):
        neuron_card(store.url, 9, 0, 0)


@pytest.mark.parametrize(
    ("place", "remedy"),
    [((4, 0), "did you mean 0:4"), ((0, 16), "h-neurons"), ((15, 2), "did you mean 2:15"), ((10**9 - 1, 0), "h-neur")],
)
def test_a_place_outside_the_model_is_refused_with_its_sizes(
    finished: str, place: tuple[int, int], remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        neuron_card(finished, None, *place)
    assert "layer 0 to 3, index 0 to 15" in caught.value.wanted
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("text", ["3:120", "L3:N120", " 3:120 ", "03:120"])
def test_a_neuron_is_named_by_layer_and_index(text: str) -> None:
    assert neuron_named(text) == (3, 120)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("3,120", "did you mean 3:120?"), ("layer 3 index 120", "did you mean 3:120?"), ("(3, 120)", "3:120?"),
        ("3", "write it like"), ("", "write it like"), ("3:4:5", "write it like"), ("1.5:2", "write it like"),
        ("9" * 30 + ":1", "write it like"), ("\N{ARABIC-INDIC DIGIT THREE}:1", "write it like"), ("\x1b[2J", "write"),
    ],
)  # fmt: skip
def test_another_spelling_is_refused_with_the_likely_one(text: str, remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        neuron_named(text)
    assert remedy in caught.value.remedy
    assert "\x1b" not in str(caught.value)


def test_the_query_has_a_row_for_each_h_neuron_and_model(finished: str) -> None:
    rows = run_query(finished, "neuron-card").records()
    assert len(rows) == 2 * REPORT.identification.h_neurons.size
    assert {row["dataset"] for row in rows} == {SETS[0]}
    assert [row["stage"] for row in rows[:2]] == ["base", "instruct"]
    weights = [row["probe_weight"] for row in rows]
    assert weights == sorted(weights, reverse=True)


@pytest.mark.parametrize("name", ["ONE_NEURON", "ACTIVITY_OF_ONE", "VOCABULARY_OF_ONE", "ANSWERS_OF_ONE"])
def test_a_card_walks_no_table_with_a_row_for_every_neuron(finished: str, name: str) -> None:
    """All neurons of a 70B pair are 2.3 million rows: these are found by their whole key."""
    sql = f"EXPLAIN QUERY PLAN {getattr(card_queries, name)}"
    plan = [row["detail"] for row in run_query(finished, sql, {"run": 1, "layer": 0, "neuron": 0}).records()]
    assert not [step for step in plan if step.startswith("SCAN")], plan
    by_key = [step for step in plan if " n " in step or " a " in step]
    assert all("layer=? AND neuron_index=?" in step for step in by_key), plan
    assert bool(by_key) == (name in ("ONE_NEURON", "ACTIVITY_OF_ONE"))
