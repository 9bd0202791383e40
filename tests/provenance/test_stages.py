"""Stages of a run: times add up, rates follow, peaks are the larger ones."""

from provenance.stages import StageTime, together


def test_parts_of_a_stage_add_up_in_the_order_of_the_first_and_the_rate_follows() -> None:
    parts = [
        StageTime.of("ask", 2.0, 100, "tokens", 1.5),
        StageTime.of("drift", 1.0),
        StageTime.of("ask", 3.0, 400, "tokens", 1.0, 7.0),
        StageTime.of("drift", 0.5, peak_memory_gb=2.0),
    ]
    ask, drift = together(parts)
    assert ask == StageTime("ask", 5.0, 500, "tokens", 100.0, 1.5, 7.0)
    assert drift == StageTime("drift", 1.5, None, "", None, 2.0, None)
