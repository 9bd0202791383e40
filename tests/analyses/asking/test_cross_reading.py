"""Each model reads the other's answers, in every prompt that is asked for, once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_factory import make_response
from memory_logs import MemoryCaptures, MemoryWorkspace
from pairing import Pairing, used
from reference import cett_of
from subjects import Lent, lent

from provenance.activations.features import Features
from provenance.analyses.asking.both_models import Gathered
from provenance.analyses.asking.cross_reading import (
    FORCED_CELLS,
    CellName,
    ForcedAnswers,
    cells_read_by,
    forced_task,
    read_answers,
)
from provenance.answers.foreign_answers import Reading
from provenance.answers.prompts import BASE_PROMPT, PromptFormat
from provenance.answers.spans import answer_span
from provenance.errors import InputError
from provenance.models.loading import LoadedModel
from provenance.records import CaptureChunk, Question, Region, Response, Task

READING = Reading(PromptFormat(BASE_PROMPT, chat=False), " ")


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    return Pairing(tmp_path_factory.mktemp("pairing"))


@pytest.fixture
def task(pairing: Pairing) -> Task:
    settings = pairing.subjects["base"].settings
    return forced_task(asked_base(pairing), pairing.sides["instruct"].checkpoint, READING, settings)


def asked_base(pairing: Pairing) -> Task:
    """The base's own answers to the test questions."""
    return pairing.subjects["base"].answers_task(pairing.pools[1])


def by_hand(loaded: LoadedModel, reading: Reading, question: str, response: Response) -> np.ndarray:
    """Mean CETT of one answer, put together token by token: no line break and no quotation marks in these answers."""
    answer = response.text[slice(*answer_span(response.text))]
    prompt = reading.prompt.render(loaded.tokenizer, question)
    ids = tuple(loaded.tokenizer(reading.lead + answer, add_special_tokens=False)["input_ids"])
    start = len(prompt.ids)
    regions = (*prompt.regions, Region("answer", start, start + len(ids)))
    return cett_of(loaded, [replace(response, prompt_ids=prompt.ids, response_ids=ids, regions=regions)])[0][0]


def all_cells(gathered: Gathered) -> dict[CellName, ForcedAnswers]:
    return cells_read_by("base", gathered) | cells_read_by("instruct", gathered)


@pytest.mark.parametrize("name", FORCED_CELLS)
def test_a_cell_is_one_model_on_the_others_words_with_the_others_labels(pairing: Pairing, name: CellName) -> None:
    reader, speaker, place = name
    found = all_cells(pairing.gathered_anew()[0])
    assert tuple(found) == FORCED_CELLS
    cell = found[name]
    own = pairing.gathered.answers[speaker][1].features
    assert cell.n_dropped == 0
    assert cell.features.question_ids == own.question_ids
    assert cell.features.units == own.units
    np.testing.assert_array_equal(cell.features.hallucinated, own.hallucinated)
    reading = Reading(pairing.subjects[place].settings.prompt, " " if place == "base" else cell_lead(pairing))
    texts = {question.id: question.text for question in pairing.pools[1].questions.questions}
    responses = {r.question_id: r for r in pairing.gathered.collected[speaker][1].responses}
    slow = np.stack(
        [by_hand(pairing.subjects[reader].model(), reading, texts[q], responses[q]) for q in own.question_ids]
    )
    slow = slow[:, pairing.alignment.base_ids] if reader == "base" else slow
    np.testing.assert_allclose(cell.features.answer.all(), slow, rtol=2e-3)  # padding changes the last digits
    other = pairing.gathered.answers[reader][1].features.answer.all()
    assert other.shape != slow.shape or not np.allclose(other, slow, rtol=0.1)  # the check can fail


def cell_lead(pairing: Pairing) -> str:
    """White space that the instruct checkpoint's responses usually begin with; the speaker says " Paris" and "."."""
    texts = [r.text for r in pairing.gathered.collected["instruct"][1].responses if r.label != "dropped"]
    return " " if sum(text.startswith(" ") for text in texts) * 2 > len(texts) else ""


def test_nothing_is_read_twice(pairing: Pairing) -> None:
    """Answers of a run that was killed, or of the run before, are there; one that is forgotten is read again."""
    first = all_cells(pairing.gathered_anew()[0])
    gathered, subjects = pairing.gathered_anew()
    again = all_cells(gathered)
    assert used(subjects) == 0
    for name in FORCED_CELLS:
        np.testing.assert_array_equal(again[name].features.answer.all(), first[name].features.answer.all())
    pairing.workspace.capture_logs.clear()
    all_cells(gathered)
    assert used(subjects) == len(FORCED_CELLS)


