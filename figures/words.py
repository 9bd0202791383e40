"""Numbers and verdicts in words: one place for how results are put.

The one idea: a verdict is worded no stronger than what was measured. A probe that
works on the base model shows what is readable there, not what the base model uses.
"""

from collections.abc import Mapping
from typing import Any, Literal

from db.queries import QueryResult

Record = dict[str, Any]
RunKind = Literal["comparison", "listed", "drift", "lineage"]
"""With a forward pass; weights only, about a list of neurons or about all; lineage alone."""

TITLES: Mapping[RunKind, str] = {
    "comparison": "Were the H-Neurons of {instruct} already in {base}?",
    "listed": "How far did the listed neurons of {instruct} move from {base}?",
    "drift": "How far did the neurons of {instruct} move from {base}?",
    "lineage": "Is {instruct} a descendant of {base}?",
}

CLAIMS = {
    "transfer": "Does the probe read the base model?",
    "drift": "Did the H-Neurons change less than others?",
    "overlap": "Does the base model have the same H-Neurons?",
}

_VERDICTS = {
    ("transfer", "supported"): "readable in the base model",
    ("drift", "supported"): "changed less than neurons of the same layers",
    ("overlap", "supported"): "more neurons shared than chance gives",
}
MARKS = {"supported": "●", "not distinguishable": "○", "no power": "–"}
"""A verdict's sign, so that none rests on colour."""
NOTHING = "–"


def run_kind(results: Mapping[str, QueryResult]) -> RunKind:
    """What a run looked at, from what it stored: its queries `drift` and `neuron-list`."""
    if not results["drift"].rows:
        return "lineage"
    given = first(results["neuron-list"])
    if not given or given["is_compared"]:
        return "comparison"
    return "listed" if given["n_neurons"] else "drift"


def list_words(results: Mapping[str, QueryResult]) -> str:
    """Where neurons that were not searched for come from; empty where they were."""
    kind, given = run_kind(results), first(results["neuron-list"])
    if kind == "comparison" and given:
        return f"The H-Neurons of the instruct checkpoint were not searched for: they are those of {given['source']}."
    if kind == "listed":
        return (
            f"No forward pass was run: the k = {given['n_neurons']} H-Neurons are those of {given['source']}, and "
            "whether they are related to hallucination was not tested here."
        )
    if kind == "drift":
        return "No forward pass was run, and no list of neurons was given: this is about all neurons."
    if kind == "lineage":
        return "Only weights, settings and tokenizers were read; no forward pass was run."
    return ""


def problem_words(results: Mapping[str, QueryResult]) -> str:
    """Why neurons were compared with the wrong ones, as far as is known; empty where they were not."""
    reason = first(results["alignment"]).get("reason")
    return f"Not to be trusted, neurons were compared by position only: {reason}." if reason else ""


def verdict_words(claim: str, verdict: str | None) -> str:
    """A verdict as the toolkit words it."""
    if verdict is None:
        return NOTHING
    if verdict == "not distinguishable":
        return "not distinguishable from the null"
    return _VERDICTS.get((claim, verdict), verdict)


def fixed(value: float | None, digits: int = 2) -> str:
    """A number with a fixed number of decimals."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def compact(value: float | None) -> str:
    """A number with three digits, as 0.00123 or 1.2e-07."""
    return NOTHING if value is None else f"{value:.3g}"


def interval(record: Record, name: str, digits: int = 2) -> str:
    """An estimate with its interval, `0.90 [0.86, 0.94]`."""
    if record.get(name) is None:
        return NOTHING
    low, high = record.get(f"{name}_low"), record.get(f"{name}_high")
    if low is None or high is None:
        return fixed(record[name], digits)
    return f"{fixed(record[name], digits)} [{fixed(low, digits)}, {fixed(high, digits)}]"


def null_words(record: Record, prefix: str, digits: int = 2) -> str:
    """A null's mean with the band that holds 95 % of its draws."""
    names = {"x": record.get(f"{prefix}_mean"), "x_low": record.get(f"{prefix}_low")}
    return interval({**names, "x_high": record.get(f"{prefix}_high")}, "x", digits)


def p_words(value: float | None) -> str:
    """`p = 0.012`, or `p < 0.001`."""
    if value is None:
        return "no p"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


def power_words(record: Record) -> str:
    """Why a question set has no power."""
    return f"no power: {record['n_faithful']} faithful, {record['n_hallucinated']} hallucinated"


def has_power(record: Record) -> bool:
    """Whether a transfer row has a number that may be shown."""
    return record["auroc"] is not None and record["verdict"] != "no power"


def first(result: QueryResult) -> Record:
    """The one row of a result; empty when there is none."""
    records = result.records()
    return records[0] if records else {}


def source(parts: Mapping[str, QueryResult]) -> str:
    """The run behind a figure, for comments and metadata."""
    run = first(parts["run"])
    return f"run {run['run']} ({run['run_key'][:12]}) of {run['base']} and {run['instruct']}"
