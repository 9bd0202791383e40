"""The lineage figure: how far each kind of weights moved, layer by layer.

The one idea: 1 - cosine on a logarithmic axis. On a linear axis of cosines every tuned
model is a flat line at 1; here a tuned layer, an untouched one and a stranger's lie decades
apart, and what rounding alone can cause is a line to compare with.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from figures import style
from figures.words import Record

MAX_COLUMNS = 4
MAX_PANELS = 12
PANEL_IN = 1.05
FRAME_IN = 0.32  # axis label
MAX_DECADES = 4  # with a label, in a panel of this height
MLP = ("gate", "up", "down")
_NOTHING_MOVED = 1e-8  # where the axis begins when every row is the same
_MARKED_LAYERS = 40  # more points than that are a line


@dataclass(frozen=True)
class _Scale:
    """The common axis of 1 - cosine."""

    low: float
    """Smallest value with a place on the logarithmic axis."""
    high: float
    """Upper end."""
    zero: float
    """Where 0 is drawn: in a strip below the smallest value."""
    bottom: float
    """Lower end: of the strip where it is needed, of the axis proper otherwise."""


def figure_lineage(rows: Sequence[Record], floor: float | None) -> Figure:
    """Draws one panel a kind of weights, on common axes.

    Args:
        rows: Of the query `lineage-tensors`.
        floor: The 1 - cosine that storage rounding alone can cause; None where it is not known.
    """
    kinds = drawn_kinds(rows)
    shown = {kind: _of_kind(rows, kind) for kind in kinds}
    scale = _scale([row for part in shown.values() for row in part], floor)
    count = -(-len(kinds) // MAX_COLUMNS)
    columns = max(2, -(-len(kinds) // count))
    with style.paper():
        figure = Figure(figsize=(style.TWO_COLUMNS_IN, FRAME_IN + PANEL_IN * count), layout="constrained")
        panels = figure.subplots(count, columns, sharex=True, sharey=True, squeeze=False)
        for axes, (kind, part) in zip(panels.flat, shown.items(), strict=False):
            _draw_kind(axes, kind, part, scale)
            _draw_references(axes, kind, floor, scale)
        _frame(panels, len(kinds), scale, max(row["layer"] for part in shown.values() for row in part))
        figure.supylabel("1 − cosine", fontsize=style.TEXT_PT)
        figure.supxlabel("layer", fontsize=style.TEXT_PT)
    return figure


def drawn_kinds(rows: Sequence[Record]) -> list[str]:
    """Kinds that have a panel: matrices in layers, the MLP's first."""
    found = dict.fromkeys(
        row["kind"]
        for row in rows
        if row["layer"] is not None and row["n_rows"] > 1 and row["cosine_median"] is not None
    )
    ordered = [kind for kind in MLP if kind in found] + [kind for kind in found if kind not in MLP]
    return ordered[:MAX_PANELS]


def _of_kind(rows: Sequence[Record], kind: str) -> list[Record]:
    inside = [row for row in rows if row["kind"] == kind and row["layer"] is not None]
    return sorted(inside, key=lambda row: int(row["layer"]))


def _changes(rows: Sequence[Record], name: str) -> np.ndarray:
    """1 - cosine by layer; NaN where it is not defined."""
    cosines = np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=float)
    return np.asarray(np.clip(1 - cosines, 0, 2))


def _scale(rows: Sequence[Record], floor: float | None) -> _Scale:
    """Whole decades around the medians, the most changed rows, and the rounding floor where it is near.

    The least changed rows have no say: a row in twenty that hardly moved would stretch the axis to 1e-16.
    """
    medians, most = _changes(rows, "cosine_median"), _changes(rows, "cosine_low")
    positive = medians[medians > 0] if (medians > 0).any() else most[most > 0]
    if not positive.size:
        low = _NOTHING_MOVED
        return _Scale(low, 100 * low, low / math.sqrt(10), low / 10)
    least = float(positive.min()) / 2  # room for the lower half of the band
    if floor is not None and least / 100 <= floor < least:
        least = floor / 2
    low = 10.0 ** math.floor(math.log10(least))
    high = max(10 * low, min(10.0 ** math.ceil(math.log10(np.nanmax(most))), 3.0))
    return _Scale(low, high, low / math.sqrt(10), low / 10 if (medians == 0).any() else low)


