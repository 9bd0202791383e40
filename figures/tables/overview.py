"""The two summary tables of a run: the main numbers, and each claim with the conditions that failed."""

from provenance.cells import NOTHING, Record, beside, compact, fixed, interval
from provenance.figures.tables.result_tables import ReportTable, Results
from provenance.figures.wording.evidence_words import decided_words
from provenance.figures.wording.run_words import first, p_words
from provenance.records import MARKS
from provenance.words import GIVEN, MATCHED_WORDS, baseline_words, claim_words, rule_words


def headline(results: Results) -> ReportTable:
    """Lineage, number of H-Neurons with their layers, and the probe on held-out answers."""
    lines = [*_lineage(results), _count(results), *_layers(results)]
    held = next(iter(_instruct(results, "identification")), None)
    if held is not None and held["dataset"] is not None:
        numbers = f"AUROC {interval(held, 'auroc')}, accuracy {interval(held, 'accuracy')}"
        lines.append(("held out", f"{held['dataset']}: {numbers}"))
    probe = _instruct(results, "probes")[0]
    if probe["reason"]:
        lines.append(("probe", _chosen(probe)))
    return ReportTable("", "", ("", ""), lines, (0, 1))


def _count(results: Results) -> tuple[str, str]:
    run, k = first(results["run"]), _instruct(results, "probes")[0]["n_h_neurons"]
    total = run["layers"] * run["neurons_per_layer"]
    return "H-Neurons", f"{k} of {total} ({fixed(1000 * k / total)} ‰){_over_halves(results)}"


def _layers(results: Results) -> list[tuple[str, str]]:
    """Layers with most H-Neurons; nothing without any."""
    words = [row["most_in_layers"] for row in results["h-neurons-summary"].records()]
    return [("layers", said) for said in words if said]


def overview(results: Results) -> ReportTable:
    """Lineage, H-Neurons and their search, the probe's AUROC, and stability."""
    lines = [*_lineage(results), *_probe(results), *_stability(results), *_drift(results), *_overlap(results)]
    return ReportTable("Overview", "", ("", "found"), lines, (0, 1))


def _lineage(results: Results) -> list[tuple[str, str]]:
    row = first(results["lineage"])
    return [("lineage", f"{row['verdict']}, self-match {fixed(row['self_match'], 3)}")] if row else []


def _instruct(results: Results, query: str) -> list[Record]:
    return [row for row in results[query].records() if row["stage"] == "instruct"]


def _probe(results: Results) -> list[tuple[str, str]]:
    name, number = _count(results)
    lines = [(name, f"{number}{_over_folds(results)}"), ("probe", _chosen(_instruct(results, "probes")[0]))]
    held = next(iter(_instruct(results, "identification")), None)
    if held is None or held["dataset"] is None:
        return lines
    lines.append((f"held out, {held['dataset']}", f"AUROC {interval(held, 'auroc')}"))
    lines.append(("", f"accuracy {interval(held, 'accuracy')}, random neurons {interval(held, 'random_accuracy')}"))
    own = [
        row for row in _instruct(results, "baselines") if row["dataset"] == held["dataset"] and row["auroc"] is not None
    ]
    if own:
        best = max(own, key=lambda row: float(row["auroc"]))
        gain = f"the probe gains {interval(best, 'gain', 3)}"
        lines.append(("highest baseline", f"{baseline_words(best['kind'])}: AUROC {interval(best, 'auroc')}; {gain}"))
    return lines


def _over_folds(results: Results) -> str:
    """Number of H-Neurons over the fits of the cross-validation at the chosen C."""
    chosen = [row for row in _instruct(results, "probe-path") if row["is_chosen"]]
    return "".join(f"; {row['fewest']} to {row['most']} over folds" for row in chosen)


def _over_halves(results: Results) -> str:
    """Number of H-Neurons over half-samples."""
    rows = _instruct(results, "stability")
    return "".join(f"; {compact(row['k_low'])} to {compact(row['k_high'])} over half-samples (95 %)" for row in rows)


