"""Panels of 1 - cosine by layer, one per kind of weights, shared by the lineage and the drift figure.

The axis is logarithmic: on a linear axis of cosines every tuned model is a flat line at 1; here a tuned layer, an
untouched one and an unrelated one lie decades apart, and the effect of rounding is a line to compare with.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from provenance.figures.drawing import style

MAX_COLUMNS = 4
PANEL_IN = 1.05
FRAME_IN = 0.32  # axis label
MAX_DECADES = 4  # with a label, in a panel of this height
_NOTHING_MOVED = 1e-8  # where the axis begins when every row is the same
_MARKED_LAYERS = 40  # more points than that are a line


@dataclass(frozen=True)
class LayerChange:
    """Change of the weights of one kind in one layer, as 1 - cosine; NaN where undefined."""

    layer: int
    """Layer of the instruct checkpoint."""
    least: float
    """5th percentile over rows or neurons."""
    median: float
    """Median over rows or neurons."""
    most: float
    """95th percentile over rows or neurons."""


@dataclass(frozen=True)
class _Scale:
    low: float
    """Smallest value on the logarithmic axis."""
    high: float
    """Upper end."""
    zero: float
    """Position of 0, in a strip below the smallest value."""
    bottom: float
    """Lower end, of the strip if there is one, else of the axis."""


def layer_panels(changes: Mapping[str, Sequence[LayerChange]], floor: float | None, *, per_row: int) -> Figure:
    """Draw one panel per kind of weights, on common axes.

    Args:
        changes: Changes by kind, in the order of panels; at least one layer each.
        floor: The 1 - cosine that storage rounding alone can cause; None if unknown.
        per_row: Most panels side by side.
    """
    ordered = {kind: sorted(part, key=lambda change: change.layer) for kind, part in changes.items()}
    everything = [change for part in ordered.values() for change in part]
    scale = _scale(everything, floor)
    count = -(-len(ordered) // per_row)
    columns = max(2, -(-len(ordered) // count))
    with style.paper():
        figure = Figure(figsize=(style.page_in(), FRAME_IN + PANEL_IN * count), layout="constrained")
        panels = figure.subplots(count, columns, sharex=True, sharey=True, squeeze=False)
        for axes, (kind, part) in zip(panels.flat, ordered.items(), strict=False):
            _draw_kind(axes, kind, part, scale)
            _draw_references(axes, kind, floor, scale)
        _frame(panels, len(ordered), scale, max(change.layer for change in everything))
        figure.supylabel("1 − cosine", fontsize=style.TEXT_PT)
        figure.supxlabel("layer", fontsize=style.TEXT_PT)
    return figure


def _column(changes: Sequence[LayerChange], name: str) -> np.ndarray:
    return np.array([getattr(change, name) for change in changes], dtype=float)


def _scale(changes: Sequence[LayerChange], floor: float | None) -> _Scale:
    """Whole decades around the medians, the most changed rows, and the rounding floor if it is near.

    The least changed rows are ignored: a row in twenty that hardly moved would stretch the axis to 1e-16.
    """
    medians, most = _column(changes, "median"), _column(changes, "most")
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


def _draw_kind(axes: Axes, kind: str, changes: Sequence[LayerChange], scale: _Scale) -> None:
    """Median and band of one kind; layers with an unchanged median row lie in the strip."""
    layers, median = _column(changes, "layer"), _column(changes, "median")
    least, most = (np.maximum(_column(changes, name), scale.zero) for name in ("least", "most"))
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
        marker="o" if len(changes) <= _MARKED_LAYERS else "", gid=f"median:{kind}",
    )  # fmt: skip
    same = layers[median == 0]
    axes.plot(
        same, np.full(same.size, scale.zero), "o", markersize=2.6, markerfacecolor="white",
        markeredgecolor=style.BLUE, markeredgewidth=0.7, gid=f"same:{kind}",
    )  # fmt: skip
    axes.set_title(kind, loc="left", fontsize=style.SMALL_PT, pad=2.5, parse_math=False)


def _draw_references(axes: Axes, kind: str, floor: float | None, scale: _Scale) -> None:
    """The strip of zero, and the line of storage rounding."""
    if scale.bottom < scale.low:
        axes.axhspan(scale.bottom, scale.low, facecolor=style.PALE_GREY, linewidth=0, zorder=0, gid=f"strip:{kind}")
    if floor is not None and scale.low <= floor <= scale.high:
        axes.axhline(floor, color=style.INK, linewidth=0.7, linestyle=style.DASHED, zorder=1, gid=f"rounding:{kind}")


def _frame(panels: np.ndarray, used: int, scale: _Scale, last: int) -> None:
    """Common axes: decades, and a tick for zero, which a logarithmic axis lacks."""
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
