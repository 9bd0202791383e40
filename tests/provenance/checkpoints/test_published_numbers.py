"""Published numbers: those of the paper's tables, for families that are known, and what chance says of them."""

import numpy as np
import pytest

from provenance.checkpoints.known_families import known_families
from provenance.checkpoints.published_numbers import of_dataset, published_numbers, published_slopes
from provenance.words import BENCHMARK_KINDS


def test_all_six_families_of_the_paper_are_known_families() -> None:
    assert len(published_numbers()) == 6
    assert set(published_numbers()) <= set(known_families())


def test_published_slopes_are_of_known_families_and_kinds_and_have_a_source() -> None:
    """Those of the replication are the least-squares slopes of its printed shares, in steps of one half from 0 to 3."""
    slopes = published_slopes()
    assert {name for each in slopes for name in each.families} == set(published_numbers())
    assert {each.kind for each in slopes} - {""} <= set(BENCHMARK_KINDS)
    assert all(each.source and each.about for each in slopes)
    printed = {
        "misleading context": (642, 654, 660, 670, 682, 695, 705),
        "invalid premise": (696, 713, 719, 712, 750, 739, 744),
        "harmful instruction": (202, 238, 252, 286, 278, 282, 264),
    }
    for kind, shares in printed.items():
        [one] = [each for each in slopes if each.kind == kind]
        fitted = np.polyfit(np.arange(7) / 2, np.array(shares) / 1000, 1)[0]
        assert one.slope == pytest.approx(fitted, abs=2e-4)
        assert one.interval is not None
        assert one.interval[0] < one.slope < one.interval[1]


def test_printed_ranks_of_llama_are_possible_by_chance_and_the_others_are_not() -> None:
    """K of 7 to 11 and mean rank 0.584: p of 0.17 to 0.22 where the paper prints < 0.001 (computed by hand)."""
    numbers = published_numbers()
    assert numbers["llama-3.1-8b"].k == (7, 11)
    assert numbers["llama-3.1-8b"].p_uniform == pytest.approx((0.167, 0.221), abs=0.001)
    assert numbers["llama-3.3-70b"].k == (12, 34)
    assert numbers["llama-3.3-70b"].p_uniform == pytest.approx((0.038, 0.145), abs=0.001)
    for name in ("mistral-small-3.1-24b", "gemma-3-4b", "gemma-3-27b"):
        assert numbers[name].p_uniform[1] < 0.001


def test_a_question_set_is_found_by_the_first_words_of_its_name() -> None:
    numbers = published_numbers()["gemma-3-4b"].transfer
    assert of_dataset(numbers, "triviaqa") == of_dataset(numbers, "triviaqa-dev") == 0.73
    assert of_dataset(numbers, "trivia") is None
    assert of_dataset(numbers, "nq-open-dev") == 0.68
