"""A language model that is asked for one word of a few, at a server with OpenAI's interface.

Each distinct text is asked about once, in all of a run; a reply that is not exactly one of the words is asked for once
more and then counts as no word.
"""

import threading
from collections.abc import Collection, Hashable, Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from provenance.errors import JobError
from provenance.hub.endpoint import Endpoint, TransientError
from provenance.hub.retry import stoppable_pool

MARKS = " \t\r\n\"'`*."
"""Characters around the word that models add; anything else makes a reply unusable."""
CALLS_AT_ONCE = 8
REPLIES = 2  # to one text, before it has no word
FIRST_REPLIES, MOST_UNUSABLE = 5, 0.5
"""From so many texts on, a larger share without a word is no judge."""
LONGEST_WORD = 16  # tokens
K = TypeVar("K", bound=Hashable)


def said_in(completion: Any) -> str:
    """Text of a chat completion; empty if the model says nothing.

    Raises:
        TransientError: It is no chat completion.
    """
    try:
        text = completion["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise TransientError("a reply that is no chat completion") from error
    return text if isinstance(text, str) else ""


@dataclass
class WordJudge(Generic[K]):
    """A model that says one word about texts."""

    endpoint: Endpoint
    model: str
    """Its name at the endpoint."""
    words: Collection[str]
    """What it may say, in lower case."""
    brackets: str = ""
    """Other characters that may stand around it."""
    known: dict[K, str | None] = field(default_factory=dict, repr=False)
    """The word that was said, by name of the text; None where it was none of them."""

    def ask(self, new: Mapping[K, str]) -> None:
        """Ask about texts by their names, which are then known; so is what was said before an error.

        Raises:
            InputError, JobError: See `Endpoint.reply`.
            JobError: Most replies are not one of the words.
        """
        with stoppable_pool(CALLS_AT_ONCE) as (pool, stopped):
            calls = [pool.submit(self._said, name, content, stopped) for name, content in new.items()]
            replies = [call.result() for call in as_completed(calls)]
        unusable = [reply for reply in replies if self.read(reply) is None]
        if unusable:
            self._check(unusable[-1])

    def read(self, reply: str) -> str | None:
        """The word that a reply is, strictly; None if it is anything but one of them."""
        word = reply.strip(MARKS + self.brackets).casefold()
        return word if word in self.words else None

    def _said(self, name: K, content: str, stopped: threading.Event) -> str:
        """The last reply, whose word is known then."""
        reply, messages = "", [{"role": "user", "content": content}]
        request = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": LONGEST_WORD}
        for _ in range(REPLIES):
            reply = self.endpoint.reply(request, said_in, stopped)
            if self.read(reply) is not None:
                break
        self.known[name] = self.read(reply)
        return reply

    def _check(self, reply: str) -> None:
        without = sum(found is None for found in self.known.values())
        if len(self.known) >= FIRST_REPLIES and without > MOST_UNUSABLE * len(self.known):
            raise JobError(
                f"one word of {', '.join(word.upper() for word in self.words)} from {self.model}",
                found=f"other replies to {without} of {len(self.known)} answers, such as {reply[:80]!r}",
                remedy="take a model that follows instructions, and have its server leave reasoning out of the reply",
            )
