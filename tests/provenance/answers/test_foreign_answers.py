"""An answer keeps its words when another model reads it, and gets the tokens that this model would write."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from checkpoint_factory import make_tokenizer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from provenance.answers.foreign_answers import Reading, forced, usual_lead
from provenance.answers.prompts import PromptFormat
from provenance.answers.spans import answer_span, response_regions
from provenance.errors import InputError
from provenance.records import Response

TOKENIZER = make_tokenizer()
BASE = Reading(PromptFormat("{question}\nAnswer:", chat=False), " ")
CHAT = Reading(PromptFormat("{question} Respond with the answer only.", chat=True), "")


def said(text: str, **changes: object) -> Response:
    """What some model said, in tokens that nobody here knows."""
    response = Response("q", "u", "test", "hallucinated", "", 1, 0, text, "rule", (7, 7), (9,), (), (text,))
    return replace(response, **changes)  # type: ignore[arg-type]


def answer_ids(response: Response) -> list[int]:
    """Ids of the answer region."""
    whole = [*response.prompt_ids, *response.response_ids]
    return [whole[t] for r in response.regions if r.name == "answer" for t in range(r.start, r.stop)]


def spaced_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of characters that puts a space in front of every text, as Llama 2's does."""
    pieces = [
        ("<unk>", -9.0),
        *((piece, -1.0) for piece in "▁ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.,?:"),
    ]
    core = Tokenizer(models.Unigram(pieces, unk_id=0))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    core.decoder = decoders.Metaspace(prepend_scheme="always", split=False)
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")


def lower_case_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that forgets capitals."""
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer


@pytest.mark.parametrize(
    ("reading", "text", "tokens"),
    [
        (BASE, "Paris", ["ĠParis"]),
        (CHAT, " Paris", ["Paris"]),
        (BASE, "\n\n 'New York'.\nQuestion: next", ["ĠNew", "ĠYork"]),  # the answer alone is taken
        (replace(BASE, lead="\n"), "Paris", ["Paris"]),
        (replace(BASE, lead=""), "Paris Paris", ["Paris", "ĠParis"]),
    ],
)
def test_the_answer_stands_in_the_readers_prompt_and_tokens(reading: Reading, text: str, tokens: list[str]) -> None:
    read = forced(TOKENIZER, reading, "The capital of France?", said(text))
    assert read is not None
    assert read.prompt_ids == reading.prompt.render(TOKENIZER, "The capital of France?").ids
    assert TOKENIZER.convert_ids_to_tokens(answer_ids(read)) == tokens
    assert read.text == reading.lead + text[slice(*answer_span(text))]
    assert (read.question_id, read.unit, read.label, read.samples) == ("q", "u", "hallucinated", ())


@pytest.mark.parametrize("answer", ["Zürich", "東京", "🚁 helicopter", "O'Brien's dog", "e\u0301clair", "1,5 %"])
def test_every_script_comes_back_as_it_was(answer: str) -> None:
    """Regions are those that the same ids would have had as a sampled response."""
    for reading in (BASE, CHAT):
        read = forced(TOKENIZER, reading, "Was ist «東京»?", said(f" {answer}."))
        assert read is not None
        assert TOKENIZER.decode(answer_ids(read)).strip() == answer
        prompt = reading.prompt.render(TOKENIZER, "Was ist «東京»?")
        assert read.regions == response_regions(TOKENIZER, prompt, read.response_ids)
        assert read.regions[-1].stop == len(read.prompt_ids) + len(read.response_ids)


def test_a_model_reads_its_own_answer_as_it_wrote_it() -> None:
    prompt = BASE.prompt.render(TOKENIZER, "Who?")
    ids = tuple(TOKENIZER(" Paris is", add_special_tokens=False)["input_ids"])
    own = said(" Paris is", prompt_ids=prompt.ids, response_ids=ids)
    read = forced(TOKENIZER, BASE, "Who?", own)
    assert read is not None
    assert (read.prompt_ids, read.response_ids) == (own.prompt_ids, own.response_ids)


def test_a_tokenizer_that_puts_a_space_before_every_text_puts_none_into_the_middle() -> None:
    tokenizer = spaced_tokenizer()
    alone: Sequence[int] = tokenizer("Paris", add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(alone)[0] == "▁"  # so that the answer by itself would begin with one
    reading = Reading(PromptFormat("{question}:", chat=False), "")
    read = forced(tokenizer, reading, "Who", said("Paris"))
    assert read is not None
    assert read.text == "Paris"
    assert list(read.response_ids) == list(alone)[1:]


def test_an_answer_that_would_melt_into_the_prompt_stands_by_itself() -> None:
    """The prompt ends with a space, which the whole text would give to the answer's first token."""
    reading = Reading(PromptFormat("{question} ", chat=False), "")
    prompt = reading.prompt.render(TOKENIZER, "Who?")
    together = TOKENIZER(prompt.text + "Paris")["input_ids"]
    assert tuple(together[: len(prompt.ids)]) != prompt.ids
    read = forced(TOKENIZER, reading, "Who?", said("Paris"))
    assert read is not None
    assert TOKENIZER.convert_ids_to_tokens(read.response_ids) == ["Paris"]


@pytest.mark.parametrize("text", ["", " \n", " ...", "''"])
def test_a_response_without_an_answer_is_left_out(text: str) -> None:
    assert forced(TOKENIZER, BASE, "Who?", said(text)) is None


@pytest.mark.parametrize(
    ("tokenizer", "answer"),
    [(lower_case_tokenizer(), "Paris"), (spaced_tokenizer(), "Zürich"), (TOKENIZER, "a\u0000b")],
)
def test_what_the_tokens_do_not_spell_is_left_out(tokenizer: PreTrainedTokenizerBase, answer: str) -> None:
    """Other letters, or no token for a letter; a tokenizer of bytes spells even a NUL."""
    reading = Reading(PromptFormat("{question}:", chat=False), " ")
    assert (forced(tokenizer, reading, "who", said(f" {answer}")) is None) == (tokenizer is not TOKENIZER)
    assert forced(tokenizer, reading, "who", said(" abc")) is not None


def test_special_tokens_in_a_text_are_no_answer() -> None:
    """Another model's answer may spell one: its ids keep the role that they have in the reader's own responses."""
    read = forced(TOKENIZER, BASE, "Who?", said(" <end>"))
    assert read is None
    read = forced(TOKENIZER, BASE, "Who?", said(" Paris<end> a"))
    assert read is not None
    assert "special" in {region.name for region in read.regions if region.start >= len(read.prompt_ids)}


def test_a_chat_prompt_needs_a_chat_template() -> None:
    with pytest.raises(InputError, match="chat template"):
        forced(make_tokenizer(chat=False), CHAT, "Who?", said("Paris"))


def test_the_lead_is_what_kept_responses_usually_begin_with() -> None:
    texts = [" a", " b", "c", "\nd"]
    assert usual_lead([said(text) for text in texts]) == " "
    dropped = [said(text, label="dropped") for text in ("x", "y", "z")]
    assert usual_lead([*map(said, texts), *dropped]) == " "
    assert usual_lead([*map(said, texts), *map(said, "xyz")]) == ""  # kept ones do count
    assert usual_lead([said("\na"), said(" b")]) == usual_lead([said(" b"), said("\na")]) == "\n"
    assert usual_lead(dropped) == usual_lead([]) == ""
