"""Figure 4b: stability ranks of the H-Neurons, to see whether alignment changed them less than other neurons.

A cumulative distribution shows 12 neurons as fairly as 300, without a choice of bins, and the mean is compared with
neurons of the same layers, not with 0.5. All other neurons come as counts by bin, so that millions of them cost
nothing.

Source: Gao et al. 2025, arXiv:2512.01797, Fig. 4b; the layer-matched null is added here.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from provenance.cells import Record, fixed
from provenance.figures import style
from provenance.figures.words import p_words

HEIGHT_IN = 2.75
_RATIOS = (5.2, 0.5, 1.15)


def figure_4b(ranks: Sequence[Record], bins: Sequence[Record], drift: Record, *, by_position: bool = False) -> Figure:
    """Draw the distribution, one tick per H-Neuron, and the mean with its null.

    Args:
        ranks: Rows of the query `h-neuron-ranks`.
        bins: Rows of the query `rank-bins`.
        drift: Row of the query `drift`.
        by_position: Whether neurons were compared by position only, so that mean, null and p have no meaning.
    """
    values = np.array([row["stability_rank"] for row in ranks if row["stability_rank"] is not None], dtype=float)
    with style.paper():
        figure = Figure(figsize=(style.ONE_COLUMN_IN, HEIGHT_IN), layout="constrained")
        top, rug, strip = figure.subplots(3, 1, sharex=True, height_ratios=_RATIOS)
        _draw_distribution(top, values, bins)
        _draw_rug(rug, values)
        _draw_mean(strip, drift)
        _key(top, drift, by_position=by_position)
        strip.set_xlim(-0.01, 1.01)
        strip.set_xlabel("stability rank   (0 = changed most, 1 = changed least)")
    return figure


def _draw_distribution(axes: Axes, values: np.ndarray, bins: Sequence[Record]) -> None:
    counts = np.array([row["neurons"] for row in bins], dtype=float)
    if counts.sum() > 0:
        edges = [bins[0]["low"], *(row["high"] for row in bins)]
        share = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
        axes.plot(
            edges,
            share,
            color=style.GREY,
            linewidth=1.1,
            linestyle=(0, (5, 2)),
            gid="all neurons",
            label=f"all {int(counts.sum()):,} neurons".replace(",", "\u2009"),
        )
    if values.size:
        x = np.concatenate([[0.0], np.sort(values), [1.0]])
        y = np.concatenate([[0.0], np.arange(1, values.size + 1) / values.size, [1.0]])
        axes.plot(x, y, drawstyle="steps-post", color=style.BLUE, linewidth=1.4, gid="H-Neurons", label="H-Neurons")
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("cumulative share")
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.tick_params(axis="y", labelsize=style.SMALL_PT)


def _key(axes: Axes, drift: Record, *, by_position: bool) -> None:
    """Numbers and line samples, on the free side of the diagonal."""
    mean = drift["mean_rank"]
    corner: Literal["lower right", "upper left"] = "lower right" if mean is not None and mean < 0.5 else "upper left"
    axes.legend(
        loc=corner, title=_summary(drift, by_position=by_position), title_fontsize=style.SMALL_PT, alignment="left",
        borderaxespad=0.2, handlelength=2.0, labelspacing=0.3,
    )  # fmt: skip


def _draw_rug(axes: Axes, values: np.ndarray) -> None:
    """One tick per H-Neuron; fainter if there are many."""
    _bare(axes)
    alpha = float(np.clip(30 / max(values.size, 1), 0.35, 1.0))
    axes.vlines(values, 0, 1, color=style.BLUE, linewidth=0.6, alpha=alpha, gid="ticks")
    axes.set_ylim(-0.25, 1.05)
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.spines["bottom"].set_visible(False)


def _draw_mean(axes: Axes, drift: Record) -> None:
    """The mean rank with the band of neurons from the same layers."""
    axes.set_ylim(0, 1)
    axes.set_yticks([0.8, 0.32], ["mean", "null"], fontsize=style.SMALL_PT)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if drift["null_mean"] is not None:
        mean, reach = drift["null_mean"], style.NORMAL_95 * drift["null_sd"]
        low, high = mean - reach, mean + reach
        axes.fill_between(
            [low, high], 0.14, 0.5, facecolor=style.LIGHT_GREY, edgecolor=style.GREY, linewidth=0.5, gid="null band"
        )
        axes.plot([mean, mean], [0.14, 0.5], color=style.INK, linewidth=1.2, gid="null mean")
    if drift["mean_rank"] is not None:
        axes.plot(drift["mean_rank"], 0.8, "D", markersize=4.2, color=style.BLUE, gid="mean", clip_on=False)


def _bare(axes: Axes) -> None:
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _summary(drift: Record, *, by_position: bool) -> str:
    """k, the mean, its null and p, for the panel; a note instead where they decide nothing."""
    if by_position:
        return f"k = {drift['k']}: no power,\nneurons not matched,\ncompared by position only"
    if drift["mean_rank"] is None:
        return f"k = {drift['k']}: no power"
    lines = [f"k = {drift['k']}, mean rank {fixed(drift['mean_rank'])}"]
    if drift["null_mean"] is not None:
        lines += [f"layer-matched null {fixed(drift['null_mean'])}", p_words(drift["p_layer"])]
    return "\n".join(lines)
