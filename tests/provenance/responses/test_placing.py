"""Responses that exist, in a model's tokens: prompts as text and as conversations, spans, and what is dropped."""

from dataclasses import replace

import pytest
from checkpoint_factory import make_tokenizer
from tokenizers.normalizers import Lowercase
from transformers import PreTrainedTokenizerFast

from provenance.answers.collect_responses import LOST, NO_SPAN, UNCLOSED
from provenance.answers.foreign_answers import forced
from provenance.answers.prompts import PromptFormat
from provenance.errors import InputError
from provenance.models.loading import Lexicon
from provenance.records import Response
from provenance.responses.placing import Given, GivenReading, placed, prompt_of
from provenance.responses.response_rows import GivenRow

TOKENIZER = make_tokenizer()
ROW = GivenRow("line 3", "Why is that?", " Since the sun. No.", "yes", "a", "q", "s", None, None, "", None)
TALK = (("system", "Be brief."), ("user", "Why is that?"))


def lexicon(tokenizer: PreTrainedTokenizerFast = TOKENIZER, context: int | None = None) -> Lexicon:
    """What asking needs to know of a model with this tokenizer."""
    return Lexicon(tokenizer, len(tokenizer), frozenset({2}), context)


def place(row: GivenRow, known: Lexicon | None = None) -> Response:
    """The row as a training response of the instruct model."""
    return placed(known or lexicon(), row, "hallucinated", "train", "instruct", ())


def answer_of(response: Response, tokenizer: PreTrainedTokenizerFast = TOKENIZER) -> str:
    """Text of the tokens that count as the answer."""
    [answer] = [region for region in response.regions if region.name == "answer"]
    ids = (*response.prompt_ids, *response.response_ids)[answer.start : answer.stop]
    return str(tokenizer.decode(ids))


def test_a_conversation_of_one_message_is_the_prompt_that_asking_makes_of_it() -> None:
    asked = PromptFormat("{question}", chat=True).render(TOKENIZER, "Why is that?")
    assert prompt_of(TOKENIZER, (("user", "Why is that?"),)) == asked


def test_messages_stand_where_the_template_puts_them_and_count_as_the_question() -> None:
    prompt = prompt_of(TOKENIZER, TALK)
    assert prompt.text == "<bos><user>Be brief.<end><user>Why is that?<end><model>"
    questions = [TOKENIZER.decode(prompt.ids[r.start : r.stop]) for r in prompt.regions if r.name == "question"]
    assert questions == ["Be brief.", "Why is that?"]


def test_a_prompt_as_text_gets_one_bos_whether_it_has_it_or_not() -> None:
    bare, whole = (prompt_of(TOKENIZER, text) for text in ("Why is that?", "<bos>Why is that?"))
    assert bare.ids == whole.ids
    assert bare.ids.count(TOKENIZER.bos_token_id) == 1
    assert TOKENIZER.decode(bare.ids) == "<bos>Why is that?"


def test_a_response_keeps_its_text_and_the_rule_finds_its_answer() -> None:
    found = place(ROW)
    assert (found.text, found.label, found.reason, found.unit) == (ROW.response, "hallucinated", "", "a")
    assert TOKENIZER.decode(found.response_ids) == ROW.response
    assert answer_of(found).strip(" .") == "Since the sun. No"


def test_a_span_that_came_with_a_response_is_its_answer() -> None:
    found = place(replace(ROW, span=(11, 14)))
    assert answer_of(found) == "sun"


def test_an_answer_in_the_middle_is_read_by_another_model_after_what_came_before_it() -> None:
    found = place(replace(ROW, span=(11, 14)))
    other = make_tokenizer(bos=False)
    reading = GivenReading(Given((), {"q": "How?"}), Given((found,), {"q": ROW.asked}), "")
    read = forced(other, reading, "", found)
    assert read is not None
    assert (read.text, other.decode(read.prompt_ids)) == (" Since the sun", "How?")
    assert answer_of(read, other) == "sun"


def test_an_answer_is_read_in_its_own_prompt_where_the_reading_model_has_none() -> None:
    found = place(ROW)
    reading = GivenReading(Given((), {}), Given((found,), {"q": "Why is that?"}), " ")
    read = forced(TOKENIZER, reading, "", found)
    assert read is not None
    assert read.prompt_ids == found.prompt_ids
    talk = GivenReading(Given((), {}), Given((found,), {"q": TALK}), " ")
    assert forced(TOKENIZER, talk, "", found) is not None
    assert forced(make_tokenizer(chat=False), talk, "", found) is None


def test_what_a_tokenizer_cannot_spell_or_has_no_answer_is_dropped_with_the_reason() -> None:
    lower = make_tokenizer()
    lower.backend_tokenizer.normalizer = Lowercase()
    reasons = {
        LOST: place(ROW, lexicon(lower)),
        NO_SPAN: place(replace(ROW, response="...")),
        UNCLOSED: place(replace(ROW, asked="Why?\n<think>\n", response="Well, the sun")),
    }
    assert {name: (found.label, found.reason) for name, found in reasons.items()} == {
        name: ("dropped", name) for name in reasons
    }


def test_a_prompt_that_cannot_be_made_or_is_too_long_is_refused_by_an_error_that_names_the_line() -> None:
    size = len(place(ROW).prompt_ids) + len(place(ROW).response_ids)
    assert place(ROW, lexicon(context=size)).label == "hallucinated"
    refused = {
        f"at most {size - 1} tokens": (ROW, lexicon(context=size - 1)),
        "a chat template": (replace(ROW, asked=TALK), lexicon(make_tokenizer(chat=False))),
        "exactly one BOS": (replace(ROW, asked="<bos><bos>Why?"), lexicon()),
    }
    for words, (row, known) in refused.items():
        with pytest.raises(InputError, match="line 3") as caught:
            place(row, known)
        assert words in caught.value.wanted


def test_a_template_that_refuses_a_role_or_leaves_a_message_out_is_refused() -> None:
    strict, short = make_tokenizer(), make_tokenizer()
    strict.chat_template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    short.chat_template = "{{ messages[-1]['content'] }}"
    for tokenizer, found in ((strict, "no system"), (short, "leaves out")):
        with pytest.raises(InputError, match=found):
            place(replace(ROW, asked=TALK), lexicon(tokenizer))


def test_the_digest_changes_with_all_that_is_read() -> None:
    found = place(ROW)
    given = Given((found,), {"q": "Why?"})
    others = [
        Given((replace(found, label="faithful"),), given.asked),
        Given((replace(found, split="test"),), given.asked),
        Given((replace(found, span=(0, 2)),), given.asked),
        Given((found,), {"q": "How?"}),
        Given((found, found), given.asked),
    ]
    assert len({each.digest for each in (given, *others)}) == 1 + len(others)
    assert given.digest == Given((place(ROW),), {"q": "Why?"}).digest
