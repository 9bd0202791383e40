"""Draws the figures of a run or a study and writes them, each with its rows as CSV, so that it can be drawn again.

A figure that cannot be drawn costs that figure only: whatever its drawing raises becomes the reason that is told.
"""

import io
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.text import Text

from provenance.db.reading.run_query import QueryResult, Source, default_run, reading, run_query
from provenance.db.reading.study_query import finished_members, over_replicates, study_query
from provenance.errors import InputError, JobError, ProvenanceError
from provenance.figures.catalogue import GALLERY, STUDY_GALLERY
from provenance.figures.drawing import style
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables import latex
from provenance.figures.wording.run_words import (
    Parts,
    concept_of,
    control_of,
    control_words,
    first,
    identifier,
    source,
)
from provenance.files import storing, write_whole
from provenance.processes.fork_join import fork_join
from provenance.words import Concept

_T = TypeVar("_T")
logger = logging.getLogger(__name__)
FORMS = ("pdf", "svg", "png")
"""Formats of pictures."""
Read = Callable[[str, Mapping[str, int]], QueryResult]
"""A named query with parameters, of one run or over the runs of a study."""
NAMED = "name:"
"""What the ids of texts begin with that are names from outside."""
LONGEST_REASON = 300  # characters of what a library says


@dataclass(frozen=True)
class Drawn:
    """A figure with its rows."""

    spec: GalleryFigure
    """Description in the gallery."""
    parts: Parts
    """The rows."""
    figure: Figure
    """Matplotlib figure."""
    images: dict[str, bytes] = field(default_factory=dict)
    """Rendered forms by name."""

    @property
    def concept(self) -> Concept:
        """What the neurons of the run are about."""
        return concept_of(self.parts)

    @property
    def title(self) -> str:
        """Short title."""
        return self.concept.worded(self.spec.title)

    @property
    def control(self) -> list[str]:
        """Warning sentence of a negative control; empty for a comparison."""
        words = control_words(first(self.parts["run"])) if "run" in self.parts else ""
        return [words] if words else []

    @property
    def caption(self) -> list[str]:
        """Caption, after the warning of a negative control."""
        return [*self.control, *map(self.concept.worded, self.spec.caption(self.parts))]

    @property
    def short_caption(self) -> str:
        """What stands below the figure; the other lines of the caption are notes of its table."""
        return " ".join(self.caption[: len(self.control) + 1])


@dataclass(frozen=True)
class Attempt:
    """The figures of a run."""

    figures: list[Drawn]
    """Those that could be drawn, in the order of the gallery."""
    failed: Mapping[str, str]
    """Why another could not, by its name."""

    def check(self) -> None:
        """Refuse an attempt in which a figure failed.

        Raises:
            JobError: It names each of them with the reason.
        """
        if self.failed:
            raise JobError(
                "all figures of the run",
                found="; ".join(f"{name}: {reason}" for name, reason in self.failed.items()),
                remedy="the other figures are whole; `provenance query` gives the rows of this one",
            )


def drawn(url: str, run: int | None = None) -> list[Drawn]:
    """Draw every figure of a run without writing anything; see `attempted`."""
    return attempted(url, run).figures


def attempted(source: Source, run: int | None = None, forms: Sequence[str] = ()) -> Attempt:
    """Draw every figure of a run, and render it in some forms, without writing anything.

    Raises:
        InputError: There is no such run, or it has no results.
    """
    with reading(source) as database:
        run = default_run(database) if run is None else run
        if first(run_query(database, "run", {"run": run}))["content_digest"] is None:
            raise InputError(
                f"results of run {run}",
                found="none in this database",
                remedy="finish that run, or name another (see `runs`)",
            )
        return _attempted([(spec, read_of(spec, database, run)) for spec in GALLERY.values()], forms)


