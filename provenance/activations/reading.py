"""One reading of answers: everything that a run needs of the same tokens, from one forward pass.

The model's body passes once over prompt and response. Its hooks give mean CETT of the answer tokens and of the others,
and the mean of the residual stream over the answer tokens; its last states give the log-probability of the answer, for
which the head sees the states of answer tokens alone, in blocks (262,144 logits at all positions would cost more than
the pass). Where `other` is not wanted, nothing behind the answer is read, since it cannot act backwards.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Shaped

from provenance.activations.batches import batches
from provenance.activations.capture import blocks_hooked, down_norms, forward, hooked, padded, region_masks
from provenance.activations.cett import cett_means
from provenance.architectures import Layout
from provenance.errors import CaptureError, NonFiniteError
from provenance.models.devices import in_halves
from provenance.models.loading import LoadedModel
from provenance.records import OtherTokens, Response

Quantity = Literal["answer", "other", "log_probability", "residual"]
"""Mean CETT over answer tokens, and over the others; of the answer tokens, mean log-probability, and mean residual
stream behind each block."""
QUANTITIES: tuple[Quantity, ...] = ("answer", "other", "log_probability", "residual")
_WORDS: Mapping[Quantity, str] = {
    "answer": "mean CETT",
    "other": "mean CETT",
    "log_probability": "log-probability of every answer",
    "residual": "residual stream",
}
LOGITS_AT_ONCE = 1 << 26  # 256 MB in float32: the states of 256 tokens for a vocabulary of 262,144
ROWS_AT_ONCE = 8  # of them in float32 copies, which a processor's cache then holds


@runtime_checkable
class ReadsElsewhere(Protocol):
    """A model that reads in other processes."""

    @property
    def layout(self) -> Layout:
        """Location of its MLPs."""

    def read(
        self, quantities: Collection[Quantity], other: OtherTokens, batches: Sequence[Sequence[Response]]
    ) -> Iterator[Mapping[Quantity, np.ndarray]]:
        """What is read in each batch, in their order, see `read_each`."""


class Reader:
    """One model that reads responses.

    Args:
        loaded: The model; not necessarily the one that answered.
        quantities: What is read of each response.
        other: Tokens beside the answer's whose mean is `other`.
    """

    def __init__(self, loaded: LoadedModel, quantities: Collection[Quantity], other: OtherTokens = "all") -> None:
        self._loaded = loaded
        self._wanted = frozenset(quantities)
        self._other = other
        seen = {"answer", "other"} & self._wanted
        self._norms = down_norms(loaded) if seen else []

    def length(self, response: Response) -> int:
        """Tokens of a response that are read."""
        return read_length(response, self._wanted)

    @torch.inference_mode()
    def read(self, responses: Sequence[Response]) -> dict[Quantity, Shaped[np.ndarray, "responses _"]]:
        """What is wanted of some responses, by one forward pass over exactly the sampled ids.

        Returns:
            `answer` and `other`: mean CETT (dimensionless, float32) of every neuron, layer by layer; zeros without a
            token of the region. `log_probability`: nats per token (float64), one column, see `answer_log_probability`.
            `residual`: see `_residual`, layer by layer.

        Raises:
            CaptureError: Hooks did not fire as they should; or, for log-probabilities, a response without an answer
                or a model that makes its logits in another way.
            CheckpointError: Token ids that the model does not have.
            NonFiniteError, ZeroOutputError: See `provenance.activations.cett`; or an answer has no finite
                log-probability: overflow in float16 is the usual cause.
        """
        rows = [[*response.prompt_ids, *response.response_ids][: self.length(response)] for response in responses]
        self._loaded.require_known(token for row in rows for token in row)
        ids, mask = padded(rows, self._loaded.pad_id, self._loaded.device)
        found: dict[Quantity, np.ndarray] = {}
        with ExitStack() as hooks:
            if self._norms:
                hooks.enter_context(self._reduced(responses, ids.shape[1], found))
            if "residual" in self._wanted:
                hooks.enter_context(self._residual(responses, found))
            output = forward(self._loaded, ids, mask)
        if "log_probability" in self._wanted:
            found["log_probability"] = _log_probabilities(self._loaded, output, ids, responses)
        _check_finite(found)
        return {quantity: found[quantity] for quantity in QUANTITIES if quantity in self._wanted}

    @contextmanager
    def _reduced(self, responses: Sequence[Response], width: int, found: dict[Quantity, np.ndarray]) -> Iterator[None]:
        """Reduce z and h of every layer to mean CETT, which is in `found` after the block."""
        layout, device = self._loaded.layout, self._loaded.device
        names: tuple[Quantity, ...] = ("answer", "other") if "other" in self._wanted else ("answer",)
        means = torch.empty((len(names), len(responses), layout.layers * layout.d_m), dtype=torch.float32)
        if "other" in self._wanted:
            places, regions = None, region_masks(responses, width, device, self._other)
        else:
            places, real = _padded_places([_answer_places(response) for response in responses], device)
            regions = real[None]

        def reduce(layer: int, z: torch.Tensor, h: torch.Tensor) -> None:
            block = slice(layer * layout.d_m, (layer + 1) * layout.d_m)
            if places is not None:
                z, h = _at(z, places), _at(h, places)
            means[:, :, block] = cett_means(z, h, self._norms[layer], regions.to(z.device)).cpu()

        with hooked(self._loaded, reduce):
            yield
        found.update(zip(names, means.numpy(), strict=True))

    @contextmanager
    def _residual(self, responses: Sequence[Response], found: dict[Quantity, np.ndarray]) -> Iterator[None]:
        """Reduce the residual stream to its mean over answer tokens, which is in `found` after the block.

            r_l = 1/|A| * sum_{t in A} x_{l,t},   x_{l,t} = what block l (attention and MLP added) hands on at token t

        Float32, in the model's own units, zeros without an answer token. l = 0 is the first block, not the embedding;
        that of the last block is taken before the final norm, as all others are (`hidden_states[-1]` of transformers is
        taken after it).
        """
        layout = self._loaded.layout
        places, real = _padded_places([_answer_places(response) for response in responses], self._loaded.device)
        means = torch.empty((len(responses), layout.layers, layout.d), dtype=torch.float32)

        def reduce(layer: int, states: torch.Tensor) -> None:
            there = real.to(states.device)[:, :, None]
            total = _at(states, places).float().masked_fill(~there, 0).sum(dim=1)
            means[:, layer] = (total / there.sum(dim=1).clamp(min=1)).cpu()

        with blocks_hooked(self._loaded, reduce):
            yield
        found["residual"] = means.flatten(1).numpy()


def read_length(response: Response, quantities: Collection[Quantity]) -> int:
    """Tokens of a response that have to be read: up to the end of its answer, or all where `other` is wanted."""
    places = [] if "other" in quantities else _answer_places(response)
    return places[-1] + 1 if places else len(response.prompt_ids) + len(response.response_ids)


def read_each(reader: Reader, responses: Sequence[Response]) -> dict[Quantity, Shaped[np.ndarray, "responses _"]]:
    """As `Reader.read`, in halves where memory is not enough for all at once.

    Raises:
        JobError: Memory is not enough for one response.
    """

    def one_by_one(some: Sequence[Response]) -> list[dict[Quantity, np.ndarray]]:
        values = reader.read(some)
        return [{quantity: rows[number] for quantity, rows in values.items()} for number in range(len(some))]

    read = in_halves(one_by_one, responses)
    return {quantity: np.stack([each[quantity] for each in read]) for quantity in read[0]}


def answer_log_probability(loaded: LoadedModel, responses: Sequence[Response]) -> Float64[np.ndarray, " responses"]:
    """Mean log-probability of the answer tokens, each given everything before it.

        1 / |A| * sum_{t in A} log p(x_t | x_1 ... x_{t-1}),   A the answer region

    Args:
        loaded: The judging model; not necessarily the one that answered.
        responses: Teacher-forced with the ids that were sampled.

    Returns:
        Nats per token, <= 0, higher = more probable. Log-softmax in float32 for every model dtype; no temperature and
        no truncation of the distribution, independent of the decoding.

    Raises:
        CaptureError, CheckpointError, NonFiniteError: See `Reader.read`.
    """
    reader = Reader(loaded, ["log_probability"])
    values = np.empty(len(responses))
    for rows in batches([reader.length(response) for response in responses]):
        found = read_each(reader, [responses[row] for row in rows])
        values[rows] = found["log_probability"][:, 0]
    return values


def _answer_places(response: Response) -> list[int]:
    return [t for region in response.regions if region.name == "answer" for t in range(region.start, region.stop)]


def _padded_places(
    places: Sequence[Sequence[int]], device: torch.device
) -> tuple[Int[torch.Tensor, "rows most"], Shaped[torch.Tensor, "rows most"]]:
    """Places of tokens as a rectangle, and which of them are real."""
    most = max(1, *map(len, places))
    table = [[*own, *[0] * (most - len(own))] for own in places]
    real = [[True] * len(own) + [False] * (most - len(own)) for own in places]
    return torch.tensor(table, device=device), torch.tensor(real, device=device)


def _at(values: Float[torch.Tensor, "rows tokens d"], places: Int[torch.Tensor, "rows most"]) -> torch.Tensor:
    """The vectors at some places of each row."""
    return values[torch.arange(len(places), device=values.device)[:, None], places.to(values.device)]


def _log_probabilities(
    loaded: LoadedModel, output: Any, ids: Int[torch.Tensor, "rows tokens"], responses: Sequence[Response]
) -> Float64[np.ndarray, "rows 1"]:
    """Mean over the answer tokens, from the output of the model's body."""
    places = [_predicted(response) for response in responses]
    row = torch.tensor([r for r, own in enumerate(places) for _ in own])
    place = torch.tensor([t for own in places for t in own])
    states = output[0][row, place - 1]  # token t is predicted at t - 1
    wanted = ids[row, place]
    found = torch.empty(len(place), dtype=torch.float64)
    size = max(1, LOGITS_AT_ONCE // loaded.words)
    for start in range(0, len(place), size):
        part = slice(start, start + size)
        logits = _logits(loaded, output, states[part])
        tokens = wanted[part].to(logits.device)
        few = [slice(at, at + ROWS_AT_ONCE) for at in range(0, len(tokens), ROWS_AT_ONCE)]
        found[part] = torch.cat([_log_shares(logits[rows].float(), tokens[rows]) for rows in few]).double().cpu()
    ends = np.cumsum([len(own) for own in places])
    return np.array([own.mean() for own in np.split(found.numpy(), ends[:-1])])[:, None]


def _log_shares(
    logits: Float[torch.Tensor, "rows words"], tokens: Int[torch.Tensor, " rows"]
) -> Float[torch.Tensor, " rows"]:
    """Log-softmax at one token of each row; overwrites the logits, since copies would cost as much as the head."""
    chosen, highest = logits.gather(1, tokens[:, None]), logits.amax(dim=1, keepdim=True)
    return (chosen - highest)[:, 0] - logits.sub_(highest).exp_().sum(dim=1).log()


def _predicted(response: Response) -> list[int]:
    places = _answer_places(response)
    if not places or places[0] == 0:
        raise CaptureError(
            f"an answer with something before it in the response to {response.question_id!r}",
            found="no answer tokens" if not places else "an answer at the first position",
            remedy="leave out responses that were dropped for having no answer span",
        )
    return places


def _logits(loaded: LoadedModel, output: Any, states: Float[torch.Tensor, "tokens d"]) -> torch.Tensor:
    """Logits of the tokens with these last states, with what the model does to them behind its head.

    The model runs with a body that gives the states instead of a pass, so its scaling or capping of logits applies.
    """
    model, body = loaded.model, loaded.model.base_model
    if body is model:
        raise _other_head("a model without a body of its own")
    given = type(output)(**{**output, "last_hidden_state": states[None]})
    calls: list[int] = []

    def giving(*_args: Any, **_kwargs: Any) -> Any:
        calls.append(1)
        return given

    before = vars(body).get("forward")
    body.forward = giving
    try:
        ids = torch.zeros((1, len(states)), dtype=torch.long, device=loaded.device)
        logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
    finally:
        del body.forward
        if before is not None:
            body.forward = before
    if len(calls) != 1 or logits.shape[:-1] != (1, len(states)):
        raise _other_head(f"{len(calls)} calls of its body, and logits of shape {tuple(logits.shape)}")
    return logits[0]


def _other_head(found: str) -> CaptureError:
    return CaptureError(
        "a model that calls its body once, and makes logits of all states that it gives",
        found=found,
        remedy="this model's forward pass makes its logits in another way; it is not supported",
    )


def _check_finite(found: dict[Quantity, np.ndarray]) -> None:
    for quantity, values in found.items():
        wrong = int((~np.isfinite(values)).any(axis=1).sum())
        if wrong:
            raise NonFiniteError(
                f"a finite {_WORDS[quantity]}",
                found=f"NaN or infinity in {wrong} of {len(values)}",
                remedy="try --dtype float32 or bfloat16",
            )
