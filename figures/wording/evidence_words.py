"""Evidence in words: names of nulls and baselines, power, claims and their conditions.

Figures, captions and tables share these names, and a number behind a verdict is always shown with its power.
"""

from collections.abc import Mapping, Sequence

from provenance.cells import NOTHING, Record, beside, compact
from provenance.db.reading.run_query import QueryResult
from provenance.figures.wording.run_words import CLAIMS, concept_of, first, verdict_words
from provenance.records import MARKS
from provenance.words import (
    BASELINES,
    JOINT_BASELINES,
    MATCHINGS,
    OUTCOMES,
    OVERLAP_NULLS,
    SETS,
    Concept,
    against_words,
    claim_words,
    detectable_words,
)

JOINT = "all_together"
_RELATIONS = {">=": "≥", "<=": "≤"}
LEVEL = 0.05  # of every test, as in the verdicts
_POWER = {
    "items": "independent items asked (those that ask the same count once)",
    "sets": "control sets of the rarest kind",
    "disturbance": "smaller over larger disturbance, of the H-Neurons and the kind of control sets that is nearest",
    "readable": "share of readable replies of the unchanged model",
}
"""Conditions of `compliance_curves.power_of`, but for the one whose change is another one in both claims."""

CONDITIONS: Mapping[str, str] = {
    "pair.neurons_correspond": "neurons of the pair correspond (1 = yes)",
    "transfer.questions_per_class": "independent groups of the rarer class",
    "transfer.others_auroc": "highest AUROC of what has to be beaten (of neuron sets their 95th percentile)",
    "transfer.p_holm": "largest p, after Holm’s correction",
    "beyond_confidence.transfer_p_holm": "largest p of transfer, after Holm’s correction",
    "beyond_confidence.others_auroc": "AUROC of length, texts and log-probability together",
    "beyond_confidence.gain": "AUROC gained over length, texts and log-probability together",
    "beyond_confidence.p_holm": "p of this gain, after Holm’s correction",
    "own_labels.auroc_low": "lower end of the AUROC where labels differ",
    "function.questions_per_class": "independent groups of the rarer class",
    "function.sets": "control sets of the rarer kind",
    "function.selectivity.p_holm": "largest p, after Holm’s correction",
    "own_labels.transfer_p_holm": "largest p of transfer, after Holm’s correction",
    "overlap.detectable": "shared neurons found with 80 % power, strictest null",
    "drift.recognised": "share of H-Neurons that are still the same neuron",
    "drift.compared": "share of H-Neurons that were compared with like neurons of their layers",
    "overlap.p_zero": "probability that chance shares none",
    **{f"compliance.{end}": words for end, words in _POWER.items()},
    "compliance.decidable": "largest difference of the unreadable share between two factors, against what it could "
    "hide: the change of the yielding share over all factors, or half its interval",
    "compliance.slope": "lower end of the slope of yielding over the factor",
    "compliance.p_holm": "largest p, after Holm’s correction over the benchmarks",
    "compliance.unreadable": "slope of yielding, against that of unreadable replies",
    "patching.same_tokens": "token ids mean the same in both models (1 = yes)",
    "patching.options": "replies are options (1 = yes)",
    **{f"patching.{end}": words for end, words in _POWER.items()},
    "patching.decidable": "change of the unreadable share, against what it could hide: the change of the yielding "
    "share, or half its interval",
    "patching.effect": "nearer end of the change of the log-odds of yielding, away from 0",
    "patching.p_holm": "largest p, after Holm’s correction over the benchmarks",
}
"""Conditions of claims, by code."""


def power_rows(power: QueryResult, claim: str, dataset: str | None = None) -> list[Record]:
    """Power of the tests of one claim, on one question set if it is named."""
    return [row for row in power.records() if row["claim"] == claim and dataset in (None, row["dataset"])]


def drift_power_rows(power: QueryResult) -> list[Record]:
    """Power of the tests of the H-Neurons' Delta, which decide; the table of power has other measures and sides."""
    return [row for row in power_rows(power, "drift") if str(row["test"]).startswith("delta")]


def power_sentence(rows: Sequence[Record]) -> str:
    """k, SD under each null and smallest detectable value, for the tests of one claim; empty without any."""
    # Unknown for nested models: their SD is not that of a probe that adds information.
    rows = [row for row in rows if not (row["test"] in JOINT_BASELINES and row["smallest_detectable"] is None)]
    if not rows:
        return ""
    n = f", n = {rows[0]['n']}" if rows[0]["n"] else ""
    each = (f"{detectable_words(row)} against {against_words(row)} (SD {compact(row['sd'])})" for row in rows)
    unit = rows[0]["unit"]
    end = "Largest" if unit == "factor of change" else "Smallest"
    counted = "number of " if unit == "shared neurons" else ""
    return f"{end} {counted}{unit} found with 80 % power (k = {_ks(rows)}{n}): {', '.join(each)}."


