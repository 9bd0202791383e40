"""The user's surroundings, made harmless: streams that are not UTF-8, and settings that matplotlib would read.

A command prints the same numbers and draws the same figures in a notebook, over ssh without a locale, and at a desk.
"""

import io
import os
import sys
from contextlib import chdir
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path


def settle_streams() -> None:
    """Let no character end a command: what a stream's encoding lacks is written as a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def takes_unicode() -> bool:
    """Whether stdout can be given any text; otherwise JSON is written with its escapes, which lose nothing."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return encoding.lower().replace("-", "").startswith("utf")


def untouched_matplotlib() -> None:
    """Import matplotlib, unless it is there already, without MPLBACKEND and without the user's matplotlibrc.

    matplotlib reads both when it is imported, and a backend that is not installed, or a file that is not UTF-8, ends
    the import. It looks for the file in the working folder first: that of its own defaults.
    """
    found = find_spec("matplotlib")
    if "matplotlib" in sys.modules or found is None or found.origin is None:
        return
    os.environ.pop("MPLBACKEND", None)
    with chdir(Path(found.origin).parent / "mpl-data"):
        import_module("matplotlib")
