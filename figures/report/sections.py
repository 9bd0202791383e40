"""The tables of each kind of report.

A run without a forward pass has no transfer, no probe and no funnel, and its report does not mention them: an empty
table would look like a search without result.
"""

from collections.abc import Callable, Mapping, Sequence

from provenance.db.reading.queries import run_query
from provenance.figures.plots.timeline import timeline_sentence
from provenance.figures.tables.declared import ReportTable, Results
from provenance.figures.tables.evidence import (
    agreement,
    cells,
    drift_tests,
    intervention,
    kept,
    ladder,
    overlap_nulls,
    power,
    scales,
    trace,
)
from provenance.figures.tables.overview import claims, overview
from provenance.figures.tables.pair import (
    datasets,
    drift,
    funnel,
    h_neurons,
    overlap,
    transfer,
)
from provenance.figures.tables.probe import baselines, clusters, identification, path, stability, stable_neurons
from provenance.figures.tables.weights import by_kind, config, layers, lineage, mapping
from provenance.figures.wording.run_words import RunKind, first, run_kind

QUERIES = (
    "run", "probes", "identification", "transfer", "drift", "overlap", "lineage", "lineage-tensors",
    "config-differences", "alignment", "mapping", "neuron-list", "layers", "funnel", "drops", "h-neurons", "datasets",
    "baselines", "probe-path", "stability", "stable-neurons", "clusters", "claims", "reasons", "ladder", "cells",
    "agreement", "scales", "signs", "drift-tests", "overlap-nulls", "power", "interventions", "trace",
)  # fmt: skip
"""Named queries of the tables."""
Section = Callable[[Results], ReportTable | None]

WEIGHTS: Sequence[Section] = (lineage, by_kind, config)
SECTIONS: Mapping[RunKind, Sequence[Section]] = {
    "comparison": (
        ladder, cells, agreement, scales, drift_tests, overlap_nulls, power, intervention, transfer, drift, overlap,
        identification, baselines, path, stability, stable_neurons, clusters, *WEIGHTS, mapping, layers, funnel,
        h_neurons, datasets,
    ),
    "listed": (drift, drift_tests, mapping, h_neurons, layers, *WEIGHTS),
    "drift": (drift, layers, *WEIGHTS),
    "lineage": WEIGHTS,
    "trace": (trace, kept, identification, baselines, path, stability, stable_neurons, clusters, funnel, datasets),
}  # fmt: skip
"""Tables in the order of the report."""
TERMINAL: Mapping[RunKind, Sequence[Section]] = {
    "comparison": (overview, claims, transfer, ladder, cells, intervention, funnel),
    "listed": (claims, drift, drift_tests, mapping, lineage),
    "drift": (drift, layers),
    "lineage": WEIGHTS,
    "trace": (overview, trace, kept),
}
"""Tables shown on a terminal at the end of a run."""


def read_results(url: str, run: int) -> Results:
    """Read the rows of all tables."""
    return {name: run_query(url, name, {"run": run}) for name in QUERIES}


def terminal_sections(results: Results) -> list[ReportTable]:
    """The tables that a terminal shows, without those that only have a note."""
    found = (section(results) for section in TERMINAL[run_kind(results)])
    return [table for table in found if table is not None and table.rows]


def sections(results: Results) -> list[ReportTable]:
    """Tables of a run's report."""
    found = (section(results) for section in SECTIONS[run_kind(results)])
    return [table for table in found if table is not None]


def overall(results: Results) -> str:
    """A run in one sentence."""
    return first(results["run"])["overall"] or (timeline_sentence(results) if results["trace"].rows else "")
