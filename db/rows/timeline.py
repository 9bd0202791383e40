"""A timeline of checkpoints as rows: its points and its one probe."""

from provenance.analyses.results.reports import TimelineReport
from provenance.db.rows.declared import Rows, declared_rows
from provenance.db.rows.probe import baseline_draws, probe_rows
from provenance.db.rows.weights import null_draw_rows
from provenance.db.schema import tables


def timeline_rows(report: TimelineReport) -> Rows:
    """All rows of a run about a timeline."""
    draws = baseline_draws(report.identification)
    return {
        **probe_rows((report.identification,), report.neurons_per_layer),
        tables.NullDraw: [row for drawn in draws for row in null_draw_rows(*drawn)],
        **declared_rows(report.points),
    }
