"""Numbers and verdicts in words.

A verdict is worded no stronger than its measurement: a probe that works on the base model shows that something is
readable there, not that the base model uses it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Literal

from provenance.cells import NOTHING, Record, interval
from provenance.db.reading.run_query import QueryResult
from provenance.words import HALLUCINATION, QUICK_LOOK, Concept

MOST_WORDS = 60  # of a caption
_BY_POSITION = "Not to be trusted, neurons were compared by position only"
RunKind = Literal["comparison", "listed", "drift", "lineage", "trace", "intervention"]
"""With a forward pass; weights only, about listed neurons or about all; lineage alone; a timeline; neurons scaled."""

TITLES: Mapping[RunKind, str] = {
    "comparison": "Were the H-Neurons of {instruct} already in {base}?",
    "listed": "How far did the listed neurons of {instruct} move from {base}?",
    "drift": "How far did the neurons of {instruct} move from {base}?",
    "lineage": "Is {instruct} a descendant of {base}?",
    "trace": "Since when are the H-Neurons of {instruct} there?",
    "intervention": "What does scaling neurons of {instruct} change?",
}

CLAIMS = {
    "transfer": "Does the probe read the base model?",
    "beyond_confidence": "Does the probe add to length, texts and log-probability there?",
    "own_labels": "Does the probe follow the base model’s own labels?",
    "drift": "Did the H-Neurons change less than others?",
    "overlap": "Does the base model have the same H-Neurons?",
    "function_base": "Do the H-Neurons act on the base model’s answers?",
    "function_instruct": "Do the H-Neurons act on the instruct model’s answers?",
    "compliance_base": "Does amplifying the neurons make the base model yield more",
    "compliance_instruct": "Does amplifying the neurons make the instruct model yield more",
    "patched_base": "Do the neurons’ activations in the instruct model change how the base yields",
    "patched_instruct": "Do the neurons’ activations in the base change how the instruct model yields",
}

_VERDICTS = {
    ("transfer", "supported"): "readable in the base model",
    ("beyond_confidence", "supported"): "adds to what they say together",
    ("own_labels", "supported"): "follows the base model’s own labels",
    ("drift", "supported"): "changed less than neurons like them",
    ("overlap", "supported"): "more neurons shared than chance gives",
    ("function_base", "supported"): "scaling them acts as expected",
    ("function_instruct", "supported"): "scaling them acts as expected",
    ("compliance_base", "supported"): "yields more, and more than with other neurons",
    ("compliance_instruct", "supported"): "yields more, and more than with other neurons",
    ("patched_base", "supported"): "changes it, and more than those of other neurons",
    ("patched_instruct", "supported"): "changes it, and more than those of other neurons",
}


def run_kind(results: Mapping[str, QueryResult]) -> RunKind:
    """Kind of a run, from its stored queries `drift`, `neuron-list` and, if given, `trace` and `claims`."""
    claims = {row["claim"] for row in results["claims"].records()} if "claims" in results else set()
    if claims and all(claim.startswith("compliance_") for claim in claims):
        return "intervention"
    if "trace" in results and results["trace"].rows:
        return "trace"
    if not results["drift"].rows:
        return "lineage"
    given = first(results["neuron-list"])
    if not given or given["is_compared"]:
        return "comparison"
    return "listed" if given["n_neurons"] else "drift"


def list_words(results: Mapping[str, QueryResult]) -> str:
    """Origin of neurons that were given; empty if they were searched for."""
    kind, given = run_kind(results), first(results["neuron-list"])
    if kind == "comparison" and given:
        return f"The H-Neurons were not searched for: they are those of {given['source']}."
    if kind == "listed":
        return (
            f"No forward pass was run: the k = {given['n_neurons']} H-Neurons are those of {given['source']}, untested "
            "here."
        )
    if kind == "drift":
        return "This is about all neurons."
    if kind == "intervention":
        return "The neurons that were scaled are those of a list; whether they are H-Neurons was not tested here."
    if kind == "lineage":
        return "Only weights, settings and tokenizers were read; no forward pass was run."
    return ""


def captioned(*sentences: str) -> list[str]:
    """A caption of at most `MOST_WORDS` words, and after it what no longer fits, if anything.

    Args:
        sentences: Most important first; empty ones are left out.
    """
    said = [sentence for sentence in sentences if sentence]
    words = accumulate(len(sentence.split()) for sentence in said)
    kept = sum(count <= MOST_WORDS for count in words)
    return [line for line in (" ".join(said[:kept]), " ".join(said[kept:])) if line]


def position_warning(results: Mapping[str, QueryResult]) -> str:
    """That neurons were compared with wrong counterparts, short enough for every caption; empty where they were not."""
    return f"{_BY_POSITION}." if first(results["alignment"]).get("reason") else ""


def problem_words(results: Mapping[str, QueryResult]) -> str:
    """The same with its reason, which can be long."""
    reason = first(results["alignment"]).get("reason")
    return f"{_BY_POSITION}: {reason}." if reason else ""


def verdict_words(claim: str, verdict: str | None) -> str:
    """A verdict as the toolkit words it."""
    if verdict is None:
        return NOTHING
    if verdict == "not distinguishable":
        return "not distinguishable from the null"
    return _VERDICTS.get((claim.partition(":")[0], verdict), verdict)


def null_words(record: Record, prefix: str, digits: int = 2) -> str:
    """A null's mean with the band of 95 % of its draws."""
    names = {"x": record.get(f"{prefix}_mean"), "x_low": record.get(f"{prefix}_low")}
    return interval({**names, "x_high": record.get(f"{prefix}_high")}, "x", digits)


