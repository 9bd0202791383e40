"""The trajectory figure: points in the order of the checkpoints, the floor as a level, nothing where nothing was."""

from collections.abc import Sequence

import numpy as np
import pytest
from artists import assert_inside, legend_of, named
from evidence_rows import point
from matplotlib.figure import Figure

from provenance.db.reading.run_query import run_query
from provenance.figures.drawing import style
from provenance.figures.drawing.timeline_panels import MANY, p95, short_names, trajectories
from provenance.figures.gallery import drawn
from provenance.figures.tables.evidence import checkpoints

FLOOR = point(-1, "random initialisation", 0.52, None)
LAST = {"mean_stability_rank": None, "null_mean": None, "correlation_h": None, "correlation_all": None}


def line(n: int = 3) -> list[dict[str, object]]:
    return [point(i, f"org/model@step-{i}", 0.6 + i / 20, 0.62 + i / 20) for i in range(n)]


def figure_timeline(rows: Sequence[dict[str, object]]) -> Figure:
    """One timeline."""
    return trajectories({"": rows})


def y_of(found: dict[str, object], name: str) -> np.ndarray:
    return np.asarray(found[name].get_ydata(), dtype=float)  # type: ignore[attr-defined]


def test_points_bars_and_levels_are_those_of_the_query(timeline: str) -> None:
    rows = run_query(timeline, "trace").records()
    found = named(figure_timeline(rows))
    points = checkpoints(rows)
    for column in ("forced", "own", "mean_stability_rank", "null_mean", "correlation_h", "correlation_all"):
        expected = np.array([np.nan if row[column] is None else row[column] for row in points], dtype=float)
        np.testing.assert_array_equal(y_of(found, column), expected)
    for column in ("forced", "own"):
        drawn_bars = [tuple(part[:, 1]) for part in found[f"{column} bars"].get_segments()]
        assert drawn_bars == [
            (row[f"{column}_low"], row[f"{column}_high"]) for row in points if row[column] is not None
        ]
    floor = next(row for row in rows if row["is_floor"])
    assert set(y_of(found, "floor")) == {floor["forced"]}
    band = found["floor band"]
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx(
        (floor["forced_low"], floor["forced_high"])
    )


def test_checkpoints_stand_in_the_order_that_was_given_whatever_the_order_of_rows() -> None:
    rows = [FLOOR, *line()]
    assert [row["ref"] for row in checkpoints(rows[::-1])] == [row["ref"] for row in line()]
    first, second = (named(figure_timeline(part)) for part in (rows, rows[::-1]))
    np.testing.assert_array_equal(y_of(first, "forced"), y_of(second, "forced"))
    assert y_of(first, "forced").tolist() == [0.6, 0.65, 0.7]


def test_the_floor_is_a_level_and_no_point() -> None:
    figure = figure_timeline([FLOOR, *line()])
    assert len(y_of(named(figure), "forced")) == 3
    assert "random initialisation" in legend_of(figure)
    without = figure_timeline(line())
    assert "floor" not in named(without)
    assert "random initialisation" not in legend_of(without)
    assert "floor" not in named(figure_timeline([{**FLOOR, "forced": None}, *line()]))


def test_control_sets_are_shown_by_the_higher_of_both_percentiles() -> None:
    rows = line(2)
    rows[0] |= {"own_random_p95": 0.66, "own_layer_matched_p95": 0.62}
    rows[1] |= {"own_random_p95": None, "own_layer_matched_p95": None}
    np.testing.assert_array_equal(p95(rows, "own"), [0.66, np.nan])
    np.testing.assert_array_equal(y_of(named(figure_timeline(rows)), "own p95"), [0.66, np.nan])


def test_a_point_without_number_is_a_gap() -> None:
    rows = [point(0, "a", 0.6, None), *line()[1:]]
    found = named(figure_timeline(rows))
    assert np.isnan(y_of(found, "own")[0])
    assert len(found["own bars"].get_segments()) == 2


def test_panels_that_nothing_was_measured_for_are_left_out() -> None:
    assert len(figure_timeline(line()).axes) == 3
    assert len(figure_timeline([row | LAST for row in line()]).axes) == 1
    some = [row | {"correlation_h": None, "correlation_all": None} for row in line()]
    assert [axes.get_ylabel() for axes in figure_timeline(some).axes] == ["AUROC", "mean rank"]


def test_names_lose_the_path_and_the_repository_that_all_share() -> None:
    assert short_names(["org/model@a", "org/model@b"]) == ["a", "b"]
    assert short_names(["lab/f/base@s-1", "lab/f/base", "lab/f/it"]) == ["base@s-1", "base", "it"]
    assert short_names(["one/base", "two/it"]) == ["one/base", "two/it"]
    assert short_names(["org/model@a"]) == ["org/model@a"]
    assert short_names(["x" * 30, "y"])[0] == "…" + "x" * 19


@pytest.mark.parametrize("n", [2, 4, MANY, 12])
def test_nothing_is_cut_off_with_any_number_of_checkpoints_or_long_names(n: int) -> None:
    for name in ("step-{}", "a-rather-long-organisation/with_$a^{{model$ and a long name-{}"):
        rows = [point(i, name.format(i), 0.6, 0.65) for i in range(n)]
        figure = figure_timeline([FLOOR, *rows])
        assert_inside(figure)
        assert figure.get_figwidth() == (style.page_in() if n >= MANY else style.column_in())


def test_names_are_turned_only_where_they_would_run_into_each_other() -> None:
    assert figure_timeline(line()).axes[-1].get_xticklabels()[0].get_rotation() == 0
    long = [point(i, f"org{i}/a-model-of-long-name", 0.6, 0.6) for i in range(6)]
    assert figure_timeline(long).axes[-1].get_xticklabels()[0].get_rotation() == 35


def test_the_axis_holds_intervals_below_chance() -> None:
    assert figure_timeline([point(0, "a", 0.2, None)]).axes[0].get_ylim()[0] < 0.16


def test_caption_and_table_have_every_point_the_floor_first_and_why_numbers_are_missing(timeline: str) -> None:
    figure = drawn(timeline)[0]
    assert figure.spec.name == "figure_trajectory"
    lede, more, floor, first, *_ = figure.caption
    assert "mean stability rank" in more
    assert "4 checkpoints in order" in lede
    assert "k = 4 H-Neurons" in lede
    assert floor.startswith("random initialisation (base prompt): last checkpoint’s answers 0.51 [0.48, 0.54]; own")
    assert first.endswith("r 0.80 (all neurons 0.70); no faithful answers of its own.")
    rows = figure.spec.table(figure.parts).rows
    assert [row[0] for row in rows][:2] == ["random initialisation", "org/model@step-0350"]
    assert len(rows) == 5