def _ks(rows: Sequence[Record]) -> str:
    found = sorted({int(row["k"]) for row in rows})
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def reason_words(code: str) -> str:
    """The condition behind a code such as `transfer.p.question_text`, in words; an unknown code unchanged."""
    if code in CONDITIONS:
        return CONDITIONS[code]
    claim, _, rest = code.partition(".")
    kind, _, what = rest.partition(".")
    alpha, _, sets = what.partition(".")
    # Silent neurons are expected to lower it, amplified ones to raise it.
    end = "upper" if alpha == "alpha_0" else "lower"
    beside = f"p against {SETS.get(sets, sets)}" if sets else f"{end} end of the interval"
    words = {
        (claim, "p"): f"{_MEASURED.get(claim, '')}p against {_against(claim, what)}",
        ("drift", "detectable"): f"largest factor found with 80 % power, same {MATCHINGS.get(what, what)}",
        (claim, "reads"): f"lower end of the {what} probe’s AUROC on its own model",
        ("function", kind): f"{OUTCOMES.get(kind, kind)}, α = {alpha.removeprefix('alpha_')}: {beside}",
    }
    return words.get((claim, kind), code) if what else code


_MEASURED = {"compliance": "slope: ", "patching": "change: "}


def _against(claim: str, kind: str) -> str:
    """What a condition of a claim stands against, in words."""
    if claim == "drift":
        return f"neurons of the same {MATCHINGS.get(kind, kind)}"
    return ({**BASELINES, **SETS} if claim != "overlap" else OVERLAP_NULLS).get(kind, kind)


def decided_words(claim: Record) -> str:
    """The condition that decided a claim in words, with what it stands against where its code and bar do not say."""
    code, against = claim["decided_by"], claim["against"]
    said = reason_words(code)
    barred = claim["relation"] == ">" and against == "chance"
    named = not against or barred or code.endswith(f".{against}") or against in JOINT_BASELINES
    return said if named else f"{said}, against {_against(code.partition('.')[0], against)}"


def claim_table(results: Mapping[str, QueryResult]) -> list[Record]:
    """Each claim with its verdict and all its conditions, in words; empty for runs that stored none."""
    concept = concept_of(results)
    reasons = results["reasons"].records()
    return [
        {
            "claim": row["claim"],
            "question": concept.worded(claim_words(row["claim"], CLAIMS)),
            "mark": MARKS.get(row["verdict"], NOTHING),
            "verdict": row["verdict"],
            "words": verdict_words(row["claim"], row["verdict"]),
            "dataset": row["dataset"],
            "numbers": row["words"],
            "reasons": [_reason(reason, concept) for reason in reasons if reason["claim"] == row["claim"]],
        }
        for row in results["claims"].records()
    ]


def _reason(row: Record, concept: Concept) -> Record:
    holds = "not measured" if row["holds"] is None else "yes" if row["holds"] else "no"
    return {
        "code": row["code"],
        "words": concept.worded(reason_words(row["code"])),
        "dataset": row["dataset"] or NOTHING,
        "value": "none" if row["value"] is None and row["holds"] is not None else beside(row["value"], row["bar"]),
        "bar": f"{_RELATIONS.get(row['relation'], row['relation'])} {row['bar']:g}",
        "holds": holds,
    }


def probe_k(parts: Mapping[str, QueryResult]) -> int:
    """Number of H-Neurons of the instruct checkpoint."""
    row = next((row for row in parts["probes"].records() if row["stage"] == "instruct"), None)
    return int(row["n_h_neurons"]) if row else 0


def probe_words(parts: Mapping[str, QueryResult]) -> str:
    """Numbers of H-Neurons and of weights of the instruct checkpoint's probe."""
    row = next((row for row in parts["probes"].records() if row["stage"] == "instruct"), None)
    return f"k = {probe_k(parts)} H-Neurons, {row['n_neurons'] if row else 0} neurons with a weight"


def pair_words(parts: Mapping[str, QueryResult]) -> tuple[str, str]:
    """Names of the run's base and instruct checkpoint."""
    run = first(parts["run"])
    return str(run["base"]), str(run["instruct"])
