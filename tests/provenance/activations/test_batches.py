"""Batches by length: every row once, within the budget, hardly any padding, whichever part of a set is left."""

from collections.abc import Callable

import numpy as np
import pytest

from provenance.activations.batches import batches, rows_within

DISTRIBUTIONS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "short answers, plain prompt": lambda rng: 14 + rng.poisson(9, 2000) + rng.geometric(0.3, 2000),
    "short answers, chat template": lambda rng: 45 + rng.poisson(14, 2000) + rng.geometric(0.2, 2000),
    "whole sentences": lambda rng: 20 + rng.lognormal(3.2, 0.6, 2000),
    "passages": lambda rng: rng.lognormal(5.5, 0.8, 1000).clip(20, 2048),
    "all alike": lambda rng: np.full(1000, 30) + 0 * rng.random(1000),
    "a few": lambda rng: rng.integers(10, 400, 9),
}


def padding(lengths: list[int], found: list[list[int]]) -> float:
    """Share of the tokens of all batches that are padding."""
    total = sum(len(rows) * max(lengths[row] for row in rows) for rows in found)
    return 1 - sum(lengths) / total


@pytest.mark.parametrize("most_tokens", [512, 4096, 16384])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_padding_is_at_most_five_percent_and_every_row_is_read_once(name: str, most_tokens: int) -> None:
    lengths = DISTRIBUTIONS[name](np.random.default_rng(0)).astype(int).tolist()
    found = batches(lengths, most_tokens=most_tokens)
    assert sorted(row for rows in found for row in rows) == list(range(len(lengths)))
    assert all(len(rows) == 1 or len(rows) * lengths[rows[0]] <= most_tokens for rows in found)
    assert padding(lengths, found) <= 0.05
    in_order = [list(range(start, min(start + 32, len(lengths)))) for start in range(0, len(lengths), 32)]
    assert name == "all alike" or padding(lengths, in_order) > 0.15, "the check has teeth"


def test_batches_of_a_large_set_are_full() -> None:
    lengths = DISTRIBUTIONS["short answers, plain prompt"](np.random.default_rng(0)).astype(int).tolist()
    sizes = [len(rows) * lengths[rows[0]] for rows in batches(lengths, most_tokens=4096)]
    assert np.median(sizes) > 0.75 * 4096


def test_what_is_left_after_some_batches_is_read_in_the_batches_it_would_have_been_in() -> None:
    """So a killed run ends in the numbers of an undisturbed one, to the last digit."""
    lengths = DISTRIBUTIONS["whole sentences"](np.random.default_rng(1)).astype(int).tolist()
    whole = batches(lengths, most_tokens=2048, most_rows=40)
    for lost in ([*range(3, len(whole))], [2, 5, len(whole) - 1]):
        rows = sorted(row for number in lost for row in whole[number])
        found = batches([lengths[row] for row in rows], most_tokens=2048, most_rows=40)
        assert [[rows[at] for at in each] for each in found] == [whole[number] for number in lost]


def test_limits_of_rows_and_bytes_hold_and_a_row_beyond_all_of_them_is_read_alone() -> None:
    assert [len(rows) for rows in batches([10] * 7, most_rows=3)] == [3, 3, 1]
    assert batches([9, 5000, 9], most_tokens=4096) == [[1], [0, 2]]
    assert batches([]) == []
    assert [rows_within(size, 100) for size in (0, 30, 100, 101)] == [100, 3, 1, 1]
