"""Comparisons, runs and their tables from Python: data frames and matplotlib figures.

    import provenance
    run = provenance.compare("lab/inherited/base", "lab/inherited/instruct")
    run.verdict; run.claims(); run.neurons(); run.table("transfer"); run.figure("4a")

Frames need pandas (extra `notebook`). What the command line prints and writes comes from the same queries and figures.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, get_args, get_origin

from provenance.api.compare_settings import DEFAULTS, CompareSettings
from provenance.api.notebook import show_figures
from provenance.cells import Record, so_many
from provenance.defaults import DATABASE, LATEST
from provenance.errors import InputError, nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from provenance.db.reading.run_query import QueryResult


_NAMED = ("db", "captures", "questions", "quick", "quiet")
"""Arguments of `compare` that are no settings of its job."""
LONGEST_FOUND = 80  # characters of a value in an error
SHOWN_RUNS = 20
"""Runs of a database that a notebook shows."""
T = TypeVar("T", bound=Callable[..., object])


def _with_settings(function: T) -> T:
    """Put names, types and defaults of the settings into a function's signature, for `help` and notebooks."""
    own, defaults = signature(function), dict(DEFAULTS)
    named = [part for part in own.parameters.values() if part.kind is not Parameter.VAR_KEYWORD]
    for name, hint in CompareSettings.__annotations__.items():
        named.append(Parameter(name, Parameter.KEYWORD_ONLY, default=defaults[name], annotation=hint))
    function.__signature__ = own.replace(parameters=named)  # type: ignore[attr-defined]  # of functions, for `inspect`
    return function


@_with_settings
def compare(
    base: str | Path,
    instruct: str | Path,
    *,
    db: str = DATABASE,
    captures: str | Path | None = None,
    questions: str | Path | Sequence[str | Path] = (),
    quick: bool = False,
    quiet: bool = False,
    **settings: Unpack[CompareSettings],
) -> "Run":
    """Compare two checkpoints as `provenance compare` does, or take the finished run of the same content and settings.

    No figure and no report is written: `run.figure("4a")` draws one, `run.report(folder)` writes the report,
    and the command `provenance figures` writes every figure to files.

    Args:
        base: `org/name[@revision]`, a folder, or `lab/family/stage`.
        instruct: The checkpoint tuned from it.
        db: URL of the neuron database, or the path of a SQLite file.
        captures: Folder for captured vectors; beside the database by default.
        questions: Names or files of question sets; lab families bring their own.
        quick: Few draws for every chance level: a first look.
        quiet: Whether no progress is written to stderr.
        settings: The settings of the command by name, such as `samples` or `device`: those of
            `provenance.CompareSettings`, which says what each of them means.

    Raises:
        InputError: A setting is unknown or of another type, or the request cannot be carried out as given.
        JobError: The work failed.
    """
    from provenance.analyses.jobs.compare_job import Job
    from provenance.analyses.jobs.effort import FULL, QUICK
    from provenance.cli.run_job import settle

    more = _settings(settings)
    sets = _declared("questions", questions, Sequence[str])
    job = Job(str(base), str(instruct), sets, effort=QUICK if quick else FULL, **more)
    folder = None if captures is None else Path(captures)
    return Run(url_of(db), settle(job, url_of(db), quiet=quiet, captures=folder))


def _settings(given: CompareSettings) -> dict[str, Any]:
    """Settings as the job has them: tuples of what may be several, paths of files, and whole numbers as floats.

    Raises:
        InputError: One of them is unknown, or of another type.
    """
    if unknown := sorted(set(given) - set(DEFAULTS)):
        raise InputError(
            f"settings of a comparison ({', '.join(sorted(DEFAULTS))})",
            found=", ".join(unknown),
            remedy=nearest(unknown[0], {*DEFAULTS, *_NAMED}, else_all=False),
        )
    return {name: _declared(name, value, CompareSettings.__annotations__[name]) for name, value in given.items()}


def _declared(name: str, value: Any, hint: Any) -> Any:
    """A setting as the job has it.

    Raises:
        InputError: It is of another type.
    """
    made = _converted(value, hint)
    if not _fits(made, hint):
        kind = hint.__name__ if isinstance(hint, type) else str(hint)
        raise InputError(
            f"{name} of type {kind.replace('collections.abc.', '').replace('pathlib.', '')}",
            found=repr(value)[:LONGEST_FOUND],
            remedy="see `provenance.CompareSettings`, which says what each setting means",
        )
    return made


def _converted(value: Any, hint: Any) -> Any:
    kinds = get_args(hint)
    if get_origin(hint) is Sequence:
        several = _several(value)
        return several if several is None else tuple(_converted(each, kinds[0]) for each in several)
    if Path in kinds:
        return Path(value) if isinstance(value, str) else value
    if hint is str or str in kinds:
        return str(value) if isinstance(value, Path) else value
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_whole and (hint is float or float in kinds) else value


