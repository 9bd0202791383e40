"""Answer spans come from the sampled ids themselves, and never from the label."""

from itertools import pairwise

import pytest
from checkpoint_factory import make_tokenizer
from tokenizers import AddedToken

from provenance.answers.prompts import PromptFormat
from provenance.answers.spans import answer_span, ending_ids, lead_of, reasoning_unclosed, response_regions
from provenance.models.token_text import decode_response, special_ids, token_offsets
from provenance.records import Region

TOKENIZER = make_tokenizer()
WRAPPERS = [
    "<think>\nRome?\n</think>\n\n{}", "<thinking>a</thinking>{}.", "<seed:think>a</seed:think>{}", "a\n</think>\n{}",
    "<reasoning>\na\n</reasoning>\n<answer>\n{}\n</answer>", "[THINK]a[/THINK]{}", "◁think▷a◁/think▷{}",
    "<unused94>thought\na<unused95>{}", "<think>a</think><think>b</think>{}", "<|channel>thought\na<channel|>{}",
    "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>", "<|inner_prefix|>a<|inner_suffix|>{}",
    "<|begin_of_thought|>\na<|end_of_thought|>\n<|begin_of_solution|>\n{}\n<|end_of_solution|>",
    "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>{}<|end|>",
    "Here is my thought process: a\n\nHere is my response:\n{}", "Here is the answer: {}", "The answer is: {}",
    "The answer is {}.", "The final answer is **{}**.", "Answer: {}", "**Answer:** {}", "**Answer**: {}", "A: {}",
    "**Final Answer:**\n\n{}", "### Answer\n{}", "## Cities of the east\n\n{}", "# {}", "```\n{}\n```", "- {}",
    "---\n{}", "\\boxed{{{}}}", "$\\boxed{{\\text{{{}}}}}$", "<answer>{}</answer>", "[ANSWER]{}[/ANSWER]",
    "Antwort: {}", "Réponse : {}", "Ответ: {}", "答案是：{}", "答え：{}", "답: {}", "{}<|im_end|>\n<|im_start|>user",
]  # fmt: skip
"""Around an answer, in the manner of many families."""
NO_WRAPPERS = [
    "C#",
    "#1 Crush",
    "1. FC Köln",
    "-5",
    "Analysis of variance",
    "Thinking, Fast and Slow",
    "Answer Me",
    "<3",
    "a:b",
]
"""Answers that look like one."""
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
        *((wrapper.format("New York"), "New York") for wrapper in WRAPPERS),
        *((text, text) for text in NO_WRAPPERS),
        ("Paris\nQuestion: next\nAnswer: Rome", "Paris"),
        ("Paris <think>or is it", "Paris"),
        ("The answer is not known.", "not known"),
        ("The answer is:", ""),
        ("<think>\n</think>\n", ""),
    ],
)
def test_the_answer_is_the_first_line_without_its_wrapping(response: str, answer: str) -> None:
    start, end = answer_span(response)
    assert response[start:end] == answer


@pytest.mark.parametrize(
    ("tail", "response", "answer"),
    [
        ("<|Assistant|><think>\n", "So it is Rome.\n</think>\n\nParis", "Paris"),
        ("<|Assistant|><think>\n", "So it is Rome. <think> no </think> Paris", "Paris"),
        ("<|Assistant|><think>\n", "So it is Rome.", None),
        ("", "<think>\nSo it is Rome.", None),
        ("", "<|channel|>analysis<|message|>So it is Rome.", None),
        ("", "[THINK]Rome[/THINK][THINK]Paris", None),
        ("<think>\n\n</think>\n\n", "Paris", "Paris"),
    ],
)
def test_reasoning_that_is_not_closed_has_no_answer(tail: str, response: str, answer: str | None) -> None:
    assert reasoning_unclosed(response, tail) == (answer is None)
    assert response[slice(*answer_span(response, tail))] == (answer or "")
    if answer:  # what is kept is found again without its prompt
        assert answer_span(response) == answer_span(response, tail)


def test_the_answer_behind_reasoning_is_what_is_captured() -> None:
    text, _, regions = spans("Who?", "<think>Rome. No.</think>\n\n**Answer:** Paris.")
    assert text == " Paris"
    assert sum(region.name == "answer" for region in regions) == 1


def test_the_text_before_an_answer_closes_what_the_prompt_opened() -> None:
    assert lead_of("Rome?\n</think>\n\nParis") == "</think>\n\n"
    assert lead_of("</think>\nParis") == "</think>\n"
    assert lead_of(" \nParis") == " \n"
    assert lead_of("<think>Rome?</think>\n\nParis") == ""


def test_marks_of_reasoning_are_the_only_special_tokens_that_a_response_goes_on_after() -> None:
    for names, inside in (
        (["<|im_end|>", "<|end|>", "[THINK]", "[/THINK]"], ["[THINK]", "[/THINK]"]),
        (["<|return|>", "<|channel|>", "<|end|>", "<|message|>"], ["<|channel|>", "<|end|>", "<|message|>"]),
    ):
        tokenizer = make_tokenizer()
        tokenizer.add_tokens([AddedToken(name, special=True) for name in names])
        going_on = special_ids(tokenizer) - ending_ids(tokenizer)
        assert sorted(tokenizer.convert_ids_to_tokens(sorted(going_on))) == sorted(inside)


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
