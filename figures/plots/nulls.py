"""The nulls figure: change of a neuron set beside that of like neurons.

Layers, norms and activity all move a mean, so the figure shows the set's change over the change that these lead one to
expect, beside the spread by chance. Each number names the properties that were accounted for.
"""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from provenance.analyses.results.drift import DriftTest
from provenance.cells import Record, fixed, interval, p_cell
from provenance.figures.drawing import style
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.latex import Table
from provenance.figures.tables.result_tables import latex_table
from provenance.figures.wording.evidence_words import LEVEL, pair_words
from provenance.figures.wording.run_words import Parts, captioned, list_words, position_warning, problem_words, source
from provenance.words import MATCHINGS, MEASURES, SIDES

ROW_IN = 0.16
GAP = 0.25  # between measures, in rows
FRAME_IN = 0.58
_BAR = 0.66
ROOM_FOR_THIRDS = 30  # an axis over more than that has room for decades alone
WIDEST = (1e-3, 1e3)  # an interval over two neurons may span many decades; a mark beyond stands at the edge
_MARKS = (
    ("less", "changed less than like neurons, one-sided p < 0.05", style.BLUE, style.BLUE, "o"),
    ("neither", "not distinguishable from them", "white", style.BLUE, "o"),
    ("more", "changed more than like neurons, one-sided p < 0.05", style.ORANGE, style.ORANGE, "D"),
)


def figure_nulls(rows: Sequence[Record]) -> Figure:
    """Draw the rows of the query `drift-tests`: one panel per side, one line per measure and matching."""
    sides = list(dict.fromkeys(row["side"] for row in rows))
    lines = list(dict.fromkeys((row["measure"], row["matching"]) for row in rows))
    heights = line_heights(lines)
    legend = _legend(rows)
    height_in = FRAME_IN + ROW_IN * (max(heights.values()) + 1) + style.LEGEND_LINE_IN * len(legend)
    with style.paper():
        figure = Figure(figsize=(style.column_in(), height_in), layout="constrained")
        panels = figure.subplots(1, len(sides), sharey=True, sharex=True, squeeze=False)[0]
        for axes, side in zip(panels, sides, strict=True):
            axes.axvline(1.0, color=style.INK, linewidth=0.7, linestyle=style.DASHED, zorder=2, gid=f"null:{side}")
            own = [row for row in rows if row["side"] == side]
            for row in own:
                _draw_test(axes, heights[row["measure"], row["matching"]], row)
            k = max(row["k"] for row in own)
            axes.set_title(f"{SIDES.get(side, side)}, k = {k}", loc="left", pad=3, gid=f"side:{side}",
                           fontsize=style.SMALL_PT)  # fmt: skip
        _frame(panels[0], rows, heights)
        for axes in panels:
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
            axes.set_xlabel("change ÷ like neurons’", fontsize=style.SMALL_PT, labelpad=2)
        figure.legend(handles=legend, loc="outside lower left", borderaxespad=0.1, handlelength=1.8, labelspacing=0.25)
    return figure


