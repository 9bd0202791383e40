"""What a report says of itself, for programs: its run, checkpoints and claims, with a digest of the page.

The digest tells an altered file from one that another database or version wrote; that a report is true, only the
database tells (`provenance.figures.report.verify`).
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from provenance.cells import Record
from provenance.errors import InputError
from provenance.files import read_regular
from provenance.version import VERSION

NAME = "provenance-report"
LARGEST = 1 << 26  # bytes of a report that is read: many times as many as any has
_OPENING, _CLOSING = f'<script id="{NAME}" type="application/json">', "</script>\n"
_BEFORE = "</head>"
_TEXTS = ("run_key", "provenance", "matplotlib")


def with_manifest(page: str, about: Record, claims: Sequence[Record]) -> str:
    """A page with its manifest in its head.

    Args:
        page: The report.
        about: Row of the query `run`.
        claims: Its claims, each with `claim`, `verdict` and `decision`.
    """
    said = {
        "provenance": VERSION,
        "matplotlib": mpl.__version__,
        "run_key": about["run_key"],
        "results_digest": about["content_digest"],
        "checkpoints": {
            stage: {"ref": about[stage], "digest": about[f"{stage}_digest"]} for stage in ("base", "instruct")
        },
        "claims": [{name: claim[name] for name in ("claim", "verdict", "decision")} for claim in claims],
    }
    said["page_digest"] = _digest(page, said)
    # Nothing in it can end the element: names of checkpoints come from outside.
    text = json.dumps(said, indent=1).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return page.replace(_BEFORE, f"{_OPENING}{text}{_CLOSING}{_BEFORE}", 1)


def read_report(file: Path) -> tuple[str, dict[str, Any]]:
    """A report and its manifest.

    Raises:
        InputError: There is no such file, it is too large, or no report of a run with a manifest.
    """
    wanted = f"a report of a run, as `provenance report` writes it, in {file}"
    try:
        page = read_regular(file, LARGEST).decode()
        said = json.loads(_divided(page)[1])
        for name in _TEXTS:
            str.encode(said[name], "ascii")  # TypeError if it is no text, ValueError if it is none of ours
        return page, dict(said)
    except OSError as error:
        raise InputError(wanted, found=error.strerror or str(error), remedy="mend the path") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # also numbers of thousands of digits
        remedy = "give a report.html of a run; that of a study links to those of its runs"
        raise InputError(wanted, found="no manifest that can be read", remedy=remedy) from error


def is_as_written(page: str, said: dict[str, Any]) -> bool:
    """Whether page and manifest still have the digest that they were written with."""
    rest = {name: value for name, value in said.items() if name != "page_digest"}
    before, _, after = _divided(page)
    try:
        return bool(said.get("page_digest") == _digest(before + after, rest))
    except RecursionError:  # nested deeper than what is written here
        return False


def _divided(page: str) -> tuple[str, str, str]:
    """A page before its manifest, the manifest, and the page after it; ValueError if it has none."""
    start = page.index(_OPENING)
    stop = page.index(_CLOSING, start)
    return page[:start], page[start + len(_OPENING) : stop], page[stop + len(_CLOSING) :]


def _digest(page: str, said: dict[str, Any]) -> str:
    return hashlib.sha256(f"{page}{json.dumps(said)}".encode()).hexdigest()
