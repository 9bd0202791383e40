"""The trajectory figure: AUROC of the last checkpoint's probe and similarity of its neurons, along the checkpoints.

All checkpoints read the same texts, and so does a random initialisation: its AUROC is the floor that the texts alone
give, and only values above it were learned. A point without a number has a reason, and every number is shown with the
floor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from provenance.analyses.results.timeline import TimelinePoint
from provenance.cells import Record, fixed, interval, p_cell
from provenance.db.reading.run_query import QueryResult
from provenance.figures.drawing import style
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.evidence import KEPT, READABLE, checkpoints, ordered
from provenance.figures.tables.latex import Table
from provenance.figures.tables.result_tables import latex_table
from provenance.figures.wording.evidence_words import probe_k
from provenance.figures.wording.run_words import Parts, captioned, first, source

AREA_IN = 1.5  # of the panel of AUROCs
SMALL_IN = 0.85  # of the two below it
FRAME_IN = 0.75
NAME_CHARACTERS = 20
CHARACTER_IN = 0.05  # of a tick label, on average
MANY = 7  # checkpoints for which one column is too narrow


@dataclass(frozen=True)
class _Curve:
    column: str
    """Of the query."""
    words: str
    """Words in the legend."""
    colour: str
    """Colour of line and marks."""
    marker: str
    """Shape of the marks."""
    offset: float
    """Shift to the right, in checkpoints, so that intervals do not hide each other."""


OTHERS = "layer-matched, or all"
AREAS = (
    _Curve("forced", "last checkpoint’s answers", style.BLUE, "o", -0.06),
    _Curve("own", "own answers", style.ORANGE, "^", 0.06),
)
RANKS = (
    _Curve("mean_stability_rank", "H-Neurons", style.BLUE, "D", 0.0),
    _Curve("null_mean", OTHERS, style.GREY, "s", 0.0),
)
CORRELATIONS = (
    _Curve("correlation_h", "H-Neurons", style.BLUE, "D", 0.0),
    _Curve("correlation_all", OTHERS, style.GREY, "s", 0.0),
)


def figure_timeline(rows: Sequence[Record]) -> Figure:
    """Draw AUROCs along the checkpoints, and below them weights and activations if measured.

    The rows are those of the query `trace`; the floor is a band, not a place on the axis.
    """
    points = checkpoints(rows)
    floor = next((row for row in rows if row["is_floor"]), None)
    small = [curves for curves in (RANKS, CORRELATIONS) if _has(points, curves[:1])]
    legend = _legend(points, floor, small)
    wide = len(points) >= MANY
    columns = 4 if wide else 2
    height_in = AREA_IN + SMALL_IN * len(small) + FRAME_IN + style.LEGEND_LINE_IN * -(-len(legend) // columns)
    with style.paper():
        width_in = style.page_in() if wide else style.column_in()
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        ratios = [AREA_IN, *[SMALL_IN] * len(small)]
        panels = figure.subplots(1 + len(small), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
        _draw_areas(panels[0], points, floor)
        for axes, curves in zip(panels[1:], small, strict=True):
            for curve in curves:
                _draw_curve(axes, points, curve)
            axes.set_ylabel("mean rank" if curves is RANKS else "correlation", fontsize=style.SMALL_PT)
        if RANKS in small:
            panels[1].axhline(0.5, color=style.INK, linewidth=0.7, linestyle=style.DASHED, zorder=1, gid="rank 0.5")
        _frame(list(panels), points, width_in)
        figure.legend(
            handles=legend, loc="outside lower left", ncols=columns, borderaxespad=0.1, handlelength=1.8,
            labelspacing=0.25, columnspacing=1.0,
        )  # fmt: skip
    return figure


def short_names(refs: Sequence[str]) -> list[str]:
    """Names without the common path, shortened at their beginning if long."""
    names = list(refs)
    if len(names) > 1:
        for mark in ("/", "@"):
            if len({name.rpartition(mark)[0] for name in names}) == 1:
                names = [name.rpartition(mark)[2] for name in names]
    return [name if len(name) <= NAME_CHARACTERS else f"…{name[1 - NAME_CHARACTERS :]}" for name in names]


def _has(points: Sequence[Record], curves: Sequence[_Curve]) -> bool:
    return any(row[curve.column] is not None for row in points for curve in curves)


def _column(points: Sequence[Record], name: str) -> np.ndarray:
    return np.array([np.nan if row[name] is None else row[name] for row in points], dtype=float)


def _draw_areas(axes: Axes, points: Sequence[Record], floor: Record | None) -> None:
    axes.axhline(0.5, color=style.INK, linewidth=0.7, linestyle=style.DASHED, zorder=1, gid="chance")
    if floor is not None and floor["forced"] is not None:
        if floor["forced_low"] is not None:
            axes.axhspan(
                floor["forced_low"], floor["forced_high"], facecolor=style.PALE_GREY, edgecolor="none", zorder=0,
                gid="floor band",
            )  # fmt: skip
        axes.axhline(floor["forced"], color=style.GREY, linewidth=1.0, linestyle=style.DOTTED, zorder=1, gid="floor")
    for curve in AREAS:
        _draw_curve(axes, points, curve)
    lows = [row[f"{curve.column}_low"] for row in points for curve in AREAS]
    axes.set_ylim(max(0.0, min([0.4, *(low - 0.03 for low in lows if low is not None)])), 1.02)
    axes.set_ylabel("AUROC")


def _draw_curve(axes: Axes, points: Sequence[Record], curve: _Curve) -> None:
    """Marks joined by a line, bars for intervals, and ticks for the control sets."""
    x, y = np.arange(len(points)) + curve.offset, _column(points, curve.column)
    if np.isnan(y).all():
        return
    axes.plot(
        x, y, color=curve.colour, marker=curve.marker, markersize=3.6, linewidth=1.0, zorder=4, gid=curve.column,
        clip_on=False,
    )  # fmt: skip
    if curve not in AREAS:
        return
    low, high = (_column(points, f"{curve.column}_{end}") for end in ("low", "high"))
    known = ~np.isnan(low) & ~np.isnan(y)
    axes.vlines(
        x[known], low[known], high[known], color=curve.colour, linewidth=1.1, zorder=3, gid=f"{curve.column} bars"
    )
    reached = p95(points, curve.column)
    axes.plot(
        x, reached, color=curve.colour, marker="_", markersize=9, markeredgewidth=1.3, linestyle="none", zorder=3,
        gid=f"{curve.column} p95",
    )  # fmt: skip


def p95(points: Sequence[Record], column: str) -> np.ndarray:
    """Higher 95th percentile of both kinds of control sets, by point; NaN without them."""
    random, matched = (_column(points, f"{column}_{kind}_p95") for kind in ("random", "layer_matched"))
    higher: np.ndarray = np.fmax(random, matched)
    return higher


def _frame(panels: Sequence[Axes], points: Sequence[Record], width_in: float) -> None:
    names = short_names([row["ref"] for row in points])
    turned = len(names) * (max(len(name) for name in names) + 1) * CHARACTER_IN > width_in - FRAME_IN
    for axes in panels:
        axes.tick_params(axis="y", labelsize=style.SMALL_PT)
        axes.locator_params(axis="y", nbins=6 if axes is panels[0] else 4)
        axes.set_xlim(-0.4, len(points) - 0.6)
    panels[-1].set_xticks(
        range(len(points)), names, rotation=35 if turned else 0, ha="right" if turned else "center",
        rotation_mode="anchor" if turned else "default", fontsize=style.SMALL_PT, parse_math=False,
    )  # fmt: skip


def _legend(points: Sequence[Record], floor: Record | None, small: Sequence[Sequence[_Curve]]) -> list[Line2D | Patch]:
    found = [curve for curves in (AREAS, *small) for curve in curves if _has(points, [curve])]
    drawn = {curve.words: curve for curve in found}.values()  # one entry for marks that both lower panels share
    handles: list[Line2D | Patch] = [
        Line2D(
            [], [], color=curve.colour, marker=curve.marker, markersize=3.6, linewidth=1.0, label=curve.words
        )
        for curve in drawn
    ]  # fmt: skip
    if any(not np.isnan(p95(points, curve.column)).all() for curve in AREAS):
        ticks: dict[str, Any] = {"marker": "_", "markersize": 9, "markeredgewidth": 1.3, "linestyle": "none"}
        handles.append(Line2D([], [], color=style.INK, label="neuron sets, p95", **ticks))
    if floor is not None and floor["forced"] is not None:
        handles.append(
            Line2D([], [], color=style.GREY, linewidth=1.0, linestyle=style.DOTTED, label="random initialisation")
        )
    return [*handles, Line2D([], [], color=style.INK, linewidth=0.7, linestyle=style.DASHED, label="chance (0.5)")]


def has_timeline(parts: Parts) -> bool:
    """Whether the run is a timeline."""
    return bool(parts["trace"].rows)


def caption_timeline(parts: Parts) -> list[str]:
    """Caption of the trajectory figure: a description, then the numbers."""
    rows = parts["trace"].records()
    points = checkpoints(rows)
    floor = next((row for row in rows if row["is_floor"]), None)
    lede = captioned(
        f"{len(points)} checkpoints in order, seen with the probe of {first(parts['run'])['instruct']} (k = "
        f"{probe_k(parts)} H-Neurons, weights unchanged).",
        "Top: AUROC on the last checkpoint’s answers (circles) and on own answers (triangles), 95 % intervals by "
        "question.",
        "Dotted, grey: the same texts read by a randomly initialised model, the AUROC that texts alone give."
        if floor is not None and floor["forced"] is not None
        else "No randomly initialised model was measured."
        if floor is None
        else "The AUROC of a randomly initialised model on the same texts could not be measured.",
        "Below: mean stability rank to the last one (0 = changed most), H-Neurons blue, neurons of their layers grey."
        if any(row["mean_stability_rank"] is not None for row in points)
        else "",
        "Lowest: correlation of activations with the last checkpoint’s over the same tokens, mean over the H-Neurons "
        "(blue) and over all neurons (grey)."
        if any(row["correlation_h"] is not None for row in points)
        else "",
        "Each checkpoint reads the last one’s answers in its own prompt: the same texts and labels all along. Short "
        "ticks: the higher 95th percentile of random and layer-matched neuron sets, refitted on the last checkpoint "
        "and scored the same way.",
    )
    return [
        *lede,
        *(_point_words(row) for row in ordered(rows)),
        f"Drawn from {source(parts)}.",
    ]


def _point_words(row: Record) -> str:
    n = f"n = {row['n_faithful']} faithful + {row['n_hallucinated']} hallucinated"
    words = [
        f"{row['ref']} ({row['prompt']} prompt): last checkpoint’s answers {interval(row, 'forced')}",
        f"own answers {interval(row, 'own')}, {n}",
    ]
    if row["mean_stability_rank"] is not None:
        null = f", null {fixed(row['null_mean'], 3)}" if row["null_mean"] is not None else ""
        words.append(f"mean rank {fixed(row['mean_stability_rank'], 3)}{null}, p {p_cell(row['p_value'])}")
    if row["correlation_h"] is not None:
        words.append(f"r {fixed(row['correlation_h'])} (all neurons {fixed(row['correlation_all'])})")
    if row["reason"]:
        words.append(row["reason"])
    return "; ".join(words) + "."


def timeline_sentence(results: Mapping[str, QueryResult]) -> str:
    """A timeline in one sentence, without claims beyond its numbers."""
    rows = results["trace"].records()
    points = checkpoints(rows)
    floor = next((row for row in rows if row["is_floor"]), None)
    ends = (
        f"AUROC {interval(points[0], 'forced')} at {points[0]['ref']} and {interval(points[-1], 'forced')} at "
        f"{points[-1]['ref']}"
    )
    against = f", against {interval(floor, 'forced')} at random initialisation" if floor else ""
    return (
        f"Along {len(points)} checkpoints the last one’s probe, weights unchanged, reads the last one’s answers with "
        f"{ends}{against}."
    )


def table_timeline(parts: Parts) -> Table:
    """The timeline as a table, the floor first."""
    caption = (
        f"Checkpoints in order, seen with the probe of {first(parts['run'])['instruct']} (k = {probe_k(parts)}, "
        "weights unchanged): AUROC on the last checkpoint’s answers and on own answers with 95 % intervals by "
        "question, and the higher 95th percentile of random and layer-matched neuron sets; weights and activations "
        "from each to the last."
    )
    columns = (*READABLE[:-1], *KEPT[1:])
    return latex_table(TimelinePoint, ordered(parts["trace"].records()), caption, columns)


FIGURE = GalleryFigure(
    order=6,
    name="figure_trajectory",
    title="Since when can the probe be read?",
    data={"trace": ("trace", {})},
    ready=has_timeline,
    context=("run", "probes", "trace"),
    draw=lambda parts: figure_timeline(parts["trace"].records()),
    caption=caption_timeline,
    table=table_timeline,
)
