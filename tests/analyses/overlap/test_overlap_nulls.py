"""Null distributions of an overlap against going through every set, and against drawing many."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import binom

from provenance.analyses.drift.drift_nulls import Strata
from provenance.analyses.overlap.overlap_nulls import (
    detectable_overlap,
    hypergeometric,
    overlap_nulls,
    shuffled_null,
    stratified,
)

STRATA = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 4, -1])


def ids(*neurons: int) -> np.ndarray:
    return np.array(neurons, dtype=np.int64)


def every_overlap(strata: np.ndarray, base: np.ndarray, instruct: np.ndarray) -> list[int]:
    """What the base's set shares with every set that has as many neurons of each stratum as the other one."""
    parts = [
        list(combinations(np.flatnonzero(strata == stratum).tolist(), int((strata[instruct] == stratum).sum())))
        for stratum in np.unique(strata[instruct])
    ]
    return [len(set(base.tolist()) & {j for part in chosen for j in part}) for chosen in product(*parts)]


def test_the_convolution_counts_every_set_with_the_same_numbers_in_each_stratum() -> None:
    base, instruct = ids(0, 1, 4, 5, 6, 9), ids(1, 2, 6, 7, 11)
    pmf, every = stratified(STRATA, base, instruct), every_overlap(STRATA, base, instruct)
    for count in range(pmf.size):
        assert pmf[count] == pytest.approx(np.mean(np.array(every) == count), abs=1e-12)
    assert pmf.sum() == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_allclose(stratified(STRATA, instruct, base), pmf, rtol=1e-12)  # whichever of them is kept
    assert not np.allclose(hypergeometric(12, 6, 5)[: pmf.size], pmf, rtol=0.05)  # the check can fail


def test_every_null_has_the_numbers_of_its_distribution() -> None:
    base, instruct = ids(0, 1, 4, 5, 6, 9), ids(1, 2, 6, 7, 11)
    anywhere, layer = overlap_nulls(base, instruct, 13, [Strata("layer", STRATA)])
    assert (anywhere.kind, layer.kind, layer.draws) == ("hypergeometric", "layer", 0)
    for null, every in (
        (anywhere, np.array(every_overlap(np.zeros(13, dtype=np.int64), base, instruct))),
        (layer, np.array(every_overlap(STRATA, base, instruct))),
    ):
        assert null.expected == pytest.approx(every.mean(), rel=1e-12)
        assert null.sd == pytest.approx(every.std(), rel=1e-12)
        assert null.p_value == pytest.approx((every >= 2).mean(), rel=1e-12)
        assert null.p_zero == pytest.approx((every == 0).mean(), abs=1e-12)


def test_neurons_that_cannot_be_matched_are_not_counted_as_shared() -> None:
    """Neuron 12 has no stratum: the matched null is that of the sets without it."""
    strata = [Strata("layer_norm", STRATA)]
    _, with_it = overlap_nulls(ids(0, 4, 12), ids(0, 5, 12), 13, strata)
    _, without = overlap_nulls(ids(0, 4), ids(0, 5), 13, strata)
    assert with_it == without


def test_sets_in_the_same_few_cells_share_more_by_chance_than_anywhere() -> None:
    """Two searches that both like the last layer: hypergeometric is fooled, the layers are not."""
    rng = np.random.default_rng(0)
    strata, fooled, refused = np.repeat(np.arange(20), 100), 0, 0
    for _ in range(40):
        base, instruct = (1900 + rng.choice(100, 20, replace=False) for _ in range(2))
        anywhere, layer = overlap_nulls(base, instruct, 2000, [Strata("layer", strata)])
        fooled += anywhere.p_value < 0.05
        refused += layer.p_value >= 0.05
        assert layer.expected == pytest.approx(4.0)
    assert fooled >= 36
    assert refused >= 36


def test_planted_shared_neurons_are_found_under_the_layers_too() -> None:
    rng, strata = np.random.default_rng(1), np.repeat(np.arange(20), 100)
    common = rng.choice(2000, 8, replace=False)
    sets = [np.union1d(common, rng.choice(2000, 20, replace=False)) for _ in range(2)]
    assert all(null.p_value < 1e-4 for null in overlap_nulls(sets[0], sets[1], 2000, [Strata("layer", strata)]))


def test_the_detectable_overlap_is_found_in_four_pairs_of_five() -> None:
    pmf = hypergeometric(1000, 40, 60)
    at_least = np.cumsum(pmf[::-1])[::-1]
    found = detectable_overlap(at_least, 40)
    assert found is not None
    critical = next(count for count in range(41) if at_least[count] < 0.05)
    assert binom.sf(critical - 1, 40, found / 40) == pytest.approx(0.8, rel=1e-9)
    drawn = np.random.default_rng(2).binomial(40, found / 40, 20_000)
    assert np.mean(at_least[drawn] < 0.05) == pytest.approx(0.8, abs=0.01)
    assert found > 40 * 60 / 1000


def test_an_overlap_that_no_agreement_could_make_rare_is_not_detectable() -> None:
    assert [null.smallest_detectable for null in overlap_nulls(np.arange(9), np.arange(9), 9)] == [None]
    one = overlap_nulls(ids(3), ids(3), 10)[0]  # one of ten is no rarer than 1 in 10
    assert (one.p_value, one.smallest_detectable) == (pytest.approx(0.1), None)
    assert overlap_nulls(ids(3), ids(3), 100)[0].smallest_detectable == pytest.approx(0.8)


def test_an_empty_set_has_no_null() -> None:
    assert overlap_nulls(ids(), ids(1), 10) == ()
    assert overlap_nulls(ids(1), ids(), 10, shuffled=((ids(1),), (ids(1),))) == ()


def test_the_null_of_shuffled_labels_is_over_the_sets_of_each_shuffle() -> None:
    """Slow: both models' sets of one shuffle, counted; sets of different shuffles do not belong together."""
    rng = np.random.default_rng(3)
    base, instruct = ([rng.choice(30, 10, replace=False) for _ in range(6)] for _ in range(2))
    null = shuffled_null(base, instruct, 4, (10, 10))
    counts = np.array([len(set(a.tolist()) & set(b.tolist())) for a, b in zip(base, instruct, strict=True)])
    assert (null.kind, null.draws) == ("shuffled_labels", 6)
    assert null.expected == pytest.approx(counts.mean())
    assert null.sd == pytest.approx(counts.std())
    assert 0 < (counts >= 4).sum() < 6
    assert null.p_value == pytest.approx((1 + (counts >= 4).sum()) / 7)
    assert null.p_zero == (counts == 0).mean()
    assert null.smallest_detectable is None  # six draws cannot say p < 0.05
    assert shuffled_null(base * 5, instruct * 5, 10, (10, 10)).p_value == pytest.approx(1 / 31)
    assert shuffled_null(base, base, 10, (10, 10)).p_value == 1.0  # the same noise in both: each shuffle shares all


def test_larger_shuffled_sets_are_cut_to_their_heaviest_neurons() -> None:
    big, other = [ids(9, 8, 7, 1, 2)] * 30, [ids(1, 2, 9)] * 30
    assert shuffled_null(big, other, 1, (3, 3)).expected == 1.0
    assert shuffled_null(big, other, 1, (5, 3)).expected == 3.0  # the check can fail
    assert shuffled_null(big, [ids()] * 30, 1, (3, 3)).p_zero == 1.0


def test_shuffled_sets_of_one_model_only_give_no_null() -> None:
    kinds = [null.kind for null in overlap_nulls(ids(1), ids(1), 100, shuffled=((ids(1),), ()))]
    assert kinds == ["hypergeometric"]
