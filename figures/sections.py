"""Which tables a report has, by what its run looked at.

The one idea: a run without a forward pass has no transfer, no probe and no funnel, and its report
does not mention them; an empty table would read as if something had been looked for and not found.
"""

from collections.abc import Callable, Mapping, Sequence

from figures.tables import (
    ReportTable,
    Results,
    datasets,
    drift,
    funnel,
    h_neurons,
    overlap,
    transfer,
)
from figures.tables_evidence import (
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
from figures.tables_probe import baselines, clusters, identification, path, stability, stable_neurons
from figures.tables_weights import by_kind, config, layers, lineage, mapping
from figures.words import RunKind, run_kind

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
"""In the order of the report."""


def sections(results: Results) -> list[ReportTable]:
    """The tables of a run's report."""
    found = (section(results) for section in SECTIONS[run_kind(results)])
    return [table for table in found if table is not None]