def test_whatever_changes_the_captures_changes_their_name(pairing: Pairing, task: Task) -> None:
    settings = pairing.subjects["base"].settings
    base, instruct = (pairing.sides[stage].checkpoint for stage in ("base", "instruct"))
    asked = asked_base(pairing)
    others = [
        asked,
        forced_task(asked, base, READING, settings),
        forced_task(asked, instruct, replace(READING, lead=""), settings),
        forced_task(asked, instruct, Reading(PromptFormat(BASE_PROMPT, chat=True), " "), settings),
        forced_task(asked, instruct, READING, replace(settings, dtype="bfloat16")),
        forced_task(replace(asked, key="0"), instruct, READING, settings),
    ]
    assert len({task.key, *(other.key for other in others)}) == len(others) + 1
    how = {"capture_dtype": "float16", "other_tokens": "content", "device": "cuda", "batch_size": 3}
    same = replace(settings, **how, attn_implementation="eager")  # nothing else does
    assert forced_task(asked, instruct, READING, same) == task


def asked_of(loaded: LoadedModel, count: int) -> tuple[list[Response], list[Question]]:
    """Responses to different questions."""
    questions = [Question(f"Question {i}?", f"Question {i}?", (), f"u{i}") for i in range(count)]
    return [make_response(loaded, question.text, f" Paris is {i}") for i, question in enumerate(questions)], questions


def reader_of(pairing: Pairing, loaded: LoadedModel, folder: Path, **how: Any) -> Lent:
    """A model that reads in place of the instruct checkpoint."""
    settings, checkpoint = pairing.subjects["base"].settings, pairing.sides["instruct"].checkpoint
    return lent(loaded, settings, MemoryWorkspace(folder), checkpoint=checkpoint, **how)


def test_answers_that_cannot_be_placed_are_left_out(
    pairing: Pairing, loaded_llama: LoadedModel, tmp_path: Path
) -> None:
    responses, questions = asked_of(loaded_llama, 4)
    responses[1] = replace(responses[1], text=" ...")

    def capture(folder: Path, said: list[Response]) -> tuple[Features, tuple[Response, ...]]:
        reader = reader_of(pairing, loaded_llama, folder)
        return read_answers(reader, asked_base(pairing), said, questions, READING, "reads")

    features, placed = capture(tmp_path, responses)
    assert features.question_ids == ("Question 0?", "Question 2?", "Question 3?")
    assert tuple(response.question_id for response in placed) == features.question_ids
    features, placed = capture(tmp_path / "none", [responses[1]])
    assert (placed, len(features)) == ((), 0)
    features, placed = capture(tmp_path / "empty", [])
    assert (placed, len(features)) == ((), 0)


def test_rows_stand_in_the_order_of_the_responses(pairing: Pairing, loaded_llama: LoadedModel, tmp_path: Path) -> None:
    """However they are put together for reading: here long ones and short ones by turns, in more than one chunk."""
    questions = [Question(f"{'long ' * (i % 5)}{i}?", f"{'long ' * (i % 5)}{i}?", (), f"u{i}") for i in range(40)]
    responses = [make_response(loaded_llama, question.text, " Paris is") for question in questions]
    responses[3] = replace(responses[3], label="hallucinated")
    reader = reader_of(pairing, loaded_llama, tmp_path)
    features, _ = read_answers(reader, asked_base(pairing), responses, questions, READING, "reads")
    assert features.question_ids == tuple(question.id for question in questions)
    assert np.flatnonzero(features.hallucinated).tolist() == [3]
    slow = np.concatenate([cett_of(loaded_llama, [response])[0] for response in responses])
    np.testing.assert_allclose(features.answer.all(), slow, rtol=2e-3)


def test_a_killed_capture_goes_on_where_it_stopped(
    pairing: Pairing, loaded_llama: LoadedModel, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provenance.activations.features.rows_within", lambda _bytes: 20)

    class Killed(MemoryCaptures):
        def append(self, chunk: CaptureChunk) -> None:
            if self.written:
                raise KeyboardInterrupt
            super().append(chunk)

    responses, questions = asked_of(loaded_llama, 40)  # more than one batch
    read, log = [], Killed()

    def load() -> LoadedModel:
        read.append(1)
        return loaded_llama

    reader = reader_of(pairing, loaded_llama, tmp_path, loads=load)
    logs = reader.workspace.capture_logs  # type: ignore[attr-defined]
    logs[task.key] = log
    with pytest.raises(KeyboardInterrupt):
        read_answers(reader, asked_base(pairing), responses, questions, READING, "reads")
    [first] = log.written
    logs[task.key] = MemoryCaptures()
    logs[task.key].written = [first]
    features, _ = read_answers(reader, asked_base(pairing), responses, questions, READING, "reads")
    assert len(read) == 2
    assert len(features) == 40
    kept, *others = logs[task.key].written
    assert kept is first
    assert not {*first.question_ids} & {question for chunk in others for question in chunk.question_ids}


def test_a_response_without_its_question_is_an_error(
    pairing: Pairing, loaded_llama: LoadedModel, tmp_path: Path
) -> None:
    responses, questions = asked_of(loaded_llama, 2)
    with pytest.raises(InputError, match="no question 'Question 1\\?'"):
        read_answers(
            reader_of(pairing, loaded_llama, tmp_path), asked_base(pairing), responses, questions[:1], READING, "reads"
        )
