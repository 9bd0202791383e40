"""A comparison's report as rows: plain functions from result dataclasses to dictionaries of native values.

The one idea: one function a table, so that what a row says can be read and tested without a
database. What a weights-only run has as well is in `db.rows_weights`, all about probes
in `db.rows_probe`, and what conclusions are held against in `db.rows_evidence`.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from analyses.results import ActivityTable, Funnel, NullDistribution, OriginReport, TransferResult
from db import schema
from db.rows_evidence import evidence_rows
from db.rows_probe import baseline_draws, interval, probe_rows
from db.rows_weights import alignment_row, drift_row, lineage_rows, neuron_columns, null_draw_rows, null_summary_row
from db.values import Row, columns_as_rows, members, numbers


def summary_rows(report: OriginReport) -> dict[type[schema.Base], list[Row]]:
    """The rows of every table that is small."""
    probes = (report.identification, report.base_identification)
    return {
        **probe_rows(probes, report.neurons_per_layer),
        schema.Transfer: [transfer_row(i, result) for i, result in enumerate(report.transfer)],
        schema.Drift: [drift_row(report.drift)],
        schema.Overlap: [overlap_row(report)],
        **lineage_rows(report.lineage),
        schema.AlignmentRow: [alignment_row(report.alignment)],
        schema.NullSummary: [null_summary_row(*null) for null in nulls(report)],
        schema.NullDraw: [row for drawn in draws(report) for row in null_draw_rows(*drawn)],
        schema.VerdictRow: verdict_rows(report),
        schema.FunnelRow: [funnel_row(i, funnel) for i, funnel in enumerate(report.funnel)],
        schema.FunnelDrop: [row for funnel in report.funnel for row in funnel_drop_rows(funnel)],
        schema.ActivitySet: [activity_set_row(table) for table in report.activity],
        **evidence_rows(report.evidence),
    }


def neuron_rows(report: OriginReport, base_per_layer: int) -> Iterator[tuple[type[schema.Base], Iterable[Row]]]:
    """The rows of the tables that have one per neuron, made as they are consumed."""
    size = report.neuron_drift.delta.size
    columns = {
        **neuron_columns(report.neuron_drift, report.alignment, report.mapped, base_per_layer),
        "is_base_h_neuron": members(report.base_identification.h_neurons, size),
        "probe_weight": report.identification.weights,
        "base_probe_weight": report.base_identification.weights,
        "activation_correlation": report.activation_correlation,
    }
    yield schema.Neuron, columns_as_rows(columns, size, report.neurons_per_layer, {})
    for table in report.activity:
        yield schema.Activity, activity_rows(table, report.neurons_per_layer)


def transfer_row(position: int, result: TransferResult) -> Row:
    """Transfer to one question set."""
    return {
        "dataset": result.dataset,
        "position": position,
        **interval("auroc", result.auroc),
        "n_faithful": result.n_faithful,
        "n_hallucinated": result.n_hallucinated,
        "verdict": result.verdict,
        "reason": result.reason,
        **numbers(result, "p_value", "p_holm", "p_chance"),
        "decided_by": result.decided_by or None,
    }


def overlap_row(report: OriginReport) -> Row:
    """The overlap of the two sets."""
    overlap = report.overlap
    names = (
        "jaccard", "expected", "p_hypergeometric", "p_zero", "ceiling_base", "ceiling_instruct",
        "ratio_base", "ratio_instruct", "cluster_jaccard", "rank_biased",
    )  # fmt: skip
    values = numbers(overlap, *names)
    counts = {"k_base": overlap.k_base, "k_instruct": overlap.k_instruct, "shared": overlap.shared}
    return {**counts, **values, "verdict": overlap.verdict, "reason": overlap.reason}


def nulls(report: OriginReport) -> list[tuple[str, str, str, NullDistribution]]:
    """Every null distribution with its claim, question set and kind."""
    found = [
        ("transfer", result.dataset, kind, null)
        for result in report.transfer
        for kind, null in result.baselines.items()
    ]
    matched = report.drift.matched_null
    return found if matched is None else [*found, ("drift", "", matched.kind, matched)]


def draws(report: OriginReport) -> list[tuple[str, str, str, str, tuple[float, ...]]]:
    """Every null with its draws, and the neuron sets beside the probes: claim, stage, dataset, kind, draws."""
    found = [
        (claim, "base" if claim == "transfer" else "", dataset, kind, null.draws)
        for claim, dataset, kind, null in nulls(report)
    ]
    for probe in (report.identification, report.base_identification):
        found += baseline_draws(probe)
    return found


def verdict_rows(report: OriginReport) -> list[Row]:
    """One row a claim, with the numbers that decided in words, and the sentence over all."""
    transfer = "; ".join(f"{result.dataset}: {result.reason}" for result in report.transfer)
    return [
        {"claim": "transfer", "verdict": report.verdict_transfer, "words": transfer},
        {"claim": "drift", "verdict": report.verdict_drift, "words": report.drift.reason},
        {"claim": "overlap", "verdict": report.verdict_overlap, "words": report.overlap.reason},
        {"claim": "overall", "verdict": None, "words": report.overall},
    ]


def funnel_row(position: int, funnel: Funnel) -> Row:
    """What each stage kept."""
    stages = ("consistent", "span_found", "captured", "fitted")
    kept = {
        f"{name}_{label}": getattr(funnel, name).get(label, 0)
        for name in stages
        for label in ("faithful", "hallucinated")
    }
    about = {"stage": funnel.stage, "dataset": funnel.dataset, "split": funnel.split, "position": position}
    return {**about, "asked": funnel.asked, "answered": funnel.answered, **kept}


def funnel_drop_rows(funnel: Funnel) -> list[Row]:
    """What was dropped, by reason."""
    about = {"stage": funnel.stage, "dataset": funnel.dataset, "split": funnel.split}
    return [{**about, "reason": reason, "n_questions": n} for reason, n in funnel.dropped.items()]


def activity_set_row(table: ActivityTable) -> Row:
    """The responses behind an activity table."""
    counts = {"n_faithful": table.n_faithful, "n_hallucinated": table.n_hallucinated}
    return {"stage": table.stage, "dataset": table.dataset, **counts}


def activity_rows(table: ActivityTable, neurons_per_layer: int) -> Iterator[Row]:
    """Every neuron's activity."""
    names = ("mean_faithful", "mean_hallucinated", "standardised_difference", "auroc")
    columns: dict[str, np.ndarray | None] = {name: getattr(table, name) for name in names}
    fixed = {"stage": table.stage, "dataset": table.dataset}
    return columns_as_rows(columns, table.auroc.size, neurons_per_layer, fixed)
