"""Published numbers: those of the paper's tables, for families that are known, and what chance says of them."""

import pytest

from provenance.checkpoints.known_families import known_families
from provenance.checkpoints.published_numbers import of_dataset, published_numbers


def test_all_six_families_of_the_paper_are_known_families() -> None:
    assert len(published_numbers()) == 6
    assert set(published_numbers()) <= set(known_families())


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
