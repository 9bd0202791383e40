"""Figure 4a over a study: AUROC of each instruct checkpoint's probe on its base model.

Source: Gao et al. 2025, arXiv:2512.01797, Fig. 4a; nulls, intervals and the mean over families are added here.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from provenance.cells import NOTHING, Record, fixed, interval, p_cell
from provenance.checkpoints.published_numbers import Published, of_dataset, published_numbers
from provenance.figures.drawing.family_panels import Entry, Words, family_panels
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.latex import Table
from provenance.figures.wording.run_words import Parts, captioned, has_power, source, verdict_words
from provenance.figures.wording.study_words import (
    diamonds,
    listed_p,
    mean_words,
    replicates_words,
    so_many_families,
)
from provenance.statistics.holm import holm
from provenance.statistics.meta_analysis import Pooled, pooled_intervals
from provenance.words import TRANSFER_NULLS

HALF_A_RESPONSE = 0.5  # keeps an AUROC of 1 from an infinite logit


def entries(rows: Sequence[Record]) -> list[Entry]:
    """One entry for each family and question set, from rows of `transfer` over the study."""
    published = published_numbers()
    return [_entry(row, published.get(row["family"])) for row in rows]


def _entry(row: Record, published: Published | None) -> Entry:
    number = None if published is None else of_dataset(published.transfer, row["dataset"])
    if not has_power(row):
        return Entry(row["family"], row["dataset"], None, published=number, note="no power")
    return Entry(
        row["family"],
        row["dataset"],
        row["auroc"],
        row["auroc_low"],
        row["auroc_high"],
        filled=row["verdict"] == "supported",
        null=strictest(row),
        published=number,
    )


def strictest(row: Record) -> tuple[float, float, float] | None:
    """Middle 95 % and mean of the null with the highest 95th percentile."""
    kinds = [kind for kind in TRANSFER_NULLS if row[f"{kind}_p95"] is not None]
    if not kinds:
        return None
    kind = max(kinds, key=lambda each: float(row[f"{each}_p95"]))
    return row[f"{kind}_low"], row[f"{kind}_mean"], row[f"{kind}_high"]


def pooled(rows: Sequence[Record]) -> dict[str, tuple[Pooled, np.ndarray]]:
    """Mean over families with power by question set, and the means without each; on the logit scale of AUROC."""
    found: dict[str, tuple[Pooled, np.ndarray]] = {}
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        used = [row for row in rows if row["dataset"] == dataset and has_power(row) and row["auroc_low"] is not None]
        intervals = [
            (_logit(row["auroc"], row), _logit(row["auroc_low"], row), _logit(row["auroc_high"], row)) for row in used
        ]
        mean = pooled_intervals(intervals)
        if mean is not None:
            found[dataset] = mean
    return found


def _logit(value: float, row: Record) -> float:
    least = HALF_A_RESPONSE / (row["n_faithful"] + row["n_hallucinated"])
    bounded = min(max(value, least), 1 - least)
    return math.log(bounded / (1 - bounded))


def share(logit: float) -> float:
    """AUROC of a logit."""
    return 1 / (1 + math.exp(-logit))


def figure(rows: Sequence[Record], drawn: Sequence[Record] = ()) -> Figure:
    """Draw a panel for each question set, from rows of `transfer` over the study, and those of single replicates."""
    means = {name: (share(p.mean), share(p.low), share(p.high)) for name, (p, _) in pooled(rows).items()}
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    words = Words(
        axis=dict.fromkeys(datasets, "AUROC on the base"),
        value="H-Neurons",
        null="strictest neuron sets: mean, 95 %",
        reference=dict.fromkeys(datasets, 0.5),
        dashed="chance",
        filled="readable in the base",
        hollow="not distinguishable",
    )
    return family_panels(entries(rows), means, words, entries(drawn))


def caption(parts: Parts) -> list[str]:
    """Caption, then the means over families and every number."""
    rows = parts["transfer"].records()
    count = len({row["family"] for row in rows})
    means = [f"{name}, mean over {mean_words(*found, share)}" for name, found in pooled(rows).items()]
    lede = captioned(
        f"Backward transfer in {so_many_families(count)}: AUROC of each instruct checkpoint’s probe, weights "
        "unchanged, on its base model’s own responses, with 95 % intervals.",
        replicates_words(parts["transfer"]),
        "Grey: the strictest of random neurons, layer-matched neurons and searches with shuffled labels.",
        diamonds("numbers", drawn=any(entry.published is not None for entry in entries(rows))),
        "Last row: the random-effects mean over families." if means else "",
    )
    return [*lede, *means, *map(_words, rows), *_holm_words(rows), f"Drawn from {source(parts)}."]


def _words(row: Record) -> str:
    if not has_power(row):
        return f"{row['family']}, {row['dataset']}: no power."
    n, verdict = f"n = {row['n_faithful']} + {row['n_hallucinated']}", verdict_words("transfer", row["verdict"])
    return f"{row['family']}, {row['dataset']}: {interval(row, 'auroc')}, {n}, {verdict}."


def over_families(rows: Sequence[Record]) -> dict[tuple[str, str], float]:
    """Largest p of each family and question set with power, after Holm's correction over all of them."""
    tested = [row for row in rows if has_power(row) and row["p_value"] is not None]
    adjusted = holm(np.array([row["p_value"] for row in tested], dtype=float)).tolist()
    return {(row["family"], row["dataset"]): p for row, p in zip(tested, adjusted, strict=True)}


def _holm_words(rows: Sequence[Record]) -> list[str]:
    found = over_families(rows)
    if not found:
        return []
    said = listed_p({", ".join(row): p for row, p in found.items()})
    return [f"Largest p of each, after Holm’s correction over families and question sets: {said}."]


def table(parts: Parts) -> Table:
    """The figure as a table."""
    rows, published = parts["transfer"].records(), published_numbers()
    corrected = over_families(rows)
    nulls = ("random", "layer-matched", "shuffled labels")
    header = ("family", "question set", "AUROC", *nulls, "p (Holm, all)", "verdict", "published")
    cells = [
        (
            row["family"],
            row["dataset"],
            interval(row, "auroc"),
            *(fixed(row[f"{prefix}_p95"]) for prefix in TRANSFER_NULLS),
            p_cell(corrected.get((row["family"], row["dataset"]))),
            row["verdict"],
            fixed(of_dataset(published[row["family"]].transfer, row["dataset"]))
            if row["family"] in published
            else NOTHING,
        )
        for row in rows
    ]
    said = (
        "Backward transfer over families: AUROC with its 95 % interval on the base model’s own responses, 95th "
        "percentile of refitted neuron sets, p after Holm’s correction over all rows, and the published AUROC."
    )
    return Table(f"{said} {replicates_words(parts['transfer'], '')}".strip(), header, cells)


FIGURE = GalleryFigure(
    order=2,
    name="study_figure_4a",
    title="Do the probes read the base models?",
    data={"transfer": ("transfer", {})},
    ready=lambda parts: bool(parts["transfer"].rows),
    context=("study", "run", "transfer"),
    draw=lambda parts: figure(parts["transfer"].records(), parts["transfer"].each_replicate()),
    caption=caption,
    table=table,
)
