"""Mean log-probability of an answer's tokens under a model.

The model gets the sampled ids, so nothing is tokenised again. Its head gets only the states that predict an answer
token (262,144 logits at all positions would cost too much); the model's scaling or capping of logits still applies.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from jaxtyping import Float64
from torch import nn

from provenance.activations.capture import padded
from provenance.errors import CaptureError, NonFiniteError, PairError
from provenance.models.devices import in_halves
from provenance.models.loading import LoadedModel
from provenance.records import Response


@torch.inference_mode()
def answer_log_probability(
    loaded: LoadedModel, responses: Sequence[Response], batch: int
) -> Float64[np.ndarray, " responses"]:
    """Mean log-probability of the answer tokens, each given everything before it.

        1 / |A| * sum_{t in A} log p(x_t | x_1 ... x_{t-1}),   A the answer region

    Args:
        loaded: The judging model; not necessarily the one that answered.
        responses: Teacher-forced with the ids that were sampled.
        batch: Responses per forward pass, at least 1.

    Returns:
        Nats per token, <= 0, higher = more probable. Log-softmax in float32 for every model dtype; no temperature and
        no truncation of the distribution, independent of the decoding.

    Raises:
        CaptureError: A response without an answer region, or a model that does not compute its logits by one call of
            its output embeddings on the states of all tokens.
        PairError: Token ids that the model does not have; the other checkpoint's larger vocabulary.
        NonFiniteError: A token has no finite log-probability; overflow in float16 is the usual cause.
    """
    places = [_answer_positions(response) for response in responses]
    rows = [[*r.prompt_ids, *r.response_ids][: at[-1] + 1] for r, at in zip(responses, places, strict=True)]
    _check_vocabulary(loaded, rows)
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))  # keeps padding low
    values = np.empty(len(rows))
    for start in range(0, len(rows), batch):
        chosen = order[start : start + batch]
        values[chosen] = in_halves(partial(_batch_means, loaded), [(rows[row], places[row]) for row in chosen])
    if not np.isfinite(values).all():
        raise NonFiniteError(
            "a finite log-probability of every answer",
            found=f"NaN or infinity in {int((~np.isfinite(values)).sum())} of {len(values)}",
            remedy="try --dtype float32 or bfloat16",
        )
    return values


def _answer_positions(response: Response) -> list[int]:
    positions = [t for region in response.regions if region.name == "answer" for t in range(region.start, region.stop)]
    if not positions or positions[0] == 0:
        raise CaptureError(
            f"an answer with something before it in the response to {response.question_id!r}",
            found="no answer tokens" if not positions else "an answer at the first position",
            remedy="leave out responses that were dropped for having no answer span",
        )
    return positions


def _check_vocabulary(loaded: LoadedModel, rows: Sequence[Sequence[int]]) -> None:
    known = loaded.model.get_input_embeddings().weight.shape[0]
    highest = max((max(row) for row in rows), default=0)
    if highest >= known:
        raise PairError(
            f"responses in the model's own {known} tokens",
            found=f"token {highest}",
            remedy="score texts of a checkpoint with the same tokenizer only",
        )


def _batch_means(loaded: LoadedModel, given: Sequence[tuple[list[int], list[int]]]) -> list[float]:
    """Of rows of token ids and the places of their answer tokens."""
    rows, places = zip(*given, strict=True)
    ids, mask = padded(rows, loaded.pad_id, loaded.device)
    row = torch.tensor([r for r, positions in enumerate(places) for _ in positions], device=loaded.device)
    position = torch.tensor([t for positions in places for t in positions], device=loaded.device)
    with _head_sees(loaded, tuple(ids.shape), row, position - 1):  # token t is predicted at t - 1
        logits = loaded.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    wanted = ids[row, position]
    means: list[float] = []
    start = 0
    for positions in places:
        own = slice(start, start + len(positions))
        shares = torch.log_softmax(logits[0, own].float(), dim=-1)  # row by row: a float32 copy of all would double it
        means.append(float(shares.gather(1, wanted[own, None]).double().mean()))
        start += len(positions)
    return means


@contextmanager
def _head_sees(
    loaded: LoadedModel, shape: tuple[int, ...], rows: torch.Tensor, positions: torch.Tensor
) -> Iterator[None]:
    """Give the model's head the states of some tokens alone; CaptureError unless it is called once, on all states."""
    calls: list[tuple[int, ...]] = []

    def pick(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        states = inputs[0]
        calls.append(tuple(states.shape))
        if calls[-1][:-1] != shape:
            raise _other_head(f"states of shape {calls[-1]} for ids of shape {shape}")
        return (states[rows, positions][None], *inputs[1:])

    head = loaded.model.get_output_embeddings()
    if head is None:
        raise _other_head("no output embeddings")
    handle = head.register_forward_pre_hook(pick)
    try:
        yield
    finally:
        handle.remove()
    if len(calls) != 1:
        raise _other_head(f"{len(calls)} calls")


def _other_head(found: str) -> CaptureError:
    return CaptureError(
        "a model that calls its output embeddings once, on the states of all tokens",
        found=found,
        remedy="this model's forward pass makes its logits in another way; it is not supported",
    )
