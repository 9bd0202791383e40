"""The ladder figure: AUROC of transfer and of each baseline, with the probe's gain over it.

The length of an answer or the words of the question may tell hallucinated answers as well, so each baseline has its
own rung. A rung that the probe does not beat is shown with its smallest detectable gain.
"""

import textwrap
from collections.abc import Sequence
from itertools import chain
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from provenance.analyses.results.transfer import Rung
from provenance.cells import Record, interval, p_cell
from provenance.figures.drawing import style
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.evidence import ladder_records
from provenance.figures.tables.latex import Table
from provenance.figures.tables.result_tables import latex_table
from provenance.figures.wording.evidence_words import (
    JOINT,
    LEVEL,
    pair_words,
    power_rows,
    power_sentence,
    probe_k,
    probe_words,
)
from provenance.figures.wording.run_words import Parts, captioned, has_power, list_words, power_words, source
from provenance.words import baseline_words

MAX_PANELS = 6
RUNG_IN = 0.155
FRAME_IN = 0.5  # title, ticks and label of a row of panels
LEGEND_COLUMNS = 3
LABEL_CHARACTERS = 24
PROBE = "probe"
Placed = tuple[float, Record | None]
"""Height of a rung, and its row if the question set has one."""
_RATIOS = (1.45, 1.0)
_BAR = 0.62


