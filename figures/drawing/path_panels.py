"""The path figure: AUROC along the path of C, to see whether the result depends on one C.

The chosen point is shown with its neighbours, on held-out answers, which took no part in the choice, and on the base
model's. Points are spaced by C, which fixes all values of a column, and labelled with the number of H-Neurons, which
is comparable between models.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from provenance.cells import Record, compact
from provenance.figures.drawing import style
from provenance.figures.wording.run_words import has_power, power_words

MAX_PANELS = 3
STAGE = "instruct"
PANEL_IN = 1.6
FRAME_IN = 0.68  # both axes and their labels
TITLE_LINE_IN = 0.13
_MAX_TICKS = 5  # numbers of H-Neurons below a panel of two inches
_MAX_DECADES = 4


@dataclass(frozen=True)
class _Series:
    name: str
    """Column of the query."""
    words: str
    """Words in the legend."""
    colour: str
    """Colour of line, marks and band."""
    marker: str
    """Shape of the marks."""
    dashes: Literal["-"] | tuple[float, tuple[float, ...]]
    """Dashes of the line."""


SERIES = (
    _Series("auroc", "AUROC, own held-out answers", style.BLUE, "o", "-"),
    _Series("accuracy", "accuracy, own held-out answers", style.GREY, "s", (0, (3, 1.2))),
    _Series("transfer", "AUROC, base model’s answers", style.ORANGE, "^", (0, (6, 1.5, 1.2, 1.5))),
)


def figure_path(rows: Sequence[Record], baselines: Sequence[Record], transfer: Sequence[Record]) -> Figure:
    """Draw one panel per question set, with common axes.

    Args:
        rows: Rows of the query `probe-curve`; those of the instruct checkpoint's probe are drawn.
        baselines: Rows of the query `baselines`.
        transfer: Rows of the query `transfer`, which give the power.
    """
    sets = drawn_sets(rows)
    panels = {name: [row for row in of_probe(rows) if row["dataset"] == name] for name in sets}
    silent = {row["dataset"]: power_words(row) for row in transfer if not has_power(row)}
    shown = {name: [_without_transfer(row) if name in silent else row for row in part] for name, part in panels.items()}
    levels = random_levels(baselines)
    legend = _legend([row for part in shown.values() for row in part], [name for name in sets if name in levels])
    columns = 1 if len(sets) == 1 else 3
    lines = max(len(style.wrapped(name)) for name in sets)
    height_in = FRAME_IN + TITLE_LINE_IN * lines + PANEL_IN + style.LEGEND_LINE_IN * -(-len(legend) // columns)
    with style.paper():
        width_in = style.column_in() if len(sets) == 1 else style.page_in()
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        for axes, (name, part) in zip(
            figure.subplots(1, len(sets), sharey=True, squeeze=False)[0], shown.items(), strict=True
        ):
            _draw_panel(axes, name, part, levels.get(name), silent.get(name))
        _frame(figure, shown, levels)
        figure.legend(
            handles=legend, loc="outside lower left", ncols=columns, borderaxespad=0.1, handlelength=2.6,
            labelspacing=0.25, columnspacing=1.4,
        )  # fmt: skip
    return figure


def of_probe(rows: Sequence[Record]) -> list[Record]:
    """The rows of the probe that is drawn."""
    return [row for row in rows if row["stage"] == STAGE]


def drawn_sets(rows: Sequence[Record]) -> list[str]:
    """Question sets that have a panel: those with both classes, in order."""
    return _scored_sets(rows)[:MAX_PANELS]


def left_out(rows: Sequence[Record]) -> tuple[int, list[str]]:
    """Number of question sets without room, and names of those without both classes."""
    scored = _scored_sets(rows)
    missing = [name for name in dict.fromkeys(row["dataset"] for row in of_probe(rows)) if name not in scored]
    return max(len(scored) - MAX_PANELS, 0), missing


def _scored_sets(rows: Sequence[Record]) -> list[str]:
    named = (row["dataset"] for row in of_probe(rows) if row["auroc"] is not None or row["accuracy"] is not None)
    return list(dict.fromkeys(named))


def random_levels(baselines: Sequence[Record]) -> dict[str, float]:
    """Mean AUROC of probes on random neurons, by question set."""
    return {
        row["dataset"]: row["auroc"]
        for row in of_probe(baselines)
        if row["kind"] == "random" and row["auroc"] is not None
    }


def _without_transfer(row: Record) -> Record:
    """The row without its transfer numbers, which have no power."""
    return {**row, "transfer": None, "transfer_low": None, "transfer_high": None}


def _column(rows: Sequence[Record], name: str) -> np.ndarray:
    return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=float)


def _draw_panel(axes: Axes, name: str, rows: Sequence[Record], level: float | None, silent: str | None) -> None:
    axes.set_xscale("log")
    axes.set_xlim(rows[0]["c"] / 1.9, rows[-1]["c"] * 1.9)  # set first, since autoscaling fails for one point
    axes.axhline(0.5, color=style.INK, linewidth=0.7, linestyle=style.DASHED, zorder=1, gid=f"chance:{name}")
    if level is not None:
        axes.axhline(level, color=style.INK, linewidth=1.0, linestyle=style.DOTTED, zorder=1, gid=f"random:{name}")
    for row in rows:
        if row["is_chosen"]:
            axes.axvline(row["c"], color=style.GREY, linewidth=0.7, zorder=1, gid=f"chosen:{name}")
    for series in reversed(SERIES):
        _draw_series(axes, name, rows, series)
    if silent is not None:
        axes.text(
            0.03, 0.03, f"base model’s answers:\n{silent}", transform=axes.transAxes, fontsize=style.TINY_PT,
            style="italic", color=style.GREY, va="bottom", linespacing=1.1, gid=f"no power:{name}",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
    axes.set_title(
        "\n".join(style.wrapped(name)), loc="left", pad=3, linespacing=1.0, parse_math=False, gid=f"name:{name}"
    )


def _draw_series(axes: Axes, name: str, rows: Sequence[Record], series: _Series) -> None:
    """One curve with its band; a point without neighbours has a bar instead."""
    C, middle = _column(rows, "c"), _column(rows, series.name)
    if np.isnan(middle).all():
        return
    low, high = (_column(rows, f"{series.name}_{part}") for part in ("low", "high"))
    axes.fill_between(C, low, high, color=series.colour, alpha=0.16, linewidth=0, gid=f"{series.name} band:{name}")
    known = ~np.isnan(low)
    beside = np.concatenate([[False], known, [False]])
    lonely = known & ~(beside[:-2] | beside[2:])
    axes.vlines(
        C[lonely],
        low[lonely],
        high[lonely],
        color=series.colour,
        alpha=0.4,
        linewidth=4.0,
        gid=f"{series.name} bars:{name}",
    )
    axes.plot(
        C, middle, color=series.colour, linewidth=1.2, linestyle=series.dashes, marker=series.marker, markersize=3.2,
        markerfacecolor="white" if series.name == "transfer" else series.colour, markeredgewidth=0.8, zorder=3,
        gid=f"{series.name}:{name}",
    )  # fmt: skip


def _frame(figure: Figure, panels: dict[str, list[Record]], levels: dict[str, float]) -> None:
    """Common height, numbers of H-Neurons below and C above each panel."""
    drawn = [row for part in panels.values() for row in part]
    lows = [row[f"{series.name}_low"] for row in drawn for series in SERIES] + [levels.get(name) for name in panels]
    bottom = max(0.0, min([0.4, *(low - 0.03 for low in lows if low is not None)]))
    for number, (axes, part) in enumerate(zip(figure.axes, panels.values(), strict=True)):
        axes.set_ylim(bottom, 1.02)
        axes.tick_params(axis="y", labelsize=style.SMALL_PT)
        axes.set_xlabel("H-Neurons, k", labelpad=1.5)
        _ticks(axes, part, labelled=number == 0)
    figure.axes[0].set_ylabel("accuracy or AUROC")


def _ticks(axes: Axes, rows: Sequence[Record], *, labelled: bool) -> None:
    shown = _shown_ticks(rows)
    axes.xaxis.set_major_locator(FixedLocator([row["c"] for row in shown]))
    axes.xaxis.set_major_formatter(FixedFormatter([str(row["n_positive"]) for row in shown]))
    axes.xaxis.set_minor_locator(NullLocator())
    for label, row in zip(axes.get_xticklabels(), shown, strict=True):
        label.set_fontweight("bold" if row["is_chosen"] else "normal")
    above = axes.secondary_xaxis("top")
    decades = _decades(rows[0]["c"], rows[-1]["c"])
    above.xaxis.set_major_locator(FixedLocator(decades))
    above.xaxis.set_major_formatter(_c_words)
    above.xaxis.set_minor_locator(NullLocator())
    above.tick_params(axis="x", labelsize=style.TINY_PT, pad=1, length=2)
    if labelled:
        axes.annotate(
            "C", (0, 1), xycoords="axes fraction", xytext=(-4, 4), textcoords="offset points", ha="right",
            fontsize=style.TINY_PT,
        )  # fmt: skip


def _shown_ticks(rows: Sequence[Record]) -> list[Record]:
    """Evenly spaced points for ticks, including the chosen one."""
    step = -(-len(rows) // _MAX_TICKS)
    chosen = next((at for at, row in enumerate(rows) if row["is_chosen"]), 0)
    return list(rows[chosen % step :: step])


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten between two C, or these themselves if there are fewer than two."""
    exponents = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    if len(exponents) < 2:
        return sorted({low, high})
    return [10.0**exponent for exponent in exponents[:: -(-len(exponents) // _MAX_DECADES)]]


def _c_words(value: float, _position: float | None = None) -> str:
    exponent = round(math.log10(value))
    return f"$10^{{{exponent}}}$" if math.isclose(value, 10.0**exponent) else compact(value)


def _legend(rows: Sequence[Record], with_level: Sequence[str]) -> list[Line2D]:
    handles = [
        Line2D(
            [], [], color=series.colour, linewidth=1.2, linestyle=series.dashes, marker=series.marker, markersize=3.2,
            markerfacecolor="white" if series.name == "transfer" else series.colour, markeredgewidth=0.8,
            label=series.words,
        )
        for series in SERIES
        if any(row[series.name] is not None for row in rows)
    ]  # fmt: skip
    if any(row["is_chosen"] for row in rows):
        handles.append(Line2D([], [], color=style.GREY, linewidth=0.7, label="chosen C (k in bold)"))
    if with_level:
        handles.append(
            Line2D([], [], color=style.INK, linewidth=1.0, linestyle=style.DOTTED, label="AUROC, random neurons, mean")
        )
    return [*handles, Line2D([], [], color=style.INK, linewidth=0.7, linestyle=style.DASHED, label="chance (0.5)")]
