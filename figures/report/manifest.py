"""What a report says of itself, for programs: its run, checkpoints and claims, with a digest of the page.

The digest tells an altered file from one that another database or version wrote; that a report is true, only the
database tells (`provenance.figures.report.verify`).
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from provenance.cells import Record
from provenance.errors import InputError
from provenance.version import VERSION

NAME = "provenance-report"
_ELEMENT = re.compile(rf'<script id="{NAME}" type="application/json">(.*?)</script>\n?', re.DOTALL)
_BEFORE = "</head>"


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
    element = f'<script id="{NAME}" type="application/json">{text}</script>\n'
    return page.replace(_BEFORE, f"{element}{_BEFORE}", 1)


def read_report(file: Path) -> tuple[str, dict[str, Any]]:
    """A report and its manifest.

    Raises:
        InputError: There is no such file, or it is no report of a run with a manifest.
    """
    wanted = f"a report of a run, as `provenance report` writes it, in {file}"
    try:
        page = file.read_bytes().decode()
        said = json.loads(_ELEMENT.findall(page)[0])
        return page, {**said, "run_key": str(said["run_key"])}
    except OSError as error:
        raise InputError(wanted, found=error.strerror or str(error), remedy="mend the path") from error
    except (UnicodeDecodeError, IndexError, json.JSONDecodeError, KeyError, TypeError) as error:
        remedy = "give a report.html of a run; that of a study links to those of its runs"
        raise InputError(wanted, found="no manifest that can be read", remedy=remedy) from error


def is_as_written(page: str, said: dict[str, Any]) -> bool:
    """Whether page and manifest still have the digest that they were written with."""
    rest = {name: value for name, value in said.items() if name != "page_digest"}
    return bool(said.get("page_digest") == _digest(_ELEMENT.sub("", page), rest))


def _digest(page: str, said: dict[str, Any]) -> str:
    return hashlib.sha256(f"{page}{json.dumps(said)}".encode()).hexdigest()
