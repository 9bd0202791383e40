"""Sampling: the same distribution as the library's warpers, and the same text as its plain generation."""

import numpy as np
import pytest
import torch
from transformers import GenerationConfig, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from provenance.answers.prompts import PromptFormat
from provenance.answers.sampling import Decoding, NucleusSampler, PromptBatch, draw_seed
from provenance.errors import NonFiniteError
from provenance.models.loading import LoadedModel

FORMAT = PromptFormat("{question}\nAnswer:", chat=False)
QUESTIONS = ["Who?", "The capital of France is what, and why is it not New York?", "a"]


def batch(loaded: LoadedModel, decoding: Decoding, questions: list[str]) -> PromptBatch:
    prompts = [FORMAT.render(loaded.tokenizer, question) for question in questions]
    return PromptBatch(loaded, prompts, decoding, loaded.stop_ids)


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(temperature=0.7, top_k=5, top_p=0.5), Decoding(top_k=10**6)])
def test_shares_are_those_of_the_library_warpers(decoding: Decoding) -> None:
    scores = torch.randn(7, 300, generator=torch.Generator().manual_seed(1)) * 3
    expected = scores.clone()
    for warper in (
        TemperatureLogitsWarper(decoding.temperature),
        TopKLogitsWarper(decoding.top_k),
        TopPLogitsWarper(decoding.top_p),
    ):
        expected = warper(None, expected)
    shares, tokens = NucleusSampler(decoding).shares(scores)
    ours = torch.zeros_like(scores).scatter_(1, tokens, shares)
    torch.testing.assert_close(ours, expected.softmax(-1))


def test_drawn_tokens_follow_the_shares() -> None:
    scores = torch.tensor([[0.0, 1.0, 2.0, -9.0]]).repeat(20_000, 1)
    sampler = NucleusSampler(Decoding(top_k=3, top_p=1.0))
    torch.manual_seed(0)
    drawn = sampler(torch.zeros(20_000, 1, dtype=torch.long), scores.clone()).argmax(-1)
    frequencies = torch.bincount(drawn, minlength=4) / len(drawn)
    expected = torch.tensor([0.0, 1.0, 2.0]).softmax(0)
    torch.testing.assert_close(frequencies[:3], expected, atol=0.015, rtol=0)  # four standard errors
    assert frequencies[3] == 0


@pytest.mark.parametrize("top_k", [1, 50])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_named(value: float, top_k: int) -> None:
    scores = torch.zeros(2, 9)
    scores[1, 3] = value
    with pytest.raises(NonFiniteError, match="scores of the next token"):
        NucleusSampler(Decoding(top_k=top_k))(torch.zeros(2, 1, dtype=torch.long), scores)
    scores[1, 3] = -torch.inf  # a token that is ruled out is none of them
    drawn = NucleusSampler(Decoding(top_k=top_k))(torch.zeros(2, 1, dtype=torch.long), scores)
    assert (drawn == 0).sum() == 2


@pytest.mark.parametrize("length", [3, 8, 20])
def test_greedy_samples_equal_plain_generation_one_at_a_time(loaded_llama: LoadedModel, length: int) -> None:
    """Shared prompt pass, padding, and rows leaving the batch must not change a token."""
    drawn = batch(loaded_llama, Decoding(top_k=1, max_new_tokens=length), QUESTIONS).draw([0, 1, 2], 2, seed=0)
    for question, samples in zip(QUESTIONS, drawn, strict=True):
        ids = torch.tensor([FORMAT.render(loaded_llama.tokenizer, question).ids])
        config = GenerationConfig(max_new_tokens=length, eos_token_id=[2], pad_token_id=0)
        plain = loaded_llama.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config
        )
        expected = [token for token in plain[0, ids.shape[1] :].tolist() if token != 2]
        assert samples == [expected, expected]


def test_rows_that_end_early_leave_the_others_alone(loaded_llama: LoadedModel) -> None:
    """With a stop token that some rows meet, the rows that go on keep their own text."""
    long = batch(loaded_llama, Decoding(top_k=1, max_new_tokens=20), QUESTIONS)
    free = [samples[0] for samples in long.draw([0, 1, 2], 1, seed=0)]
    stop = free[0][2]
    prompts = [FORMAT.render(loaded_llama.tokenizer, question) for question in QUESTIONS]
    stopped = PromptBatch(loaded_llama, prompts, Decoding(top_k=1, max_new_tokens=20), frozenset({stop}))
    for whole, [short] in zip(free, stopped.draw([0, 1, 2], 1, seed=0), strict=True):
        assert short == (whole[: whole.index(stop)] if stop in whole else whole)
    assert len(stopped.draw([0], 1, seed=0)[0][0]) < 20


def test_same_seed_same_samples_and_another_seed_others(loaded_llama: LoadedModel) -> None:
    prompts = batch(loaded_llama, Decoding(max_new_tokens=12), QUESTIONS)
    first = prompts.draw([0, 2], 3, seed=5)
    torch.manual_seed(123)  # the caller's own random state must not matter
    before = torch.random.get_rng_state()
    assert prompts.draw([0, 2], 3, seed=5) == first
    assert torch.equal(torch.random.get_rng_state(), before)
    assert prompts.draw([0, 2], 3, seed=6) != first


def test_draw_seed_depends_on_every_part() -> None:
    seeds = {draw_seed(a, b, c) for a in range(3) for b in range(3) for c in range(3)}
    assert len(seeds) == 27
    assert draw_seed(0, 1, 2) == draw_seed(0, 1, 2)
    assert np.log2(max(seeds)) < 48
