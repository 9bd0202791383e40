"""Figure 3: share of items to which the model yields, over the factor that scales the H-Neurons, one panel a benchmark.

The control sets are drawn in every panel, since any disturbance of a model changes its replies.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from provenance.analyses.results.behaviour import ComplianceSlope
from provenance.cells import Record, interval, p_cell
from provenance.figures.drawing import style
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.latex import Table
from provenance.figures.tables.result_tables import latex_table
from provenance.figures.wording.run_words import Parts, captioned, first, source
from provenance.words import SETS

PANEL_IN = 1.55
LEGEND_IN = 0.4
ONE_COLUMN = 2  # panels that one column holds side by side
A_ROW = 4
_DASHED, _DOTTED, _DASHDOT = (0, (4, 2)), (0, (1, 1.4)), (0, (5, 1.5, 1, 1.5))
OWN = "h_neurons"
CONTROLS = {
    "random": (style.LIGHT_GREY, _DOTTED),
    "layer_matched": (style.GREY, _DASHED),
    "activity_matched": (style.ORANGE, _DASHDOT),
}
"""Colour and line of each kind of control sets."""


def figure_3(arms: Sequence[Record]) -> Figure:
    """Draw the rows of the query `compliance`."""
    stages, names = (list(dict.fromkeys(row[part] for row in arms)) for part in ("stage", "benchmark"))
    columns = min(A_ROW, len(names))
    rows_each = -(-len(names) // columns)
    rows = rows_each * len(stages)
    width = style.column_in() if columns <= ONE_COLUMN else style.page_in()
    with style.paper():
        figure = Figure(figsize=(width, PANEL_IN * rows + LEGEND_IN), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for place, stage in enumerate(stages):
            own = list(panels[place * rows_each : (place + 1) * rows_each].flat)
            for axes, name in zip(own, names, strict=False):
                _draw_panel(axes, [row for row in arms if (row["stage"], row["benchmark"]) == (stage, name)])
                title = f"{name}, {stage}" if len(stages) > 1 else name
                axes.set_title(title, fontsize=style.SMALL_PT, parse_math=False)
            for axes in own[len(names) :]:
                axes.set_axis_off()
        for column in range(columns):  # the last panel that is drawn in each
            below = [axes for axes in panels[:, column] if axes.axison]
            below[-1].set_xlabel("factor α", fontsize=style.SMALL_PT)
            below[-1].tick_params(labelbottom=True)
        figure.supylabel("share that yields", fontsize=style.TEXT_PT)
        figure.legend(handles=_legend(arms), loc="outside lower center", ncols=2 if columns <= ONE_COLUMN else 4)
    return figure


def _draw_panel(axes: Axes, rows: Sequence[Record]) -> None:
    for kind, (colour, line) in CONTROLS.items():
        own = _of(rows, kind)
        if own:
            alphas = [row["alpha"] for row in own]
            low, high = ([row[f"share_{end}"] for row in own] for end in ("low", "high"))
            axes.fill_between(alphas, low, high, facecolor=colour, alpha=0.22, linewidth=0, gid=f"{kind} band")
            axes.plot(alphas, [row["share"] for row in own], color=colour, linewidth=0.9, linestyle=line, gid=kind)
    own = _of(rows, OWN)
    alphas, shares = [row["alpha"] for row in own], [row["share"] for row in own]
    axes.vlines(
        alphas, [row["share_low"] for row in own], [row["share_high"] for row in own], color=style.BLUE, linewidth=1.1,
        zorder=3, gid=f"{OWN} bars",
    )  # fmt: skip
    axes.plot(alphas, shares, color=style.BLUE, marker="o", markersize=3.4, linewidth=1.1, zorder=4, gid=OWN)
    axes.axvline(1.0, color=style.INK, linewidth=0.5, linestyle=_DOTTED, zorder=0)
    axes.set_ylim(-0.02, 1.02)
    axes.tick_params(labelsize=style.SMALL_PT)


def _of(rows: Sequence[Record], kind: str) -> list[Record]:
    return sorted((row for row in rows if row["kind"] == kind), key=lambda row: float(row["alpha"]))


def _legend(arms: Sequence[Record]) -> list[Line2D | Patch]:
    there = {row["kind"] for row in arms}
    own = Line2D([], [], color=style.BLUE, marker="o", markersize=3.4, linewidth=1.1, label=SETS[OWN])
    return [
        own,
        *(
            Line2D([], [], color=colour, linewidth=0.9, linestyle=line, label=SETS[kind])
            for kind, (colour, line) in CONTROLS.items()
            if kind in there
        ),
    ]


def caption_figure_3(parts: Parts) -> list[str]:
    """Caption of Figure 3: a description, then the numbers."""
    sizes = {row["stage"]: row["k"] for row in parts["compliance-slopes"].records()}
    run = first(parts["run"])
    models = " and ".join(f"{run[stage]} ({k} neurons)" for stage, k in sizes.items() if run.get(stage))
    lede = captioned(
        f"Share of items to which {models or run['instruct']} {'yield' if len(sizes) > 1 else 'yields'}, with the "
        "activations of the H-Neurons times α (circles; bars: 95 % interval by item).",
        "Lines and bands: mean and middle 95 % of as many control neurons.",
        "Dotted: the unchanged model.",
    )
    return [
        *lede,
        *(_slope_words(row) for row in parts["compliance-slopes"].records()),
        f"Drawn from {source(parts)}.",
    ]


def _slope_words(row: Record) -> str:
    slope = f"{row['stage']}, {row['benchmark']}, {SETS[row['kind']]}: slope {interval(row, 'slope', 3)} per unit of α"
    if row["kind"] == OWN:
        return f"{slope}, n = {row['n']} items, p of the trend {p_cell(row['trend_p'])}."
    return f"{slope}, {row['n_draws']} sets, p {p_cell(row['p_value'])}."


def table_figure_3(parts: Parts) -> Table:
    """Slopes as a table for a paper."""
    caption = (
        "Change of the share of yielding items per unit of the factor on the neurons’ activations: the H-Neurons with "
        "95 % interval by item, and control sets of as many neurons with the middle 95 % of sets."
    )
    shown = ("stage", "benchmark", "kind", "k", "n", "slope", "p_value", "failed_slope", "disturbance")
    return latex_table(ComplianceSlope, parts["compliance-slopes"].records(), caption, shown)


FIGURE = GalleryFigure(
    order=0,
    name="figure_3",
    title="Does scaling the neurons change how often the model yields?",
    data={"compliance": ("compliance", {}), "slopes": ("compliance-slopes", {})},
    ready=lambda parts: bool(parts["compliance-slopes"].rows),
    context=("run", "compliance-slopes"),
    draw=lambda parts: figure_3(parts["compliance"].records()),
    caption=caption_figure_3,
    table=table_figure_3,
)
