"""A completions server on loopback over the local sampler, with vLLM's fields, or with text alone.

It answers `/v1/models`, `/version` and `/v1/completions`, keeps what it was asked, and goes wrong in the ways of
`Fault`, or by replies that are altered, one request after the other.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from loopback import Fault, serving

from provenance.answers.prompts import Prompt
from provenance.answers.sampling import Decoding, PromptBatch
from provenance.models.loading import LoadedModel

Altered = Callable[[dict[str, Any]], object]
"""Changes the JSON of a reply."""
DEAD = Fault(cut=0)
"""A connection that ends without a word."""


def unaltered(reply: dict[str, Any]) -> None:
    """Leave a reply as it is."""


@dataclass
class CompletionServer:
    """The server's state, and what it was asked."""

    models: Mapping[str, LoadedModel]
    """By the name under which each is served."""
    url: str = ""
    version: str | None = "0.1.0"
    """None: there is no such address."""
    room: int = 200
    """Most tokens of prompt and response together."""
    listed: bytes | None = None
    """In place of the true list of models."""
    text_only: bool = False
    dies_after: int | None = None
    """Requests for completions after which no other is answered."""
    faults: list[Fault] = field(default_factory=list)
    altered: list[Altered] = field(default_factory=list)
    """What is done to the next replies; to all, where it is only one of `always`."""
    always: Altered = unaltered
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)
    most: int = 0
    """Requests at once, at most."""
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _one_samples: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, path: str, key: str | None, content: bytes | None) -> tuple[Fault, bytes]:
        """What goes wrong with a request, and the true reply."""
        self.keys.add(key)
        if content is not None:
            return self._asked(json.loads(content))
        if path == "/v1/models":
            rows = [{"id": name, "root": f"/models/{name}", "max_model_len": self.room} for name in self.models]
            return Fault(), json.dumps({"data": rows}).encode() if self.listed is None else self.listed
        if path == "/version" and self.version is not None:
            return Fault(), json.dumps({"version": self.version}).encode()
        return Fault(404), b""

    def _asked(self, request: dict[str, Any]) -> tuple[Fault, bytes]:
        with self._lock:
            self.requests.append(request)
            dead = self.dies_after is not None and len(self.requests) > self.dies_after
            fault = DEAD if dead else self.faults.pop(0) if self.faults else Fault()
            alter = self.altered.pop(0) if self.altered else self.always
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            found = self._completion(request)
        finally:
            with self._lock:
                self._now -= 1
        alter(found)
        return fault, json.dumps(found).encode()

    def _completion(self, request: dict[str, Any]) -> dict[str, Any]:
        loaded, ids, most = self.models[request["model"]], request["prompt"], request["max_tokens"]
        how = Decoding(request["temperature"], request["top_k"], request.get("top_p", 1.0), most)
        stops = frozenset(request.get("stop_token_ids", ())) | loaded.stop_ids
        with self._one_samples:
            batch = PromptBatch(loaded, [Prompt("", tuple(ids), ())], how, stops)
            [drawn] = batch.draw([0], range(request["n"]), request.get("seed", 0))
        choices = [self._choice(loaded, number, ids, said, most) for number, said in enumerate(drawn)]
        counts = sum(len(said) + (len(said) < most) for said in drawn)
        usage = {"prompt_tokens": len(ids), "completion_tokens": counts}
        return {"model": request["model"], "choices": choices, "usage": usage, "system_fingerprint": "fp-7"}

    def _choice(self, loaded: LoadedModel, number: int, ids: list[int], said: list[int], most: int) -> dict[str, Any]:
        cut_off = len(said) == most
        text = loaded.tokenizer.decode(said, skip_special_tokens=False)
        choice = {"index": number, "text": text, "finish_reason": "length" if cut_off else "stop"}
        if self.text_only:
            return choice
        ended = [] if cut_off else [min(loaded.stop_ids)]
        return choice | {"token_ids": said + ended, "prompt_token_ids": ids}


@contextmanager
def completing(models: Mapping[str, LoadedModel], **about: Any) -> Iterator[CompletionServer]:
    """Serve models on a free port of loopback."""
    state = CompletionServer(models, **about)
    with serving(state):
        yield state
