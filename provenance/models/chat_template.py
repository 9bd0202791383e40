"""The frame that a chat template puts around a message: rendered once, and text from then on.

A template is a program of whoever made the checkpoint, so it runs once for a checkpoint and its settings, on a
placeholder, in a process with limits (`template_child.py`). All questions are put into the same frame, which is part of
a task's identity. Everything that a template asks for besides the message is settled here and recorded:

Choice: variables that switch thinking off are given where a template knows them (Gao et al. 2025 ask for the answer
only). The date is a fixed day, whatever the day of the run, so no task, pair or repetition mixes two dates.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from provenance.errors import InputError
from provenance.models import template_child
from provenance.models.token_text import special_ids

TEMPLATE_SECONDS = 5  # of a processor; real templates take milliseconds
TEMPLATE_BYTES = 1 << 29  # and a few megabytes
LONGEST_TEMPLATE = 1_000_000  # characters; fifty times what families use
LONGEST_FRAME = 200_000  # characters; more than the context of most models
LONGEST_MESSAGE = 400
START_SECONDS = 120  # importing the renderer from a cold network disk
DATE = "strftime_now"  # by this name a template asks for the time
TODAY = "2025-12-01"  # the day of arXiv:2512.01797
THINKING_OFF: Mapping[str, object] = {"enable_thinking": False, "thinking": False, "thinking_budget": 0}
"""Variables that switch reasoning off: of Qwen3, SmolLM3 and GLM; of DeepSeek-V3.1 and Granite; of Seed-OSS."""
GIVEN = ("messages", "add_generation_prompt", "tools", "documents", "chat_template", "conversations")
"""What a template gets already."""
MARK = "\ue000question\ue001"  # private-use characters: no template contains them
_ANSWER = "\ue000answer\ue001"

Chat = tuple[Sequence[Mapping[str, str]], bool]
"""Messages, and whether the place of a response follows."""
Variables = tuple[tuple[str, object], ...]
"""Names and values, in the order of the names."""


@dataclass(frozen=True)
class Frame:
    """What stands around a question, and how the template closes the answer to it."""

    prefix: str
    suffix: str
    """Text after the question, up to the place where the response begins."""
    closing: str
    """Text after an answer; empty if the template cannot render one."""
    variables: Variables
    """Template variables that were set, the date included."""

    def closing_ids(self, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
        """The token with which the template closes a turn, where it is one token and no plain text."""
        ids = tokenizer(self.closing, add_special_tokens=False)["input_ids"] if self.closing else []
        added = tokenizer.added_tokens_decoder
        marks = special_ids(tokenizer) | {token for token in ids if token in added and added[token].content.strip()}
        return frozenset([token for token in ids if token in marks][:1])


def chat_frame(tokenizer: PreTrainedTokenizerBase, before: str, after: str, variables: Variables = ()) -> Frame:
    """The frame around a question whose message is `before` + question + `after`.

    `variables` are the user's, and override those that switch thinking off; `strftime_now` is the day that the template
    is told (ISO format).

    Raises:
        InputError: No chat template, none without a name among several, a variable that it does not know; or it raises,
            takes too long or too much memory, or does not repeat the message once and unchanged.
    """
    template = _template(tokenizer)
    chosen = _variables(template, variables)
    tokens = json.dumps(tokenizer.special_tokens_map, sort_keys=True, default=str)
    question, closing, _ = _rendered(template, tokens, json.dumps(chosen), before + MARK + after)
    prefix, mark, suffix = question.partition(MARK)
    if not mark or MARK in suffix:
        raise InputError(
            "a chat template that repeats the user's message once, unchanged",
            found=f"{question.count(MARK)} copies of it",
            remedy="use a base prompt (no chat template) for this checkpoint",
        )
    return Frame(prefix, suffix, closing, tuple(sorted(chosen.items())))


def between_messages(tokenizer: PreTrainedTokenizerBase, variables: Variables = ()) -> str:
    """The text between an answer and the user's next message.

    Raises:
        InputError: See `chat_frame`; or the template cannot render a second message.
    """
    template = _template(tokenizer)
    tokens = json.dumps(tokenizer.special_tokens_map, sort_keys=True, default=str)
    *_, between = _rendered(template, tokens, json.dumps(_variables(template, variables)), MARK)
    if not between:
        raise _refused("no text between an answer and the next message")
    return between


def conversation_pieces(
    tokenizer: PreTrainedTokenizerBase, roles: tuple[str, ...], variables: Variables = ()
) -> tuple[str, ...]:
    """The text before, between and after the messages of a conversation of these roles, up to the response.

    Rendered once for a sequence of roles, on placeholders.

    Raises:
        InputError: See `chat_frame`; or the template refuses these roles, or leaves a message out.
    """
    template = _template(tokenizer)
    tokens = json.dumps(tokenizer.special_tokens_map, sort_keys=True, default=str)
    return _conversation(template, tokens, json.dumps(_variables(template, variables)), roles)


def _template(tokenizer: PreTrainedTokenizerBase) -> str:
    if not tokenizer.chat_template:
        raise InputError(
            "a tokenizer with a chat template for the instruct checkpoint",
            found="none",
            remedy="check that BASE and INSTRUCT are not swapped, or give --instruct-template none",
        )
    try:
        template = str(tokenizer.get_chat_template())
    except ValueError as error:
        names = ", ".join(tokenizer.chat_template) if isinstance(tokenizer.chat_template, dict) else str(error)
        raise InputError(
            "a chat template called `default` among several", found=names, remedy="copy one of them to that name"
        ) from error
    if len(template) > LONGEST_TEMPLATE:
        raise _refused(f"a program of {len(template)} characters")
    return template


def _variables(template: str, given: Variables) -> dict[str, object]:
    """What is set: thinking off where the template knows how, the date where it asks, and the user's variables."""
    words = set(re.findall(r"[^\W\d]\w*", template))
    unknown = [name for name, _ in given if name not in words or name in GIVEN]
    if unknown:
        raise InputError(
            "a variable of the chat template for --template-arg",
            found=f"{unknown[0]!r}, which it {'gets already' if unknown[0] in GIVEN else 'does not mention'}",
            remedy="read the checkpoint's chat template for the names that it knows",
        )
    chosen = {name: value for name, value in {**THINKING_OFF, DATE: TODAY}.items() if name in words} | dict(given)
    if DATE in chosen:
        _check_date(chosen[DATE])
    return chosen


