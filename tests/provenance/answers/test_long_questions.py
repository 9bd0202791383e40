"""Questions of absurd length and number: dropped with a word, read in time, and tokenised when their turn comes."""

import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from memory_logs import MemoryResponses
from test_collect_responses import RIGHT, SAMPLES, WRONG, Scripted, make_protocol

from provenance.analyses.asking.both_models import question_pools
from provenance.analyses.asking.collection import Pool, funnel
from provenance.answers.collect_responses import BEYOND_CONTEXT, TOO_LONG, collect
from provenance.answers.prompts import PromptFormat
from provenance.answers.questions import QuestionSet, normalise_question, read_questions
from provenance.answers.sampling import Respondent
from provenance.models.loading import LoadedModel
from provenance.records import Question, Response, Split

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

COMBINING = "e" + "\u0301\u0323" * 50_000
MANY = 5_000
SHARES = (0.5, 0.2, 0.3)


def collected(loaded: LoadedModel, texts: list[str], context: int = 256) -> tuple[Pool, list[Response]]:
    """The pool of these questions, and the responses to it; those that are asked get wrong answers."""
    questions = [Question(str(number), text, ("Paris",), text[:20]) for number, text in enumerate(texts)]
    entries: tuple[tuple[Question, Split], ...] = tuple((question, "train") for question in questions)
    script = {text.split("?")[0]: [WRONG] * SAMPLES for text in texts if len(text) < 50}
    lexicon, sampler = replace(loaded.lexicon, context=context), Scripted(script, loaded)
    pool = Pool(QuestionSet.of("long", "", questions), entries, training=True)
    asked = Respondent(lexicon, sampler)
    return pool, collect(lambda: asked, entries, make_protocol(), MemoryResponses(), lambda *_: None)


def test_a_question_longer_than_the_context_is_dropped_with_a_word_in_the_funnel(loaded_llama: LoadedModel) -> None:
    """A hundred thousand marks over one letter, and one token too many with room for an answer."""
    context = loaded_llama.lexicon.context
    assert context == 256
    frame = len(make_protocol().prompt.render(loaded_llama.tokenizer, "").ids)
    most = context - frame - make_protocol().decoding.max_new_tokens
    fitting = "~" * most  # one token a byte
    texts = ["Question 0?", "why " * 1000, COMBINING, fitting + "~", "Question 1?"]
    start = time.process_time()
    pool, responses = collected(loaded_llama, texts)
    assert time.process_time() - start < 20
    assert [response.reason for response in responses] == ["", *[BEYOND_CONTEXT] * 3, ""]
    assert [response.question_id for response in responses] == ["0", "1", "2", "3", "4"]
    told = funnel("base", pool, responses, [])
    assert (told.asked, told.answered, told.dropped[BEYOND_CONTEXT]) == (5, 2, 3)
    scripted = Scripted({f"{fitting}\nAnswer:": [RIGHT] * SAMPLES}, loaded_llama)
    entry = replace(pool.entries[3][0], text=fitting)
    [kept] = collect(scripted.respondent, [(entry, "train")], make_protocol(), MemoryResponses(), lambda *_: None)
    assert kept.reason != BEYOND_CONTEXT


def test_a_question_of_more_tokens_than_is_sensible_is_dropped_where_the_context_would_hold_it(
    loaded_llama: LoadedModel,
) -> None:
    pool, responses = collected(loaded_llama, ["Question 0?", "why " * 25_000, "Question 1?"], context=1 << 20)
    assert [response.reason for response in responses] == ["", TOO_LONG, ""]
    assert funnel("base", pool, responses, []).dropped[TOO_LONG] == 1


def test_a_batch_of_nothing_but_long_questions_is_no_error(loaded_llama: LoadedModel) -> None:
    _, responses = collected(loaded_llama, ["why " * 1000] * 5)
    assert Counter(response.reason for response in responses) == {BEYOND_CONTEXT: 5}


def test_normalising_a_hundred_thousand_marks_takes_no_time(tmp_path: Path) -> None:
    """NFKC alone takes minutes over them."""
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"id": "1", "question": COMBINING, "answers": []}), "utf-8")
    start = time.process_time()
    assert read_questions(path)[0].unit == normalise_question(f"  {COMBINING}\n")
    assert time.process_time() - start < 5


def test_a_large_set_is_tokenised_as_it_is_asked(
    loaded_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With full quotas only the first batches meet the tokenizer."""
    path = tmp_path / "many.jsonl"
    rows = [{"id": f"q{i}", "question": f"Question {i}?", "answers": ["Paris"]} for i in range(MANY)]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    train, _ = question_pools([QuestionSet.of("many", "", read_questions(path))], SHARES, 0)
    rendered: list[str] = []
    render = PromptFormat.render
    monkeypatch.setattr(PromptFormat, "render", lambda *args: rendered.append(args[2]) or render(*args))
    script = {f"Question {i}": [RIGHT if i % 2 else WRONG] * SAMPLES for i in range(MANY)}
    protocol = make_protocol(quota=1, batch_size=16)
    collect(Scripted(script, loaded_llama).respondent, train.entries, protocol, MemoryResponses(), lambda *_: None)
    assert len(rendered) <= 32
