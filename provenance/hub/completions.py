"""Replies of a server with OpenAI's interface for completions, read strictly: what has another form is asked for again.

Fields that are not OpenAI's: `token_ids` and `prompt_token_ids` of a choice, as vLLM has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from provenance.hub.endpoint import TransientError


@dataclass(frozen=True)
class Choice:
    """One response."""

    text: str
    ids: tuple[int, ...] | None
    """Token ids, the one that ended it included; None where the server gives text only."""
    prompt_ids: tuple[int, ...] | None
    """Token ids that the server read; None where it does not echo them."""
    cut_off: bool
    """Whether the limit of tokens ended it."""


@dataclass(frozen=True)
class Completion:
    """One reply."""

    model: str
    choices: tuple[Choice, ...]
    """In the order of their numbers."""
    prompt_tokens: int | None
    """Number of tokens that the server read; None where it does not count."""
    completion_tokens: int | None
    """Number of sampled tokens of all choices."""
    fingerprint: str
    """Of server and model; empty where there is none."""

    @classmethod
    def read(cls, reply: Any, n: int) -> "Completion":
        """A reply's JSON with so many choices.

        Raises:
            TransientError: It has another form or another number of choices, or a response was broken off.
        """
        try:
            choices = tuple(_choice(each) for each in sorted(reply["choices"], key=lambda each: int(each["index"])))
            usage = reply.get("usage") or {}
            fingerprint = reply.get("system_fingerprint") or ""
            found = cls(
                str(reply["model"]),
                choices,
                _count(usage, "prompt_tokens"),
                _count(usage, "completion_tokens"),
                str(fingerprint),
            )
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise TransientError("a reply that is no completion") from error
        if len(choices) != n:
            raise TransientError(f"a reply with {len(choices)} of {n} responses")
        return found


def _count(usage: Any, name: str) -> int | None:
    found = usage.get(name)
    if found is not None and not isinstance(found, int):
        raise TypeError
    return found


def _choice(given: Any) -> Choice:
    text, reason = given["text"], given["finish_reason"]
    if not isinstance(text, str):
        raise TypeError
    if reason not in ("stop", "length"):
        raise TransientError(f"a response that ended by {reason!r}"[:80])
    return Choice(text, _ids(given.get("token_ids")), _ids(given.get("prompt_token_ids")), reason == "length")


def _ids(given: Sequence[Any] | None) -> tuple[int, ...] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not all(type(token) is int and token >= 0 for token in given):
        raise TypeError
    return tuple(given)
