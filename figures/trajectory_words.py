"""The trajectory figure in words: when it is drawn, its caption, its table, and its title in a report.

The one idea: a point without a number says why, and the floor is said with every number that is read against it.
"""

from collections.abc import Mapping

from analyses.results.timeline import TracePoint
from db.reading.queries import QueryResult
from figures.captions import Parts
from figures.declared import latex_table
from figures.evidence_words import probe_k
from figures.figure_trajectory import checkpoints
from figures.latex import Table
from figures.words import first, source
from provenance.cells import Record, fixed, interval, p_cell


def has_trace(parts: Parts) -> bool:
    """Whether the run is a timeline."""
    return bool(parts["trace"].rows)


def caption_trajectory(parts: Parts) -> list[str]:
    """Caption of the trajectory figure: what is drawn, then the numbers."""
    rows = parts["trace"].records()
    points = checkpoints(rows)
    floor = next((row for row in rows if row["is_floor"]), None)
    lede = [
        f"{len(points)} checkpoints in order, seen with the probe of {first(parts['run'])['instruct']} (k =",
        f"{probe_k(parts)} H-Neurons, weights unchanged). Top: AUROC on the last checkpoint’s answers, which each one",
        "reads in its own prompt (circles: the same texts and labels all along), and on its own answers with its own",
        "labels (triangles); bars: 95 % bootstrap interval by question; short ticks: the higher 95th percentile of",
        "random and layer-matched neuron sets, refitted on the last checkpoint and scored the same way.",
        "Dotted, grey: the same texts read by a randomly initialised model, which is what they alone give away."
        if floor is not None and floor["forced"] is not None
        else "No randomly initialised model was measured."
        if floor is None
        else "What the same texts alone give away to a randomly initialised model could not be measured.",
        "Below: mean stability rank from each checkpoint to the last one (0 = changed most) of the H-Neurons (blue) "
        "and of neurons of the same layers (grey)."
        if any(row["mean_stability_rank"] is not None for row in points)
        else "",
        "Lowest: correlation of activations with the last checkpoint’s over the same tokens, mean over the H-Neurons "
        "(blue) and over all neurons (grey)."
        if any(row["correlation_h"] is not None for row in points)
        else "",
    ]
    return [
        " ".join(part for part in lede if part),
        *(_point_words(row) for row in ordered(rows)),
        f"Drawn from {source(parts)}.",
    ]


def _point_words(row: Record) -> str:
    n = f"n = {row['n_faithful']} faithful + {row['n_hallucinated']} hallucinated"
    words = [
        f"{row['ref']} ({row['prompt']} prompt): last checkpoint’s answers {interval(row, 'forced')}",
        f"own answers {interval(row, 'own')}, {n}",
    ]
    if row["mean_stability_rank"] is not None:
        null = f", null {fixed(row['null_mean'], 3)}" if row["null_mean"] is not None else ""
        words.append(f"mean rank {fixed(row['mean_stability_rank'], 3)}{null}, p {p_cell(row['p_value'])}")
    if row["correlation_h"] is not None:
        words.append(f"r {fixed(row['correlation_h'])} (all neurons {fixed(row['correlation_all'])})")
    if row["reason"]:
        words.append(row["reason"])
    return "; ".join(words) + "."


def trace_sentence(results: Mapping[str, QueryResult]) -> str:
    """A timeline in one sentence, which claims nothing beyond its numbers."""
    rows = results["trace"].records()
    points = checkpoints(rows)
    floor = next((row for row in rows if row["is_floor"]), None)
    ends = (
        f"AUROC {interval(points[0], 'forced')} at {points[0]['ref']} and {interval(points[-1], 'forced')} at "
        f"{points[-1]['ref']}"
    )
    against = f", against {interval(floor, 'forced')} at random initialisation" if floor else ""
    return (
        f"Along {len(points)} checkpoints the last one’s probe, weights unchanged, reads the last one’s answers with "
        f"{ends}{against}."
    )


READABLE = ("ref", "prompt", "forced", "forced_random_p95", "own", "own_random_p95", "n_faithful", "reason")
"""What can be read at one point."""
KEPT = (
    "ref", "mean_stability_rank", "null_mean", "p_value", "change_h", "change_all", "correlation_h", "correlation_all",
)  # fmt: skip
"""How much of weights and activations the last checkpoint shares with one point."""


def ordered(rows: list[Record]) -> list[Record]:
    """The floor, then the checkpoints in order."""
    return [*(row for row in rows if row["is_floor"]), *checkpoints(rows)]


def table_trajectory(parts: Parts) -> Table:
    """The timeline as a table, the floor first."""
    caption = (
        f"Checkpoints in order, seen with the probe of {first(parts['run'])['instruct']} (k = {probe_k(parts)}, "
        "weights unchanged): AUROC on the last checkpoint’s answers and on own answers with 95 % intervals by "
        "question, and the higher 95th percentile of random and layer-matched neuron sets; weights and activations "
        "from each to the last."
    )
    columns = (*READABLE[:-1], *KEPT[1:])
    return latex_table(TracePoint, ordered(parts["trace"].records()), caption, columns)