def _several(value: Any) -> tuple[Any, ...] | None:
    """One text or path, each of several values, or pairs of a mapping; None for anything else."""
    if isinstance(value, str | Path):
        return (value,)
    if isinstance(value, Mapping):
        return tuple(value.items())
    return tuple(value) if isinstance(value, Iterable) else None


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value has a type of those that settings have; what words may be chosen is up to the job."""
    kinds, origin = get_args(hint), get_origin(hint)
    if origin is Sequence:
        return isinstance(value, tuple) and all(_fits(each, kinds[0]) for each in value)
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_fits, value, kinds))
    if origin is Literal:
        return isinstance(value, str)
    if kinds:
        return any(_fits(value, each) for each in kinds)
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, hint)


def open(db: str = DATABASE) -> "Database":  # noqa: A001 - `provenance.open`, as of a file
    """The neuron database at a URL, or in a SQLite file.

    Raises:
        InputError: It is empty.
        StoreError: It cannot be read, or is of another version.
    """
    found = Database(url_of(db))
    found.query("runs")
    return found


def url_of(db: str | Path) -> str:
    """URL of a database that is named by its URL or by the path of its file."""
    text = str(db)
    return text if "://" in text else f"sqlite:///{text}"


@dataclass(frozen=True)
class Database:
    """A neuron database, for reading."""

    url: str

    def runs(self) -> "DataFrame":
        """One row a run, with its pair, status and verdict in one sentence."""
        return self.query("runs")

    def _repr_html_(self) -> str:
        """The database in a notebook: its newest runs, with the columns that `provenance query runs` shows first."""
        from html import escape

        from provenance.db.reading.named_queries import QUERIES

        runs = self.runs()[list(QUERIES["runs"].narrow)]
        shown = f", the newest {SHOWN_RUNS} of them" if len(runs) > SHOWN_RUNS else ""
        count = so_many(len(runs), "run")
        return f"<p><b>{escape(self.url)}</b>: {count}{shown}</p>{runs[: -SHOWN_RUNS - 1 : -1].to_html(index=False)}"

    def run(self, which: int | str = LATEST) -> "Run":
        """A run by its number; `latest`: the newest finished one, of any kind but a negative control.

        Raises:
            InputError: There is no such run.
        """
        from provenance.db.reading.run_query import newest_run

        found = Run(self.url, newest_run(self.url) if which == LATEST else _number(which))
        found.about()
        return found

    def query(self, name_or_sql: str, **parameters: float | str) -> "DataFrame":
        """Rows of a named query or of SQL that reads."""
        return _frame(_asked(self.url, name_or_sql, parameters))


@dataclass(frozen=True)
class Run:
    """A run of a database."""

    url: str
    id: int

    def about(self) -> Record:
        """Settings, versions, digests and times."""
        [row] = self._read("run").records()
        return row

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        return str(self.about()["overall"] or "")

    def claims(self) -> "DataFrame":
        """One row a claim, with its verdict, the condition that decided, its value and bar, and what it is against."""
        return self.table("claims")

    def neurons(self) -> "DataFrame":
        """One row an H-Neuron, largest weight first: how far it moved, and how active it is in both models.

        Activity is the mean CETT on answer tokens of faithful and of hallucinated answers, on the first question set.
        """
        return self.table("h-neurons")

    def table(self, name: str, **parameters: float | str) -> "DataFrame":
        """Rows of a named query about this run; `provenance query` lists the names."""
        return _frame(self._read(name, **parameters))

    def figure(self, name: str) -> "Figure":
        """A figure of the run: `4a`, `4b`, or the stem of its file. A notebook shows it.

        Raises:
            InputError: The run has no such figure; the message names those it has.
        """
        from provenance.figures.gallery import attempted

        found = attempted(self.url, self.id)
        figures = {figure.spec.name: figure.figure for figure in found.figures}
        for wanted in (name, f"figure_{name}"):
            if wanted in figures:
                show_figures()
                return figures[wanted]
        found.check()
        raise InputError(
            f"a figure of run {self.id}: {', '.join(figures)}", found=repr(name), remedy="name one of these"
        )

    def report(self, out: str | Path) -> Path:
        """Write the HTML report into a folder; returns its path."""
        from provenance.figures.report.html import write_report

        return write_report(self.url, self.id, Path(out))

    def _read(self, name: str, **parameters: float | str) -> "QueryResult":
        return _asked(self.url, name, {**parameters, "run": self.id})

    def _repr_html_(self) -> str:
        """The run in a notebook: its pair, its sentence, its claims with what decided."""
        from html import escape

        from provenance.db.reading.named_queries import QUERIES

        about = self.about()
        pair = escape(f"Run {self.id}: {about['base']} → {about['instruct']}")
        claims = self.claims()[list(QUERIES["claims"].narrow)]
        return f"<p><b>{pair}</b></p><p>{escape(self.verdict)}</p>{claims.to_html(index=False)}"


def _asked(url: str, name: str, parameters: Mapping[str, float | str]) -> "QueryResult":
    from provenance.db.reading.run_query import run_query

    return run_query(url, name, parameters)


def _frame(result: "QueryResult") -> "DataFrame":
    try:
        import pandas as pd
    except ImportError as error:
        raise InputError(
            "pandas, for data frames", found="no pandas", remedy="install the extra: checkpoint-provenance[notebook]"
        ) from error
    return pd.DataFrame(list(result.rows), columns=list(result.columns))


def _number(which: int | str) -> int:
    try:
        return int(which)
    except ValueError as error:
        raise InputError(f"the number of a run, or {LATEST!r}", found=repr(which), remedy="see `runs()`") from error
