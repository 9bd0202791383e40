"""Samples responses from a model: all samples of a question share one pass over its prompt.

Random numbers belong to a prompt and not to a batch: a token's noise depends on seed, prompt, sample, position and
token alone, so a response does not depend on which others are asked beside it, and hardly on the dtype. Decoding is
that of `transformers`, but draws among the top k (same distribution, no sort of 262,144 words), and finished rows leave
the batch early.

A model that is asked may also be elsewhere: a `Sampler` draws responses as token ids, wherever it runs them.
"""

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from transformers import DynamicCache, GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation import GenerateDecoderOnlyOutput

from provenance.activations.shared_layers import NOTHING, LowerLayers, kept_below, resumed
from provenance.answers.prompts import Prompt
from provenance.defaults import MAX_NEW_TOKENS
from provenance.errors import NonFiniteError
from provenance.models.devices import in_halves
from provenance.models.loading import Lexicon, LoadedModel

SAMPLED_BYTES = 1 << 31  # of keys, values and scores of the samples that are drawn together, at least
GPU_SHARE = 0.5  # of a GPU's memory beside the weights, for the same; a choice: copies and fragments take the rest
SCORE_BYTES = 12  # of a token of the vocabulary: its score in the model's dtype and twice in float32
FIRST_TOKENS = 4  # finished rows leave the batch after 4, 12, 28, ... tokens
NOISE = "gumbel splitmix64"
"""Names the noise in the identity of kept responses."""
_GAMMA, _MIX_1, _MIX_2 = (number - (1 << 64) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""Constants of SplitMix64, as integers with a sign, which torch multiplies modulo 2^64."""


@dataclass(frozen=True)
class Decoding:
    """Sampling parameters. Choice: the defaults."""

    temperature: float = 1.0
    """Divisor of the logits."""
    top_k: int = 50
    """Number of most probable tokens kept."""
    top_p: float = 0.9
    """Of these, the smallest set with at least this probability is kept."""
    max_new_tokens: int = MAX_NEW_TOKENS
    """Maximal length of a response."""


Sampled = list[int] | str
"""Token ids of a response, stop tokens left out; only its text where the ids that spell it are not known."""
Draw = Callable[[Sequence[int], range, int], Sequence[Sequence[Sampled]]]
"""Gives the samples of some prompts: of their positions in the batch, the numbers of their samples, and a seed."""


@runtime_checkable
class Sampler(Protocol):
    """Samples responses to prompts."""

    def prompted(self, prompts: Sequence[Prompt], decoding: Decoding, stop_ids: frozenset[int]) -> Draw:
        """Take a batch of prompts, of which samples are drawn in rounds; `stop_ids` end a response."""


@dataclass(frozen=True)
class Respondent:
    """What answers questions."""

    lexicon: Lexicon
    """Words and limits of its checkpoint."""
    sampler: Sampler

    @classmethod
    def of(cls, loaded: LoadedModel) -> "Respondent":
        """A model that is loaded here."""
        return cls(loaded.lexicon, LocalSampler(loaded))


@dataclass(frozen=True)
class LocalSampler:
    """Samples from a loaded model, with noise that belongs to prompt and sample."""

    loaded: LoadedModel

    def prompted(self, prompts: Sequence[Prompt], decoding: Decoding, stop_ids: frozenset[int]) -> Draw:
        """See `Sampler`; the prompts pass through the model once."""
        halves = in_halves(lambda some: [PromptBatch(self.loaded, some, decoding, stop_ids)], prompts)
        return halves[0].draw if len(halves) == 1 else partial(_drawn_in_parts, halves)


def _drawn_in_parts(
    parts: "Sequence[PromptBatch]", rows: Sequence[int], samples: range, seed: int
) -> list[list[list[int]]]:
    """Samples from batches that follow one another; see `Draw`."""
    ends = list(accumulate(len(part) for part in parts))
    drawn: dict[int, list[list[int]]] = {}
    for part, end in zip(parts, ends, strict=True):
        own = [row for row in rows if end - len(part) <= row < end]
        found = part.draw([row - end + len(part) for row in own], samples, seed) if own else []
        drawn |= dict(zip(own, found, strict=True))
    return [drawn[row] for row in rows]


def gumbel_noise(
    keys: Int[torch.Tensor, " rows"], position: int, tokens: Int[torch.Tensor, "rows k"]
) -> Float[torch.Tensor, "rows k"]:
    """Standard Gumbel noise of each token at a position of a response, float64, from the row's 64-bit key.

        g = -log(-log u),   u = ((SplitMix64(key, position * 2^32 + token) >> 12) + 1/2) / 2^52

    Source: Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195, for SplitMix64, of which the n-th number from a
    key is known without those before it.
    """
    z = keys[:, None] + (tokens + (position << 32) + 1) * _GAMMA
    z = (z ^ _shifted(z, 30)) * _MIX_1
    z = (z ^ _shifted(z, 27)) * _MIX_2
    z = _shifted(z ^ _shifted(z, 31), 12)
    return -torch.log(-torch.log((z.double() + 0.5) / 2**52))


def _shifted(values: Int[torch.Tensor, "rows k"], bits: int) -> Int[torch.Tensor, "rows k"]:
    """Shift to the right that fills with zeros."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


class NucleusSampler(LogitsProcessor):  # type: ignore[misc]  # transformers is not type-checked
    """Draws one token per row: temperature, then top k, then the nucleus of these k.

        token = argmax over the nucleus of log share + Gumbel noise

    The distribution is that of TemperatureLogitsWarper, TopKLogitsWarper and TopPLogitsWarper in this order, but ties
    at the k-th place are cut to k tokens. All other tokens are masked, so greedy decoding takes the drawn one.

    Args:
        decoding: Sampling parameters.
        keys: From `noise_key`, one per row.
        prompt_length: Tokens before the response, padding included.
    """

    def __init__(self, decoding: Decoding, keys: Int[torch.Tensor, " rows"], prompt_length: int) -> None:
        self._decoding = decoding
        self._keys = keys
        self._prompt_length = prompt_length

    def shares(
        self, scores: Float[torch.Tensor, "batch vocabulary"]
    ) -> tuple[Float[torch.Tensor, "batch k"], Int[torch.Tensor, "batch k"]]:
        """Probabilities of the top k tokens (0 outside the nucleus), and these tokens."""
        k = min(self._decoding.top_k, scores.shape[-1])
        top, tokens = torch.topk(scores / self._decoding.temperature, k)
        shares = torch.softmax(top.float(), dim=-1)
        before = shares.cumsum(dim=-1) - shares
        inside = shares.masked_fill(before >= self._decoding.top_p, 0)
        return inside / inside.sum(dim=-1, keepdim=True), tokens

    def __call__(
        self,
        input_ids: Int[torch.Tensor, "batch tokens"],
        scores: Float[torch.Tensor, "batch vocabulary"],
    ) -> Float[torch.Tensor, "batch vocabulary"]:
        """Set all scores but that of the drawn token to minus infinity; overwrites `scores`.

        Raises:
            NonFiniteError: The largest scores of a row are NaN or infinite, so that no token can be drawn.
        """
        shares, tokens = self.shares(scores)
        if not bool(shares.isfinite().all()):
            raise NonFiniteError(
                "finite scores of the next token",
                found="NaN or infinity",
                remedy="try --dtype float32 or bfloat16; if it stays, a weight of the checkpoint is not a number",
            )
        noise = gumbel_noise(self._keys, input_ids.shape[1] - self._prompt_length, tokens)
        best = (shares.double().log() + noise).argmax(dim=-1, keepdim=True)
        drawn = tokens.gather(1, best)
        return scores.fill_(-torch.inf).scatter_(1, drawn, 0.0)


def padded_left(
    rows: Sequence[Sequence[int]], pad: int, device: torch.device
) -> tuple[Int[torch.Tensor, "rows tokens"], Int[torch.Tensor, "rows tokens"]]:
    """Token ids and attention mask of prompts, padded on the left, so that the last column is every prompt's last."""
    longest = max(map(len, rows))
    ids = [[pad] * (longest - len(row)) + list(row) for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def positions_of(mask: Int[torch.Tensor, "rows tokens"]) -> Int[torch.Tensor, "rows tokens"]:
    """Positions of tokens behind padding; that of padding has no meaning."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


Watch = Callable[[Sequence[int]], None]
"""Gets the positions in the batch of the prompts whose samples the next passes are about, in order."""


def _unwatched(_positions: Sequence[int]) -> None:
    pass


@dataclass(frozen=True)
class Below:
    """What the lower layers gave for prompts of another batch, of which the longest is as long."""

    lower: LowerLayers
    """Their output for all prompt tokens but the last."""
    cache: DynamicCache
    """Their keys and values."""

    def rows(self, picked: Int[torch.Tensor, " rows"]) -> "Below":
        """Of some prompts, in the given order."""
        return Below(self.lower.rows(picked), picked_rows(self.cache, picked))

    @classmethod
    def of(cls, loaded: LoadedModel, prompts: Sequence[Prompt], first: int) -> "Below":
        """What the layers below the given one, at least one, give for prompts of which one has two tokens or more.

        Raises:
            CaptureError: See `provenance.activations.shared_layers.kept_below`.
        """
        with kept_below(loaded, first) as found:
            batch = PromptBatch(loaded, prompts, Decoding(), frozenset())
        return cls(found[0], batch.keys_below(first))


class PromptBatch:
    """A batch of prompts that has passed through the model once, ready for sampling.

    Args:
        loaded: The model.
        prompts: The prompts.
        decoding: How responses are sampled.
        stop_ids: Tokens that end a response.
        below: What need not be computed again; of these prompts, in their order.
        watch: Told which prompts are under way.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        prompts: Sequence[Prompt],
        decoding: Decoding,
        stop_ids: frozenset[int],
        below: Below | None = None,
        watch: Watch = _unwatched,
    ) -> None:
        self._loaded = loaded
        self._decoding = decoding
        self._stop_ids = stop_ids
        self._watch = watch
        self._prompts = tuple(prompt.ids for prompt in prompts)
        loaded.require_known(token for prompt in self._prompts for token in prompt)
        self._ids, self._mask = padded_left(self._prompts, loaded.pad_id, loaded.device)
        self._cache = self._prefilled(below)

    def __len__(self) -> int:
        return len(self._prompts)

    @torch.inference_mode()
    def _prefilled(self, below: Below | None) -> DynamicCache | None:
        """Keys and values of all prompt tokens but the last; None for one-token prompts."""
        if self._ids.shape[1] == 1:
            return None
        cache = DynamicCache(config=self._loaded.model.config)
        positions = positions_of(self._mask)
        with resumed(self._loaded, NOTHING if below is None else below.lower):
            self._loaded.model(
                input_ids=self._ids[:, :-1],
                attention_mask=self._mask[:, :-1],
                position_ids=positions[:, :-1],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        if below is not None:
            cache.layers[: below.lower.first] = below.cache.layers
        return cache

    def keys_below(self, first: int) -> DynamicCache:
        """Keys and values of the layers below the given one; of none for one-token prompts."""
        cache = DynamicCache(config=self._loaded.model.config)
        cache.layers = [] if self._cache is None else self._cache.layers[:first]
        return cache

    @torch.inference_mode()
    def draw(self, rows: Sequence[int], samples: range, seed: int) -> list[list[list[int]]]:
        """Draw samples for some of the prompts: for each row, its samples as token ids, stop tokens left out.

        `rows` are positions of the prompts in the batch, `samples` the numbers of the samples of each.

        Raises:
            NonFiniteError: See `NucleusSampler`.
        """
        wanted = [(row, noise_key(seed, self._prompts[row], sample)) for row in rows for sample in samples]
        size = self._rows_at_once()
        drawn: list[list[int]] = []
        for start in range(0, len(wanted), size):
            drawn += in_halves(self._generate, wanted[start : start + size])
        return [drawn[i * len(samples) : (i + 1) * len(samples)] for i in range(len(rows))]

    def _rows_at_once(self) -> int:
        """Samples that are drawn together: as many as memory holds, and no fewer than there are prompts.

        A matrix product of many rows takes less time a row. With a model on one device the number depends on sizes
        alone, a GPU's among them, and not on free memory, so that rounding is the same whenever the same kind of device
        is asked the same. Without a cache, after prompts of one token, scores alone count.
        """
        layers = () if self._cache is None else self._cache.layers
        states = (part for layer in layers for part in (layer.keys, layer.values) if part is not None)
        prompts, tokens = self._ids.shape
        kept = sum(part.nbytes for part in states) / prompts / max(tokens - 1, 1)
        row = kept * (tokens + self._decoding.max_new_tokens) + SCORE_BYTES * self._loaded.lexicon.words
        most = max(SAMPLED_BYTES, GPU_SHARE * self._loaded.gpu_bytes_beside)
        return max(prompts, int(most / row))

    def _generate(self, wanted: Sequence[tuple[int, int]]) -> list[list[int]]:
        """Responses by place of the prompt in the batch and key of the noise."""
        picked, keys = torch.tensor(wanted, device=self._ids.device).T
        cache = None if self._cache is None else picked_rows(self._cache, picked)
        ids, mask = self._ids[picked], self._mask[picked]
        done: list[list[int]] = [[] for _ in picked]
        still = list(range(len(picked)))
        stops = torch.tensor(sorted(self._stop_ids), device=ids.device)
        left, length = self._decoding.max_new_tokens, FIRST_TOKENS
        while still and left > 0:
            self._watch([int(picked[row]) for row in still])
            out = self._continue(ids, mask, cache, keys, min(length, left))
            for row, sampled in zip(still, out.sequences[:, self._ids.shape[1] :].tolist(), strict=True):
                done[row] = until_stop(sampled, self._stop_ids)
            new = out.sequences[:, ids.shape[1] :]
            rest = (~torch.isin(new, stops).any(dim=1)).nonzero()[:, 0]
            still = [still[row] for row in rest.tolist()]
            keys = keys[rest]
            ids, mask = out.sequences[rest], torch.nn.functional.pad(mask[rest], (0, new.shape[1]), value=1)
            cache = out.past_key_values
            cache.batch_select_indices(rest.cpu())
            left, length = left - new.shape[1], 2 * length
        return done

    def _continue(
        self,
        ids: Int[torch.Tensor, "rows tokens"],
        mask: Int[torch.Tensor, "rows tokens"],
        cache: DynamicCache | None,
        keys: Int[torch.Tensor, " rows"],
        length: int,
    ) -> GenerateDecoderOnlyOutput:
        config = GenerationConfig(
            do_sample=False,  # the processor draws
            max_new_tokens=length,
            eos_token_id=sorted(self._stop_ids),
            pad_token_id=self._loaded.pad_id,
            return_dict_in_generate=True,
        )
        output: GenerateDecoderOnlyOutput = self._loaded.model.generate(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=cache,
            generation_config=config,
            logits_processor=LogitsProcessorList([NucleusSampler(self._decoding, keys, self._ids.shape[1])]),
        )
        return output


def picked_rows(cache: DynamicCache, picked: Int[torch.Tensor, " rows"]) -> DynamicCache:
    """Keys and values of some prompts, in memory of their own; nothing else is copied."""
    found = copy.copy(cache)
    found.layers = [copy.copy(layer) for layer in cache.layers]
    found.batch_select_indices(picked.cpu())  # each layer's states are on the layer's device
    return found


def until_stop(ids: list[int], stop_ids: frozenset[int]) -> list[int]:
    """The ids before the first that ends a response."""
    for position, token in enumerate(ids):
        if token in stop_ids:
            return ids[:position]
    return ids


def noise_key(seed: int, prompt_ids: Sequence[int], sample: int) -> int:
    """Key of one sample's noise, 64 bits with a sign: the same on every machine, and in every batch.

    Choice: of the prompt and not of the question. The two models of a pair, which are asked in different prompts, then
    have independent noise; checkpoints asked in one prompt share it.
    """
    text = f"{seed} {sample} {','.join(map(str, prompt_ids))}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], signed=True)
