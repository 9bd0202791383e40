"""A judging model on loopback, whose replies are a function of what it is asked.

It answers `POST /v1/chat/completions` as OpenAI-compatible servers do, keeps what it was asked, counts how many
requests it worked on at once, and goes wrong in the ways of `Fault`, one request after the other.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from loopback import Fault, serving

ASKED = re.compile(r"Question: (.*)\nRight answers: (.*)\nAnswer given: (.*)\n")
Opinion = Callable[[str, list[str], str], str | None]
"""Of question, right answers and the answer given."""


@dataclass
class JudgeServer:
    """The server's state, and what it was asked."""

    opinion: Opinion
    url: str = ""
    word: Callable[[str], str] | None = None
    """In place of an opinion of answers: the reply to any text."""
    faults: list[Fault] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Their JSON."""
    keys: list[str | None] = field(default_factory=list)
    """Authorization header of each."""
    paths: list[str] = field(default_factory=list)
    pause_s: float = 0.0
    """Time that each reply takes."""
    most: int = 0
    """Requests at once, at most."""
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def asked(self) -> list[tuple[str, list[str], str]]:
        """Question, right answers and answer given of each request."""
        return [read_prompt(request["messages"][0]["content"]) for request in self.requests]

    def reply(self, path: str, key: str | None, content: bytes | None) -> tuple[Fault, bytes]:
        """Keep a request; what goes wrong with it, and the reply."""
        if content is None:
            return Fault(404), b""
        request = json.loads(content)
        with self._lock:
            self.paths.append(path)
            self.keys.append(key)
            self.requests.append(request)
            fault = self.faults.pop(0) if self.faults else Fault()
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(self.pause_s)
        with self._lock:
            self._now -= 1
        content_of_message = request["messages"][0]["content"]
        if self.word is not None:
            return fault, completion(self.word(content_of_message))
        return fault, completion(self.opinion(*read_prompt(content_of_message)))


def read_prompt(content: str) -> tuple[str, list[str], str]:
    """What the judge reads in a prompt."""
    found = ASKED.search(content)
    assert found is not None, content
    question, answers, given = found.groups()
    return json.loads(question), json.loads(answers) if answers.startswith("[") else [], json.loads(given)


def completion(text: str | None) -> bytes:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"object": "chat.completion", "choices": [choice]}).encode()


@contextmanager
def judging(opinion: Opinion) -> Iterator[JudgeServer]:
    """Serve on a free port of loopback."""
    state = JudgeServer(opinion)
    with serving(state):
        yield state
