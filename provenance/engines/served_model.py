"""A checkpoint that answers at a server with OpenAI's interface for completions, such as vLLM.

Prompts go there as token ids. Responses come back as token ids, or, from servers without such a field, as text, which
is tokenised again after its prompt. Every reply is checked: the model's name, the prompt that the server read, the room
for a response, and that the ids spell the server's text in the checkpoint's own tokenizer.

Samples are the server's: the seeds that are sent repeat them as far as its batches do, and they are kept under its name
and version. Choice: penalties are sent as well, with neutral values, since servers take their defaults from a
checkpoint's generation config.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from threading import Event
from typing import Any, Literal

from provenance.answers.collect_responses import LONGEST_PROMPT
from provenance.answers.prompts import Prompt, continued
from provenance.answers.sampling import Decoding, Draw, Sampled, noise_key, until_stop
from provenance.errors import InputError, JobError
from provenance.hub.completions import Choice, Completion
from provenance.hub.endpoint import Endpoint
from provenance.hub.retry import stoppable_pool
from provenance.models.loading import Lexicon
from provenance.models.token_text import decode_response

RESPONSES_AT_ONCE = 128  # a server on one GPU works on some hundred
S_PER_TOKEN = 1.0  # of all these responses, on a server with a few CPU cores
TRIED_TEXT = "Who wrote it?"
NEUTRAL: Mapping[str, float] = {"min_p": 0, "repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0}
UNKNOWN = "unknown"
AGAIN: Literal["tokenised again"] = "tokenised again"
SEEDS = (1 << 31) - 1  # the largest seed that every server takes
_UNFINISHED = "\ufffd"


@dataclass(frozen=True)
class Served:
    """What a server says of the model that it serves: part of the identity of its responses. Its address is none."""

    model: str
    """Name."""
    version: str
    """Of the server."""
    tokens: Literal["as sampled", "tokenised again"]
    """Whether it gives the ids of responses, or their text alone."""
    context: int | None
    """Most tokens of prompt and response together, where the server has less room than the checkpoint needs."""


@dataclass(frozen=True)
class ServedModel:
    """A `provenance.answers.sampling.Sampler` that asks a server."""

    endpoint: Endpoint
    served: Served
    lexicon: Lexicon
    """Of the checkpoint, with no more context than the server has."""

    def prompted(self, prompts: Sequence[Prompt], decoding: Decoding, stop_ids: frozenset[int]) -> Draw:
        """See `Sampler`; a draw asks for several prompts at once.

        A draw raises InputError where the server serves something else, and what `Endpoint.reply` raises.
        """
        self.lexicon.require_known(token for prompt in prompts for token in prompt.ids)
        return _Batch(self, prompts, decoding, stop_ids).draw

    def completed(self, request: Mapping[str, Any], stopped: Event) -> Completion:
        """The reply to one request.

        Raises:
            InputError: The server answers for another model, reads another prompt, or has no room for a response.
            InputError, JobError, CancelledError: See `Endpoint.reply`.
        """
        reply = self.endpoint.reply(request, partial(Completion.read, n=request["n"]), stopped)
        if reply.model != self.served.model:
            raise self.other(f"a reply of the model {self.served.model}", f"one of {reply.model!r}"[:120])
        asked = tuple(request["prompt"])
        for choice in reply.choices:
            if choice.prompt_ids is not None and choice.prompt_ids != asked:
                raise self.other(f"the prompt {list(asked[:8])}, echoed", f"{list(choice.prompt_ids[:8])}")
            if choice.cut_off and choice.ids is not None and len(choice.ids) < request["max_tokens"]:
                wanted = f"room for {request['max_tokens']} tokens after a prompt of {len(asked)}"
                raise self.other(wanted, f"a response cut off after {len(choice.ids)}")
        if reply.prompt_tokens not in (None, len(asked)):
            raise self.other(f"a prompt of {len(asked)} tokens, read as it is", f"one of {reply.prompt_tokens}")
        return reply

    def other(self, wanted: str, found: str) -> InputError:
        """The error for a server that serves something else than the checkpoint."""
        return InputError(
            f"{wanted}, from {self.endpoint.url}",
            found=found,
            remedy=f"serve the checkpoint itself, with its own tokenizer, as {self.served.model}; finished batches are "
            "not asked again",
        )


@dataclass(frozen=True)
class _Batch:
    """A batch of prompts at a server."""

    at: ServedModel
    prompts: Sequence[Prompt]
    decoding: Decoding
    stop_ids: frozenset[int]

    def draw(self, rows: Sequence[int], samples: range, seed: int) -> list[list[Sampled]]:
        """See `Draw`."""
        # servers of text may give one response only; and they count its tokens, which tells whether they are ours
        groups = [range(sample, sample + 1) for sample in samples] if self._by_text else [samples]
        wanted = [(row, group) for row in rows for group in groups]
        with stoppable_pool(max(1, RESPONSES_AT_ONCE // len(groups[0]))) as (pool, stopped):
            calls = {
                pool.submit(self.at.completed, self._request(row, group, seed), stopped): place
                for place, (row, group) in enumerate(wanted)
            }
            # read in this thread: a tokenizer is not for several
            found = {calls[call]: self._read(wanted[calls[call]][0], call.result()) for call in as_completed(calls)}
        drawn = [sample for place in range(len(wanted)) for sample in found[place]]
        return [drawn[i * len(samples) : (i + 1) * len(samples)] for i in range(len(rows))]

    @property
    def _by_text(self) -> bool:
        return self.at.served.tokens == AGAIN

    @property
    def _ends_at_newline(self) -> bool:
        newlines = self.at.lexicon.newline_ids
        return bool(newlines) and newlines <= self.stop_ids

    def _request(self, row: int, samples: range, seed: int) -> dict[str, object]:
        ids, how = self.prompts[row].ids, self.decoding
        request = request_of(self.at.served.model, ids, how.max_new_tokens, len(samples))
        request |= {"temperature": how.temperature, "top_k": how.top_k, "top_p": how.top_p}
        request |= {"seed": noise_key(seed, ids, samples.start) & SEEDS, "stop_token_ids": sorted(self.stop_ids)}
        return request | ({"stop": ["\n"]} if self._by_text and self._ends_at_newline else {})

    def _read(self, row: int, reply: Completion) -> list[Sampled]:
        if self._by_text:
            return [self._recovered(self.prompts[row], choice, reply.completion_tokens) for choice in reply.choices]
        return [self._sampled(choice) for choice in reply.choices]

    def _sampled(self, choice: Choice) -> list[int]:
        """Token ids of a response.

        Raises:
            InputError: They are not those of the server's text in the checkpoint's tokenizer.
        """
        if choice.ids is None:
            raise self.at.other("token ids of every response", f"only the text {choice.text[:40]!r}")
        ids = until_stop(list(choice.ids), self.stop_ids)
        lexicon = self.at.lexicon
        if max(ids, default=0) >= lexicon.words or not _spelled_alike(lexicon, ids, choice.text):
            raise self.at.other(f"token ids that spell {choice.text[:40]!r}", f"{ids[:8]}, which do not")
        return ids

    def _recovered(self, prompt: Prompt, choice: Choice, sampled: int | None) -> Sampled:
        """Token ids that spell a response's text after its prompt; the text where they cannot be those sampled.

        They cannot be if they decode to another text, or if there are more or fewer than the server counted, the token
        that ended the response aside.
        """
        if any("\ud800" <= letter <= "\udfff" for letter in choice.text):  # half of a character, which no ids spell
            return choice.text.encode("utf-8", "replace").decode("utf-8")
        text = choice.text.split("\n")[0] if self._ends_at_newline else choice.text
        limit, whole = self.decoding.max_new_tokens, text == choice.text
        for tokenised in continued(self.at.lexicon.tokenizer, prompt, text):
            ids = until_stop(list(tokenised), self.stop_ids)
            counts = {sampled, None if sampled is None else sampled - 1}
            numbered = not whole or sampled is None or len(ids) in counts
            cut = len(ids) == limit if whole and choice.cut_off else len(ids) <= limit
            if numbered and cut and decode_response(self.at.lexicon.tokenizer, prompt.ids, ids) == text:
                return ids
        return text


def room_needed(lexicon: Lexicon, max_new_tokens: int) -> int:
    """Most tokens that a prompt and its response take together."""
    longest = LONGEST_PROMPT + max_new_tokens
    return longest if lexicon.context is None else min(longest, lexicon.context)


def request_of(model: str, ids: Sequence[int], max_tokens: int, n: int) -> dict[str, Any]:
    """The JSON of a request, without what decides how tokens are drawn."""
    how = {"max_tokens": max_tokens, "n": n, "return_token_ids": True, "skip_special_tokens": False}
    return {"model": model, "prompt": list(ids), **how, **NEUTRAL}


def _spelled_alike(lexicon: Lexicon, ids: list[int], text: str) -> bool:
    """Whether a server's text begins with that of these ids, white space and special tokens aside.

    Decoders differ from an unfinished character on, so texts are compared up to the first in either.
    """
    theirs, cut, _ = "".join(text.split()).partition(_UNFINISHED)
    for skip in (False, True):
        spelled = lexicon.tokenizer.decode(ids, skip_special_tokens=skip)
        ours = "".join(spelled.split()).partition(_UNFINISHED)[0]
        if theirs.startswith(ours) or (cut and ours.startswith(theirs)):
            return True
    return False


def find_served(
    endpoints: Sequence[Endpoint], names: Sequence[str], lexicon: Lexicon, max_new_tokens: int
) -> ServedModel:
    """The first model of some names that a server lists, by its own name or that of its checkpoint; tried once.

    Raises:
        InputError: No server lists one, or the server does not read token ids.
        InputError, JobError: See `ServedModel.completed`.
    """
    served = [(endpoint, model) for endpoint in endpoints for model in _models(endpoint)]
    for name, key in product(names, ("id", "root")):
        for endpoint, model in served:
            if model.get(key) == name:
                patient = replace(endpoint, timeout_s=endpoint.timeout_s + S_PER_TOKEN * max_new_tokens)
                return _tried(patient, model, lexicon, max_new_tokens)
    listed = [f"{model['id']} at {endpoint.url}" for endpoint, model in served]
    raise InputError(
        f"a server that serves {names[0]}",
        found=", ".join(listed)[:300] or f"no model at {' and '.join(each.url for each in endpoints)}",
        remedy=f"start one with the checkpoint under this name (vLLM: --served-model-name {names[0]}), and give its "
        "address with --base-url, once for each server",
    )


def _models(endpoint: Endpoint) -> list[Mapping[str, Any]]:
    found = endpoint.look_up(f"{endpoint.url}/models")
    models = found.get("data") if isinstance(found, dict) else None
    if not isinstance(models, list):
        raise InputError(
            f"a list of models at {endpoint.url}/models",
            found="something else",
            remedy=f"give {endpoint.role.option} the address before {endpoint.role.path}, such as http://localhost:8000/v1",
        )
    return [model for model in models if isinstance(model, dict) and isinstance(model.get("id"), str)]


def _version(endpoint: Endpoint) -> str:
    """The server's version as vLLM tells it; empty where a server or what stands before it tells none."""
    once = replace(endpoint, patience=replace(endpoint.patience, tries=1))
    try:
        told = once.look_up(f"{endpoint.url.removesuffix('/v1')}/version")
    except (InputError, JobError):
        return ""
    version = told.get("version") if isinstance(told, dict) else None
    return version if isinstance(version, str) else ""


def _tried(endpoint: Endpoint, model: Mapping[str, Any], lexicon: Lexicon, max_new_tokens: int) -> ServedModel:
    """A model of which one token was asked, to see what its server gives."""
    room = model.get("max_model_len")
    short = room if isinstance(room, int) and room < room_needed(lexicon, max_new_tokens) else None
    served = Served(model["id"], UNKNOWN, "as sampled", short)
    found = ServedModel(endpoint, served, replace(lexicon, context=short or lexicon.context))
    ids = lexicon.tokenizer(TRIED_TEXT)["input_ids"]
    reply = found.completed(request_of(served.model, ids, 1, 1) | {"temperature": 1.0, "top_k": 1}, Event())
    served = replace(served, version=_version(endpoint) or reply.fingerprint or UNKNOWN)
    return replace(found, served=served if reply.choices[0].ids is not None else replace(served, tokens=AGAIN))
