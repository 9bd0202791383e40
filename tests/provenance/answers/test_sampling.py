"""Sampling: the same distribution as the library's warpers, and the same text as its plain generation."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, gumbel_r, kstest
from transformers import GenerationConfig, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from provenance.answers import sampling
from provenance.answers.prompts import PromptFormat
from provenance.answers.sampling import Decoding, NucleusSampler, PromptBatch, gumbel_noise, noise_key
from provenance.errors import NonFiniteError
from provenance.models import loading
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
    shares, tokens = sampler_of(decoding, 7).shares(scores)
    ours = torch.zeros_like(scores).scatter_(1, tokens, shares)
    torch.testing.assert_close(ours, expected.softmax(-1))


def keys_of(count: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor([noise_key(seed, (5, 9), sample) for sample in range(count)])


def sampler_of(decoding: Decoding, rows: int, seed: int = 0) -> NucleusSampler:
    return NucleusSampler(decoding, keys_of(rows, seed), prompt_length=1)


@pytest.mark.parametrize("position", [0, 7])
@pytest.mark.parametrize("decoding", [Decoding(top_k=4, top_p=1.0), Decoding(temperature=0.5, top_k=6, top_p=0.95)])
def test_drawn_tokens_follow_temperature_top_k_and_top_p(decoding: Decoding, position: int) -> None:
    """Chi-square over 20,000 samples of one prompt; by the shares of another temperature it fails."""
    scores = torch.tensor([[0.3, 1.0, 2.0, -9.0, 1.5, 0.1, -0.4, 1.1]])
    rows = 20_000
    sampler = sampler_of(decoding, rows)
    ids = torch.zeros(rows, 1 + position, dtype=torch.long)
    drawn = sampler(ids, scores.repeat(rows, 1)).argmax(-1)
    counts = torch.bincount(drawn, minlength=8).double()
    shares, tokens = sampler.shares(scores)
    expected = torch.zeros(8).scatter_(0, tokens[0], shares[0]).double()
    inside = expected > 0
    assert counts[~inside].sum() == 0
    assert inside.sum() >= 3
    assert chisquare(counts[inside], rows * expected[inside] / expected.sum()).pvalue > 0.001
    flat = torch.softmax(scores[0, inside].double() / (2 * decoding.temperature), 0)
    assert chisquare(counts[inside], rows * flat).pvalue < 1e-6


def test_noise_is_that_of_splitmix64_number_by_number() -> None:
    """By the published recurrence in whole numbers: state += gamma, then three mixing steps."""

    def slowly(key: int, position: int, token: int) -> float:
        mask = (1 << 64) - 1
        z = (key + (position * 2**32 + token + 1) * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
        return -math.log(-math.log(((z >> 12) + 0.5) / 2**52))

    keys, tokens = keys_of(3), torch.tensor([[0, 5], [262_143, 2], [17, 17]])
    pairs = list(zip(keys.tolist(), tokens.tolist(), strict=True))
    for position in (0, 1, 4000):
        found = gumbel_noise(keys, position, tokens)
        expected = [[slowly(key, position, token) for token in row] for key, row in pairs]
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    # the first number of the generator from state 0, as published with its reference code
    assert slowly(0, 0, 0) == pytest.approx(-math.log(-math.log(((0xE220A8397B1DCDAF >> 12) + 0.5) / 2**52)), rel=1e-12)


def test_noise_is_standard_gumbel_and_independent_of_its_neighbours() -> None:
    tokens = torch.arange(100).repeat(4000, 1)
    noise = gumbel_noise(keys_of(4000, seed=1), 3, tokens).numpy()
    assert kstest(noise.ravel(), gumbel_r.cdf).pvalue > 0.001
    for one, other in (
        (noise[:, 1:], noise[:, :-1]),
        (noise[1:], noise[:-1]),
        (noise, gumbel_noise(keys_of(4000, seed=1), 4, tokens).numpy()),
        (noise, gumbel_noise(keys_of(4000, seed=2), 3, tokens).numpy()),
    ):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.0065  # four standard errors


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_response_does_not_depend_on_the_batch_that_it_is_drawn_in(loaded_llama: LoadedModel, size: int) -> None:
    """In batches of any size, in another order, and sample by sample as in rounds."""
    decoding = Decoding(max_new_tokens=9)
    questions = [f"Who is number {number}?" + " Really?" * (number % 3) for number in range(10)]
    whole = batch(loaded_llama, decoding, questions).draw(list(range(10)), range(3), seed=4)
    assert len({tuple(sample) for samples in whole for sample in samples}) > 25
    parts = [questions[start : start + size] for start in range(0, 10, size)]
    found = []
    for part in parts:
        prompts = batch(loaded_llama, decoding, part[::-1])
        rows = list(range(len(part)))[::-1]
        first, rest = prompts.draw(rows, range(1), seed=4), prompts.draw(rows, range(1, 3), seed=4)
        found += [[*one, *more] for one, more in zip(first, rest, strict=True)]
    assert found == whole


@pytest.mark.parametrize("top_k", [1, 50])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_named(value: float, top_k: int) -> None:
    scores = torch.zeros(2, 9)
    scores[1, 3] = value
    with pytest.raises(NonFiniteError, match="scores of the next token"):
        sampler_of(Decoding(top_k=top_k), 2)(torch.zeros(2, 1, dtype=torch.long), scores)
    scores[1, 3] = -torch.inf  # a token that is ruled out is none of them
    drawn = sampler_of(Decoding(top_k=top_k), 2)(torch.zeros(2, 1, dtype=torch.long), scores)
    assert (drawn == 0).sum() == 2


@pytest.mark.parametrize("length", [3, 8, 20])
def test_greedy_samples_equal_plain_generation_one_at_a_time(loaded_llama: LoadedModel, length: int) -> None:
    """Shared prompt pass, padding, and rows leaving the batch must not change a token."""
    drawn = batch(loaded_llama, Decoding(top_k=1, max_new_tokens=length), QUESTIONS).draw([0, 1, 2], range(2), seed=0)
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
    free = [samples[0] for samples in long.draw([0, 1, 2], range(1), seed=0)]
    stop = free[0][2]
    prompts = [FORMAT.render(loaded_llama.tokenizer, question) for question in QUESTIONS]
    stopped = PromptBatch(loaded_llama, prompts, Decoding(top_k=1, max_new_tokens=20), frozenset({stop}))
    for whole, [short] in zip(free, stopped.draw([0, 1, 2], range(1), seed=0), strict=True):
        assert short == (whole[: whole.index(stop)] if stop in whole else whole)
    assert len(stopped.draw([0], range(1), seed=0)[0][0]) < 20


def test_same_seed_same_samples_and_another_seed_others(loaded_llama: LoadedModel) -> None:
    prompts = batch(loaded_llama, Decoding(max_new_tokens=12), QUESTIONS)
    first = prompts.draw([0, 2], range(3), seed=5)
    torch.manual_seed(123)  # the caller's own random state must not matter
    before = torch.random.get_rng_state()
    assert prompts.draw([0, 2], range(3), seed=5) == first
    assert torch.equal(torch.random.get_rng_state(), before)
    assert prompts.draw([0, 2], range(3), seed=6) != first


def test_noise_keys_depend_on_seed_prompt_and_sample_and_use_all_bits() -> None:
    keys = [noise_key(a, (b, 7), c) for a in range(3) for b in range(3) for c in range(300)]
    assert len(set(keys)) == len(keys)
    assert noise_key(0, (1, 12), 2) == noise_key(0, (1, 12), 2) != noise_key(0, (11, 2), 2)
    ones = np.unpackbits(np.array(keys).view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
    assert ((ones > 0.45) & (ones < 0.55)).all()


def test_samples_are_drawn_together_up_to_the_memory_for_them(
    loaded_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are drawn at once, they are the same; without any memory for them, as many as there are prompts."""
    prompts = [FORMAT.render(loaded_llama.tokenizer, question) for question in QUESTIONS]
    drawn, rows = {}, {}
    for memory, beside in ((0, 0), (1 << 17, 0), (1 << 31, 0), (1, 1 << 18)):
        monkeypatch.setattr(sampling, "SAMPLED_BYTES", memory)
        monkeypatch.setattr(LoadedModel, "gpu_bytes_beside", beside)
        together: list[int] = []
        asked = PromptBatch(
            replace(loaded_llama),
            prompts,
            Decoding(max_new_tokens=9),
            loaded_llama.stop_ids,
            watch=lambda at, to=together: to.append(len(at)),
        )
        drawn[memory] = asked.draw(range(3), range(20), seed=0)
        rows[memory] = max(together)
    assert drawn[0] == drawn[1 << 17] == drawn[1 << 31] == drawn[1]
    assert 3 == rows[0] < rows[1 << 17] == rows[1] < rows[1 << 31] == 60  # half of what a GPU has beside the weights


def test_memory_of_a_gpu_is_counted_beside_the_weights_that_are_there(
    loaded_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tied weights count once; what shares its memory with the machine has none of its own."""
    weights = sum(each.nbytes for each in loaded_llama.model.parameters())
    buffers = sum(each.nbytes for each in loaded_llama.model.buffers())
    for memory, left in ((0, 0), (weights, 0), (weights + buffers + 5, 5)):
        monkeypatch.setattr(loading, "gpu_bytes", {loaded_llama.device: memory}.get)
        assert replace(loaded_llama).gpu_bytes_beside == left
    monkeypatch.undo()
    assert replace(loaded_llama).gpu_bytes_beside == 0
