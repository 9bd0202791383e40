"""The closing sentence claims what was measured, and no more."""

from itertools import product
from typing import get_args

import pytest

from provenance.analyses.claims.sentences import drift_sentence, function_words, overall_sentence, yield_words
from provenance.records import Verdict

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


def claims(
    transfer: Verdict, drift: Verdict, overlap: Verdict, beyond: Verdict = "no power", **others: Verdict
) -> dict[str, Verdict]:
    """Verdicts by claim."""
    return {"transfer": transfer, "drift": drift, "overlap": overlap, "beyond_confidence": beyond, **others}


@pytest.mark.parametrize(
    ("relation", "problem"),
    [("same model", ""), ("descendant", ""), ("descendant, neurons permuted", ""), ("unrelated", "not related")],
)
def test_every_sentence_is_one_sentence_and_claims_readability_only_where_supported(
    relation: str, problem: str
) -> None:
    for verdicts in product(VERDICTS, repeat=3):
        sentence = overall_sentence(relation, problem, claims(*verdicts))
        assert sentence[0].isupper(), sentence
        assert sentence.endswith("."), sentence
        assert sentence.count(".") == 1, sentence
        claimed = "the h-neurons are readable in the base model (" in sentence.lower().replace("that the", "no")
        assert claimed == (verdicts[0] == "supported" and not problem), (verdicts, sentence)
        for overclaim in ("cause", "responsible", "inherited", "origin", "function as", "prove"):
            assert overclaim not in sentence.lower(), sentence


def test_all_combinations_differ() -> None:
    sentences = {overall_sentence("descendant", "", claims(*v)) for v in product(VERDICTS, repeat=3)}
    assert len(sentences) == 27


def test_a_supported_transfer_says_that_readable_is_not_functional() -> None:
    assert "readable does not mean functional" in overall_sentence(
        "descendant", "", claims("supported", "no power", "no power")
    )


def test_a_pair_that_does_not_fit_leads_the_sentence() -> None:
    same = overall_sentence("same model", "", claims("supported", "supported", "supported"))
    assert same.startswith("The two checkpoints are the same model")
    strangers = overall_sentence("unrelated", "they are strangers", claims("supported", "supported", "supported"))
    assert strangers.startswith("Nothing can be said about where the H-Neurons come from: they are strangers; ")


@pytest.mark.parametrize(
    ("relation", "problem", "k", "words"),
    [
        (None, "", 0, "Neurons were compared by position; no neuron list was given; no forward pass"),
        ("descendant", "", 5, "Lineage by the weights: descendant; of the listed H-Neurons (k = 5): "),
        ("unrelated", "they are strangers", 5, "Nothing can be said about how far the neurons moved: they are"),
    ],
)
def test_the_sentence_of_weights_alone_claims_nothing_about_behaviour(
    relation: str | None, problem: str, k: int, words: str
) -> None:
    for verdict in VERDICTS:
        sentence = drift_sentence(relation, problem, k, verdict)
        assert sentence.startswith(words)
        assert "readable" not in sentence


def test_a_comparison_without_any_power_says_so_first() -> None:
    sentence = overall_sentence("descendant", "", claims("no power", "no power", "no power"))
    assert sentence.startswith("This comparison had no power to decide anything")


def test_what_adds_to_confidence_is_said_only_of_what_can_be_read() -> None:
    """Adding to other readings is no finding about neurons that cannot be read at all."""
    for beyond in VERDICTS:
        readable = overall_sentence("descendant", "", claims("supported", "no power", "no power", beyond))
        assert "log-probability of the answer" in readable
        unreadable = overall_sentence("descendant", "", claims("not distinguishable", "no power", "no power", beyond))
        assert "log-probability of the answer" not in unreadable


def test_only_an_intervention_lets_the_sentence_speak_of_what_neurons_do() -> None:
    plain = claims("supported", "no power", "no power")
    assert "scaling them" not in overall_sentence("descendant", "", plain)
    intervened = overall_sentence("descendant", "", plain, scaled={"base": function_words("base", "supported")})
    assert "in the base scaling them changes" in intervened
    assert "was intervened on" not in intervened
    unmoved = function_words("base", "not distinguishable")
    assert "the other way" not in overall_sentence("descendant", "", plain, scaled={"base": unmoved})
    against = function_words("base", "not distinguishable", (2.0,))
    assert "scaled by 2 they moved the other way" in overall_sentence("descendant", "", plain, scaled={"base": against})
    instruct_only = overall_sentence(
        "descendant", "", plain, scaled={"instruct": function_words("instruct", "supported")}
    )
    asked = yield_words("base", {"a": "supported", "premises": "supported", "doubts": "no power", "b": "supported"})
    assert asked == (
        "amplifying them makes the base yield more, and more than amplifying other neurons does, on a, premises and "
        "b, and whether amplifying them makes the base yield more could not be tested on doubts"
    )
    assert "was intervened on" not in overall_sentence("descendant", "", plain, scaled={"base": asked})
    assert "no base neuron was intervened on" in instruct_only  # the instruct model says nothing about the base
