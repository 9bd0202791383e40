"""The nulls figure: drift of a neuron set relative to matched sets.

Layers, norms and activity all move a mean rank, so the figure shows its distance from the exact mean over matched
sets, beside the spread by chance. Each number names the properties that were matched.
"""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from provenance.analyses.results.drift import DriftTest
from provenance.cells import Record, fixed, interval, p_cell
from provenance.figures.drawing import style
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.evidence import quantile_words
from provenance.figures.tables.latex import Table
from provenance.figures.tables.result_tables import latex_table
from provenance.figures.wording.evidence_words import LEVEL, pair_words
from provenance.figures.wording.run_words import Parts, list_words, problem_words, source
from provenance.words import MATCHINGS, MEASURES, SIDES

ROW_IN = 0.16
GAP = 0.25  # between measures, in rows
FRAME_IN = 0.58
LEGEND_LINE_IN = 0.145
_DASHED = (0, (4, 3))
_BAR = 0.66
_MARKS = (
    ("more", "more stable than matched neurons, p < 0.05", style.BLUE, style.BLUE, "o"),
    ("neither", "not distinguishable from them", "white", style.BLUE, "o"),
    ("less", "less stable than matched neurons, p < 0.05", style.ORANGE, style.ORANGE, "D"),
)


def figure_nulls(rows: Sequence[Record]) -> Figure:
    """Draw the rows of the query `drift-tests`: one panel per side, one line per measure and matching."""
    sides = list(dict.fromkeys(row["side"] for row in rows))
    lines = list(dict.fromkeys((row["measure"], row["matching"]) for row in rows))
    heights = line_heights(lines)
    legend = _legend(rows)
    height_in = FRAME_IN + ROW_IN * (max(heights.values()) + 1) + LEGEND_LINE_IN * len(legend)
    with style.paper():
        figure = Figure(figsize=(style.ONE_COLUMN_IN, height_in), layout="constrained")
        panels = figure.subplots(1, len(sides), sharey=True, sharex=True, squeeze=False)[0]
        for axes, side in zip(panels, sides, strict=True):
            axes.axvline(0.0, color=style.INK, linewidth=0.7, linestyle=_DASHED, zorder=2, gid=f"null:{side}")
            own = [row for row in rows if row["side"] == side]
            for row in own:
                _draw_test(axes, heights[row["measure"], row["matching"]], row)
            k = max(row["k"] for row in own)
            axes.set_title(f"{SIDES.get(side, side)}, k = {k}", loc="left", pad=3, gid=f"name:{side}")
        _frame(panels[0], rows, heights)
        for axes in panels:
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
            axes.set_xlabel("mean rank − null", fontsize=style.SMALL_PT, labelpad=2)
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
    """Whether a set is `more` stable than matched ones, `less`, or `neither`, each at one-sided 5 %."""
    if row["p_more_stable"] < LEVEL:
        return "more"
    return "less" if row["p_less_stable"] < LEVEL else "neither"


