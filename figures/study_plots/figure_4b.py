"""Figure 4b over a study: the stability rank of every H-Neuron, a row for each family.

Source: Gao et al. 2025, arXiv:2512.01797, Fig. 4b; the layer-matched null, and the test that decides, are added here.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from provenance.cells import NOTHING, Record, compact, fixed, interval
from provenance.checkpoints.published_numbers import Published, published_numbers
from provenance.figures.drawing import style
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.latex import Table
from provenance.figures.wording.run_words import Parts, p_words, source, verdict_words
from provenance.figures.wording.study_words import diamonds, so_many_families

ROW_IN = 0.42
FRAME_IN = 0.82
_JITTER = 0.22  # circles of one family lie in a band of this half-width
_GOLDEN = 0.6180339887498949  # neighbours in rank get places far apart


def figure(ranks: Sequence[Record], drifts: Sequence[Record]) -> Figure:
    """Draw a circle for every H-Neuron, the mean of each family and that of its layers.

    Args:
        ranks: Rows of the query `h-neuron-ranks` over the study.
        drifts: Rows of the query `drift` over the study.
    """
    published = published_numbers()
    with style.paper():
        height = FRAME_IN + ROW_IN * len(drifts)
        figure = Figure(figsize=(style.page_in(), height), layout="constrained")
        axes = figure.add_subplot()
        for position, drift in enumerate(drifts):
            _row(axes, position, drift, ranks, published.get(drift["family"]))
        _frame(axes, drifts)
        shown = any(drift["family"] in published for drift in drifts)
        figure.legend(
            handles=_legend(published=shown), loc="outside lower center", ncols=4, borderaxespad=0.1, handlelength=1.4,
            columnspacing=1.2,
        )  # fmt: skip
    return figure


def _row(axes: Axes, position: int, drift: Record, ranks: Sequence[Record], published: Published | None) -> None:
    name = drift["family"]
    values = np.sort(
        [row["stability_rank"] for row in ranks if row["family"] == name and row["stability_rank"] is not None]
    )
    places = position + _JITTER * (2 * ((np.arange(values.size) * _GOLDEN) % 1) - 1)
    axes.plot(
        values, places, "o", markersize=3.0, markerfacecolor="none", markeredgecolor=style.BLUE, markeredgewidth=0.6,
        alpha=float(np.clip(60 / max(values.size, 1), 0.3, 1.0)), gid=f"ranks:{name}",
    )  # fmt: skip
    if drift["null_mean"] is not None:
        reach = style.NORMAL_95 * drift["null_sd"]
        axes.add_patch(
            Rectangle(
                (drift["null_mean"] - reach, position - 0.36), 2 * reach, 0.72, facecolor=style.PALE_GREY,
                edgecolor="none", zorder=0, gid=f"null:{name}",
            )
        )  # fmt: skip
    if drift["mean_rank"] is not None:
        axes.plot([drift["mean_rank"]] * 2, [position - 0.36, position + 0.36], color=style.INK, linewidth=1.6,
                  gid=f"mean:{name}")  # fmt: skip
    if published is not None:
        axes.plot(
            published.mean_rank, position, "D", markersize=4.2, markerfacecolor="white", zorder=5,
            markeredgecolor=style.ORANGE, markeredgewidth=1.0, gid=f"published:{name}",
        )  # fmt: skip
    axes.text(1.03, position, _beside(drift), fontsize=style.SMALL_PT, va="center", gid=f"words:{name}")


def _beside(drift: Record) -> str:
    """The number that decides, in two lines."""
    if drift["ratio"] is None:
        return f"k = {drift['k']}\nno power"
    return (
        f"k = {drift['k']}, {fixed(drift['ratio'])} × like neurons\n{p_words(drift['p_decides'])}, {drift['verdict']}"
    )


def _frame(axes: Axes, drifts: Sequence[Record]) -> None:
    axes.set_yticks(range(len(drifts)), [drift["family"] for drift in drifts])
    for label in axes.get_yticklabels():
        label.set(parse_math=False, gid=f"name:{label.get_text()}")
    axes.set_ylim(len(drifts) - 0.5, -0.5)
    axes.set_xlim(0, 1.0)
    axes.margins(x=0)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("stability rank   (0 = changed most, 1 = changed least)")


def _legend(*, published: bool) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        Line2D([], [], linestyle="", marker="o", markersize=3.0, markerfacecolor="none", markeredgecolor=style.BLUE,
               label="an H-Neuron"),
        Line2D([], [], color=style.INK, linewidth=1.6, label="mean"),
        Patch(facecolor=style.PALE_GREY, label="mean of their layers, 95 %"),
    ]  # fmt: skip
    if published:
        handles.append(
            Line2D([], [], linestyle="", marker="D", markersize=4.2, markerfacecolor="white",
                   markeredgecolor=style.ORANGE, label="published mean")
        )  # fmt: skip
    return handles


def caption(parts: Parts) -> list[str]:
    """Caption, then the numbers of every family and of the literature."""
    drifts = parts["drift"].records()
    lede = (
        f"Parameter evolution in {so_many_families(len(drifts))}: stability rank (0 = changed most, 1 = changed "
        "least) of every H-Neuron, their mean (bar) and that of as many neurons of the same layers (grey, 95 %). "
        "Beside each row: their change relative to like neurons and the permutation p that decides."
    )
    lede += diamonds("means", drawn=any(drift["family"] in published_numbers() for drift in drifts))
    return [lede, *map(_words, drifts), *_published_words(drifts), f"Drawn from {source(parts)}."]


def _words(drift: Record) -> str:
    if drift["ratio"] is None:
        return f"{drift['family']}: k = {drift['k']}, no power."
    return (
        f"{drift['family']}: k = {drift['k_compared']}, {interval(drift, 'ratio')} × the change of like neurons, "
        f"{p_words(drift['p_decides'])}, {verdict_words('drift', drift['verdict'])}; mean rank "
        f"{fixed(drift['mean_rank'], 3)}, of their layers {fixed(drift['null_mean'], 3)}."
    )


def _published_words(drifts: Sequence[Record]) -> list[str]:
    """Whether each published mean rank is possible with the number of neurons that was printed."""
    known: Mapping[str, Published] = published_numbers()
    return [published_check(known[drift["family"]]) for drift in drifts if drift["family"] in known]


def published_check(numbers: Published) -> str:
    """A printed mean rank, its printed p, and its p under uniform ranks for every possible number of neurons."""
    fewest, most = numbers.k
    low, high = numbers.p_uniform
    return (
        f"Published for {numbers.family}: mean rank {numbers.mean_rank}, printed p {numbers.p}; with k of {fewest} to "
        f"{most} neurons (from the printed share) the p under uniform ranks is {compact(low)} to {compact(high)}."
    )


def table(parts: Parts) -> Table:
    """The figure as a table."""
    known = published_numbers()
    header = ("family", "k", "× like neurons", "p", "verdict", "mean rank", "of their layers", "p (t, similarity)",
              "published mean")  # fmt: skip
    rows = [
        (
            drift["family"],
            str(drift["k"]),
            interval(drift, "ratio"),
            compact(drift["p_decides"]),
            drift["verdict"],
            fixed(drift["mean_rank"], 3),
            fixed(drift["null_mean"], 3),
            compact(drift["p_t_similarity"]),
            fixed(known[drift["family"]].mean_rank, 3) if drift["family"] in known else NOTHING,
        )
        for drift in parts["drift"].records()
    ]
    said = (
        "Stability of the H-Neurons over families: their change beside that of like neurons, with the p that decides, "
        "and their mean stability rank (0 = changed most, 1 = changed least) beside that of their layers."
    )
    return Table(said, header, rows)


FIGURE = GalleryFigure(
    order=3,
    name="study_figure_4b",
    title="Did the H-Neurons change less than others?",
    data={"ranks": ("h-neuron-ranks", {}), "drift": ("drift", {})},
    ready=lambda parts: bool(parts["drift"].rows),
    context=("study", "run", "drift"),
    draw=lambda parts: figure(parts["ranks"].records(), parts["drift"].records()),
    caption=caption,
    table=table,
)