def figure_ladder(rungs: Sequence[Record], transfer: Sequence[Record]) -> Figure:
    """Draw two axes per question set, AUROC and gain, with one rung per line and the probe at the top.

    Args:
        rungs: Rows of the query `ladder`.
        transfer: Rows of the query `transfer`: the probe itself, and the range over neuron sets.
    """
    sets = drawn_sets(rungs, transfer)
    kinds = list(dict.fromkeys(row["kind"] for row in rungs if row["dataset"] in sets))
    per_row = min(len(sets), 2)
    lines = -(-len(sets) // per_row)
    legend = _legend([row for row in rungs if row["dataset"] in sets])
    columns = LEGEND_COLUMNS if per_row == 2 else 1
    name_in = 0.13 * max(len(style.wrapped(name)) for name in sets)
    places = rung_places(kinds)
    legend_in = style.LEGEND_LINE_IN * -(-len(legend) // columns)
    height_in = lines * (FRAME_IN + name_in + RUNG_IN * (places[-1] + 1)) + legend_in
    with style.paper():
        width_in = style.column_in() if per_row == 1 else style.page_in()
        figure = Figure(figsize=(width_in, height_in), layout=ConstrainedLayoutEngine(wspace=0.06))
        grid = figure.subplots(lines, 2 * per_row, sharey=True, squeeze=False, width_ratios=_RATIOS * per_row)
        panels = list(chain.from_iterable(zip(line[::2], line[1::2], strict=True) for line in grid))
        for name, (left, right) in zip(sets, panels, strict=False):
            own = {row["kind"]: row for row in rungs if row["dataset"] == name}
            placed = [(place, own.get(kind)) for place, kind in zip(places[1:], kinds, strict=True)]
            _draw_aurocs(left, name, next(row for row in transfer if row["dataset"] == name), placed)
            _draw_gains(right, name, placed)
        drawn = [row for row in (*rungs, *transfer) if row["dataset"] in sets]
        _frame(panels[: len(sets)], kinds, drawn, per_row)
        for axes in chain.from_iterable(panels[len(sets) :]):
            axes.set_visible(False)
        figure.legend(
            handles=legend, loc="outside lower left", ncols=columns, borderaxespad=0.1, handlelength=1.8,
            labelspacing=0.25, columnspacing=1.4,
        )  # fmt: skip
    return figure


def with_power(rungs: Sequence[Record], transfer: Sequence[Record]) -> list[str]:
    """Question sets with power and with baselines, in order."""
    named = {row["dataset"] for row in rungs}
    return [row["dataset"] for row in transfer if row["dataset"] in named and has_power(row)]


def drawn_sets(rungs: Sequence[Record], transfer: Sequence[Record]) -> list[str]:
    """Question sets that have a panel."""
    return with_power(rungs, transfer)[:MAX_PANELS]


def rung_places(kinds: Sequence[str]) -> list[float]:
    """Heights of the probe and of each rung, from the top; two-line names take more room."""
    places = [0.0]
    for kind in kinds:
        places.append(places[-1] + 1.0 + 0.5 * (len(_label(kind)) - 1))
    return places


def _label(kind: str) -> list[str]:
    return textwrap.wrap(baseline_words(kind), LABEL_CHARACTERS, break_on_hyphens=False)


def _draw_aurocs(axes: Axes, name: str, probe: Record, rungs: Sequence[Placed]) -> None:
    axes.axvline(0.5, color=style.INK, linewidth=0.7, linestyle=style.DASHED, zorder=1, gid=f"chance:{name}")
    axes.axvline(probe["auroc"], color=style.BLUE, linewidth=0.6, alpha=0.5, zorder=1, gid=f"level:{name}")
    _point(axes, 0, probe, "auroc", f"{name}:{PROBE}", color=style.BLUE, marker="o", markersize=4.6)
    for position, row in rungs:
        if row is None or row["auroc"] is None:
            axes.text(
                0.5, position, "not computed", transform=axes.get_yaxis_transform(), fontsize=style.TINY_PT,
                style="italic", color=style.GREY, ha="center", va="center",
            )  # fmt: skip
            continue
        _draw_sets(axes, position, name, row)
        _point(axes, position, row, "auroc", f"{name}:{row['kind']}", color=style.INK, marker="s", markersize=3.2)
    axes.set_title(
        "\n".join(style.wrapped(name)), loc="left", pad=3, linespacing=1.0, parse_math=False, gid=f"name:{name}"
    )


def _draw_sets(axes: Axes, position: float, name: str, row: Record) -> None:
    """The range over the probes of a null, and their 95th percentile."""
    low, high, p95 = (row[f"sets_{part}"] for part in ("low", "high", "p95"))
    if low is None:
        return
    bottom = position - _BAR / 2
    bar = Rectangle(
        (low, bottom), high - low, _BAR, facecolor=style.LIGHT_GREY, edgecolor="none", zorder=2,
        gid=f"sets:{name}:{row['kind']}",
    )  # fmt: skip
    axes.add_patch(bar)
    axes.plot(
        [p95, p95],
        [bottom, bottom + _BAR],
        color=style.ORANGE,
        linewidth=1.2,
        zorder=3,
        gid=f"p95:{name}:{row['kind']}",
    )


def _point(axes: Axes, position: float, row: Record, column: str, gid: str, *, color: str, **marks: Any) -> None:
    if row[f"{column}_low"] is not None:
        axes.plot(
            [row[f"{column}_low"], row[f"{column}_high"]], [position] * 2, color=color, linewidth=1.1,
            solid_capstyle="butt", zorder=4, gid=f"{column} interval:{gid}",
        )  # fmt: skip
    axes.plot(
        row[column], position, color=color, markeredgecolor=color, markeredgewidth=0.9, zorder=5, linestyle="none",
        gid=f"{column}:{gid}", **marks,
    )  # fmt: skip


def _draw_gains(axes: Axes, name: str, rungs: Sequence[Placed]) -> None:
    axes.axvline(0.0, color=style.INK, linewidth=0.7, linestyle=style.DASHED, zorder=1, gid=f"no gain:{name}")
    margin: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": style.TINY_PT}
    axes.text(1.03, 0, "p (Holm)", color=style.GREY, **margin)
    for position, row in rungs:
        if row is None or row["gain"] is None:
            continue
        beaten = row["p_holm"] is not None and row["p_holm"] < LEVEL
        face = style.BLUE if beaten else "white"
        gid = f"{name}:{row['kind']}"
        _point(axes, position, row, "gain", gid, color=style.BLUE, marker="o", markersize=3.6, markerfacecolor=face)
        axes.text(1.03, position, p_cell(row["p_holm"]), gid=f"p:{gid}", **margin)


def _frame(panels: Sequence[tuple[Axes, Axes]], kinds: Sequence[str], rows: Sequence[Record], per_row: int) -> None:
    """Equal scales in all panels, labels below the lowest of each column."""
    spans = (_span(rows, "auroc", 0.4, 1.0, "sets"), _span(rows, "gain", -0.05, 0.1))
    heights = rung_places(kinds)
    for number, pair in enumerate(panels):
        pair[0].set_yticks(heights, ["the probe", *("\n".join(_label(kind)) for kind in kinds)], linespacing=0.95)
        pair[0].set_ylim(heights[-1] + 0.7, -0.6)
        for axes, span, label, ticks in zip(pair, spans, ("AUROC", "gain of the probe"), (5, 4), strict=True):
            axes.set_xlim(span)
            axes.tick_params(axis="both", labelsize=style.SMALL_PT)
            axes.tick_params(axis="y", length=0)
            axes.locator_params(axis="x", nbins=ticks)
            axes.spines["left"].set_visible(False)
            if number >= len(panels) - per_row:
                axes.set_xlabel(label, fontsize=style.SMALL_PT, labelpad=2)


def _span(rows: Sequence[Record], column: str, low: float, high: float, *sets: str) -> tuple[float, float]:
    """A range that covers all intervals of a column (and of `sets`), and these values."""
    ends = [row.get(f"{name}_{end}") for row in rows for name in (column, *sets) for end in ("low", "high")]
    known = [float(end) for end in ends if end is not None]
    return min([low, *(end - 0.02 for end in known)]), max([high, *known]) + 0.02


def _legend(rungs: Sequence[Record]) -> list[Line2D | Patch]:
    shown: dict[str, Any] = {
        "marker": "o",
        "markersize": 3.6,
        "markeredgecolor": style.BLUE,
        "color": style.BLUE,
        "linewidth": 1.1,
    }
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=style.BLUE, marker="o", markersize=4.6, linewidth=1.1, label="probe, 95 % interval"),
        Line2D([], [], color=style.INK, marker="s", markersize=3.2, linewidth=1.1, label="baseline, 95 % interval"),
    ]
    if any(row["sets_low"] is not None for row in rungs):
        handles += [
            Patch(facecolor=style.LIGHT_GREY, edgecolor="none", label="nulls: 95 % of their probes"),
            Line2D([], [], color=style.ORANGE, linewidth=1.2, label="nulls: 95th percentile"),
        ]
    beaten = {row["p_holm"] is not None and row["p_holm"] < LEVEL for row in rungs if row["gain"] is not None}
    for value, face, words in ((True, style.BLUE, "gain, p < 0.05"), (False, "white", "gain, not shown to be one")):
        if value in beaten:
            handles.append(Line2D([], [], markerfacecolor=face, label=words, **shown))
    return [*handles, Line2D([], [], color=style.INK, linewidth=0.7, linestyle=style.DASHED, label="chance; no gain")]


