"""All figures: name, queries, drawing, caption, table; and the one function that draws them.

The one idea: a figure is a function from rows that named queries return, so each comes
with these rows as CSV, and anybody can draw it anew from the database.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from db.queries import newest_run, run_query
from figures import latex, style
from figures.captions import Parts, caption_4a, caption_4b, table_4a, table_4b
from figures.drift_words import caption_drift, moves_neurons, table_drift
from figures.figure_4a import figure_4a
from figures.figure_4b import figure_4b
from figures.figure_drift import figure_drift
from figures.figure_lineage import drawn_kinds, figure_lineage
from figures.figure_path import figure_path
from figures.lineage_words import caption_lineage, table_lineage
from figures.path_words import caption_path, has_path, table_path
from figures.words import first, problem_words, run_kind, source
from provenance.errors import InputError
from provenance.files import storing, write_whole

CURVE_BINS = 200  # a curve in a column of 3.25 in has about that many distinguishable steps


@dataclass(frozen=True)
class GalleryFigure:
    """One figure and everything that comes with it."""

    name: str
    """Stem of its files."""
    title: str
    """A few words, for headings and metadata."""
    data: Mapping[str, tuple[str, Mapping[str, int]]]
    """What is drawn, by part: named query and parameters. The first part's CSV has the figure's name."""
    ready: Callable[[Parts], bool]
    """Whether the run has something to draw, by the context alone; nothing else is read where it has not."""
    context: tuple[str, ...]
    """Named queries that are read first, for this, the caption and metadata."""
    draw: Callable[[Parts], Figure]
    """From rows to figure."""
    caption: Callable[[Parts], list[str]]
    """From rows to words: what is drawn first, then the numbers."""
    table: Callable[[Parts], latex.Table]
    """From rows to a table for a paper."""


@dataclass(frozen=True)
class Drawn:
    """A figure with the rows it was drawn from."""

    spec: GalleryFigure
    """Which figure."""
    parts: Parts
    """The rows."""
    figure: Figure
    """Not yet saved."""

    @property
    def caption(self) -> list[str]:
        """What it shows, in words."""
        return self.spec.caption(self.parts)


GALLERY: Mapping[str, GalleryFigure] = {
    figure.name: figure
    for figure in (
        GalleryFigure(
            name="figure_4a",
            title="Does the probe read the base model?",
            data={"transfer": ("transfer", {})},
            ready=lambda parts: bool(parts["transfer"].rows),
            context=("run", "probes", "transfer", "drift", "neuron-list"),
            draw=lambda parts: figure_4a(parts["transfer"].records()),
            caption=caption_4a,
            table=table_4a,
        ),
        GalleryFigure(
            name="figure_4b",
            title="Did the H-Neurons change less than others?",
            data={
                "ranks": ("h-neuron-ranks", {}),
                "bins": ("rank-bins", {"bins": CURVE_BINS}),
                "drift": ("drift", {}),
            },
            # Without a list of neurons there is nothing to set against all others.
            ready=lambda parts: run_kind(parts) in ("comparison", "listed"),
            context=("run", "neuron-list", "alignment", "drift"),
            draw=lambda parts: figure_4b(
                parts["ranks"].records(),
                parts["bins"].records(),
                first(parts["drift"]),
                by_position=bool(problem_words(parts)),
            ),
            caption=caption_4b,
            table=table_4b,
        ),
        GalleryFigure(
            name="figure_path",
            title="Does anything hang on one C?",
            data={"curve": ("probe-curve", {}), "baselines": ("baselines", {})},
            ready=has_path,
            context=("run", "probes", "identification", "transfer", "probe-curve"),
            draw=lambda parts: figure_path(
                parts["curve"].records(), parts["baselines"].records(), parts["transfer"].records()
            ),
            caption=caption_path,
            table=table_path,
        ),
        GalleryFigure(
            name="figure_lineage",
            title="How far did each kind of weights move?",
            data={"tensors": ("lineage-tensors", {}), "drift": ("drift", {})},
            ready=lambda parts: bool(drawn_kinds(parts["lineage-tensors"].records())),
            context=("run", "lineage", "lineage-tensors"),
            draw=lambda parts: figure_lineage(parts["tensors"].records(), _floor(parts)),
            caption=caption_lineage,
            table=table_lineage,
        ),
        GalleryFigure(
            name="figure_drift",
            title="How far did neurons move?",
            data={"layers": ("drift-by-layer", {}), "drift": ("drift", {})},
            ready=moves_neurons,
            context=("run", "neuron-list", "alignment", "lineage-tensors", "drift"),
            draw=lambda parts: figure_drift(parts["layers"].records(), _floor(parts)),
            caption=caption_drift,
            table=table_drift,
        ),
    )
}
"""Every figure by name: the paper's in its order, then ours."""


