"""A timeline of checkpoints as rows: its points, and the one probe that saw them all."""

from analyses.evidence_results import TracePoint
from analyses.trace_results import TraceReport
from db import schema
from db.rows_evidence import counted_interval
from db.rows_probe import baseline_draws, interval, probe_rows
from db.rows_weights import null_draw_rows
from db.values import Row, numbers


def trace_rows(report: TraceReport) -> dict[type[schema.Base], list[Row]]:
    """Everything that a run about a timeline stores."""
    draws = baseline_draws(report.identification)
    return {
        **probe_rows((report.identification,), report.neurons_per_layer),
        schema.NullDraw: [row for drawn in draws for row in null_draw_rows(*drawn)],
        schema.TracePointRow: [trace_point_row(point) for point in report.points],
    }


def trace_point_row(point: TracePoint) -> Row:
    """One checkpoint of a timeline."""
    names = (
        "own_random_p95", "own_layer_matched_p95", "forced_random_p95", "forced_layer_matched_p95",
        "mean_stability_rank", "null_mean", "p_value", "change_h", "change_all", "correlation_h", "correlation_all",
    )  # fmt: skip
    return {
        "position": int(point.position),
        "ref": point.ref,
        "digest": point.digest,
        "is_floor": bool(point.is_floor),
        "prompt": point.prompt,
        **interval("own", point.own),
        "n_faithful": int(point.n_faithful),
        "n_hallucinated": int(point.n_hallucinated),
        **counted_interval("forced", point.forced),
        **numbers(point, *names),
        "reason": point.reason,
    }
