"""Figure 3: share of items to which the model yields over the factor that scales the H-Neurons, a panel a benchmark."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from provenance.analyses.results.behaviour import READABLE, ComplianceSlope
from provenance.cells import Record, interval, p_cell
from provenance.figures.drawing import style
from provenance.figures.drawing.compliance_panels import (
    A_ROW,
    AXIS,
    CONTROLS,
    ONE_COLUMN,
    OWN,
    OWN_LOOK,
    PANEL_IN,
    SHARE,
    draw_band,
    draw_curve,
    frame,
    key,
    of_kind,
)
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.latex import Table
from provenance.figures.tables.result_tables import latex_table
from provenance.figures.wording.run_words import Parts, captioned, first, source
from provenance.words import SETS

LEGEND_IN = 0.4


def figure_3(arms: Sequence[Record], slopes: Sequence[Record]) -> Figure:
    """Draw the rows of the query `compliance`; those of `compliance-slopes` say how much of the replies is readable."""
    readable = {(row["stage"], row["benchmark"]): row["readable"] for row in slopes if row["kind"] == OWN}
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
                share = readable.get((stage, name), 1.0)
                unread = f"no power: {share:.0%} of replies readable" if share < READABLE else ""
                frame(axes, f"{name}, {stage}" if len(stages) > 1 else name, unread)
            for axes in own[len(names) :]:
                axes.set_axis_off()
        for column in range(columns):  # the last panel that is drawn in each
            below = [axes for axes in panels[:, column] if axes.axison]
            below[-1].set_xlabel(AXIS, fontsize=style.SMALL_PT)
            below[-1].tick_params(labelbottom=True)
        figure.supylabel(SHARE, fontsize=style.TEXT_PT)
        figure.legend(handles=_legend(arms), loc="outside lower center", ncols=2 if columns <= ONE_COLUMN else 4)
    return figure


def _draw_panel(axes: Axes, rows: Sequence[Record]) -> None:
    for kind, look in CONTROLS.items():
        own = of_kind(rows, kind)
        if own:
            draw_band(axes, own, look, kind)
    draw_curve(axes, of_kind(rows, OWN), OWN_LOOK, OWN)
    axes.set_ylim(-0.02, 1.02)


def _legend(arms: Sequence[Record]) -> list[Line2D]:
    there = {row["kind"] for row in arms}
    return [key(OWN_LOOK, SETS[OWN]), *(key(look, SETS[kind]) for kind, look in CONTROLS.items() if kind in there)]


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
    draw=lambda parts: figure_3(parts["compliance"].records(), parts["compliance-slopes"].records()),
    caption=caption_figure_3,
    table=table_figure_3,
)