def p_words(value: float | None) -> str:
    """`p = 0.012`, or `p < 0.001`."""
    if value is None:
        return "no p"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


def power_words(record: Record) -> str:
    """Reason why a question set has no power."""
    return f"no power: {record['n_faithful']} faithful, {record['n_hallucinated']} hallucinated"


def has_power(record: Record) -> bool:
    """Whether a transfer row has a number with power."""
    return record["auroc"] is not None and record["verdict"] != "no power"


def first(result: QueryResult) -> Record:
    """The one row of a result; empty when there is none."""
    records = result.records()
    return records[0] if records else {}


def concept_of(results: Mapping[str, QueryResult]) -> Concept:
    """What the neurons of a run are about, from its query `run`; of a study, hallucination unless all runs agree."""
    runs = results["run"].records() if "run" in results else []
    found = {Concept.of_settings(row["settings"]) for row in runs}
    return found.pop() if len(found) == 1 else HALLUCINATION


def source(parts: Mapping[str, QueryResult]) -> str:
    """The run or study behind a figure, for comments and metadata."""
    if "study" in parts:
        rows = parts["study"].records()
        runs = ", ".join(f"{row['run']} ({row['family']})" for row in rows if row["run"] is not None)
        return f"study {rows[0]['study']}: run {runs}{_quick(rows)}"
    run = first(parts["run"])
    control = control_of(run)
    said = (f", a negative control ({control})" if control else "") + _quick([run])
    return f"run {run['run']} ({run['run_key'][:12]}) of {run['base']} and {run['instruct']}{said}"


def _quick(runs: Iterable[Record]) -> str:
    return ", a quick look with few draws" if any(run["quick"] for run in runs) else ""


def warnings_of(runs: Sequence[Record]) -> list[str]:
    """What stands above everything else about runs: that there is nothing to find, or that this was a first look."""
    said = dict.fromkeys(control_words(run) for run in runs)
    return [*filter(None, said), *([QUICK_LOOK] if any(run["quick"] for run in runs) else [])]


def identifier(parts: Mapping[str, QueryResult]) -> str:
    """Run or study behind a figure, for programs."""
    if "study" in parts:
        rows = parts["study"].records()
        return f"study {rows[0]['study']} runs {' '.join(str(row['run']) for row in rows if row['run'] is not None)}"
    run = first(parts["run"])
    return f"run {run['run']} {run['run_key']}"


def control_of(run: Record) -> str:
    """Kind of negative control, from the run's command; empty for a comparison."""
    found = re.search(r"--control[ =](.+?)(?: --other (.+))?$", str(run.get("command") or ""))
    if not found:
        return ""
    kind, other = found.groups()
    return f"{kind}, {other or 'a randomly initialised model'} in the base's place" if kind == "unrelated" else kind


def control_words(run: Record) -> str:
    """Warning sentence of a negative control; empty for a comparison."""
    name = control_of(run)
    if not name:
        return ""
    return f"Negative control: {name}. There is nothing to find here: no verdict may be “supported”."


Parts = Mapping[str, QueryResult]
