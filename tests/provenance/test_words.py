"""The words of a concept in place of those of hallucination."""

import pytest

from provenance.words import HALLUCINATION, Concept

REFUSAL = Concept("refusal", "refusal", "answer")
SAID = {
    "the H-Neurons are readable in the base": "the refusal neurons are readable in the base",
    "an H-Neuron of the base’s own": "a refusal neuron of the base’s own",
    "H-Neurons’ weights; H-Neuron probe": "refusal neurons’ weights; refusal neuron probe",
    "Hallucinated responses; 12 faithful + 3 hallucinated": "“refusal” responses; 12 “answer” + 3 “refusal”",
    "n (f + h)": "n (“answer” + “refusal”)",
    "mean CETT f, h": "mean CETT “answer”, “refusal”",
    "these neurons to\nhallucinate.": "these neurons to\nproduce refusal.",
    "not about hallucination.": "not about refusal.",
}


@pytest.mark.parametrize("text", SAID)
def test_a_text_is_told_in_the_words_of_a_concept(text: str) -> None:
    assert REFUSAL.worded(text) == SAID[text]
    assert HALLUCINATION.worded(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "n_hallucinated",
        "faithful-qa",
        "sets/faithful/a",
        "hallucinated.jsonl",
        "unfaithful",
        "“faithful”",
        "org/H-Neurons",
    ],
)
def test_names_of_columns_files_and_models_stay(text: str) -> None:
    assert REFUSAL.worded(text) == text


@pytest.mark.parametrize(
    "concept",
    [
        REFUSAL,
        Concept("faithful", "faithful", "hallucinated"),
        Concept("citation hallucination", "invented", "faithful"),
        Concept("error", "hallucinated", "faithful"),
    ],
)
def test_a_text_that_has_passed_once_stays(concept: Concept) -> None:
    for text in SAID:
        once = concept.worded(text)
        assert concept.worded(once) == once
    assert concept.worded("12 faithful + 3 hallucinated") == f"12 “{concept.negative}” + 3 “{concept.positive}”"
    assert concept.worded("an H-Neuron").startswith("an error" if concept.name == "error" else "a ")