def line_heights(lines: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Heights from the top by measure and matching; several matchings lie below their measure's name."""
    heights: dict[tuple[str, str], float] = {}
    for measure in dict.fromkeys(measure for measure, _ in lines):
        height = max(heights.values(), default=-1.0) + (GAP if heights and _several(lines) else 0.0)
        if _several(lines):
            height += 1
        for line in lines:
            if line[0] == measure:
                height += 1
                heights[line] = height
    return heights


def _several(lines: Sequence[tuple[str, str]]) -> bool:
    return len({matching for _, matching in lines}) > 1


def outcome(row: Record) -> str:
    """Whether a set changed `less` than like neurons, `more`, or `neither`, each at one-sided 5 %."""
    if row["p_more_stable"] < LEVEL:
        return "less"
    return "more" if row["p_less_stable"] < LEVEL else "neither"


def _draw_test(axes: Axes, height: float, row: Record) -> None:
    name = ":".join((row["side"], row["measure"], row["matching"]))
    low, high = _band(row)
    bar = Rectangle(
        (low, height - _BAR / 2), high - low, _BAR, facecolor=style.LIGHT_GREY, edgecolor="none", zorder=1,
        gid=f"band:{name}",
    )  # fmt: skip
    axes.add_patch(bar)
    if row["smallest_detectable"] is not None:
        axes.plot(
            [row["smallest_detectable"]] * 2, [height - _BAR / 2, height + _BAR / 2], color=style.INK, linewidth=1.0,
            zorder=3, gid=f"detectable:{name}",
        )  # fmt: skip
    _, _, face, edge, marker = next(mark for mark in _MARKS if mark[0] == outcome(row))
    if row["ratio_low"] is not None:
        axes.plot(
            [row["ratio_low"], row["ratio_high"]], [height] * 2, color=edge, linewidth=1.1, solid_capstyle="butt",
            zorder=4, gid=f"interval:{name}",
        )  # fmt: skip
    axes.plot(
        _shown(row["ratio"]), height, marker, markersize=3.8, markerfacecolor=face,
        markeredgecolor=edge, markeredgewidth=0.9, zorder=5, gid=f"effect:{name}", clip_on=False,
    )  # fmt: skip


def _frame(axes: Axes, rows: Sequence[Record], heights: Mapping[tuple[str, str], float]) -> None:
    """Names of measures above those of matchings; room for all marks."""
    several = _several(list(heights))
    labels = {height: MATCHINGS.get(matching, matching) for (_, matching), height in heights.items()}
    for measure in dict.fromkeys(measure for measure, _ in heights):
        top = min(height for (name, _), height in heights.items() if name == measure)
        labels[top - 1 if several else top] = MEASURES.get(measure, measure)
    axes.set_yticks(list(labels), list(labels.values()), fontsize=style.SMALL_PT)
    for height, label in zip(labels, axes.get_yticklabels(), strict=True):
        label.set_color(style.GREY if several and height in heights.values() else style.INK)
    axes.set_ylim(max(labels) + 0.7, -0.7)
    ends = [value for row in rows for value in _ends(row)]
    axes.set_xscale("log")
    low, high = _shown(min(0.9, *ends) / 1.1), _shown(max(1.1, *ends) * 1.1)
    axes.set_xlim(low, high)
    subs = (1.0, 2.0, 5.0) if high / low < ROOM_FOR_THIRDS else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=subs, numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _ends(row: Record) -> list[float]:
    found = (*_band(row), row["ratio"], row["ratio_low"], row["ratio_high"], row["smallest_detectable"])
    return [value for value in found if value is not None]


def _band(row: Record) -> tuple[float, float]:
    """1.96 SD of permuted sets, as factors."""
    half = style.NORMAL_95 * row["sd"]
    return _shown(math.exp(-half)), _shown(math.exp(min(half, 50.0)))


def _shown(factor: float) -> float:
    """A factor, or the end of the widest axis."""
    return min(max(factor, WIDEST[0]), WIDEST[1])


def _legend(rows: Sequence[Record]) -> list[Line2D | Patch]:
    found = {outcome(row) for row in rows}
    handles: list[Line2D | Patch] = [
        Line2D(
            [], [], color=edge, marker=marker, markersize=3.8, markerfacecolor=face, linewidth=1.1, label=words
        )
        for name, words, face, edge, marker in _MARKS
        if name in found
    ]  # fmt: skip
    handles.append(Patch(facecolor=style.LIGHT_GREY, edgecolor="none", label="± 1.96 SD of permuted sets"))
    if any(row["smallest_detectable"] is not None for row in rows):
        tick = Line2D(
            [],
            [],
            color=style.INK,
            marker="|",
            linestyle="none",
            markersize=6,
            label="found with 80 % power from here on",
        )
        handles.append(tick)
    return handles


_MEASURED = {
    "delta": "1 − cosine of up and down weights (mean of both logarithms)",
    "gate": "1 − cosine of the gate row",
    "norm": "change of norms",
    "functional": "1 − correlation of activations over the same tokens",
}


def has_nulls(parts: Parts) -> bool:
    """Whether a set was compared with matched ones."""
    return bool(parts["drift-tests"].rows)


def caption_nulls(parts: Parts) -> list[str]:
    """Caption of the nulls figure: a description, then the numbers."""
    base, instruct = pair_words(parts)
    rows = parts["drift-tests"].records()
    measures = [words for name, words in _MEASURED.items() if any(row["measure"] == name for row in rows)]
    tick = "Tick: the largest factor found with 80 % power at one-sided 5 %."
    return [
        *captioned(
            f"Drift from {base} to {instruct} beside like neurons: geometric mean of each neuron’s change over that "
            "expected from the properties named on the left (below 1: changed less), 95 % interval over neurons.",
            position_warning(parts),
            list_words(parts),
            "Grey: 1.96 SD of permuted sets.",
            tick if any(row["smallest_detectable"] is not None for row in rows) else "",
            f"Measures: {'; '.join(measures)}.",
        ),
        *(_one_test(row) for row in rows),
        f"Drawn from {source(parts)}.",
    ]


def _one_test(row: Record) -> str:
    least = fixed(row["smallest_detectable"]) if row["smallest_detectable"] is not None else "none"
    return (
        f"{drift_name(row)}: {interval(row, 'ratio')} times the change of like neurons (SD of the logarithm "
        f"{fixed(row['sd'], 3)}), k = {row['k']}, one-sided p {p_cell(row['p_more_stable'])} for less, "
        f"{p_cell(row['p_less_stable'])} for more; largest detectable factor {least}."
    )


def drift_name(row: Record) -> str:
    """Side, measure and matching of a test."""
    side, measure = SIDES.get(row["side"], row["side"]), MEASURES.get(row["measure"], row["measure"])
    return f"{side}, {measure}, matched on {MATCHINGS.get(row['matching'], row['matching'])}"


def table_nulls(parts: Parts) -> Table:
    """The tests as a table."""
    base, instruct = pair_words(parts)
    caption = (
        f"Drift from {base} to {instruct} beside like neurons: change of each set by each measure over the change "
        "that the properties it is matched on lead one to expect, with its 95 % interval over neurons, and one-sided "
        "p of having changed less and more."
    )
    caption = " ".join(part for part in (caption, list_words(parts), problem_words(parts)) if part)
    return latex_table(DriftTest, parts["drift-tests"].records(), caption)


FIGURE = GalleryFigure(
    order=5,
    name="figure_nulls",
    title="Did they change less than neurons like them?",
    data={"tests": ("drift-tests", {})},
    ready=has_nulls,
    context=("run", "drift-tests", "alignment", "drift", "neuron-list"),
    draw=lambda parts: figure_nulls(parts["tests"].records()),
    caption=caption_nulls,
    table=table_nulls,
)
