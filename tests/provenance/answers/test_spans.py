"""Answer spans come from the sampled ids themselves, and never from the label."""

from itertools import pairwise

import pytest
from checkpoint_factory import make_tokenizer

from provenance.answers.prompts import PromptFormat
from provenance.answers.spans import answer_span, response_regions
from provenance.models.token_text import decode_response, token_offsets
from provenance.records import Region

TOKENIZER = make_tokenizer()
FORMAT = PromptFormat("{question}\nAnswer:", chat=False)


def spans(question: str, response: str) -> tuple[str, list[int], tuple[Region, ...]]:
    """Text of the answer tokens, their ids, and all regions."""
    prompt = FORMAT.render(TOKENIZER, question)
    ids = TOKENIZER(response, add_special_tokens=False)["input_ids"]
    regions = response_regions(TOKENIZER, prompt, ids)
    whole = [*prompt.ids, *ids]
    answer = [whole[t] for r in regions if r.name == "answer" for t in range(r.start, r.stop)]
    return TOKENIZER.decode(answer), answer, regions


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (" Paris", "Paris"),
        (" Paris.", "Paris"),
        ("  'Paris'.\nQuestion: next", "Paris"),
        (" O'Brien's dog", "O'Brien's dog"),  # apostrophes inside stay
        (" Paris Paris Paris", "Paris Paris Paris"),
        (" Zürich", "Zürich"),
        (" 東京。", "東京"),
        (" e\u0301clair", "e\u0301clair"),
        ("\n Paris", "Paris"),
        (" \u201cNew York\u201d", "New York"),
        (" 🚁 helicopter", "🚁 helicopter"),
        (" ...", ""),
        ("", ""),
    ],
)
def test_the_answer_is_the_first_line_without_its_wrapping(response: str, answer: str) -> None:
    start, end = answer_span(response)
    assert response[start:end] == answer


@pytest.mark.parametrize(
    ("question", "response", "tokens"),
    [
        ("Who?", " Paris.", " Paris"),
        ("Is Paris the capital of France?", " Paris", " Paris"),  # the answer also stands in the question
        ("Who?", " Paris, Paris", " Paris, Paris"),
        ("Whose?", " O'Brien's", " O'Brien's"),
        ("東京?", " 東京。", " 東京"),
        ("Who?", " 🚁", " 🚁"),
        ("Who?", " Zürich\n", " Zürich"),
    ],
)
def test_answer_tokens_decode_to_the_answer(question: str, response: str, tokens: str) -> None:
    text, _, regions = spans(question, response)
    # a token of white space alone does not overlap the span; one with a letter in it does
    assert text.strip() == tokens.strip()
    assert all(r.start >= len(FORMAT.render(TOKENIZER, question).ids) for r in regions if r.name == "answer")


def test_a_token_across_the_edge_belongs_to_the_answer() -> None:
    """` Paris` is one token that starts with the space before the span."""
    _, ids, _ = spans("Who?", " Paris.")
    assert TOKENIZER.convert_ids_to_tokens(ids) == ["ĠParis"]


def test_bytes_of_one_character_all_belong_to_it() -> None:
    ids = TOKENIZER("🚁", add_special_tokens=False)["input_ids"]
    assert len(ids) == 4
    assert token_offsets(TOKENIZER, [5], ids) == [(0, 1)] * 4


def test_ids_that_retokenisation_would_merge_keep_their_own_offsets() -> None:
    """A sampler may spell ` Paris` letter by letter; those ids are what the model is given."""
    spelled = [TOKENIZER.convert_tokens_to_ids(c) for c in ["Ġ", "P", "a", "r", "i", "s", "."]]
    assert decode_response(TOKENIZER, [5], spelled) == " Paris."
    assert token_offsets(TOKENIZER, [5], spelled) == [(i, i + 1) for i in range(7)]
    prompt = FORMAT.render(TOKENIZER, "Who?")
    regions = response_regions(TOKENIZER, prompt, spelled)
    first = len(prompt.ids)
    assert [r for r in regions if r.start >= first] == [
        Region("response", first, first + 1),
        Region("answer", first + 1, first + 6),
        Region("response", first + 6, first + 7),
    ]


def test_regions_cover_every_token_once() -> None:
    _, _, regions = spans("What's it's name's?", " It's Paris' own.")
    assert regions[0].start == 0
    for before, after in pairwise(regions):
        assert before.stop == after.start
    prompt = FORMAT.render(TOKENIZER, "What's it's name's?")
    total = len(prompt.ids) + len(TOKENIZER(" It's Paris' own.", add_special_tokens=False)["input_ids"])
    assert regions[-1].stop == total


def test_an_empty_answer_has_no_answer_region() -> None:
    _, ids, regions = spans("Who?", " ...")
    assert ids == []
    assert all(r.name != "answer" for r in regions)