def study_attempted(source: Source, study: str | None = None, forms: Sequence[str] = ()) -> Attempt:
    """Draw every figure of a study, over the runs of those members that it is about; as `attempted`.

    Raises:
        InputError: There is no such study, or none of its members has a run.
    """
    with reading(source) as database:
        kinds = dict.fromkeys(member["kind"] for member in finished_members(database, study))
        reads = {kind: partial(study_query, database, study, kind=kind) for kind in kinds}
        about = [(spec, reads[spec.members]) for spec in STUDY_GALLERY.values() if spec.members in reads]
        return _attempted(about, forms)


def read_of(spec: GalleryFigure, source: Source, run: int) -> Read:
    """What reads the rows of a figure of a run: over all replicates, or of the first one."""

    def read(query: str, given: Mapping[str, int]) -> QueryResult:
        if spec.over_replicates:
            return over_replicates(source, query, run, given)
        return run_query(source, query, {**given, "run": run})

    return read


def _attempted(gallery: Iterable[tuple[GalleryFigure, Read]], forms: Sequence[str]) -> Attempt:
    """Every figure, each by what reads its rows."""
    tried = {spec.name: _tried(partial(_drawn, spec, read)) for spec, read in gallery}
    if forms:
        made = [found for found in tried.values() if isinstance(found, Drawn)]
        rendered = fork_join([partial(_tried, partial(_rendered, each, forms)) for each in made])
        for each, found in zip(made, rendered, strict=True):
            tried[each.spec.name] = found if isinstance(found, str) else replace(each, images=found)
    failed = {name: reason for name, reason in tried.items() if isinstance(reason, str)}
    for name, reason in failed.items():
        logger.warning("%s was not drawn: %s", name, reason)
    return Attempt([each for each in tried.values() if isinstance(each, Drawn)], failed)


def _tried(work: Callable[[], _T]) -> _T | str:
    """What drawing gives, or the reason why it could not."""
    try:
        return work()
    except ProvenanceError:  # of the database, and so of every figure
        raise
    except Exception as error:  # noqa: BLE001 - the one place where what a drawing raises costs this figure only
        return " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REASON]


def _drawn(spec: GalleryFigure, read: Read) -> Drawn | None:
    """A figure; None with nothing to draw."""
    parts = _parts(spec, read)
    return None if parts is None else Drawn(spec, parts, _marked(spec.draw(parts), parts))


def _rendered(made: Drawn, forms: Sequence[str]) -> dict[str, bytes]:
    """A figure's images by form; everything that belongs to it is made once, so that what fails does so here."""
    _texts(made)
    return {form: image(made, form) for form in forms}


def _marked(figure: Figure, parts: Parts) -> Figure:
    """Put the words of the run's concept into a figure, and a line above that of a negative control."""
    concept = concept_of(parts)
    for text in () if concept.is_usual else figure.findobj(Text):
        said = text.get_text()
        worded = said if (text.get_gid() or "").startswith(NAMED) else concept.worded(said)
        if worded != said:
            text.set_parse_math(False)  # words of the concept come from outside
            text.set_text(worded)
    control = control_of(first(parts["run"])) if "run" in parts else ""
    if control:
        with style.paper():
            figure.suptitle(f"Negative control: {control}")
    return figure


def draw(url: str, run: int | None, out: Path, forms: Sequence[str] = FORMS) -> list[Path]:
    """Draw every figure of a run into a folder: PDF, SVG, PNG, CSV, caption and LaTeX table.

    Figures in the folder that the run does not have are removed.

    Args:
        url: Database URL.
        run: Its id; the newest finished comparison by default.
        out: Folder, made if missing.
        forms: Formats of the pictures; CSV, caption and table are always written.

    Returns:
        The files written.

    Raises:
        InputError: There is no such run, or it has nothing to draw.
        StoreError: The folder cannot be written to, or the database cannot be read.
        JobError: A figure could not be drawn; all others are written.
    """
    found = attempted_some(url, run, forms)
    written = write_figures(found.figures, out, forms)
    found.check()
    return written


def attempted_some(url: str, run: int | None, forms: Sequence[str] = FORMS) -> Attempt:
    """As `attempted`, of a run with at least one figure.

    Raises:
        InputError: There is no such run, or it has nothing to draw.
    """
    found = attempted(url, run, forms)
    if not found.figures and not found.failed:
        raise InputError(
            "a run with something to draw",
            found=f"run {default_run(url) if run is None else run}, of a pair that has no rows to compare",
            remedy="read its report, or name another run (see `runs`)",
        )
    return found


