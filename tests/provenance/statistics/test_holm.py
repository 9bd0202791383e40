"""Holm's correction is the closed test of Bonferroni, and agrees with statsmodels."""

from itertools import chain, combinations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from provenance.errors import InputError
from provenance.statistics.holm import holm

FAMILIES = {
    "random": np.random.default_rng(0).random(9) ** 3,
    "ties": np.array([0.01, 0.04, 0.01, 0.5, 0.04]),
    "capped": np.array([0.6, 0.9, 1.0]),
    "zero": np.array([0.0, 0.5]),
    "one": np.array([0.03]),
}


def by_closure(p_values: np.ndarray) -> list[float]:
    """A hypothesis is rejected when Bonferroni rejects every set of hypotheses that it belongs to."""
    tests = range(p_values.size)
    families = list(chain.from_iterable(combinations(tests, size) for size in range(1, p_values.size + 1)))
    return [max(min(1.0, len(s) * p_values[list(s)].min()) for s in families if test in s) for test in tests]


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_the_closed_test_of_bonferroni_and_what_statsmodels_gives(name: str) -> None:
    p_values = FAMILIES[name]
    adjusted = holm(p_values)
    np.testing.assert_allclose(adjusted, by_closure(p_values), rtol=1e-12)
    np.testing.assert_allclose(adjusted, multipletests(p_values, method="holm")[1], rtol=1e-12)
    assert (adjusted >= p_values).all()
    assert (np.diff(adjusted[np.argsort(p_values)]) >= 0).all()
    bonferroni = np.minimum(1.0, p_values * p_values.size)
    assert (adjusted <= bonferroni).all()
    assert name != "random" or (adjusted < bonferroni).any()  # a wrong correction would be seen


def test_order_does_not_matter_and_no_test_is_no_family() -> None:
    p_values = FAMILIES["random"]
    order = np.random.default_rng(1).permutation(9)
    assert holm(p_values[order]).tolist() == holm(p_values)[order].tolist()
    assert holm(np.empty(0)).tolist() == []


def test_five_per_cent_of_families_of_nulls_have_a_finding() -> None:
    """Nine true nulls, 2,000 times: without correction every third family would have one."""
    p_values = np.random.default_rng(2).random((2000, 9))
    assert np.mean([holm(family).min() < 0.05 for family in p_values]) == pytest.approx(0.05, abs=0.015)
    assert np.mean(p_values.min(axis=1) < 0.05) > 0.3


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1, np.inf])
def test_what_is_no_p_value_is_refused(bad: float) -> None:
    with pytest.raises(InputError, match="p-values between 0 and 1"):
        holm(np.array([0.1, bad]))