def _check_date(value: object) -> None:
    try:
        datetime.fromisoformat(str(value))
    except ValueError as error:
        raise InputError(
            f"a day for --template-arg {DATE}", found=str(value), remedy=f"write it like {TODAY}"
        ) from error


@lru_cache(maxsize=64)
def _rendered(template: str, tokens: str, variables: str, message: str) -> tuple[str, str, str]:
    """The rendered prompt, the text that closes an answer to it, and the text from an answer to the next message."""
    user, answer = {"role": "user", "content": message}, {"role": "assistant", "content": _ANSWER}
    chats = (([user], True), ([user, answer], False), ([user, answer, user], False))
    asked, closed, continued = _in_child(_request(template, tokens, variables, chats))
    if "error" in asked:
        raise _refused(asked["error"])
    between = _closing(continued)
    return asked["text"], _closing(closed) or between, between


@lru_cache(maxsize=64)
def _conversation(template: str, tokens: str, variables: str, roles: tuple[str, ...]) -> tuple[str, ...]:
    marks = [f"{MARK}{number}\ue001" for number in range(len(roles))]
    messages = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
    [reply] = _in_child(_request(template, tokens, variables, [(messages, True)]))
    if "error" in reply:
        raise _refused(f"{reply['error']} (for messages of {', '.join(roles)})")
    pieces, rest = list[str](), reply["text"]
    for mark in marks:
        before, found, rest = rest.partition(mark)
        if not found or MARK in before:
            raise _refused(f"one that leaves out or moves a message (of {', '.join(roles)})")
        pieces.append(before)
    if MARK in rest:
        raise _refused(f"one that repeats a message (of {', '.join(roles)})")
    return (*pieces, rest)


def _request(template: str, tokens: str, variables: str, chats: Sequence[Chat]) -> dict[str, Any]:
    chosen: dict[str, object] = json.loads(variables)
    date = chosen.pop(DATE, TODAY)
    return {
        "template": template,
        "variables": {**json.loads(tokens), **chosen},
        "date": date,
        "chats": [{"messages": messages, "add_generation_prompt": asked} for messages, asked in chats],
    }


def _closing(reply: Mapping[str, str]) -> str:
    """Text between an answer and the next message; empty if the template raises, or leaves the answer out."""
    _, found, rest = reply.get("text", "").rpartition(_ANSWER)
    return rest.partition(MARK)[0] if found else ""


def _in_child(request: Mapping[str, Any]) -> list[dict[str, str]]:
    limits = {"seconds": TEMPLATE_SECONDS, "bytes": TEMPLATE_BYTES, "characters": LONGEST_FRAME}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    try:
        done = subprocess.run(  # noqa: S603 - our own script, with the template as data
            [sys.executable, "-P", str(Path(template_child.__file__))],
            input=json.dumps({**request, **limits}).encode(),
            capture_output=True,
            timeout=START_SECONDS,
            env={**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"},
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise _refused(f"no process that could render it: {error}"[:LONGEST_MESSAGE]) from error
    if done.returncode:
        raise _refused(_why(done.returncode, done.stderr.decode(errors="replace")))
    replies: list[dict[str, str]] = json.loads(done.stdout)
    return replies


def _why(code: int, stderr: str) -> str:
    if code == -signal.SIGPROF:
        return f"a program that has not ended after {TEMPLATE_SECONDS} s of computing"
    if code == template_child.OUT_OF_MEMORY:
        return f"a program that needs more than {TEMPLATE_BYTES >> 20} MiB"
    return f"a program that ended its process ({code}) {' '.join(stderr.split()[-20:])}".rstrip()


def _refused(found: str) -> InputError:
    return InputError(
        "a chat template that can be rendered",
        found=found,
        remedy="mend it in a copy of the checkpoint, set its variables with --template-arg NAME=VALUE, or give "
        "--instruct-template none",
    )