def write_figures(figures: Sequence[Drawn], out: Path, forms: Sequence[str] = FORMS) -> list[Path]:
    """Write the figures of a run or study into a folder, and remove those of another; returns the files written."""
    written = [path for figure in figures for path in _write(figure, out, forms)]
    all_of_them = {**STUDY_GALLERY, **GALLERY}
    _clear(out, [spec for name, spec in all_of_them.items() if name not in {figure.spec.name for figure in figures}])
    return written


def _clear(out: Path, specs: Sequence[GalleryFigure]) -> None:
    for spec in specs:
        parts = [spec.name, *(f"{spec.name}_{part}" for part in list(spec.data)[1:])]
        with storing(f"to remove old figures from {out}"):
            for stem in parts:
                for form in (*FORMS, "csv", "txt", "tex"):
                    (out / f"{stem}.{form}").unlink(missing_ok=True)


def image(figure: Drawn, form: str) -> bytes:
    """A figure as the bytes of a `pdf`, `svg` or `png` file that names its run; rendered once in each form.

    It is laid out once, with the letters of the PNG, which are the widest: every command then draws the same.
    """
    if form not in figure.images:
        with style.paper():
            if engine := figure.figure.get_layout_engine():
                figure.figure.set_dpi(rcParams["savefig.dpi"])
                engine.execute(figure.figure)
                figure.figure.set_layout_engine(None)  # and not "none", with which every form would be drawn twice
            buffer = io.BytesIO()
            figure.figure.savefig(buffer, format=form, metadata=_metadata(figure, form))
            figure.images[form] = buffer.getvalue()
    return figure.images[form]


def _parts(spec: GalleryFigure, read: Read) -> Parts | None:
    """The rows of a figure; None if there is nothing to draw in it."""
    context = {name: read(name, {}) for name in spec.context}
    if not spec.ready(context):
        return None
    data = {part: read(query, given) for part, (query, given) in spec.data.items()}
    return {**context, **data}


def _write(figure: Drawn, out: Path, forms: Sequence[str]) -> list[Path]:
    pictures = {f"{figure.spec.name}.{form}": image(figure, form) for form in forms}
    return [write_whole(out / name, content) for name, content in {**pictures, **_texts(figure)}.items()]


def _texts(figure: Drawn) -> dict[str, bytes]:
    """Rows, caption and LaTeX table of a figure, by file name."""
    spec, files = figure.spec, dict[str, bytes]()
    for number, part in enumerate(spec.data):
        stem = spec.name if number == 0 else f"{spec.name}_{part}"
        result = figure.parts[part]
        files[f"{stem}.csv"] = (result.with_replicates or result).as_csv().encode()
    files[f"{spec.name}.txt"] = f"{figure.short_caption}\n".encode()
    content = spec.table(figure.parts)
    worded = figure.concept.worded
    content = replace(
        content,
        caption=" ".join([*figure.control, worded(content.caption)]),
        header=tuple(map(worded, content.header)),
        rows=[tuple(map(worded, row)) for row in content.rows],
    )
    label = f"tab:{'control:' if figure.control else ''}{spec.name.replace('_', '-')}"
    notes = figure.caption[len(figure.control) + 1 :]
    table = latex.table(content, label=label, source=source(figure.parts), notes=notes)
    files[f"{spec.name}.tex"] = table.encode()
    return files


def _metadata(figure: Drawn, form: str) -> dict[str, Any]:
    """Title and origin, under the names of each format; no dates, so that files can be compared."""
    about, key = source(figure.parts), identifier(figure.parts)
    if form == "pdf":
        return {"Title": figure.title, "Subject": about, "Keywords": key, "CreationDate": None}
    if form == "svg":
        return {"Title": figure.title, "Description": about, "Identifier": key, "Date": None}
    return {"Title": figure.title, "Description": about, "Source": key}
