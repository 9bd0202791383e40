"""Choosing C from points of a path made by hand, and refusing answers that C is tested on."""

from dataclasses import replace

import numpy as np
import pytest

from provenance.analyses.results.probes import PathPoint
from provenance.analyses.search.choose_c import best_by_paper, choose_c, refuse_test_answers, sparsest_within_one_se
from provenance.errors import SplitError
from provenance.records import Label, Split

EVEN: dict[Label, int] = {"faithful": 50, "hallucinated": 50}


def point(C: float, accuracy: float, suppressed: float | None = None, *, positive: int = 3) -> PathPoint:
    return PathPoint(float(C), positive, positive, positive + 1, positive + 2, accuracy, accuracy, suppressed, 0.0, 0.0)


PATH = (point(0.1, 0.9, positive=0), point(1, 0.79), point(10, 0.85), point(100, 0.88), point(1000, 0.87))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (EVEN, 10),  # 0.88 - sqrt(0.88 * 0.12 / 100) = 0.8475
        ({"faithful": 5, "hallucinated": 5}, 1),
        ({"faithful": 95, "hallucinated": 3}, 1),  # the small class decides the error
        ({"faithful": 10**6, "hallucinated": 10**6}, 100),
    ],
)
def test_the_smallest_c_within_one_standard_error_of_the_best_wins(counts: dict[Label, int], expected: float) -> None:
    """Only among points with H-Neurons: the first one is the most accurate and has negative weights alone."""
    assert choose_c("one-se", PATH, counts, None) == expected


def test_the_standard_error_is_that_of_a_balanced_accuracy() -> None:
    """Drawn: the SD of the mean of two accuracies of p = 0.8 on 40 and 160 answers is where the bar lies."""
    rng = np.random.default_rng(0)
    drawn = (rng.binomial(40, 0.8, 10**6) / 40 + rng.binomial(160, 0.8, 10**6) / 160) / 2
    spread = float(drawn.std())
    counts: dict[Label, int] = {"faithful": 40, "hallucinated": 160}
    # a million draws give the SD to 0.1 %
    assert sparsest_within_one_se([point(1, 0.8 - 0.99 * spread), point(2, 0.8)], counts) == 1
    assert sparsest_within_one_se([point(1, 0.8 - 1.01 * spread), point(2, 0.8)], counts) == 2


@pytest.mark.parametrize("accuracy", [0.5, 1.0])
def test_of_equal_points_the_sparsest_wins_by_either_rule(accuracy: float) -> None:
    """Also where all are perfect and the standard error is zero."""
    path = [point(C, accuracy, 0.7) for C in (1, 10, 100)]
    assert choose_c("one-se", path, EVEN, None) == 1
    assert choose_c("paper", path, EVEN, None) == 1


def test_the_papers_rule_takes_the_largest_sum_of_both_accuracies() -> None:
    """Neither the best validation accuracy nor the best suppressed one alone; ties go to the smaller C."""
    path = [point(1, 0.70, 0.60), point(10, 0.80, 0.58), point(100, 0.85, 0.53), point(1000, 0.86, 0.40)]
    sums = [p.validation_accuracy + (p.suppressed_accuracy or 0.0) for p in path]
    assert sums[1] == max(sums)
    assert choose_c("paper", path, EVEN, None) == best_by_paper(path) == path[int(np.argmax(sums))].C == 10
    assert choose_c("paper", [point(1, 0.5, 0.75), point(2, 0.75, 0.5), point(3, 0.5, 0.5)], EVEN, None) == 1
    without = [replace(path[0], suppressed_accuracy=1.0, positive=0), *path[1:]]
    assert choose_c("paper", without, EVEN, None) == 10  # no H-Neurons, nothing to suppress


def test_the_papers_rule_without_suppressed_accuracies_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="suppressed"):
        choose_c("paper", [point(1, 0.8)], EVEN, None)


def test_a_fixed_c_is_taken_whatever_the_training_rows_alone_make_of_it() -> None:
    """0.1 has negative weights only there; whether it has H-Neurons is for the refit on all rows to say."""
    assert [choose_c("fixed", PATH, EVEN, C) for C in (1000.0, 0.1)] == [1000.0, 0.1]


@pytest.mark.parametrize("rule", ["one-se", "paper"])
def test_nothing_is_chosen_where_no_point_has_h_neurons(rule: str) -> None:
    assert choose_c(rule, [], EVEN, 1.0) is None  # type: ignore[arg-type]
    assert choose_c(rule, [point(1, 0.9, 0.9, positive=0)], EVEN, 1.0) is None  # type: ignore[arg-type]


def test_test_answers_are_refused_by_the_name_of_their_split() -> None:
    splits: list[Split] = ["train", "validation", "test"]
    with pytest.raises(SplitError, match="'test'"):
        refuse_test_answers(splits, ["a", "b", "c"], [])
    refuse_test_answers(splits[:2], ["a", "b"], ["c"])


def test_a_question_on_both_sides_is_refused_with_its_name() -> None:
    with pytest.raises(SplitError, match=r"2 questions on both sides, 'b' among"):
        refuse_test_answers(["train"] * 4, ["a", "b", "b", "c"], ["b", "c", "d"])
    refuse_test_answers([], [], [])
