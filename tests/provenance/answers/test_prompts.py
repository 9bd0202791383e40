"""Prompts: one BOS, the question's tokens known by construction, chat templates only where asked."""

import pytest
from checkpoint_factory import make_tokenizer

from provenance.answers.prompts import BASE_PROMPT, INSTRUCT_PROMPT, Prompt, PromptFormat
from provenance.errors import InputError


def region_text(prompt: Prompt, name: str) -> str:
    tokenizer = make_tokenizer()
    return tokenizer.decode([prompt.ids[t] for r in prompt.regions if r.name == name for t in range(r.start, r.stop)])


@pytest.mark.parametrize("chat", [True, False])
def test_exactly_one_bos(chat: bool) -> None:
    template = INSTRUCT_PROMPT if chat else BASE_PROMPT
    prompt = PromptFormat(template, chat=chat).render(make_tokenizer(), "Who?")
    assert prompt.ids.count(1) == 1
    assert prompt.ids[0] == 1


def test_the_question_region_is_the_question() -> None:
    question = "Respond with the answer only? Paris' Paris"
    prompt = PromptFormat(INSTRUCT_PROMPT, chat=True).render(make_tokenizer(), question)
    assert region_text(prompt, "question") == question
    assert region_text(prompt, "special") == "<bos><user><end><model>"
    assert region_text(prompt, "template") == " Respond with the answer only, without any explanation."


def test_the_paper_base_prompt_is_rendered_to_the_letter() -> None:
    assert PromptFormat(BASE_PROMPT, chat=False).render(make_tokenizer(), "Who?").text == "Who?\nAnswer:"


def test_a_tokenizer_without_bos_gets_none() -> None:
    prompt = PromptFormat(BASE_PROMPT, chat=False).render(make_tokenizer(bos=False), "Who?")
    assert 1 not in prompt.ids


def test_a_template_that_adds_a_second_bos_is_refused() -> None:
    with pytest.raises(InputError, match="exactly one BOS"):
        PromptFormat("<bos>{question}", chat=False).render(make_tokenizer(), "Who?")


def test_a_tokenizer_without_chat_template_is_refused_for_chat() -> None:
    with pytest.raises(InputError, match="chat template"):
        PromptFormat(INSTRUCT_PROMPT, chat=True).render(make_tokenizer(chat=False), "Who?")


@pytest.mark.parametrize("template", ["no question", "{question} {question}"])
def test_a_template_needs_the_question_once(template: str) -> None:
    with pytest.raises(InputError, match="once"):
        PromptFormat(template, chat=False)


def test_other_braces_in_a_template_are_text() -> None:
    assert PromptFormat("{x} {question}", chat=False).render(make_tokenizer(), "Who?").text == "{x} Who?"


def test_a_chat_template_that_drops_the_message_is_refused() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "<bos>hello"
    with pytest.raises(InputError, match="0 copies"):
        PromptFormat(INSTRUCT_PROMPT, chat=True).render(tokenizer, "Who?")
