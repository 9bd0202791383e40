"""The tables of each kind of report.

A run without a forward pass has no transfer, no probe and no funnel, and its report does not mention them: an empty
table would look like a search without result.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from provenance.analyses.results.answers import Funnel, JudgeAgreement
from provenance.analyses.results.behaviour import (
    ComplianceArm,
    ComplianceSlope,
    PatchEffect,
    ReplyAgreement,
    SideEffect,
    TextEffect,
)
from provenance.analyses.results.drift import DriftTest, LayerDrift
from provenance.analyses.results.replicates import Replicate, ReplicateClaim, VarianceComponent
from provenance.analyses.results.timeline import TimelinePoint
from provenance.analyses.results.transfer import DirectionTransfer, Rung, TransferCell, TransferResult
from provenance.db.reading.run_query import Source, reading, run_query
from provenance.db.reading.study_query import over_replicates
from provenance.figures.plots.timeline import timeline_sentence
from provenance.figures.tables.cards import cards as neuron_cards
from provenance.figures.tables.comparison import (
    datasets,
    drift,
    funnel,
    h_neurons,
    overlap,
    transfer,
)
from provenance.figures.tables.evidence import (
    agreement,
    cells,
    drift_tests,
    intervention,
    kept,
    ladder,
    ladder_records,
    measured_refusals,
    ordered,
    overlap_nulls,
    power,
    refusals,
    scales,
    trace,
)
from provenance.figures.tables.overview import claims, decisions, headline, overview
from provenance.figures.tables.probe import baselines, clusters, identification, path, stability, stable_neurons
from provenance.figures.tables.result_tables import ReportTable, Results, report_table
from provenance.figures.tables.weights import LAYER_COLUMNS, by_kind, config, layers, lineage, mapping
from provenance.figures.wording.run_words import RunKind, concept_of, first, run_kind
from provenance.figures.wording.study_words import replicates_words
from provenance.stages import StageTime

QUERIES = (
    "run", "probes", "identification", "transfer", "drift", "overlap", "lineage", "lineage-tensors",
    "config-differences", "alignment", "mapping", "neuron-list", "layers", "funnel", "drops", "h-neurons",
    "h-neurons-summary", "datasets",
    "baselines", "probe-path", "stability", "stable-neurons", "clusters", "claims", "reasons", "ladder",
    "directions", "cells", "agreement", "judges", "refusals", "scales", "signs", "drift-tests", "overlap-nulls",
    "power", "interventions", "trace", "replicates", "replicate-claims", "variance", "neuron-card", "neuron-answers",
    "compliance", "compliance-slopes", "side-effects", "text-effects", "patching", "reply-judges", "reply-examples",
    "stages", "examples",
)  # fmt: skip
"""Named queries of the tables."""
OVER_REPLICATES = ("compliance", "compliance-slopes", "side-effects", "text-effects", "patching", "trace")
"""Those of them that are about all replicates of a run; the others are about the first one."""
Section = Callable[[Results], ReportTable | None]
MOST_LAYERS = 12  # rows of layers on one screen


def _brief(cls: type, query: str, *only: str) -> Section:
    """A table with its main columns, or with all; of several replicates with numbers over all of them."""
    return lambda results: report_table(cls, results[query].records(), replicates_words(results[query], ""), only=only)


def _each(cls: type, query: str) -> Section:
    """A table with all columns, and with every replicate."""
    return lambda results: report_table(cls, results[query].every_record(), replicates_words(results[query], ""))


REPLICATES: Sequence[Section] = (
    _brief(Replicate, "replicates"),
    _brief(ReplicateClaim, "replicate-claims"),
    _brief(VarianceComponent, "variance"),
)
STAGES = _brief(StageTime, "stages")
DIRECTIONS = _brief(DirectionTransfer, "directions")
JUDGES = _brief(JudgeAgreement, "judges")
SLOPES = _brief(ComplianceSlope, "compliance-slopes")
EACH_SLOPE = _each(ComplianceSlope, "compliance-slopes")
COMPLIANCE = _brief(ComplianceArm, "compliance")
SIDE_EFFECTS = _brief(SideEffect, "side-effects")
TEXTS = _brief(TextEffect, "text-effects")
PATCHING = _brief(PatchEffect, "patching")
REPLY_JUDGES = _brief(ReplyAgreement, "reply-judges")
WEIGHTS: Sequence[Section] = (lineage, by_kind, config)
SECTIONS: Mapping[RunKind, Sequence[Section]] = {
    "comparison": (
        *REPLICATES, ladder, DIRECTIONS, cells, agreement, JUDGES, refusals, scales, drift_tests, overlap_nulls, power,
        intervention, EACH_SLOPE, COMPLIANCE, SIDE_EFFECTS, TEXTS, REPLY_JUDGES, PATCHING, transfer, drift,
        overlap, identification, baselines, path, stability, stable_neurons, clusters,
        *WEIGHTS, mapping, layers, funnel, h_neurons, neuron_cards, datasets,
        STAGES,
    ),
    "listed": (drift, drift_tests, mapping, h_neurons, layers, *WEIGHTS, STAGES),
    "drift": (drift, layers, *WEIGHTS, STAGES),
    "lineage": (*WEIGHTS, STAGES),
    "trace": (
        trace, kept, identification, baselines, path, stability, stable_neurons, clusters, funnel, datasets, STAGES,
    ),
    "intervention": (SLOPES, COMPLIANCE, SIDE_EFFECTS, TEXTS, REPLY_JUDGES, STAGES),
}  # fmt: skip
"""All tables of the report, in order."""
SHOWN: Mapping[RunKind, Sequence[Section]] = {
    "comparison": (h_neurons,),
    "listed": (drift, h_neurons),
    "drift": (drift,),
    "lineage": (lineage,),
    "trace": (trace,),
    "intervention": (SLOPES,),
}
"""Of these, the tables that stand open below the verdict; the others are appendices."""


def _deciding_ladder(results: Results) -> ReportTable | None:
    """The ladder of the question set that transfer rests on."""
    name = next((row["dataset"] for row in results["claims"].records() if row["claim"] == "transfer"), "")
    parts = ([row for row in results[query].records() if row["dataset"] == name] for query in ("ladder", "transfer"))
    rungs, transfers = parts
    only = ("kind", "auroc", "gain", "p_value", "p_holm", "sets_p95")
    found = report_table(Rung, ladder_records(rungs, transfers) if rungs else [], only=only)
    return found and replace(found, title=f"{found.title} on {name}")


def _main_drift_tests(results: Results) -> ReportTable | None:
    """The H-Neurons' change of up and down weights beside that of matched neurons."""
    rows = results["drift-tests"].records()
    chosen = [row for row in rows if (row["side"], row["measure"]) == ("hallucinated", "delta")]
    return report_table(DriftTest, chosen, only=("matching", "ratio", "p_more_stable", "mean_rank"))


