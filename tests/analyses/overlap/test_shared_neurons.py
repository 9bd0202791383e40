"""Overlap against its nulls: identical sets are supported, and small sets that share nothing prove nothing."""

from itertools import combinations

import numpy as np
import pytest

from provenance.activations.features import Features
from provenance.analyses.claims.claim_conditions import judged_overlap
from provenance.analyses.drift.drift_nulls import Strata
from provenance.analyses.overlap.overlap_nulls import overlap_nulls
from provenance.analyses.overlap.shared_neurons import cluster_jaccard, heaviest_first, overlap
from provenance.analyses.results.overlap import OverlapNull, OverlapResult


def judged(base: np.ndarray, instruct: np.ndarray, total: int, nulls: tuple[OverlapNull, ...] = ()) -> OverlapResult:
    """Two sets that nobody searched for, against some nulls or the hypergeometric one."""
    nulls = nulls or overlap_nulls(base, instruct, total)
    return judged_overlap(overlap(base, instruct, total, nulls=nulls), nulls, (), "")[0]


@pytest.mark.parametrize(("shared", "total"), [(0, 9), (1, 9), (2, 9), (3, 9)])
def test_p_values_equal_counting_every_possible_set(shared: int, total: int) -> None:
    base = np.array([0, 1, 2])
    instruct = np.arange(3 - shared, 3 - shared + 4)
    overlaps = [len({0, 1, 2} & set(subset)) for subset in combinations(range(total), 4)]
    result = overlap(base, instruct, total)
    assert result.shared == shared
    assert result.p_hypergeometric == pytest.approx(np.mean(np.array(overlaps) >= shared), rel=1e-12)
    assert result.p_zero == pytest.approx(np.mean(np.array(overlaps) == 0), rel=1e-12)
    assert result.expected == pytest.approx(np.mean(overlaps), rel=1e-12)
    assert result.jaccard == shared / (7 - shared)


def test_more_shared_neurons_than_chance_are_supported() -> None:
    result = judged(np.arange(100), np.arange(50, 150), 1000)
    assert result.verdict == "supported"
    assert "50 of 100 (base) and 100 (instruct)" in result.reason


def test_as_many_as_chance_gives_are_not() -> None:
    assert judged(np.arange(100), np.arange(90, 190), 1000).verdict == "not distinguishable"


def test_zero_overlap_of_small_sets_proves_nothing() -> None:
    result = judged(np.arange(20), np.arange(20, 40), 10_000)
    assert result.p_zero is not None
    assert result.p_zero > 0.95
    assert result.verdict == "no power"
    assert "chance alone shares none" in result.reason


PUBLISHED = {
    "Mistral-7B-v0.3": (458_752, 0.35),
    "Mistral-Small-3.1-24B": (1_310_720, 0.01),
    "Gemma-3-4B": (348_160, 0.10),
    "Gemma-3-27B": (1_333_248, 0.18),
    "Llama-3.1-8B": (458_752, 0.02),
    "Llama-3.3-70B": (2_293_760, 0.01),
}
"""D, and H-Neurons per thousand: Gao et al. 2025, arXiv:2512.01797, Table 1."""


@pytest.mark.parametrize("model", PUBLISHED)
def test_at_published_sizes_identical_sets_are_supported_and_disjoint_ones_have_no_power(model: str) -> None:
    """Chance shares none with probability 0.9 or more in all of them, which says nothing about sets that share."""
    total, per_mille = PUBLISHED[model]
    k = round(total * per_mille / 1000)
    layers = np.arange(total) // (total // 32)
    h_neurons = np.sort(np.random.default_rng(k).choice(total, k, replace=False))
    strata = (Strata("layer", layers),)
    same = judged(h_neurons, h_neurons, total, overlap_nulls(h_neurons, h_neurons, total, strata))
    assert same.p_zero is not None
    assert same.p_zero > 0.9
    assert same.verdict == "supported"
    assert "chance alone" not in same.reason
    apart = judged(h_neurons, (h_neurons + 1) % total, total)
    assert (apart.shared, apart.verdict) == (0, "no power")


def test_large_sets_that_share_nothing_are_not_distinguishable_and_not_without_power() -> None:
    """Chance would share six of them; that they share none is a result."""
    result = judged(np.arange(100), np.arange(100, 200), 1600)
    assert result.p_zero is not None
    assert result.p_zero < 0.05
    assert result.verdict == "not distinguishable"


@pytest.mark.parametrize(
    ("base", "instruct", "named"), [(0, 5, "the base"), (5, 0, "the instruct"), (0, 0, "the base")]
)
def test_an_empty_set_has_no_power_and_is_named(base: int, instruct: int, named: str) -> None:
    result = judged(np.arange(base), np.arange(instruct), 100)
    assert result.verdict == "no power"
    assert named in result.reason
    assert result.p_hypergeometric is None
    assert (result.jaccard is None) == (base == instruct == 0)


