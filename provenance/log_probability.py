"""How probable a model finds an answer: the mean log-probability of its tokens.

The one idea: the model is given the very ids that were sampled, so nothing is tokenised again, and logits
are computed only where an answer token is predicted. All positions of a batch times a vocabulary of 262,144
would need more memory than the model; responses with neighbouring answer positions share a batch instead.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64

from provenance.capture import padded
from provenance.errors import CaptureError, NonFiniteError, PairError
from provenance.models import LoadedModel
from provenance.records import Response


@torch.inference_mode()
def answer_log_probability(
    loaded: LoadedModel, responses: Sequence[Response], batch: int
) -> Float64[np.ndarray, " responses"]:
    """Mean log-probability of the answer tokens, each given everything before it.

        1 / |A| * sum_{t in A} log p(x_t | x_1 ... x_{t-1}),   A the answer region

    Args:
        loaded: The model that judges; it may be another one than the one that answered.
        responses: Teacher-forced with the ids that were sampled.
        batch: Responses per forward pass, at least 1.

    Returns:
        Nats per token, <= 0, higher = more probable. Log-softmax in float32, whatever the model's dtype; no
        temperature and no truncation of the distribution, whatever the decoding was.

    Raises:
        CaptureError: A response without an answer region, or the model gives logits of other positions.
        PairError: Token ids that the model does not have; the other checkpoint's larger vocabulary.
        NonFiniteError: A token has no finite log-probability; overflow in float16 is the usual cause.
    """
    places = [_answer_positions(response) for response in responses]
    rows = [[*r.prompt_ids, *r.response_ids][: at[-1] + 1] for r, at in zip(responses, places, strict=True)]
    _check_vocabulary(loaded, rows)
    order = sorted(range(len(rows)), key=lambda row: (places[row][0], places[row][-1]))
    values = np.empty(len(rows))
    for start in range(0, len(rows), batch):
        chosen = order[start : start + batch]
        values[chosen] = _batch_means(loaded, [rows[row] for row in chosen], [places[row] for row in chosen])
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


def _batch_means(loaded: LoadedModel, rows: list[list[int]], places: list[list[int]]) -> list[float]:
    """Mean log-probability of the tokens at given places of each row, from one forward pass."""
    ids, mask = padded(rows, loaded.tokenizer.pad_token_id, loaded.device)
    kept = sorted({position - 1 for positions in places for position in positions})  # token t is predicted at t - 1
    column = {position: i for i, position in enumerate(kept)}
    wanted = torch.tensor(kept, device=loaded.device)
    logits = loaded.model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=wanted).logits
    if logits.shape[1] != len(kept):
        raise CaptureError(
            f"logits of the {len(kept)} positions asked for",
            found=f"{logits.shape[1]}",
            remedy="this model's forward pass does not know logits_to_keep; it is not supported",
        )
    means: list[float] = []
    for row, positions in enumerate(places):
        own = logits[row, [column[position - 1] for position in positions]]
        shares = torch.log_softmax(own.float(), dim=-1)  # row by row: a float32 copy of the batch would double it
        means.append(float(shares.gather(1, ids[row, positions][:, None]).double().mean()))
    return means
