"""Results from weights as rows: lineage, counterparts, drift; and the reports with nothing else.

A comparison, a weights-only run and a lineage run use the same tables, so every query and figure about weights works
on all three.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from sqlalchemy import Table

from provenance.analyses.results.drift import (
    NeuronDrift,
    drift_places,
    layer_drifts,
    layer_spreads,
    neuron_groups,
    rank_bins,
)
from provenance.analyses.results.lineage import Alignment, LineageResult, MappedNeurons
from provenance.analyses.results.reports import ComplianceReport, WeightsReport
from provenance.db.rows.result_rows import Rows, declared_rows
from provenance.db.rows.values import NeuronColumns, Row, members, number, numbers, scattered
from provenance.db.schema import tables

NEURONS = tables.Base.metadata.tables[tables.Neuron.__tablename__]
_OF_SAMPLE = ("self_match", "nearest_cosine", "found_in_base", "found_in_instruct")


def weights_rows(report: WeightsReport, base_per_layer: int) -> Rows:
    """Rows of the small tables of a run without a forward pass that are filled by hand."""
    sizes = (base_per_layer, report.neurons_per_layer)
    return {
        **({tables.Lineage: [lineage_row(report.lineage)]} if report.lineage else {}),
        **sums_over_neurons(report.neuron_drift, report.mapped, report.neurons_per_layer),
        tables.AlignmentRow: [alignment_row(report.alignment)],
        tables.NeuronList: [neuron_list_row(report)],
        tables.ProbeNeuron: compared_neuron_rows(listed_neuron_rows(report), report.alignment, *sizes),
    }


def weights_neuron_rows(report: WeightsReport, base_per_layer: int) -> Iterator[tuple[Table, NeuronColumns]]:
    """The table that has a row per neuron."""
    size = report.neuron_drift.delta.size
    weights = None if report.weights is None else scattered(report.h_neurons, report.weights, size)
    columns = {
        **neuron_columns(report.neuron_drift, report.alignment, report.mapped, base_per_layer),
        "is_base_h_neuron": np.zeros(size, dtype=bool),
        "probe_weight": weights,
    }
    yield NEURONS, NeuronColumns(columns, size, report.neurons_per_layer, {})


def sums_over_neurons(
    drift: NeuronDrift,
    mapped: MappedNeurons,
    neurons_per_layer: int,
    activity: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> Rows:
    """What queries over all neurons would take long for: means by layer and of the H-Neurons, and counts of ranks.

    `activity` as in `neuron_groups`.
    """
    means = layer_drifts(drift, mapped.ids, neurons_per_layer)
    groups = neuron_groups(drift, mapped.ids, neurons_per_layer, activity)
    spreads = layer_spreads(drift, neurons_per_layer)
    return declared_rows([*means, *spreads, *groups, *rank_bins(drift.stability_rank)])


def lineage_row(lineage: LineageResult) -> Row:
    """The verdict and the numbers behind it; a share of nothing is NULL."""
    shares = (
        *(("share_identical_tensors",) if lineage.tensors_compared else ()),
        *(_OF_SAMPLE if lineage.neurons_sampled else ()),
    )
    undefined = dict.fromkeys(("share_identical_tensors", *_OF_SAMPLE))
    return {
        "verdict": lineage.verdict,
        "reason": lineage.reason,
        "tensors_compared": lineage.tensors_compared,
        "only_base": list(lineage.only_base),
        "only_instruct": list(lineage.only_instruct),
        **undefined,
        **numbers(lineage, *shares, "vocabulary_shared"),
        **{f"median_cosine_{kind}": number(lineage.median_cosine.get(kind)) for kind in ("gate", "up", "down")},
        "neurons_sampled": lineage.neurons_sampled,
        "same_tokenizer": lineage.same_tokenizer,
        "vocabulary_base": lineage.vocabulary_sizes[0],
        "vocabulary_instruct": lineage.vocabulary_sizes[1],
        "layer_of": list(lineage.layer_of),
    }


def alignment_row(alignment: Alignment) -> Row:
    """The way counterparts were found."""
    return {
        "method": alignment.method,
        "n_neurons": int(alignment.base_ids.size),
        "n_unmapped": int(alignment.unmapped.size),
        "reason": alignment.reason,
    }


def neuron_list_row(report: WeightsReport | ComplianceReport) -> Row:
    """The list that the run was given."""
    weighted = 0 if report.weights is None else int(np.isfinite(report.weights).sum())
    return {"source": report.source, "n_neurons": int(report.h_neurons.size), "n_weighted": weighted}


def listed_neuron_rows(report: WeightsReport | ComplianceReport) -> list[Row]:
    """Neurons of the list, in the table of a comparison's probe neurons."""
    flat = report.h_neurons
    weights: Sequence[float | None] = [None] * flat.size if report.weights is None else report.weights.tolist()
    listed = [(neuron, weight, True) for neuron, weight in zip(flat.tolist(), weights, strict=True)]
    if isinstance(report, ComplianceReport):
        listed += [(neuron, weight, False) for neuron, weight in report.negative.items()]
    return [
        {
            "stage": "instruct",
            "layer": neuron // report.neurons_per_layer,
            "neuron_index": neuron % report.neurons_per_layer,
            "weight": number(weight),
            "is_h_neuron": is_h_neuron,
        }
        for neuron, weight, is_h_neuron in listed
    ]