def test_sets_so_large_that_full_agreement_is_ordinary_have_no_power() -> None:
    assert judged(np.arange(100), np.arange(100), 100).verdict == "no power"


def ids(*neurons: int) -> np.ndarray:
    return np.array(neurons, dtype=np.int64)


def shuffled(of: np.ndarray, sets: int = 50) -> list[np.ndarray]:
    return [of] * sets


def test_what_shuffled_labels_share_as_well_is_not_supported() -> None:
    """Twenty neurons that every search finds whatever the labels: the hypergeometric null alone would accept them."""
    base, instruct = np.arange(100), np.concatenate([np.arange(20), np.arange(500, 580)])
    nulls = overlap_nulls(base, instruct, 1000, shuffled=(shuffled(np.arange(20)), shuffled(np.arange(20))))
    fooled, result = judged(base, instruct, 1000), judged(base, instruct, 1000, nulls)
    assert fooled.verdict == "supported"
    assert result.verdict == "not distinguishable"
    assert "the same searches with shuffled labels would share 20, p = 1" in result.reason
    assert result.p_hypergeometric == fooled.p_hypergeometric
    elsewhere = shuffled(np.arange(900, 920)), shuffled(np.arange(900, 905))
    beaten = overlap_nulls(base, instruct, 1000, shuffled=elsewhere)
    assert judged(base, instruct, 1000, beaten).verdict == "supported"


def test_the_reason_names_the_null_that_is_beaten_least() -> None:
    """Both sets in one layer: 20 of 100 anywhere is far from chance, and within the layer it is chance."""
    strata = [Strata("layer", np.repeat(np.arange(10), 100))]
    base, instruct = np.arange(50), np.arange(30, 80)
    result = judged(base, instruct, 1000, overlap_nulls(base, instruct, 1000, strata))
    assert result.verdict == "not distinguishable"
    assert "neurons of the same layers would share 25, p = " in result.reason


def test_a_null_that_full_agreement_would_not_beat_leaves_no_power() -> None:
    base = np.arange(5)
    few = shuffled(base, 10), shuffled(np.arange(700, 705), 10)
    result = judged(np.arange(200), base, 1000, overlap_nulls(np.arange(200), base, 1000, shuffled=few))
    assert result.verdict == "no power"
    assert "full agreement would be no rarer than p = 0.05 with the same searches" in result.reason


def test_ratios_stand_beside_their_ceilings() -> None:
    result = overlap(np.arange(100), np.arange(50, 150), 1000, ceilings=(0.5, 0.0))
    assert (result.ceiling_base, result.ceiling_instruct) == (0.5, 0.0)
    assert result.ratio_base == pytest.approx((50 / 150) / 0.5)
    assert result.ratio_instruct is None  # over a ceiling of 0
    assert overlap(ids(), ids(), 10, ceilings=(0.5, 0.5)).ratio_base is None


def test_a_neuron_that_does_the_same_in_the_base_counts_as_the_same_cluster() -> None:
    """Neuron 1 is a copy of neuron 0, 2 its opposite, 3 on its own."""
    rng = np.random.default_rng(0)
    one, other = rng.gamma(2, 1, (2, 60)).astype(np.float32)
    values = np.stack([one, one + 0.01 * rng.random(60).astype(np.float32), 20 - one, other], axis=1)
    names = tuple(map(str, range(60)))
    features = Features.of(values, values, np.arange(60) < 30, names, names)
    assert cluster_jaccard(ids(0, 3), ids(1, 2), features) == pytest.approx(1 / 3)
    assert cluster_jaccard(ids(0, 3), ids(3, 1), features) == 1.0
    assert cluster_jaccard(ids(3), ids(2), features) == 0.0
    assert cluster_jaccard(ids(), ids(2), features) == 0.0
    assert cluster_jaccard(ids(), ids(), features) is None
    assert overlap(ids(0), ids(1), 4, features=features).cluster_jaccard == 1.0
    assert overlap(ids(0), ids(1), 4).cluster_jaccard is None


def test_lists_are_ranked_by_their_weights() -> None:
    weights = np.array([0.0, 3.0, 1.0, 2.0, 3.0])
    assert heaviest_first(ids(2, 4, 1, 3), weights).tolist() == [4, 1, 3, 2]
    assert heaviest_first(ids(2, 1), None).size == 0
    same = overlap(ids(1, 2, 3), ids(3, 2, 1), 100, weights=(weights, weights))
    assert same.rank_biased == pytest.approx(1.0)
    turned = overlap(ids(1, 2, 3), ids(1, 2, 3), 100, weights=(weights, -weights))
    assert turned.rank_biased is not None
    assert turned.rank_biased < 1
    assert overlap(ids(1), ids(1), 100, weights=(weights, None)).rank_biased is None
