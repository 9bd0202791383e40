"""Figure 4b over a study: the stability rank of every H-Neuron, a row for each family.

Source: Gao et al. 2025, arXiv:2512.01797, Fig. 4b; the layer-matched null, and the test that decides, are added here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from provenance.cells import NOTHING, Record, compact, fixed, interval
from provenance.checkpoints.published_numbers import Published, published_numbers
from provenance.db.reading.run_query import QueryResult
from provenance.figures.drawing import style
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.latex import Table
from provenance.figures.wording.run_words import Parts, captioned, p_words, source, verdict_words
from provenance.figures.wording.study_words import counted, diamonds, replicates_words, so_many_families
from provenance.table_declaration import MEMBER, REPLICATE

ROW_IN = 0.42
LANES = 3  # of single replicates that a row of this height has room for
FRAME_IN = 0.82
_JITTER = 0.22  # circles of one family lie in a band of this half-width
_APART = 0.8  # of it, where replicates have a band each
_REACH = 0.36  # half-width of the null, and of the mean
_GOLDEN = 0.6180339887498949  # neighbours in rank get places far apart


@dataclass(frozen=True)
class Lane:
    """The H-Neurons of a family, or of one of its replicates."""

    ranks: Sequence[Record]
    drift: Record


def lanes_of(name: str, ranks: QueryResult, drift: QueryResult) -> list[Lane]:
    """The replicates of a family, from queries over the study; the family itself where it has one draw."""
    drawn = [row for row in drift.each_replicate() if row[MEMBER] == name]
    found = [row for row in ranks.each_replicate() if row[MEMBER] == name]
    if drawn:
        return [Lane([rank for rank in found if rank[REPLICATE] == row[REPLICATE]], row) for row in drawn]
    return [
        Lane([rank for rank in ranks.records() if rank[MEMBER] == name], row)
        for row in drift.records()
        if row[MEMBER] == name
    ]


def figure(ranks: QueryResult, drift: QueryResult) -> Figure:
    """Draw a circle for every H-Neuron, the mean of each family and that of its layers.

    Replicates lie above one another in the row of their family, each with a thin mark at its mean.

    Args:
        ranks: Result of the query `h-neuron-ranks` over the study.
        drift: Result of the query `drift` over the study.
    """
    published, drifts = published_numbers(), drift.records()
    lanes = {row[MEMBER]: lanes_of(row[MEMBER], ranks, drift) for row in drifts}
    most = max(map(len, lanes.values()), default=1)
    with style.paper():
        height = FRAME_IN + ROW_IN * len(drifts) * max(1.0, most / LANES)
        figure = Figure(figsize=(style.page_in(), height), layout="constrained")
        axes = figure.add_subplot()
        for position, row in enumerate(drifts):
            beside = _beside(row, drift.each_replicate())
            _row(axes, position, row, lanes[row[MEMBER]], published.get(row[MEMBER]), beside)
        _frame(axes, drifts)
        shown = any(row[MEMBER] in published for row in drifts)
        handles = _legend(published=shown, replicates=most > 1)
        figure.legend(
            handles=handles, loc="outside lower center", ncols=len(handles), borderaxespad=0.1, handlelength=1.4,
            columnspacing=1.2,
        )  # fmt: skip
    return figure


def _row(
    axes: Axes, position: int, drift: Record, lanes: Sequence[Lane], published: Published | None, beside: str
) -> None:
    name = drift["family"]
    half = _JITTER / len(lanes)
    for number, lane in enumerate(lanes, 1):
        middle = position - _JITTER + half * (2 * number - 1)
        if len(lanes) == 1:
            _circles(axes, middle, half, lane.ranks, f"ranks:{name}")
            continue
        _circles(axes, middle, half * _APART, lane.ranks, f"ranks:{name}:{number}")
        if lane.drift["mean_rank"] is not None:
            axes.plot([lane.drift["mean_rank"]] * 2, [middle - half, middle + half], color=style.INK, linewidth=0.9,
                      gid=f"mean:{name}:{number}", zorder=4)  # fmt: skip
    if drift["null_mean"] is not None:
        reach = style.NORMAL_95 * drift["null_sd"]
        axes.add_patch(
            Rectangle(
                (drift["null_mean"] - reach, position - _REACH), 2 * reach, 2 * _REACH, facecolor=style.PALE_GREY,
                edgecolor="none", zorder=0, gid=f"null:{name}",
            )
        )  # fmt: skip
    if drift["mean_rank"] is not None:
        axes.plot([drift["mean_rank"]] * 2, [position - _REACH, position + _REACH], color=style.INK, linewidth=1.6,
                  gid=f"mean:{name}")  # fmt: skip
    if published is not None:
        axes.plot(
            published.mean_rank, position, "D", markersize=4.2, markerfacecolor="white", zorder=5,
            markeredgecolor=style.ORANGE, markeredgewidth=1.0, gid=f"published:{name}",
        )  # fmt: skip
    axes.text(1.03, position, beside, fontsize=style.SMALL_PT, va="center", gid=f"words:{name}")


def _circles(axes: Axes, middle: float, half: float, ranks: Sequence[Record], name: str) -> None:
    """A circle for each neuron with a rank, in a band around `middle`."""
    values = np.sort([row["stability_rank"] for row in ranks if row["stability_rank"] is not None])
    places = middle + half * (2 * ((np.arange(values.size) * _GOLDEN) % 1) - 1)
    axes.plot(
        values, places, "o", markersize=3.0, markerfacecolor="none", markeredgecolor=style.BLUE, markeredgewidth=0.6,
        alpha=float(np.clip(60 / max(values.size, 1), 0.3, 1.0)), gid=name,
    )  # fmt: skip


def _beside(drift: Record, drawn: Sequence[Record]) -> str:
    """The number that decides, in two lines."""
    k = counted(drift, drawn, "k")
    if drift["ratio"] is None:
        return f"k = {k}\nno power"
    return f"k = {k}, {fixed(drift['ratio'])} × like neurons\n{p_words(drift['p_decides'])}, {drift['verdict']}"


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


def _legend(*, published: bool, replicates: bool) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        Line2D([], [], linestyle="", marker="o", markersize=3.0, markerfacecolor="none", markeredgecolor=style.BLUE,
               label="an H-Neuron"),
        Line2D([], [], color=style.INK, linewidth=1.6, label="mean"),
        Patch(facecolor=style.PALE_GREY, label="mean of their layers, 95 %"),
    ]  # fmt: skip
    if replicates:
        handles.insert(2, Line2D([], [], color=style.INK, linewidth=0.9, label="mean of a replicate"))
    if published:
        handles.append(
            Line2D([], [], linestyle="", marker="D", markersize=4.2, markerfacecolor="white",
                   markeredgecolor=style.ORANGE, label="published mean")
        )  # fmt: skip
    return handles


def caption(parts: Parts) -> list[str]:
    """Caption, then the numbers of every family and of the literature."""
    drifts = parts["drift"].records()
    lede = captioned(
        f"Parameter evolution in {so_many_families(len(drifts))}: stability rank (0 = changed most, 1 = changed "
        "least) of every H-Neuron, their mean (bar) and that of as many neurons of the same layers (grey, 95 %).",
        replicates_words(parts["drift"], "thin bars"),
        "Beside each row: their change relative to like neurons and the permutation p that decides.",
        diamonds("means", drawn=any(drift["family"] in published_numbers() for drift in drifts)),
    )
    words = [_words(drift, parts["drift"].each_replicate()) for drift in drifts]
    return [*lede, *words, *_published_words(drifts), f"Drawn from {source(parts)}."]


def _words(drift: Record, drawn: Sequence[Record]) -> str:
    if drift["ratio"] is None:
        return f"{drift['family']}: k = {counted(drift, drawn, 'k')}, no power."
    k = counted(drift, drawn, "k_compared")
    return (
        f"{drift['family']}: k = {k}, {interval(drift, 'ratio')} × the change of like neurons, "
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
    known, drawn = published_numbers(), parts["drift"].each_replicate()
    header = ("family", "k", "× like neurons", "p", "verdict", "mean rank", "of their layers", "p (t, similarity)",
              "published mean")  # fmt: skip
    rows = [
        (
            drift["family"],
            counted(drift, drawn, "k"),
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
    return Table(f"{said} {replicates_words(parts['drift'], '')}".strip(), header, rows)


FIGURE = GalleryFigure(
    order=3,
    name="study_figure_4b",
    title="Did the H-Neurons change less than others?",
    data={"ranks": ("h-neuron-ranks", {}), "drift": ("drift", {})},
    ready=lambda parts: bool(parts["drift"].rows),
    context=("study", "run", "drift"),
    draw=lambda parts: figure(parts["ranks"], parts["drift"]),
    caption=caption,
    table=table,
)