def has_ladder(parts: Parts) -> bool:
    """Whether a question set with power has baselines."""
    return bool(with_power(parts["ladder"].records(), parts["transfer"].records()))


def caption_ladder(parts: Parts) -> list[str]:
    """Caption of the ladder figure: a description, then the numbers."""
    base, instruct = pair_words(parts)
    rungs, transfer = parts["ladder"].records(), parts["transfer"].records()
    joint = (
        "Lowest: regressions on lengths and texts, without and with the log-probability, and on directions, and what "
        "the probe adds. Directions decide no verdict."
    )
    return [
        *captioned(
            f"What the transfer of the probe of {instruct} ({probe_words(parts)}) to {base} has to beat.",
            list_words(parts),
            "Left: AUROC on the base’s own answers, 95 % intervals by question; right: the probe’s gain over each "
            "baseline, paired, with one-sided p after Holm’s correction.",
            joint if any(row["kind"] == JOINT for row in rungs) else "",
            _set_words(rungs),
        ),
        *(_one_set(row, parts) for row in transfer if row["dataset"] in drawn_sets(rungs, transfer)),
        *_left_out(rungs, transfer),
        f"Drawn from {source(parts)}.",
    ]


def _set_words(rungs: list[Record]) -> str:
    draws = max((row["draws"] for row in rungs), default=0)
    if not draws:
        return ""
    return (
        f"Grey: the middle 95 % of {draws} sets of as many neurons as the probe has weights, refitted on the same "
        "rows, and of the same search with shuffled labels, all transferred alike; orange: their 95th percentile; "
        "square and gain: their mean, whereas p counts single probes."
    )


def _one_set(row: Record, parts: Parts) -> str:
    """One question set: n, the gain over each rung, and the smallest detectable gain."""
    name = row["dataset"]
    gains = [
        f"{baseline_words(rung['kind'])} {interval(rung, 'gain')} (p {p_cell(rung['p_holm'])})"
        for rung in parts["ladder"].records()
        if rung["dataset"] == name and rung["gain"] is not None
    ]
    n = f"n = {row['n_faithful']} faithful + {row['n_hallucinated']} hallucinated"
    words = f"{name}: AUROC {interval(row, 'auroc')}, {n}; gain over {', '.join(gains) or 'nothing that was computed'}."
    return " ".join(part for part in (words, power_sentence(power_rows(parts["power"], "transfer", name))) if part)


def _left_out(rungs: list[Record], transfer: list[Record]) -> list[str]:
    words = [f"{row['dataset']}: {power_words(row)}." for row in transfer if not has_power(row)]
    more = len(with_power(rungs, transfer)) - MAX_PANELS
    if more > 0:
        words.append(f"{more} more question set{'s' if more > 1 else ''} without a panel: see the table.")
    return words


def table_ladder(parts: Parts) -> Table:
    """The ladder as a table, with the question sets that have no panel."""
    base, instruct = pair_words(parts)
    caption = (
        f"What the transfer of the probe of {instruct} (k = {probe_k(parts)}) to {base} has to beat: AUROC of each "
        "baseline on the base model’s own answers, gain of the probe over it (95 % intervals by question), and "
        "one-sided p before and after Holm’s correction."
    )
    return latex_table(Rung, ladder_records(parts["ladder"].records(), parts["transfer"].records()), caption)


FIGURE = GalleryFigure(
    order=3,
    name="figure_ladder",
    title="What does transfer have to beat?",
    data={"ladder": ("ladder", {}), "transfer": ("transfer", {})},
    ready=has_ladder,
    context=("run", "probes", "transfer", "ladder", "drift", "neuron-list", "power"),
    draw=lambda parts: figure_ladder(parts["ladder"].records(), parts["transfer"].records()),
    caption=caption_ladder,
    table=table_ladder,
)
