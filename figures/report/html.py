"""The report: one HTML file with verdict, H-Neurons, main figures and example answers; all else folded below them.

The file is self-contained: figures and the few lines of script are inline, nothing is fetched, and outside text (names
of question sets, answers, settings) is escaped.
"""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from string import Formatter
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from markupsafe import Markup, escape

from provenance.cells import Record
from provenance.db.reading.run_query import Source, default_run, reading
from provenance.errors import ProvenanceError, StoreError
from provenance.figures.drawing import style
from provenance.figures.gallery import FORMS, Attempt, Drawn, attempted, image, write_figures
from provenance.figures.report.examples import examples, scaled_replies
from provenance.figures.report.manifest import with_manifest
from provenance.figures.report.sections import folded_sections, overall, read_results, shown_sections
from provenance.figures.tables.overview import decisions
from provenance.figures.tables.result_tables import ReportTable, Results
from provenance.figures.wording.evidence_words import claim_table
from provenance.figures.wording.run_words import TITLES, RunKind, concept_of, first, list_words, run_kind, warnings_of
from provenance.files import write_whole
from provenance.records import MARKS
from provenance.words import HALLUCINATION, Concept

FILE_NAME = "report.html"
SLIM = 72  # characters of a line in half of a printed page
TEXT = 24  # of these at most for a column of text
MAIN_FIGURES = 4  # of the gallery's order, the paper's first; the others are an appendix


def write_results(source: Source, run: int, out: Path) -> dict[str, Any]:
    """Write figures and report of a run, each figure drawn once.

    Returns:
        The paths, under `figures` and `report`; under `not_drawn` the reason of each figure that failed, by its name.

    Raises:
        InputError: There is no such run, or it has no results.
        StoreError: The folder cannot be written to, or the database cannot be read.
    """
    with reading(source) as database:
        found = attempted(database, run, FORMS)
        paths = [str(path) for path in write_figures(found.figures, out)]
        files = {"figures": paths, "report": str(write_report(database, run, out, found))}
    return {**files, "not_drawn": dict(found.failed)} if found.failed else files


def write_report(source: Source, run: int | None, out: Path, figures: Attempt | None = None) -> Path:
    """Write the report of a run.

    The file is `report.html` in `out`; the figures are drawn if they are not given.

    Raises:
        InputError: There is no such run, or it has no results.
        StoreError: The folder cannot be written to, or the database cannot be read.
    """
    return write_whole(out / FILE_NAME, report_html(source, run, figures).encode())


def report_html(source: Source, run: int | None = None, figures: Attempt | None = None) -> str:
    """The report of a run as HTML text.

    Raises:
        InputError: There is no such run, or it has no results.
        StoreError: Its rows are not as they were written.
    """
    with reading(source) as database:
        run = default_run(database) if run is None else run
        if figures is None:
            figures = attempted(database, run, ("svg",))  # refuses runs without results
        results = read_results(database, run)
    try:
        return _page(results, figures)
    except ProvenanceError:
        raise
    except Exception as error:  # the one place where values of other types, from a database of anybody, end up
        raise StoreError(
            f"rows of run {run} as they were written",
            found=" ".join(f"{type(error).__name__}: {error}".split()),
            remedy="`provenance db info` says whether its rows are intact; run the same command again to write them",
        ) from error


def _page(results: Results, figures: Attempt) -> str:
    about, kind, concept = first(results["run"]), run_kind(results), concept_of(results)
    contents: Record = {
        "overall": overall(results),
        "claims": _claims(results),
        "shown": shown_sections(results),
        "figures": [inline(number, figure) for number, figure in enumerate(figures.figures)],
        "examples": examples(results),
        "replies": scaled_replies(results),
        "folded": folded_sections(results),
    }
    page = (
        environment(concept)
        .get_template("report.html.j2")
        .render(
            **contents,
            **_headings(contents),
            main_figures=MAIN_FIGURES,
            run=about,
            kind=kind,
            title=_title(kind, about, concept),
            warnings=warnings_of([about]),
            scope=concept.worded(list_words(results)),
            source=first(results["neuron-list"]).get("source", ""),
            lineage=bool(results["lineage"].rows),
            intervened=bool(results["interventions"].rows or results["compliance-slopes"].rows),
            marks=MARKS,
            not_drawn=sorted(figures.failed.items()),
            facts=_facts(about),
        )
    )
    return with_manifest(page, about, contents["claims"])


def _title(kind: RunKind, about: Record, concept: Concept) -> str:
    """The title in the words of the concept; names, of which some come from outside, are put in between."""
    pieces = Formatter().parse(TITLES[kind])
    return "".join(f"{concept.worded(text)}{about[name] if name else ''}" for text, name, _, _ in pieces)


def _claims(results: Results) -> list[Record]:
    """Each claim with all its conditions, and the one that decided in words."""
    decided = decisions(results)
    words = [row[-1] for row in decided.worded(concept_of(results)).rows] if decided else []
    return [{**claim, "decision": decision} for claim, decision in zip(claim_table(results), words, strict=True)]


