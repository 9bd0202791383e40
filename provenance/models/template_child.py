"""Renders a chat template in a process of its own, with limits: a template is a program of whoever made the checkpoint.

The sandbox of transformers holds what a template may touch, and this process holds what it may take: seconds, memory
and no files. It runs as a script, reads a request and writes a reply (JSON, see `chat_template.py`), and imports
nothing but the renderer, so that it starts from every kind of installation. It is a new process and no fork, since
torch has threads.
"""

import json
import os
import random
import resource
import signal
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

OUT_OF_MEMORY = 3  # exit code
_LONGEST_MESSAGE = 400  # characters of an error's text
_WATCH_S = 0.02


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin)
    from transformers.utils import chat_template_utils  # takes a second, which is not the template's

    chat_template_utils.datetime = _fixed(request["date"])  # what `strftime_now` asks
    random.seed(0)  # for the filter of that name
    _limit(request["seconds"], request["bytes"])
    replies = [_reply(chat_template_utils.render_jinja_template, request, chat) for chat in request["chats"]]
    json.dump(replies, sys.stdout)


def _fixed(date: str) -> type[datetime]:
    class Fixed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Fixed":
            return cls.fromisoformat(date).replace(tzinfo=tz)

    return Fixed


def _limit(seconds: float, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    statistics = Path("/proc/self/statm")
    if statistics.is_file():
        size += int(statistics.read_text("ascii").split()[0]) * resource.getpagesize()
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        size = size if most == resource.RLIM_INFINITY else min(size, most)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    else:  # macOS refuses or ignores such a limit
        threading.Thread(target=_watch, args=(size,), daemon=True).start()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the kernel ends the process, whatever it is at
    signal.setitimer(signal.ITIMER_PROF, seconds)  # of this process, which may wait long on a busy machine


def _watch(size: int) -> None:
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < size:
        time.sleep(_WATCH_S)
    os._exit(OUT_OF_MEMORY)


def _reply(render: Any, request: dict[str, Any], chat: dict[str, Any]) -> dict[str, str]:
    try:
        texts, _ = render(
            [chat["messages"]],
            chat_template=request["template"],
            add_generation_prompt=chat["add_generation_prompt"],
            **request["variables"],
        )
        text = str(texts[0])
        if len(text) > request["characters"]:
            return {"error": f"a text of {len(text)} characters"}
        text.encode()  # half a surrogate pair is no text
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception as error:  # noqa: BLE001 - a template raises whatever it likes; the parent makes one error of it
        return {"error": f"{type(error).__name__}: {error}"[:_LONGEST_MESSAGE]}
    return {"text": text}


if __name__ == "__main__":
    main()
