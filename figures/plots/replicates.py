"""Replicates: transfer in every draw of the comparison, so that one draw is not taken for the result."""

from collections.abc import Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from provenance.analyses.results.replicates import Replicate
from provenance.cells import Record, fixed
from provenance.figures.drawing import style
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.latex import Table
from provenance.figures.tables.result_tables import latex_table
from provenance.figures.wording.run_words import Parts, first, source

DRAW_IN, GAP_IN, FRAME_IN = 0.13, 0.16, 0.44


def replicates_figure(rows: Sequence[Record]) -> Figure:
    """One group of lines for each question set, one line for each draw; sets without an AUROC are left out."""
    sets = _by_set(rows)
    lines = sum(len(drawn) for drawn in sets.values())
    height = FRAME_IN + DRAW_IN * lines + GAP_IN * len(sets)
    with style.paper():
        figure = Figure(figsize=(style.column_in(), height), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0.5, color=style.INK, linewidth=0.7, linestyle=style.DASHED, zorder=1, gid="chance")
        top = 0.0
        for name, drawn in sets.items():
            _draw_set(axes, name, drawn, top)
            top += len(drawn) + GAP_IN / DRAW_IN
        lows = [row["auroc_low"] for drawn in sets.values() for row in drawn]
        axes.set_xlim(max(0.0, min([0.4, *(low - 0.03 for low in lows)])), 1.02)
        axes.set_ylim(top - 0.4, -0.8)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("AUROC on the base model’s own responses")
    return figure


def _by_set(rows: Sequence[Record]) -> dict[str, list[Record]]:
    known = [row for row in rows if row["auroc"] is not None and row["auroc_low"] is not None]
    return {
        name: [row for row in known if row["dataset"] == name] for name in dict.fromkeys(r["dataset"] for r in known)
    }


def _draw_set(axes: Axes, name: str, drawn: Sequence[Record], top: float) -> None:
    """The draws of one question set from `top` down, with a line through their median."""
    middle = median(row["auroc"] for row in drawn)
    span = [top - 0.45, top + len(drawn) - 0.55]
    axes.plot([middle] * 2, span, color=style.ORANGE, linewidth=1.1, zorder=2, gid=f"median:{name}")
    for place, row in enumerate(drawn):
        face = style.BLUE if row["verdict"] == "supported" else "white"
        axes.plot(
            [row["auroc_low"], row["auroc_high"]], [top + place] * 2, color=style.BLUE, linewidth=1.1, zorder=3,
            solid_capstyle="butt", gid=f"interval:{name}:{row['seed']}",
        )  # fmt: skip
        axes.plot(
            row["auroc"], top + place, "o", markersize=3.6, markerfacecolor=face, markeredgecolor=style.BLUE,
            markeredgewidth=0.9, zorder=4, gid=f"auroc:{name}:{row['seed']}",
        )  # fmt: skip
    axes.text(
        -0.03, sum(span) / 2, "\n".join(style.wrapped(name)), transform=axes.get_yaxis_transform(), ha="right",
        va="center", linespacing=1.0, parse_math=False, gid=f"name:{name}",
    )  # fmt: skip


def caption_replicates(parts: Parts) -> list[str]:
    """What is drawn, then the spread of each question set."""
    run, rows = first(parts["run"]), parts["replicates"].records()
    count = len({row["seed"] for row in rows})
    lede = (
        f"Backward transfer from {run['instruct']} to {run['base']} in replicates, each with answers, splits and a "
        "probe of its own. Points: AUROC with its 95 % interval over test questions and training sets, filled where "
        "supported; line: their median."
    )
    return [
        lede,
        *(_set_words(name, drawn, count) for name, drawn in _by_set(rows).items()),
        f"Drawn from {source(parts)}.",
    ]


def _set_words(name: str, drawn: Sequence[Record], replicates: int) -> str:
    areas, sizes = [row["auroc"] for row in drawn], [row["k"] for row in drawn]
    return (
        f"{name}: median {fixed(median(areas), 3)}, {fixed(min(areas), 3)} to {fixed(max(areas), 3)} over {len(drawn)} "
        f"of {replicates} replicates, k of {min(sizes)} to {max(sizes)}."
    )


def table_replicates(parts: Parts) -> Table:
    """Every replicate as a row."""
    return latex_table(Replicate, parts["replicates"].records(), caption_replicates(parts)[0])


FIGURE = GalleryFigure(
    order=2,
    name="figure_replicates",
    title="How much does one draw say?",
    data={"replicates": ("replicates", {})},
    ready=lambda parts: any(row["auroc"] is not None for row in parts["replicates"].records()),
    context=("run", "replicates"),
    draw=lambda parts: replicates_figure(parts["replicates"].records()),
    caption=caption_replicates,
    table=table_replicates,
)