def _draw_kind(axes: Axes, kind: str, rows: Sequence[Record], scale: _Scale) -> None:
    """Median and band of one kind; layers whose median row did not change lie in the strip."""
    layers = np.array([row["layer"] for row in rows])
    median = _changes(rows, "cosine_median")
    least, most = (np.maximum(_changes(rows, name), scale.zero) for name in ("cosine_high", "cosine_low"))
    moved = median > 0
    axes.fill_between(
        layers, least, most, where=moved.tolist(), color=style.BLUE, alpha=0.22, linewidth=0, gid=f"band:{kind}"
    )
    beside = np.concatenate([[False], moved, [False]])
    lonely = ~np.isnan(median) & ~(moved & (beside[:-2] | beside[2:]))  # a band needs two layers
    axes.vlines(
        layers[lonely], least[lonely], most[lonely], color=style.BLUE, alpha=0.4, linewidth=1.6, gid=f"bars:{kind}"
    )
    axes.plot(
        layers, np.where(moved, median, np.nan), color=style.BLUE, linewidth=1.1, markersize=2.0,
        marker="o" if len(rows) <= _MARKED_LAYERS else "", gid=f"median:{kind}",
    )  # fmt: skip
    same = layers[median == 0]
    axes.plot(
        same, np.full(same.size, scale.zero), "o", markersize=2.6, markerfacecolor="white",
        markeredgecolor=style.BLUE, markeredgewidth=0.7, gid=f"same:{kind}",
    )  # fmt: skip
    axes.set_title(kind, loc="left", fontsize=style.SMALL_PT, pad=2.5, parse_math=False)


def _draw_references(axes: Axes, kind: str, floor: float | None, scale: _Scale) -> None:
    """The strip of zero, and what rounding alone can cause."""
    if scale.bottom < scale.low:
        axes.axhspan(scale.bottom, scale.low, facecolor=style.PALE_GREY, linewidth=0, zorder=0, gid=f"strip:{kind}")
    if floor is not None and scale.low <= floor <= scale.high:
        axes.axhline(floor, color=style.INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1, gid=f"rounding:{kind}")


def _frame(panels: np.ndarray, used: int, scale: _Scale, last: int) -> None:
    """Common axes: decades, and one tick for zero, which a logarithmic axis has no place for."""
    first = panels[0, 0]
    first.set_yscale("log")
    first.set_ylim(scale.bottom, scale.high)
    first.set_xlim(-0.5 - last / 50, last + 0.5 + last / 50)
    exponents = range(round(math.log10(scale.low)), math.floor(math.log10(scale.high)) + 1)
    zero = [scale.zero] if scale.bottom < scale.low else []
    decades = [10.0**exponent for exponent in exponents[:: -(-len(exponents) // MAX_DECADES)]]
    first.yaxis.set_major_locator(FixedLocator([*zero, *decades]))
    first.yaxis.set_major_formatter(partial(_tick, zero=scale.zero))
    first.yaxis.set_minor_locator(NullLocator())
    first.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    for number, axes in enumerate(panels.flat):
        axes.set_visible(number < used)
        axes.tick_params(axis="y", labelsize=style.SMALL_PT)
        if number + panels.shape[1] >= used:  # nothing below it
            axes.tick_params(axis="x", labelbottom=True)


def _tick(value: float, _position: int, *, zero: float) -> str:
    return "0" if math.isclose(value, zero) else f"$10^{{{round(math.log10(value))}}}$"