def _chosen(probe: Record) -> str:
    """Choice of C, origin of the neurons, or reason for a missing probe."""
    words = rule_words(probe["rule"], probe["source"])
    if probe["rule"] == GIVEN:
        return f"{words}; {probe['reason']}" if probe["reason"] else words
    return f"none: {probe['reason']}" if probe["reason"] else f"C = {compact(probe['c'])}: {words}"


def _stability(results: Results) -> list[tuple[str, str]]:
    row = next(iter(_instruct(results, "stability")), None)
    if row is None:
        return []
    stable = (
        f"{row['n_stable']} of {row['n_selected']} selected neurons are stable ({row['n_stable_used']} in the probe)"
    )
    how = f"selected in {row['threshold']:.0%} or more of {row['n_half_samples']} half-samples"
    return [("stability", f"{stable}, {how}; Jaccard of two halves {fixed(row['split_half_jaccard'], 3)}")]


def _drift(results: Results) -> list[tuple[str, str]]:
    row = first(results["drift"])
    if not row or not row["k"]:
        return []
    if row["ratio"] is None:
        return [("weights", f"k = {row['k']}, no neurons to compare them with")]
    least = "no factor" if row["smallest_detectable"] is None else fixed(row["smallest_detectable"])
    beside = f"changed {interval(row, 'ratio')} times as much as neurons {MATCHED_WORDS[row['decided_by']]}"
    return [
        ("weights", f"{beside}, {p_words(row['p_decides'])}; detectable from {least} on (k = {row['k_compared']})"),
        ("", f"mean stability rank {fixed(row['mean_rank'], 3)}, of their layers {fixed(row['null_mean'], 3)}"),
    ]


def _overlap(results: Results) -> list[tuple[str, str]]:
    row = first(results["overlap"])
    if not row:
        return []
    counts = f"{row['shared']} of {row['k_base']} (base) and {row['k_instruct']} (instruct)"
    return [("overlap", f"{counts}, Jaccard {fixed(row['jaccard'], 3)}")]


def decisions(results: Results) -> ReportTable | None:
    """Each claim with its verdict and the condition that decided; where that failed, the number of others that did."""
    rows = [(*_named(row), _decision(row)) for row in results["claims"].records()]
    return ReportTable("", "", ("claim", "verdict", "decided by"), rows, (0, 1, 2)) if rows else None


def _decision(claim: Record) -> str:
    """What decided, with the number of other conditions that are not met where it is not met itself."""
    if claim["relation"] is None:
        return ""
    if claim["holds"] is None:
        found = f"not measured, needs {_bar(claim)}"
    else:
        found = f"{_value(claim)}{'' if claim['holds'] else ', not'} {_bar(claim)}"
    more = f" (+{claim['not_met'] - 1} more)" if not claim["holds"] and claim["not_met"] > 1 else ""
    return f"{decided_words(claim)}: {found}{more}"


def claims(results: Results) -> ReportTable | None:
    """Each claim with its verdict and the conditions that failed or could not be measured."""
    reasons = results["reasons"].records()
    rows = [
        _claim(row, [one for one in reasons if one["claim"] == row["claim"]]) for row in results["claims"].records()
    ]
    header = ("claim", "verdict", "met", "not met, or not measured (–)")
    return ReportTable("Claims", "", header, rows, (0, 1, 3)) if rows else None


def _claim(row: Record, reasons: list[Record]) -> tuple[str, ...]:
    failed = "\n".join(_condition(reason) for reason in reasons if not reason["holds"])
    met = f"{sum(bool(reason['holds']) for reason in reasons)} of {len(reasons)}"
    return *_named(row), met, failed


def _named(row: Record) -> tuple[str, str]:
    return claim_words(row["claim"]), f"{MARKS[row['verdict']]} {row['verdict']}"


def _condition(reason: Record) -> str:
    return f"{reason['code']} {_value(reason)}, needs {_bar(reason)}"


def _value(reason: Record) -> str:
    missing = NOTHING if reason["holds"] is None else "none"
    return missing if reason["value"] is None else beside(reason["value"], reason["bar"])


def _bar(reason: Record) -> str:
    return f"{reason['relation']} {reason['bar']:g}"
