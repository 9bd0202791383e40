"""Captions and tables of Figures 4a and 4b, computed from the rows that are drawn, with n, k, interval and null."""

from collections.abc import Mapping

from provenance.cells import Record, compact, fixed, interval, p_cell
from provenance.db.reading.queries import QueryResult
from provenance.figures.evidence_words import drift_power_rows, power_rows, power_sentence
from provenance.figures.tables.latex import Table
from provenance.figures.words import (
    first,
    has_power,
    list_words,
    null_words,
    p_words,
    power_words,
    problem_words,
    source,
    verdict_words,
)

Parts = Mapping[str, QueryResult]


def caption_4a(parts: Parts) -> list[str]:
    """Caption of Figure 4a: a description, then the numbers."""
    run, rows = first(parts["run"]), parts["transfer"].records()
    probe = next((row for row in parts["probes"].records() if row["stage"] == "instruct"), None)
    k, weights = (probe["n_h_neurons"], probe["n_neurons"]) if probe else (0, 0)
    lede = [
        f"Backward transfer from {run['instruct']} to {run['base']}. AUROC of the instruct checkpoint’s probe",
        f"({weights} neurons with a weight, k = {k} of them H-Neurons; weights unchanged) on the base model’s own",
        "responses.",
        "Points: AUROC with its 95 % bootstrap interval by question; filled where it beats chance, both nulls, answer",
        "length and texts, alone and together, after Holm’s correction over question sets.",
        f"Bands: the middle 95 % of refits on {weights} random neurons",
        "(hatched) and layer-matched neurons (grey), transferred the same way, with their mean.",
        list_words(parts),
    ]
    return [
        " ".join(part for part in lede if part),
        *(_transfer_words(row, parts) for row in rows),
        f"Drawn from {source(parts)}.",
    ]


def _transfer_words(row: Record, parts: Parts) -> str:
    if not has_power(row):
        return f"{row['dataset']}: {power_words(row)}."
    n = f"n = {row['n_faithful']} faithful + {row['n_hallucinated']} hallucinated"
    words = [f"{row['dataset']}: {interval(row, 'auroc')}, {n}"]
    words += [
        f"{name} null {null_words(row, prefix)} over {row[f'{prefix}_draws']} draws"
        for name, prefix in (("random", "random"), ("layer-matched", "matched"))
        if row[f"{prefix}_mean"] is not None
    ]
    if row["p_holm"] is not None:
        words.append(f"largest p {p_cell(row['p_value'])}, after Holm’s correction {p_cell(row['p_holm'])}")
    said = "; ".join([*words, verdict_words("transfer", row["verdict"])]) + "."
    return f"{said} {power_sentence(power_rows(parts['power'], 'transfer', row['dataset']))}".rstrip()


def table_4a(parts: Parts) -> Table:
    """Figure 4a as a table."""
    run = first(parts["run"])
    caption = (
        f"Backward transfer from {run['instruct']} to {run['base']}: AUROC with its 95 % interval by question, and the "
        "same for refits on random and layer-matched neurons (mean and middle 95 % of draws)."
    )
    header = ("question set", "AUROC", "random", "layer-matched", "faithful", "halluc.", "verdict")
    rows = [
        (
            row["dataset"],
            interval(row, "auroc"),
            null_words(row, "random"),
            null_words(row, "matched"),
            str(row["n_faithful"]),
            str(row["n_hallucinated"]),
            row["verdict"],
        )
        for row in parts["transfer"].records()
    ]
    return Table(caption, header, rows)


def caption_4b(parts: Parts) -> list[str]:
    """Caption of Figure 4b: a description, then the numbers."""
    drift, run = first(parts["drift"]), first(parts["run"])
    total = sum(row["neurons"] for row in parts["bins"].records())
    unmapped = first(parts["alignment"]).get("n_unmapped", 0)
    dashed = f"with a counterpart in the base (dashed; {unmapped} others have none)" if unmapped else "(dashed)"
    lede = [
        f"Parameter evolution from {run['base']} to {run['instruct']}. Cumulative distribution of the stability rank",
        f"(0 = changed most, 1 = changed least) of all {total} neurons {dashed} and of the",
        f"k = {drift['k']} H-Neurons (line; one tick each below). Diamond: their mean. Bar: the mean rank of as many",
        "random neurons of the same layers, exact mean and 1.96 SD around it.",
        list_words(parts),
        problem_words(parts),
    ]
    words = [
        " ".join(part for part in lede if part),
        _drift_words(drift),
        power_sentence(drift_power_rows(parts["power"])),
        _unranked_words(parts),
        f"Drawn from {source(parts)}.",
    ]
    return [line for line in words if line]


def _unranked_words(parts: Parts) -> str:
    """Number of H-Neurons without a rank, since the base has no such neuron."""
    missing = sum(row["stability_rank"] is None for row in parts["ranks"].records())
    return f"{missing} of the H-Neurons have no counterpart in the base and no rank." if missing else ""


def _drift_words(drift: Record) -> str:
    if not drift["k"]:
        return "There are no H-Neurons, so there is no power."
    if drift["mean_rank"] is None:
        return "No H-Neuron has a counterpart in the base, so there is no power."
    words = [f"Mean rank {fixed(drift['mean_rank'], 3)}, k = {drift['k']}."]
    if drift["null_mean"] is not None:
        words += [
            f"Layer-matched null {fixed(drift['null_mean'], 3)} (SD {fixed(drift['null_sd'], 3)}); one-sided",
            f"permutation {p_words(drift['p_layer'])}, Welch t-test against all others {p_words(drift['p_t'])}.",
        ]
    words += [
        f"Uniform null’s SD {fixed(drift['uniform_sd'], 3)};",
        f"smallest mean rank detectable with 80 % power {fixed(drift['smallest_detectable'], 3)}.",
        f"Verdict: {verdict_words('drift', drift['verdict'])}.",
    ]
    return " ".join(words)


def table_4b(parts: Parts) -> Table:
    """Figure 4b as a table."""
    drift, run = first(parts["drift"]), first(parts["run"])
    caption = (
        f"Stability of the k = {drift['k']} H-Neurons from {run['base']} to {run['instruct']}: mean stability rank "
        "(0 = changed most, 1 = changed least) against as many neurons of the same layers."
    )
    caption = " ".join(part for part in (caption, list_words(parts), problem_words(parts)) if part)
    header = ("k", "mean rank", "layer-matched null", "effect", "p (permutation)", "p (t)", "identical", "verdict")
    row = (
        str(drift["k"]),
        fixed(drift["mean_rank"], 3),
        fixed(drift["null_mean"], 3),
        interval(drift, "effect", 3),
        compact(drift["p_layer"]),
        compact(drift["p_t"]),
        fixed(drift["share_identical"], 3),
        drift["verdict"],
    )
    return Table(caption, header, [row])
