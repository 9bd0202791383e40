"""Tables of a comparison that are filled by hand: plain functions from results to dictionaries of native values.

Declared results become rows by their declaration (`provenance.db.rows.result_rows`); tables filled by hand are here.
Those of a weights-only run are in `provenance.db.rows.weights`, those of probes in `provenance.db.rows.probe`.
"""

from collections.abc import Iterator

import numpy as np
from sqlalchemy import Table

from provenance.analyses.results.answers import Funnel
from provenance.analyses.results.reports import OriginReport
from provenance.db.rows.probe import baseline_draws, probe_rows
from provenance.db.rows.result_rows import Rows, bulk_rows
from provenance.db.rows.values import NeuronColumns, Row, members
from provenance.db.rows.weights import (
    NEURONS,
    alignment_row,
    compared_neuron_rows,
    lineage_row,
    neuron_columns,
    null_draw_rows,
    sums_over_neurons,
)
from provenance.db.schema import tables
from provenance.db.schema.result_tables import BULK_TABLES
from provenance.table_declaration import LABELS


def summary_rows(report: OriginReport, base_per_layer: int) -> Rows:
    """Rows of the small tables that are filled by hand."""
    probes = (report.identification, report.base_identification)
    found = probe_rows(probes, report.neurons_per_layer)
    sizes = (base_per_layer, report.neurons_per_layer)
    return {
        **found,
        tables.ProbeNeuron: compared_neuron_rows(found[tables.ProbeNeuron], report.alignment, *sizes),
        tables.Lineage: [lineage_row(report.lineage)],
        **sums_over_neurons(report.neuron_drift, report.mapped, report.neurons_per_layer, mean_activity(report)),
        tables.AlignmentRow: [alignment_row(report.alignment)],
        tables.NullDraw: [row for drawn in draws(report) for row in null_draw_rows(*drawn)],
        tables.FunnelDrop: [row for funnel in report.funnel for row in funnel_drop_rows(funnel)],
    }


def mean_activity(report: OriginReport) -> dict[str, np.ndarray]:
    """Mean CETT of every neuron on the first question set, by model and label; without a model that has no answers."""
    of_first = [table for table in report.activity if table.dataset == report.activity[0].dataset]
    means = {f"{table.stage}_cett_{label}": getattr(table, f"mean_{label}") for table in of_first for label in LABELS}
    return {name: values for name, values in means.items() if values.size}


def neuron_rows(report: OriginReport, base_per_layer: int) -> Iterator[tuple[Table, NeuronColumns]]:
    """The tables that have a row per neuron."""
    size = report.neuron_drift.delta.size
    columns = {
        **neuron_columns(report.neuron_drift, report.alignment, report.mapped, base_per_layer),
        "is_base_h_neuron": members(report.base_identification.h_neurons, size),
        "probe_weight": report.identification.weights,
        "base_probe_weight": report.base_identification.weights,
        "activation_correlation": report.activation_correlation,
    }
    yield NEURONS, NeuronColumns(columns, size, report.neurons_per_layer, {})
    for table in report.activity:
        yield BULK_TABLES[type(table)], bulk_rows(table, report.neurons_per_layer)


def draws(report: OriginReport) -> list[tuple[str, str, str, str, tuple[float, ...]]]:
    """Draws of neuron sets, in transfer and on own answers: claim, stage, dataset, kind, draws."""
    found = [("transfer", "base", rung.dataset, rung.kind, rung.set_aurocs) for rung in report.evidence.ladder]
    for probe in (report.identification, report.base_identification):
        found += baseline_draws(probe)
    return found


def funnel_drop_rows(funnel: Funnel) -> list[Row]:
    """Numbers of dropped questions, by reason."""
    about = {"stage": funnel.stage, "dataset": funnel.dataset, "split": funnel.split}
    return [{**about, "reason": reason, "n_questions": n} for reason, n in funnel.dropped.items()]