def _most_changed_layers(results: Results) -> ReportTable | None:
    """The layers that changed most, in the order of the model, where there are many."""
    rows = results["layers"].records()
    if len(rows) <= MOST_LAYERS:
        return layers(results)
    ranked = sorted(rows, key=lambda row: (row["mean_stability_rank"] is None, row["mean_stability_rank"] or 0.0))
    chosen = sorted(ranked[:MOST_LAYERS], key=lambda row: int(row["layer"]))
    found = report_table(LayerDrift, chosen, only=LAYER_COLUMNS)
    return found and replace(found, title=f"{found.title}: the {MOST_LAYERS} of {len(rows)} that changed most")


def _points(*only: str, title: str) -> Section:
    """A timeline's points, each on one line."""

    def section(results: Results) -> ReportTable | None:
        found = report_table(TimelinePoint, ordered(results["trace"].records()), only=("ref", *only))
        return found and replace(found, title=title)

    return section


TERMINAL: Mapping[RunKind, Sequence[Section]] = {
    "comparison": (
        overview,
        claims,
        _brief(TransferResult, "transfer", "dataset", "auroc", "n_faithful", "verdict", "p_holm", "decided_by"),
        _deciding_ladder,
        _brief(DirectionTransfer, "directions", "dataset", "fitted_on", "kind", "layer", "auroc", "gain", "added"),
        _brief(TransferCell, "cells", "activations", "answers", "prompt", "auroc", "n_faithful"),
        _brief(JudgeAgreement, "judges", "stage", "dataset", "split", "n_agree", "kappa", "n_unjudged"),
        measured_refusals,
        intervention,
        SLOPES,
        SIDE_EFFECTS,
        TEXTS,
        _brief(PatchEffect, "patching", "stage", "benchmark", "outcome", "kind", "effect", "p_value", "disturbance"),
        *REPLICATES,
        _brief(Funnel, "funnel", "stage", "dataset", "split", "asked", "answered", "consistent", "captured"),
    ),
    "listed": (
        claims,
        drift,
        _brief(DriftTest, "drift-tests", "side", "measure", "matching", "ratio", "p_more_stable", "mean_rank"),
        mapping,
        lineage,
    ),
    "drift": (drift, layers),
    "lineage": WEIGHTS,
    "trace": (overview, trace, kept),
    "intervention": (claims, SLOPES, SIDE_EFFECTS, TEXTS, REPLY_JUDGES),
}
"""Tables shown on a terminal at the end of a run with `-v`."""
BRIEF: Mapping[RunKind, Sequence[Section]] = {
    "comparison": (
        headline,
        decisions,
        _brief(TransferResult, "transfer", "dataset", "auroc", "n_faithful", "verdict", "p_holm"),
    ),
    "listed": (decisions, drift, _main_drift_tests),
    "drift": (drift, _most_changed_layers),
    "lineage": (lineage,),
    "trace": (
        _points("forced", "forced_random_p95", "own", title="Readable at each point"),
        _points("mean_stability_rank", "null_mean", "p_value", "correlation_h", title="Kept up to the last point"),
    ),
    "intervention": (
        decisions,
        _brief(ComplianceSlope, "compliance-slopes", "stage", "benchmark", "kind", "slope", "p_value", "disturbance"),
        _brief(SideEffect, "side-effects", "dataset", "alpha", "correct", "other", "declined", "failed", "text_nats"),
    ),
}
"""The same without `-v`, on one screen."""


