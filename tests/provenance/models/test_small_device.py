"""A device that holds few rows at a time gives what a large one gives: samples, log-probabilities, activations."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_factory import make_response
from memory_logs import MemoryCaptures

from provenance.activations.features import Wanted, collect_features
from provenance.activations.reading import answer_log_probability
from provenance.answers.prompts import Prompt, PromptFormat
from provenance.answers.sampling import Decoding, LocalSampler
from provenance.errors import JobError
from provenance.models.loading import LoadedModel
from provenance.records import Response

FORMAT = PromptFormat("{question}\nAnswer:", chat=False)
QUESTIONS = [f"Who is number {number}?" + " Really?" * (number % 3) for number in range(7)]
ANSWERS = [" Paris", " New York", " a", " France is", " of", " b c", " Paris."]


@contextmanager
def room_for(loaded: LoadedModel, rows: int) -> Iterator[list[int]]:
    """Memory for so many rows of one forward pass; the numbers of rows that were tried."""
    tried: list[int] = []

    def refuse(_module: torch.nn.Module, given: tuple[Any, ...]) -> None:
        tried.append(len(given[0]))
        if len(given[0]) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = loaded.model.get_input_embeddings().register_forward_pre_hook(refuse)
    try:
        yield tried
    finally:
        hook.remove()


def prompts(loaded: LoadedModel) -> list[Prompt]:
    return [FORMAT.render(loaded.tokenizer, question) for question in QUESTIONS]


def responses(loaded: LoadedModel) -> list[Response]:
    return [make_response(loaded, question, answer) for question, answer in zip(QUESTIONS, ANSWERS, strict=True)]


def sampled(loaded: LoadedModel, order: list[int]) -> Any:
    draw = LocalSampler(loaded).prompted(prompts(loaded), Decoding(max_new_tokens=9), loaded.stop_ids)
    return [draw(order, range(2), 4), draw(order[::2], range(2, 5), 4)]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_samples_are_the_same_in_any_order_and_round(loaded_llama: LoadedModel, rows: int) -> None:
    order = [3, 0, 6, 5, 1, 2, 4]
    whole = sampled(loaded_llama, order)
    with room_for(loaded_llama, rows) as tried:
        assert sampled(loaded_llama, order) == whole
    assert max(tried) > rows


@pytest.mark.parametrize("rows", [1, 2])
def test_log_probabilities_and_activations_are_the_same(loaded_llama: LoadedModel, rows: int, tmp_path: Path) -> None:
    given = responses(loaded_llama)

    def captured(name: str) -> np.ndarray:
        found = collect_features(
            lambda: loaded_llama, given, tmp_path / name, "k" * 64, MemoryCaptures(), lambda *_: None, Wanted("all")
        )
        assert found.other is not None
        return np.concatenate([found.answer.all(), found.other.all()])

    values, activations = answer_log_probability(loaded_llama, given), captured("whole")
    with room_for(loaded_llama, rows) as tried:
        np.testing.assert_allclose(answer_log_probability(loaded_llama, given), values, rtol=1e-5)
        np.testing.assert_allclose(captured("parts"), activations, rtol=1e-4, atol=1e-7)
    assert max(tried) > rows


def test_a_device_without_room_for_one_row_is_one_clear_error(loaded_llama: LoadedModel) -> None:
    with room_for(loaded_llama, 0), pytest.raises(JobError, match="one row of a batch"):
        answer_log_probability(loaded_llama, responses(loaded_llama))
