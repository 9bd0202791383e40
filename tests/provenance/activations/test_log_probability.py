"""Log-probabilities of answers: the definition with all logits, in every model family, padded or not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_factory import DENSE, load, make_response
from torch import nn

from provenance.activations import reading
from provenance.activations.reading import Reader, answer_log_probability
from provenance.errors import CaptureError, CheckpointError, NonFiniteError
from provenance.models.loading import LoadedModel
from provenance.records import Region, Response

QUESTIONS = {
    "What is the capital of France, and since when?": " New York's\n and more",
    "Who?": " Paris.",
    "a": ' "a b c d e f"',
    "And why?": " Paris.",
}


def responses_of(loaded: LoadedModel) -> list[Response]:
    return [make_response(loaded, question, answer) for question, answer in QUESTIONS.items()]


def slowly(loaded: LoadedModel, response: Response) -> float:
    """One response by itself, logits of every position, token by token."""
    ids = torch.tensor([[*response.prompt_ids, *response.response_ids]])
    with torch.inference_mode():
        logits = loaded.model(input_ids=ids).logits[0]
    tokens = [t for region in response.regions if region.name == "answer" for t in range(region.start, region.stop)]
    return float(np.mean([torch.log_softmax(logits[t - 1].float(), dim=0)[ids[0, t]].item() for t in tokens]))


@pytest.mark.costly
@pytest.mark.parametrize("model_type", DENSE)
@pytest.mark.parametrize("at_once", [1, 5, 1000])
def test_it_is_the_mean_over_answer_tokens_of_the_full_softmax(
    loaded_of: Callable[[str], LoadedModel], model_type: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks of one state, of some, and all at once."""
    loaded = loaded_of(model_type)
    monkeypatch.setattr(reading, "LOGITS_AT_ONCE", at_once * loaded.words)
    responses = responses_of(loaded)
    found = answer_log_probability(loaded, responses)
    expected = [slowly(loaded, response) for response in responses]
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)  # float32 sums of padded rows in another order
    assert (found < 0).all()
    shifted = [replace(r, regions=tuple(_moved(region) for region in r.regions)) for r in responses]
    assert not np.allclose(answer_log_probability(loaded, shifted), expected, rtol=1e-2)  # one token off


def _moved(region: Region) -> Region:
    return replace(region, start=region.start - 1, stop=region.stop - 1) if region.name == "answer" else region


def test_what_comes_after_the_answer_does_not_matter_and_what_comes_before_does(loaded_llama: LoadedModel) -> None:
    response = make_response(loaded_llama, "Who?", " Paris")
    longer = replace(response, response_ids=(*response.response_ids, 9, 10, 11))
    other = replace(response, prompt_ids=(*response.prompt_ids[:-2], 9, *response.prompt_ids[-1:]))
    plain, after, before = answer_log_probability(loaded_llama, [response, longer, other])
    assert after == pytest.approx(plain, rel=1e-5)
    assert before != pytest.approx(plain, rel=1e-2)