def compared_neuron_rows(
    rows: Sequence[Row], alignment: Alignment, base_per_layer: int, neurons_per_layer: int
) -> list[Row]:
    """Probe neurons of a run that compares weights: each at its place in its checkpoint, with its row in `neuron`.

    Args:
        rows: As the analyses have them, also those of the base in the instruct checkpoint's order of neurons.
        alignment: The counterpart of each neuron in the base.
        base_per_layer: Neurons per layer of the base.
        neurons_per_layer: The same of the instruct checkpoint.
    """
    found: list[Row] = []
    for row in rows:
        layer, index = own = row["layer"], row["neuron_index"]
        if row["stage"] == "base":
            own = divmod(int(alignment.base_ids[layer * neurons_per_layer + index]), base_per_layer)
        place = {"layer": own[0], "neuron_index": own[1], "instruct_layer": layer, "instruct_index": index}
        found.append({**row, **place})
    return found


def null_draw_rows(claim: str, stage: str, dataset: str, kind: str, draws: Sequence[float]) -> list[Row]:
    """Every draw of a null."""
    about = {"claim": claim, "stage": stage, "dataset": dataset, "kind": kind}
    return [{**about, "draw": draw, "value": number(value)} for draw, value in enumerate(draws)]


def neuron_columns(
    drift: NeuronDrift, alignment: Alignment, mapped: MappedNeurons, base_per_layer: int
) -> dict[str, np.ndarray | None]:
    """Drift and counterpart of every neuron, one column each.

    Args:
        drift: Drift of every neuron of the instruct checkpoint.
        alignment: Its counterpart in the base.
        mapped: The H-Neurons, and how well they match.
        base_per_layer: Neurons per layer of the base, possibly another number than in the instruct checkpoint.
    """
    names = (
        "stability_rank", "norm_up_base", "norm_up_instruct", "norm_down_base", "norm_down_instruct", "identical"
    )  # fmt: skip
    size = drift.delta.size
    counterparts = np.ma.masked_less(alignment.base_ids, 0)
    return {
        **{f"cosine_distance_{kind}": getattr(drift, f"delta_{kind}") for kind in ("up", "gate", "down")},
        "drift_z": drift.delta,
        **{name: getattr(drift, name) for name in names},
        "drift_place": np.ma.masked_less(drift_places(drift.stability_rank), 0),
        "is_h_neuron": members(mapped.ids, size),
        "base_layer": counterparts // base_per_layer,
        "base_index": counterparts % base_per_layer,
        "similarity": scattered(mapped.ids, mapped.similarity, size),
        "margin": scattered(mapped.ids, mapped.margin, size),
    }
