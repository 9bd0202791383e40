"""The ladder figure in words: when it is drawn, its caption, and its table.

The one idea: a rung that was not beaten stands beside what could have been found on it.
"""

from analyses.results.transfer import Rung
from figures.captions import Parts
from figures.declared import latex_table
from figures.evidence_words import JOINT, pair_words, power_rows, power_sentence, probe_k, probe_words
from figures.figure_ladder import MAX_PANELS, drawn_sets, with_power
from figures.latex import Table
from figures.words import has_power, list_words, power_words, source
from provenance.cells import Record, interval, p_cell
from provenance.words import baseline_words


def has_ladder(parts: Parts) -> bool:
    """Whether anything was held against the probe on a question set with power."""
    return bool(with_power(parts["ladder"].records(), parts["transfer"].records()))


def caption_ladder(parts: Parts) -> list[str]:
    """Caption of the ladder figure: what is drawn, then the numbers."""
    base, instruct = pair_words(parts)
    rungs, transfer = parts["ladder"].records(), parts["transfer"].records()
    lede = [
        f"What the transfer of the probe of {instruct} ({probe_words(parts)}) to {base} has to beat.",
        "Left: AUROC on the base model’s own answers, with 95 % bootstrap intervals by question, of the probe, weights",
        "unchanged, and of each baseline.",
        _set_words(rungs),
        "Right: AUROC of the probe minus that of the baseline, paired by question, with its interval and one-sided p",
        "after Holm’s correction over the question sets with power.",
        "Lowest: logistic regressions on lengths and texts, without and with the log-probability, and what adding the"
        " probe to them gains."
        if any(row["kind"] == JOINT for row in rungs)
        else "",
        list_words(parts),
    ]
    return [
        " ".join(part for part in lede if part),
        *(_one_set(row, parts) for row in transfer if row["dataset"] in drawn_sets(rungs, transfer)),
        *_left_out(rungs, transfer),
        f"Drawn from {source(parts)}.",
    ]


def _set_words(rungs: list[Record]) -> str:
    draws = max((row["draws"] for row in rungs), default=0)
    if not draws:
        return ""
    return (
        f"Grey: the middle 95 % of {draws} sets of as many neurons as the probe has weights, refitted on the same rows "
        "and transferred the same way; orange: their 95th percentile; square and gain: their mean, whereas p counts "
        "single sets."
    )


def _one_set(row: Record, parts: Parts) -> str:
    """One question set: n, the gain over each rung, and what could have been found."""
    name = row["dataset"]
    gains = [
        f"{baseline_words(rung['kind'])} {interval(rung, 'gain')} (p {p_cell(rung['p_holm'])})"
        for rung in parts["ladder"].records()
        if rung["dataset"] == name and rung["gain"] is not None
    ]
    n = f"n = {row['n_faithful']} faithful + {row['n_hallucinated']} hallucinated"
    words = f"{name}: AUROC {interval(row, 'auroc')}, {n}; gain over {', '.join(gains) or 'nothing that was computed'}."
    return " ".join(part for part in (words, power_sentence(power_rows(parts["power"], "transfer", name))) if part)


def _left_out(rungs: list[Record], transfer: list[Record]) -> list[str]:
    words = [f"{row['dataset']}: {power_words(row)}." for row in transfer if not has_power(row)]
    more = len(with_power(rungs, transfer)) - MAX_PANELS
    if more > 0:
        words.append(f"{more} more question set{'s' if more > 1 else ''} without a panel: see the table.")
    return words


def table_ladder(parts: Parts) -> Table:
    """The ladder as a table, with the question sets that have no panel."""
    base, instruct = pair_words(parts)
    caption = (
        f"What the transfer of the probe of {instruct} (k = {probe_k(parts)}) to {base} has to beat: AUROC of each "
        "baseline on the base model’s own answers, gain of the probe over it (95 % intervals by question), and "
        "one-sided p before and after Holm’s correction."
    )
    return latex_table(Rung, ladder_records(parts["ladder"].records(), parts["transfer"].records()), caption)


def ladder_records(rungs: list[Record], transfer: list[Record]) -> list[Record]:
    """Of every question set the probe itself, as if it were a rung, then each rung."""
    found: list[Record] = []
    for row in transfer:
        if not has_power(row):
            found.append({**_NO_RUNG, "dataset": row["dataset"], "kind": "the probe: no power"})
            continue
        own = {name: row[name] for name in ("auroc", "auroc_low", "auroc_high", "p_value", "p_holm", "dataset")}
        found.append({**_NO_RUNG, **own, "kind": "probe"})
        found += [rung for rung in rungs if rung["dataset"] == row["dataset"]]
    return found


_NO_RUNG: Record = dict.fromkeys(("auroc", "gain", "p_value", "p_holm", "sets_p95")) | {"draws": 0}
