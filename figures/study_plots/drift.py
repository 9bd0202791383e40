"""Change of the H-Neurons relative to like neurons over a study, with the mean over families."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from provenance.cells import Record, interval, p_cell
from provenance.figures.drawing.family_panels import Entry, Words, family_panels
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.latex import Table
from provenance.figures.wording.run_words import Parts, captioned, source
from provenance.figures.wording.study_words import counted, listed_p, mean_words, replicates_words, so_many_families
from provenance.statistics.holm import holm
from provenance.statistics.meta_analysis import Pooled, pooled_intervals

PANEL = "change relative to like neurons"


def measured(rows: Sequence[Record]) -> list[Record]:
    """Rows of the query `drift` with a ratio and its interval, which are above 0."""
    return [row for row in rows if row["ratio"] and row["ratio_low"] and row["ratio_high"]]


def pooled(rows: Sequence[Record]) -> tuple[Pooled, np.ndarray] | None:
    """Mean log ratio over families, and the means without each; None with fewer than two."""
    return pooled_intervals(
        [(math.log(row["ratio"]), math.log(row["ratio_low"]), math.log(row["ratio_high"])) for row in measured(rows)]
    )


def entries(rows: Sequence[Record]) -> list[Entry]:
    """One entry for each row of the query `drift`."""
    return [
        Entry(row["family"], PANEL, row["ratio"], row["ratio_low"], row["ratio_high"], row["verdict"] == "supported")
        if row in measured(rows)
        else Entry(row["family"], PANEL, None, note="no power")
        for row in rows
    ]


def figure(rows: Sequence[Record], drawn: Sequence[Record] = ()) -> Figure:
    """Draw the ratio of every family on a logarithmic axis, and those of single replicates."""
    found = pooled(rows)
    mean = {} if found is None else {PANEL: (math.exp(found[0].mean), math.exp(found[0].low), math.exp(found[0].high))}
    words = Words(
        axis={PANEL: "1 − cosine, × that of like neurons"},
        value="H-Neurons",
        null="",
        reference={PANEL: 1.0},
        dashed="as much as like neurons",
        logarithmic=frozenset({PANEL}),
        filled="weights kept",
        hollow="not distinguishable",
    )
    return family_panels(entries(rows), mean, words, entries(drawn))


def caption(parts: Parts) -> list[str]:
    """Caption, the mean over families, and the numbers of each."""
    rows = parts["drift"].records()
    found, drawn = pooled(rows), parts["drift"].each_replicate()
    lede = captioned(
        f"Change of the H-Neurons’ weights in {so_many_families(len(rows))}, relative to neurons of like layer, norm "
        "and activity, with 95 % intervals; below 1 they were kept.",
        replicates_words(parts["drift"]),
        "Last row: the random-effects mean." if found else "",
    )
    means = [f"Mean over {mean_words(*found, math.exp)}"] if found else []
    words = [
        f"{row['family']}: {interval(row, 'ratio')}, k = {counted(row, drawn, 'k_compared')}." for row in measured(rows)
    ]
    return [*lede, *means, *words, *_holm_words(rows), f"Drawn from {source(parts)}."]


def _holm_words(rows: Sequence[Record]) -> list[str]:
    tested = [row for row in measured(rows) if row["p_decides"] is not None]
    adjusted = holm(np.array([row["p_decides"] for row in tested], dtype=float)).tolist()
    said = listed_p({row["family"]: p for row, p in zip(tested, adjusted, strict=True)})
    return [f"p of each after Holm’s correction over families: {said}."] if tested else []


def table(parts: Parts) -> Table:
    """The figure as a table."""
    header = ("family", "k", "× like neurons", "p", "verdict")
    drawn = parts["drift"].each_replicate()
    rows = [
        (
            row["family"],
            counted(row, drawn, "k_compared"),
            interval(row, "ratio"),
            p_cell(row["p_decides"]),
            row["verdict"],
        )
        for row in measured(parts["drift"].records())
    ]
    said = f"Change of the H-Neurons relative to like neurons, by family. {replicates_words(parts['drift'], '')}"
    return Table(said.strip(), header, rows)


FIGURE = GalleryFigure(
    order=4,
    name="study_drift",
    title="How far did the H-Neurons move, beside like neurons?",
    data={"drift": ("drift", {})},
    ready=lambda parts: bool(measured(parts["drift"].records())),
    context=("study", "run", "drift"),
    draw=lambda parts: figure(parts["drift"].records(), parts["drift"].each_replicate()),
    caption=caption,
    table=table,
)
