"""Whether a report says what the database says: it is written again and compared, part by part.

Scripts and styles are compared as well, since they could change what is seen. What the machine measured (times, memory,
how often a run was resumed) and the number of the run are not: they change where a command is given again, or a run is
merged into another database, and no digest covers them.
"""

import html
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import matplotlib as mpl

from provenance.cells import Record
from provenance.db.reading.run_query import is_intact, run_query
from provenance.errors import JobError
from provenance.figures.report.html import report_html
from provenance.figures.report.manifest import is_as_written, read_report
from provenance.figures.wording.run_words import first
from provenance.version import VERSION

_RUN_OF_KEY = "SELECT run_id AS run FROM v_run WHERE run_key = :key"
_PARTS = re.compile(r'(?=<section id="|<figure id="|<header>|<nav |<style>|<script)')
_NAMED = re.compile(r'<(\w+)(?: id="([^"]+)"| aria-label="([^"]+)")?')
_TAGS = re.compile(r"<[^<>]*>")
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
_MEASURED = (
    (re.compile(rf"(finished )(?:{_TIME}|not yet)( \(UTC\))"), r"\1#\2"),
    (re.compile(rf"(<td>(?:started|finished) \(UTC\)</td><td>)(?:{_TIME}|not yet)"), r"\1#"),
    (re.compile(r"(<td>resumed</td><td>)\d+"), r"\1#"),
    (re.compile(r"(<td>peak memory</td><td>)(?:[\d.]+ GB|unknown)"), r"\1#"),
    (re.compile(r'("page_digest": ")[0-9a-f]{64}'), r"\1#"),
)
STAGES = "time-by-stage"
_NUMBERS = re.compile(r"[\d.,]+|–")
SHOWN_CHARACTERS = 60


def verify_report(url: str, file: Path) -> Record:
    """Compare a report with the database, whose own rows must be as they were written.

    Returns:
        The row of the query `run` that the report is about.

    Raises:
        InputError: The file is no report, or there is no such database.
        JobError: The database has no such run, its rows were altered, or the report is not what it gives: the message
            names the first part that differs.
        StoreError: The database cannot be read.
    """
    page, said = read_report(file)
    key = said["run_key"]
    found = run_query(url, _RUN_OF_KEY, {"key": key}).records()
    if not found:
        remedy = "verify it against the database that it was written from, or one that this was merged into"
        raise JobError(f"the run of {file} in this database", found=f"no run with the key {key[:12]}", remedy=remedy)
    run = found[0]["run"]
    if not is_intact(url, run):
        raise JobError(
            f"the rows of run {run} as they were written",
            found="other rows than their digest says",
            remedy="verify it against an unaltered copy of the database",
        )
    ours, theirs = (list(_parts(text, key)) for text in (report_html(url, run), page))
    for (name, wanted), (other, given) in zip_longest(ours, theirs, fillvalue=("its end", "")):
        if (name, wanted) != (other, given):
            raise JobError(
                f"“{other}” in {file} as the database gives it",
                found=_difference(wanted, given),
                remedy=_remedy(page, said),
            )
    return first(run_query(url, "run", {"run": run}))


def _parts(page: str, key: str) -> Iterator[tuple[str, str]]:
    """Parts of a page by name, without what may differ between two reports of one run."""
    number = re.compile(rf"(?<!\d)\d{{1,9}}(?=,? \(?(?:key )?{re.escape(key[:12])})")
    for part in _PARTS.split(number.sub("#", page)):
        tag = _NAMED.match(part)
        name = next(filter(None, (tag[3], tag[2], tag[1]))) if tag else "page"
        yield name, _unmeasured(_NUMBERS.sub("#", part) if name == STAGES else part)


def _unmeasured(part: str) -> str:
    for pattern, instead in _MEASURED:
        part = pattern.sub(instead, part)
    return part


def _difference(wanted: str, given: str) -> str:
    """The first words that differ, or that only the markup does."""
    pairs = zip_longest(_words(wanted), _words(given), fillvalue="nothing")
    differing = next((pair for pair in pairs if pair[0] != pair[1]), None)
    if differing is None:
        return "another markup, script or drawing"
    at = next((at for at, (one, other) in enumerate(zip(*differing, strict=False)) if one != other), 0)
    start = max(0, at - SHOWN_CHARACTERS // 3)
    ours, theirs = (words[start : start + SHOWN_CHARACTERS] for words in differing)
    return f"“{theirs}” in place of “{ours}”"


def _words(part: str) -> list[str]:
    """Texts between tags, as they are read."""
    return [text for piece in _TAGS.split(part) if (text := " ".join(html.unescape(piece).split()))]


def _remedy(page: str, said: dict[str, Any]) -> str:
    if not is_as_written(page, said):
        return "the file was altered after it was written: believe the database"
    written = said.get("provenance"), said.get("matplotlib")
    if written != (VERSION, mpl.__version__):
        by = f"provenance {written[0]} with matplotlib {written[1]}"
        return f"it was written by {by}, this is {VERSION} with {mpl.__version__}: verify it with those versions"
    return "it was not written from this database as it is: believe the database, or ask for the one behind it"
