"""Tables of a timeline of checkpoints that are filled by hand."""

from provenance.analyses.results.reports import TimelineReport
from provenance.db.rows.probe import baseline_draws, probe_rows
from provenance.db.rows.result_rows import Rows
from provenance.db.rows.weights import null_draw_rows
from provenance.db.schema import tables


def timeline_rows(report: TimelineReport) -> Rows:
    """Rows of its one probe."""
    draws = baseline_draws(report.identification)
    return {
        **probe_rows((report.identification,), report.neurons_per_layer),
        tables.NullDraw: [row for drawn in draws for row in null_draw_rows(*drawn)],
    }
