"""A timeline of checkpoints as rows: its points, and the one probe that saw them all."""

from provenance.analyses.results.reports import TraceReport
from provenance.db.rows.declared import Rows, declared_rows
from provenance.db.rows.probe import baseline_draws, probe_rows
from provenance.db.rows.weights import null_draw_rows
from provenance.db.schema import tables


def trace_rows(report: TraceReport) -> Rows:
    """Everything that a run about a timeline stores."""
    draws = baseline_draws(report.identification)
    return {
        **probe_rows((report.identification,), report.neurons_per_layer),
        tables.NullDraw: [row for drawn in draws for row in null_draw_rows(*drawn)],
        **declared_rows(report.points),
    }