def _headings(contents: Record) -> dict[str, list[str]]:
    """Headings for the contents: those of the parts that stand open, and those of the appendices."""
    named = {
        "Verdict": contents["overall"],
        **{table.title: table for table in contents["shown"]},
        "Figures": contents["figures"],
        "Examples": contents["examples"],
    }
    further = {"Further figures": contents["figures"][MAIN_FIGURES:], "Conditions": contents["claims"]}
    further |= {contents["replies"].get("title", ""): contents["replies"]}
    appendices = [name for name, part in further.items() if part]
    appendices += [table.title for table in contents["folded"]]
    return {
        "parts": [*(name for name, part in named.items() if part), "Appendices"],
        "appendices": [*appendices, "Method in short", "Settings and provenance"],
    }


def by_width(tables: Sequence[ReportTable]) -> list[tuple[bool, list[ReportTable]]]:
    """Tables in order, in groups; of each, whether they stand beside each other on a printed page."""
    groups = [(slim, list(some)) for slim, some in groupby(tables, _is_slim)]
    return [(slim and len(some) > 1, some) for slim, some in groups]


def _is_slim(table: ReportTable) -> bool:
    """Whether a table has room in half of a printed page; long words of text may be broken, and headings at blanks."""
    widths = [max(map(len, head.split()), default=0) for head in table.header]
    for row in table.rows:
        for place, cell in enumerate(row):
            longest = max(map(len, cell.splitlines()), default=0)
            widths[place] = max(widths[place], min(longest, TEXT) if place in table.text else longest)
    return sum(widths) + 2 * len(widths) <= SLIM


def _slug(title: str) -> str:
    """A heading as the id that links lead to."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


class _Worded(Extension):
    """Words the text of templates after it was told from their code, so that a word from outside is never code."""

    concept = HALLUCINATION

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Put escaped words of the concept into text, which is markup."""
        for token in stream:
            text = token.type == "data"
            yield Token(token.lineno, token.type, self.concept.worded(token.value, _escaped)) if text else token


def _escaped(word: str) -> str:
    return str(escape(word))


def environment(concept: Concept = HALLUCINATION) -> Environment:
    """Templates of the pages, in the words of a concept; what they are given is escaped, and nothing may be missing."""
    templates = Environment(
        loader=PackageLoader("provenance.figures"),
        extensions=[type("Worded", (_Worded,), {"concept": concept})],
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["slug"] = _slug
    templates.filters["by_width"] = by_width
    return templates


def inline(number: int, figure: Drawn) -> Record:
    """A figure as SVG for the page, its caption, and its name."""
    svg = image(figure, "svg").decode()
    svg = svg[svg.index("<svg") :]
    return {
        "name": figure.spec.name,
        "title": figure.title,
        "wide": figure.figure.get_figwidth() > style.column_in(),
        "caption": figure.short_caption,  # its numbers are in the tables of the same page
        # Drawn here from escaped text; the only markup that is not escaped.
        "svg": Markup(_own_ids(svg, f"f{number}-")),  # noqa: S704
    }


def _own_ids(svg: str, prefix: str) -> str:
    """Prefix an SVG's ids, since two figures on one page may use the same."""
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'href="#', f'href="#{prefix}', svg)
    return re.sub(r"url\(#", f"url(#{prefix}", svg)


def _facts(run: Record) -> list[tuple[str, list[tuple[str, str]]]]:
    """Settings and origin of the run, in groups of names and values."""
    memory = run["peak_memory_bytes"]
    return [
        (
            "Checkpoints",
            [
                ("base", f"{run['base']} ({run['base_dtype']})"),
                ("digest of base", run["base_digest"]),
                ("instruct", f"{run['instruct']} ({run['instruct_dtype']})"),
                ("digest of instruct", run["instruct_digest"]),
                ("architecture", f"{run['model_type']}, {run['layers']} layers × {run['neurons_per_layer']} neurons"),
            ],
        ),
        (
            "Run",
            [
                ("command", run["command"]),
                ("run", f"{run['run']}, key {run['run_key']}"),
                ("seed", str(run["seed"])),
                ("started (UTC)", run["started_utc"]),
                ("finished (UTC)", run["finished_utc"] or "not yet"),
                ("resumed", f"{run['resumed']} times"),
                ("peak memory", "unknown" if memory is None else f"{memory / 1e9:.2f} GB"),
                ("digest of results", run["content_digest"] or "none"),
            ],
        ),
        ("Settings", _flat(_loaded(run["settings"]))),
        ("Versions", _flat(_loaded(run["versions"]))),
    ]


def _loaded(value: Any) -> dict[str, Any]:
    """A JSON column: SQLite gives its text, PostgreSQL the object."""
    loaded = json.loads(value) if isinstance(value, str) else value
    return dict(loaded)


def _flat(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (str(name), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in values.items()
    ]