def _draw_test(axes: Axes, height: float, row: Record) -> None:
    name = ":".join((row["side"], row["measure"], row["matching"]))
    half = style.NORMAL_95 * row["null_sd"]
    bar = Rectangle(
        (-half, height - _BAR / 2), 2 * half, _BAR, facecolor=style.LIGHT_GREY, edgecolor="none", zorder=1,
        gid=f"band:{name}",
    )  # fmt: skip
    axes.add_patch(bar)
    if row["smallest_detectable"] is not None:
        least = row["smallest_detectable"] - row["null_mean"]
        axes.plot(
            [least, least], [height - _BAR / 2, height + _BAR / 2], color=style.INK, linewidth=1.0, zorder=3,
            gid=f"detectable:{name}",
        )  # fmt: skip
    _, _, face, edge, marker = next(mark for mark in _MARKS if mark[0] == outcome(row))
    if row["effect_low"] is not None:
        axes.plot(
            [row["effect_low"], row["effect_high"]], [height] * 2, color=edge, linewidth=1.1, solid_capstyle="butt",
            zorder=4, gid=f"interval:{name}",
        )  # fmt: skip
    axes.plot(
        row["effect"], height, marker, markersize=3.8, markerfacecolor=face, markeredgecolor=edge, markeredgewidth=0.9,
        zorder=5, gid=f"effect:{name}", clip_on=False,
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
    axes.set_xlim(min([-0.1, *(end - 0.04 for end in ends)]), max([0.1, *(end + 0.04 for end in ends)]))
    axes.locator_params(axis="x", nbins=4)


def _ends(row: Record) -> list[float]:
    half = style.NORMAL_95 * row["null_sd"]
    least = None if row["smallest_detectable"] is None else row["smallest_detectable"] - row["null_mean"]
    found = (-half, half, row["effect"], row["effect_low"], row["effect_high"], least)
    return [value for value in found if value is not None]


def _legend(rows: Sequence[Record]) -> list[Line2D | Patch]:
    found = {outcome(row) for row in rows}
    handles: list[Line2D | Patch] = [
        Line2D(
            [], [], color=edge, marker=marker, markersize=3.8, markerfacecolor=face, linewidth=1.1, label=words
        )
        for name, words, face, edge, marker in _MARKS
        if name in found
    ]  # fmt: skip
    handles.append(Patch(facecolor=style.LIGHT_GREY, edgecolor="none", label="± 1.96 SD of matched sets"))
    if any(row["smallest_detectable"] is not None for row in rows):
        tick = Line2D(
            [],
            [],
            color=style.INK,
            marker="|",
            linestyle="none",
            markersize=6,
            label="smallest effect found with 80 % power",
        )
        handles.append(tick)
    return handles


_MEASURED = {
    "delta": "the paper’s Δ of up and down weights",
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
    quantiles = f" ({quantile_words(rows)})" if quantile_words(rows) else ""
    measures = [words for name, words in _MEASURED.items() if any(row["measure"] == name for row in rows)]
    lede = [
        f"Drift from {base} to {instruct} against matched nulls. Mean stability rank (0 = changed most, 1 = changed",
        "least) of a set of neurons by each measure, minus its exact mean over sets of as many neurons that have in",
        f"common with it what is named on the left{quantiles}; among like neurons of ranks as they are or without the",
        "trend that norms and activity explain, whichever is harder to pass; 95 % interval over the neurons. Grey:",
        "1.96 SD",
        f"of matched sets around their mean. Measures: {'; '.join(measures)}.",
        "Tick: the smallest effect found with 80 % power at one-sided 5 %."
        if any(row["smallest_detectable"] is not None for row in rows)
        else "",
        list_words(parts),
        problem_words(parts),
    ]
    return [
        " ".join(part for part in lede if part),
        *(_one_test(row) for row in rows),
        f"Drawn from {source(parts)}.",
    ]


def _one_test(row: Record) -> str:
    least = fixed(row["smallest_detectable"], 3) if row["smallest_detectable"] is not None else "none"
    return (
        f"{drift_name(row)}: mean rank {fixed(row['mean_rank'], 3)}, null {fixed(row['null_mean'], 3)} (SD "
        f"{fixed(row['null_sd'], 3)}), effect {interval(row, 'effect', 3)}, k = {row['k']}, one-sided p "
        f"{p_cell(row['p_more_stable'])} for more stable, {p_cell(row['p_less_stable'])} for less; smallest detectable "
        f"mean rank {least}."
    )


def drift_name(row: Record) -> str:
    """Side, measure and matching of a test."""
    side, measure = SIDES.get(row["side"], row["side"]), MEASURES.get(row["measure"], row["measure"])
    return f"{side}, {measure}, matched on {MATCHINGS.get(row['matching'], row['matching'])}"


def table_nulls(parts: Parts) -> Table:
    """The tests as a table."""
    base, instruct = pair_words(parts)
    caption = (
        f"Drift from {base} to {instruct} against matched nulls: mean stability rank of each set by each measure, "
        "exact mean and SD over matched sets, effect with its 95 % interval over neurons, and one-sided p of being "
        "more and of being less stable."
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
