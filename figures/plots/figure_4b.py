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

from provenance.cells import NOTHING, Record, compact, fixed, interval
from provenance.figures.drawing import style
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.latex import Table
from provenance.figures.wording.evidence_words import drift_power_rows, power_sentence
from provenance.figures.wording.run_words import (
    Parts,
    captioned,
    first,
    list_words,
    p_words,
    position_warning,
    problem_words,
    run_kind,
    source,
    verdict_words,
)
from provenance.words import MATCHED_WORDS, MATCHINGS, SHORT_LIKE_WORDS

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
        figure = Figure(figsize=(style.column_in(), HEIGHT_IN), layout="constrained")
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
    ranks = f"mean rank {fixed(drift['mean_rank'])}, of their layers {fixed(drift['null_mean'])}"
    if drift["ratio"] is None:
        return f"k = {drift['k']}: no power\n{ranks}"
    return "\n".join(
        [
            f"k = {drift['k_compared']}: {fixed(drift['ratio'])} × the change of neurons",
            f"of the same {SHORT_LIKE_WORDS[drift['decided_by']]}, {p_words(drift['p_decides'])}",
            ranks,
        ]
    )


def caption_4b(parts: Parts) -> list[str]:
    """Caption of Figure 4b: what is drawn, then the numbers."""
    drift, run = first(parts["drift"]), first(parts["run"])
    total = sum(row["neurons"] for row in parts["bins"].records())
    unmapped = first(parts["alignment"]).get("n_unmapped", 0)
    dashed = f"with a counterpart in the base (dashed; {unmapped} others have none)" if unmapped else "(dashed)"
    words = [
        *captioned(
            f"Parameter evolution from {run['base']} to {run['instruct']}: cumulative stability rank (0 = changed "
            f"most, 1 = changed least) of all {total} neurons {dashed} and of the k = {drift['k']} H-Neurons (line).",
            position_warning(parts),
            list_words(parts),
            "Diamond: their mean; bar: mean rank of as many random neurons of the same layers, ± 1.96 SD.",
        ),
        _drift_words(drift),
        power_sentence(drift_power_rows(parts["power"])),
        _unranked_words(parts),
        f"Drawn from {source(parts)}.",
    ]
    return [line for line in words if line]


def _unranked_words(parts: Parts) -> str:
    """H-Neurons that have no rank since the base has no such neuron."""
    missing = sum(row["stability_rank"] is None for row in parts["ranks"].records())
    return f"{missing} of the H-Neurons have no counterpart in the base and no rank." if missing else ""


def _drift_words(drift: Record) -> str:
    if not drift["k"]:
        return "There are no H-Neurons, so there is no power."
    if drift["mean_rank"] is None:
        return "No H-Neuron has a counterpart in the base, so there is no power."
    words = [f"Verdict: {verdict_words('drift', drift['verdict'])}."]
    if drift["ratio"] is not None:
        words += [
            f"It rests on the harder test: the k = {drift['k_compared']} H-Neurons changed",
            f"{interval(drift, 'ratio')} times as much as neurons {MATCHED_WORDS[drift['decided_by']]}, one-sided",
            "permutation",
            f"{p_words(drift['p_decides'])}.",
        ]
    words += [
        f"Mean rank {fixed(drift['mean_rank'], 3)}; of as many neurons of the same layers",
        f"{fixed(drift['null_mean'], 3)} (SD {fixed(drift['null_sd'], 3)}), one-sided permutation of ranks",
        f"{p_words(drift['p_rank'])}. Welch t-tests against all others: of cosine similarities (the paper’s)",
        f"{p_words(drift['p_t_similarity'])}, of ranks {p_words(drift['p_t'])}.",
        f"SD of a mean rank under a uniform null {fixed(drift['uniform_sd'], 3)}.",
    ]
    return " ".join(words)


def table_4b(parts: Parts) -> Table:
    """Figure 4b as a table."""
    drift, run = first(parts["drift"]), first(parts["run"])
    caption = (
        f"Stability of the k = {drift['k']} H-Neurons from {run['base']} to {run['instruct']}: their change beside "
        "that of like neurons, with the p that decides, and their mean stability rank (0 = changed most, 1 = changed "
        "least) beside that of their layers."
    )
    caption = " ".join(part for part in (caption, list_words(parts), problem_words(parts)) if part)
    header = (
        "k", "× like neurons", "matched on", "p", "verdict", "mean rank", "of their layers", "p (ranks)",
        "p (t, similarity)", "p (t, ranks)",
    )  # fmt: skip
    row = (
        str(drift["k"]),
        interval(drift, "ratio"),
        MATCHINGS.get(drift["decided_by"], NOTHING),
        compact(drift["p_decides"]),
        drift["verdict"],
        fixed(drift["mean_rank"], 3),
        fixed(drift["null_mean"], 3),
        compact(drift["p_rank"]),
        compact(drift["p_t_similarity"]),
        compact(drift["p_t"]),
    )
    return Table(caption, header, [row])


CURVE_BINS = 200  # a curve in a column of 3.25 in has about that many distinguishable steps

FIGURE = GalleryFigure(
    order=2,
    name="figure_4b",
    title="Did the H-Neurons change less than others?",
    data={
        "ranks": ("h-neuron-ranks", {}),
        "bins": ("rank-bins", {"bins": CURVE_BINS}),
        "drift": ("drift", {}),
    },
    # Without a list of neurons there is nothing to set against all others.
    ready=lambda parts: run_kind(parts) in ("comparison", "listed"),
    context=("run", "neuron-list", "alignment", "drift", "power"),
    draw=lambda parts: figure_4b(
        parts["ranks"].records(),
        parts["bins"].records(),
        first(parts["drift"]),
        by_position=bool(position_warning(parts)),
    ),
    caption=caption_4b,
    table=table_4b,
)
