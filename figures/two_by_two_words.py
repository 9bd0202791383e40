"""The 2 x 2 figure in words: when it is drawn, its caption, and its table.

The one idea: a cell says which neurons, which answers and which prompt it rests on; none is called "the base's".
"""

from analyses.results.transfer import TransferCell
from figures.captions import Parts
from figures.declared import latex_table
from figures.evidence_words import pair_words, probe_k
from figures.figure_two_by_two import MAX_SETS, in_domain
from figures.latex import Table
from figures.words import list_words, source
from provenance.cells import Record, fixed, interval
from provenance.records import MARKS


def has_cells(parts: Parts) -> bool:
    """Whether the run looked at either."""
    return bool(parts["cells"].rows or parts["agreement"].rows)


def caption_two_by_two(parts: Parts) -> list[str]:
    """Caption of the 2 x 2 figure: what is drawn, then the numbers."""
    base, instruct = pair_words(parts)
    cells, agreement = parts["cells"].records(), parts["agreement"].records()
    lede = [
        f"Whose neurons, whose answers, whose prompt, whose labels: the probe of {instruct} (k = {probe_k(parts)}",
        f"H-Neurons, weights unchanged) on it and on {base}.",
        _matrix_words(cells),
        "Below: Cohen’s kappa of both models’ labels on the questions that both answered, and the AUROC on the base "
        "model’s own answers and labels, separately where the two models’ labels agree and where they differ; above "
        "0.5 there the probe follows the base’s labels, below it the instruct model’s. Intervals: 95 %, by question."
        if agreement
        else "",
        list_words(parts),
    ]
    more = len(agreement) - MAX_SETS
    words = [
        " ".join(part for part in lede if part),
        *(_cell_words(row) for row in (in_domain(cells) if cells else [])),
        *(_agreement_words(row) for row in agreement),
        f"{more} question sets have no line." if more > 0 else "",
        f"Drawn from {source(parts)}.",
    ]
    return [line for line in words if line]


def _matrix_words(cells: list[Record]) -> str:
    if not cells:
        return ""
    return (
        f"Top: AUROC on held-out answers to {in_domain(cells)[0]['dataset']}, with the labels of whoever answered, "
        "95 % interval by question, n faithful + hallucinated answers, and the 95th percentile of refitted random and "
        f"layer-matched neuron sets on the same rows. {MARKS['supported']}: the interval lies above 0.5 and above "
        f"both; {MARKS['not distinguishable']}: it does not. Grey: own answers in the own prompt."
    )


def _cell_words(row: Record) -> str:
    who = f"{row['activations']} neurons, {row['answers']} answers, {row['prompt']} prompt"
    lost = f"; could not be placed in that prompt: {row['n_dropped']}" if row["n_dropped"] else ""
    if row["auroc"] is None:
        return f"{who}: {row['reason'] or 'no power'}{lost}."
    n = f"n = {row['n_faithful']} faithful + {row['n_hallucinated']} hallucinated"
    bars = [
        f"{name} {fixed(row[f'{column}_p95'])}"
        for name, column in (("random", "random"), ("layer-matched", "layer_matched"))
        if row[f"{column}_p95"] is not None
    ]
    null = f", 95th percentile of neuron sets: {', '.join(bars)}" if bars else ""
    return f"{who}: {interval(row, 'auroc')}, {n}{null}{lost}."


def _agreement_words(row: Record) -> str:
    words = [
        f"{row['dataset']}: labels agree on {row['n_agree']} of {row['n_common']} questions",
        f"kappa {interval(row, 'kappa')}",
        f"AUROC where they agree {interval(row, 'auroc_agree')}",
        f"where they differ {interval(row, 'auroc_disagree')}",
        *([row["reason"]] if row["reason"] else []),
    ]
    return "; ".join(words) + "."


def table_two_by_two(parts: Parts) -> Table:
    """The cells as a table."""
    base, instruct = pair_words(parts)
    caption = (
        f"The probe of {instruct} (k = {probe_k(parts)}, weights unchanged) on its own neurons and on those of {base}, "
        "by whose answers they read and in whose prompt: AUROC with its 95 % interval by question, and the 95th "
        "percentile of refitted neuron sets."
    )
    return latex_table(TransferCell, parts["cells"].records(), caption)