def drawn(url: str, run: int | None = None) -> list[Drawn]:
    """Draws every figure of a run without writing anything.

    Args:
        url: Database URL.
        run: Its id; the newest finished run by default.

    Raises:
        InputError: There is no such run, or it has no results.
    """
    run = newest_run(url) if run is None else run
    if not run_query(url, "verdicts", {"run": run}).rows:
        raise InputError(
            f"results of run {run}",
            found="none in this database",
            remedy="finish that run, or name another (see `runs`)",
        )
    read = [(spec, _parts(url, run, spec)) for spec in GALLERY.values()]
    return [Drawn(spec, parts, spec.draw(parts)) for spec, parts in read if parts is not None]


def draw(url: str, run: int | None, out: Path) -> list[Path]:
    """Draws every figure of a run into a folder: PDF, SVG, PNG, CSV, caption and LaTeX table.

    Files of figures that the run does not have, left there by another run, are removed.

    Args:
        url: Database URL.
        run: Its id; the newest finished run by default.
        out: Folder, made where it is missing.

    Returns:
        The files written.

    Raises:
        InputError: There is no such run, or nothing of it can be drawn.
        StoreError: The folder cannot be written to, or the database cannot be read.
    """
    figures = drawn(url, run)
    if not figures:
        raise InputError(
            "a run with something to draw",
            found=f"run {newest_run(url) if run is None else run}, of a pair that has no rows to compare",
            remedy="read its report, or name another run (see `runs`)",
        )
    written = [path for figure in figures for path in _write(figure, out)]
    _clear(out, set(GALLERY) - {figure.spec.name for figure in figures})
    return written


def _clear(out: Path, names: set[str]) -> None:
    """Remove figures that another run left in the folder, lest they be taken for this run's."""
    for name in sorted(names):
        parts = [name, *(f"{name}_{part}" for part in list(GALLERY[name].data)[1:])]
        with storing(f"to remove old figures from {out}"):
            for stem in parts:
                for form in ("pdf", "svg", "png", "csv", "txt", "tex"):
                    (out / f"{stem}.{form}").unlink(missing_ok=True)


def image(figure: Drawn, form: str) -> bytes:
    """A figure as the bytes of a `pdf`, `svg` or `png` file that names its run; the same figure, the same bytes."""
    buffer = io.BytesIO()
    with style.paper():
        figure.figure.savefig(buffer, format=form, metadata=_metadata(figure, form))
    return buffer.getvalue()


def _parts(url: str, run: int, spec: GalleryFigure) -> Parts | None:
    """The rows behind a figure; None where the run has nothing to draw in it."""
    context = {name: run_query(url, name, {"run": run}) for name in spec.context}
    if not spec.ready(context):
        return None
    data = {part: run_query(url, query, {**given, "run": run}) for part, (query, given) in spec.data.items()}
    return {**context, **data}


def _floor(parts: Parts) -> float | None:
    """What storage rounding alone can cause, where it is known."""
    return first(parts["drift"]).get("rounding_floor") or None


def _write(figure: Drawn, out: Path) -> list[Path]:
    spec = figure.spec
    files = {f"{spec.name}.{form}": image(figure, form) for form in ("pdf", "svg", "png")}
    for number, part in enumerate(spec.data):
        stem = spec.name if number == 0 else f"{spec.name}_{part}"
        files[f"{stem}.csv"] = figure.parts[part].as_csv().encode()
    files[f"{spec.name}.txt"] = ("\n".join(figure.caption) + "\n").encode()
    label = f"tab:{spec.name.replace('_', '-')}"
    table = latex.table(spec.table(figure.parts), label=label, source=source(figure.parts))
    files[f"{spec.name}.tex"] = table.encode()
    return [write_whole(out / name, content) for name, content in files.items()]


def _metadata(figure: Drawn, form: str) -> dict[str, Any]:
    """Title and run under the names that each format knows; no dates, so that files can be compared."""
    run, about = first(figure.parts["run"]), source(figure.parts)
    identifier = f"run {run['run']} {run['run_key']}"
    if form == "pdf":
        return {"Title": figure.spec.title, "Subject": about, "Keywords": identifier, "CreationDate": None}
    if form == "svg":
        return {"Title": figure.spec.title, "Description": about, "Identifier": identifier, "Date": None}
    return {"Title": figure.spec.title, "Description": about, "Source": identifier}