@contextmanager
def standing_out(loaded: LoadedModel, token: int, height: float) -> Iterator[None]:
    """The model's head gives the same logits everywhere: 0 for every token but one."""

    def flat(_module: nn.Module, _inputs: tuple[torch.Tensor, ...], logits: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros_like(logits)
        logits[..., token] = height
        return logits

    handle = loaded.model.get_output_embeddings().register_forward_hook(flat)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("height", [0.0, 200.0])
def test_an_even_guess_costs_the_log_of_the_vocabulary_and_a_certain_token_nothing(
    loaded_llama: LoadedModel, height: float
) -> None:
    response = make_response(loaded_llama, "Who?", " Paris")
    with standing_out(loaded_llama, response.response_ids[0], height):
        (value,) = answer_log_probability(loaded_llama, [response])
    assert value == pytest.approx(0.0 if height else -np.log(vocabulary(loaded_llama)), abs=1e-5)


def vocabulary(loaded: LoadedModel) -> int:
    return int(loaded.model.get_input_embeddings().weight.shape[0])


@pytest.mark.parametrize("model_type", DENSE)
def test_the_head_makes_one_row_of_logits_for_each_answer_token(
    loaded_of: Callable[[str], LoadedModel], model_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all tokens only those before an answer token, wherever they stand, a block at a time, in every family."""
    loaded = loaded_of(model_type)
    monkeypatch.setattr(reading, "LOGITS_AT_ONCE", 4 * loaded.words)
    rows: list[int] = []
    head = loaded.model.get_output_embeddings()
    handle = head.register_forward_hook(lambda _module, _inputs, logits: rows.append(logits[..., 0].numel()))
    responses = responses_of(loaded)
    Reader(loaded, ["answer", "other", "log_probability"]).read(responses)
    with torch.inference_mode():
        loaded.model(input_ids=torch.tensor([[1, 2, 3]]))
    handle.remove()
    tokens = sum(region.stop - region.start for r in responses for region in r.regions if region.name == "answer")
    assert rows[-1] == 3, "the model is as it was once the answers are read"
    assert max(rows[:-1]) <= 4
    assert sum(rows[:-1]) == tokens < sum(len(r.prompt_ids) + len(r.response_ids) for r in responses) / 3


@pytest.mark.parametrize("model_type", ["gemma2", "gemma3_text"])
def test_a_cap_on_logits_is_kept(checkpoint_of: Callable[[str], Path], model_type: str) -> None:
    """What a family does behind its head is done to the picked states as well: a cap of 1 changes the numbers."""
    loaded = load(checkpoint_of(model_type))
    plain = answer_log_probability(loaded, responses_of(loaded))
    loaded.model.config.final_logit_softcapping = 1.0
    capped = answer_log_probability(loaded, responses_of(loaded))
    np.testing.assert_allclose(capped, [slowly(loaded, response) for response in responses_of(loaded)], rtol=1e-4)
    assert not np.allclose(capped, plain, rtol=1e-2)


def test_a_bfloat16_model_is_judged_in_float32(checkpoint_of: Callable[[str], Path]) -> None:
    """Bfloat16 has eight bits: a log-softmax in it would give values on a coarse grid."""
    loaded = load(checkpoint_of("llama"), "bfloat16")
    response = make_response(loaded, "Who?", " Paris.")
    (value,) = answer_log_probability(loaded, [response])
    assert value == pytest.approx(slowly(loaded, response), rel=1e-2)
    assert float(torch.tensor(value).bfloat16()) != value


def test_no_responses_have_no_values(loaded_llama: LoadedModel) -> None:
    assert answer_log_probability(loaded_llama, []).shape == (0,)


def test_a_response_without_an_answer_is_refused(loaded_llama: LoadedModel) -> None:
    response = make_response(loaded_llama, "Who?", "...")
    with pytest.raises(CaptureError, match=r"'Who\?'.*\n.*no answer tokens"):
        answer_log_probability(loaded_llama, [response])


def test_an_answer_with_nothing_before_it_is_refused(loaded_llama: LoadedModel) -> None:
    response = replace(make_response(loaded_llama, "Who?", "Paris"), prompt_ids=(), regions=(Region("answer", 0, 1),))
    with pytest.raises(CaptureError, match="first position"):
        answer_log_probability(loaded_llama, [response])


def test_tokens_of_a_larger_vocabulary_are_refused(loaded_llama: LoadedModel) -> None:
    response = make_response(loaded_llama, "Who?", " Paris")
    with pytest.raises(CheckpointError, match="id 99999"):
        answer_log_probability(loaded_llama, [replace(response, prompt_ids=(99999, *response.prompt_ids[1:]))])


def test_a_model_whose_head_gets_other_states_is_refused(
    loaded_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the last token's, say: there would be no logits of the others."""
    forward = loaded_llama.model.forward
    monkeypatch.setattr(loaded_llama.model, "forward", lambda **inputs: forward(**inputs, logits_to_keep=1))
    with pytest.raises(CaptureError, match=r"1 calls of its body, and logits of shape \(1, 1, 304\)"):
        answer_log_probability(loaded_llama, [make_response(loaded_llama, "Who?", " New York's")])
    assert "forward" not in vars(loaded_llama.model.base_model)


def test_a_model_that_calls_its_body_twice_or_not_at_all_is_refused(
    loaded_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    responses = [make_response(loaded_llama, "Who?", " Paris")]
    forward = loaded_llama.model.forward
    monkeypatch.setattr(loaded_llama.model, "forward", lambda **inputs: (forward(**inputs), forward(**inputs))[0])
    with pytest.raises(CaptureError, match="2 calls"):
        answer_log_probability(loaded_llama, responses)
    kept = forward(input_ids=torch.tensor([[1, 2]]))
    monkeypatch.setattr(loaded_llama.model, "forward", lambda **_inputs: kept)
    with pytest.raises(CaptureError, match="0 calls"):
        answer_log_probability(loaded_llama, responses)


def test_a_model_without_a_body_is_refused(loaded_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(loaded_llama.model), "base_model_prefix", "nothing")
    with pytest.raises(CaptureError, match="without a body"):
        answer_log_probability(loaded_llama, [make_response(loaded_llama, "Who?", " Paris")])


def test_values_that_are_not_finite_are_refused(loaded_llama: LoadedModel) -> None:
    responses = [make_response(loaded_llama, "Who?", " Paris")]
    with standing_out(loaded_llama, 5, float("nan")), pytest.raises(NonFiniteError, match="1 of 1"):
        answer_log_probability(loaded_llama, responses)