def read_results(source: Source, run: int) -> Results:
    """Read the rows of all tables."""
    with reading(source) as database:
        return {
            name: over_replicates(database, name, run)
            if name in OVER_REPLICATES
            else run_query(database, name, {"run": run})
            for name in QUERIES
        }


def terminal_sections(results: Results, *, verbose: bool = False) -> list[ReportTable]:
    """The tables that a terminal shows, or all that it may show, without those that only have a note."""
    kind = run_kind(results)
    return [table for table in _tables((TERMINAL if verbose else BRIEF)[kind], results) if table.rows]


def shown_sections(results: Results) -> list[ReportTable]:
    """Tables of a run's report that stand open."""
    return _tables(SHOWN[run_kind(results)], results)


def folded_sections(results: Results) -> list[ReportTable]:
    """Tables of a run's report that are appendices."""
    kind = run_kind(results)
    return _tables([section for section in SECTIONS[kind] if section not in SHOWN[kind]], results)


def _tables(wanted: Sequence[Section], results: Results) -> list[ReportTable]:
    found, concept = (section(results) for section in wanted), concept_of(results)
    return [table.worded(concept) for table in found if table is not None]


def overall(results: Results) -> str:
    """A run in one sentence."""
    return first(results["run"])["overall"] or (timeline_sentence(results) if results["trace"].rows else "")
