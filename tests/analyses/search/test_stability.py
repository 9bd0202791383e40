"""Half-samples: planted neurons come back in every half, copies stand in for one another, chance leaves nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import D_M, LAYERS, PLANTED, material_of, planted, whole_rows
from reference import fit_probe

from provenance.activations.features import Features
from provenance.analyses.results.probes import StabilityResult
from provenance.analyses.search import probe_fit as module
from provenance.analyses.search.identification import ProbeSettings, identify
from provenance.analyses.search.probe_fit import probe_rows
from provenance.analyses.search.stability import (
    clusters,
    complementary_halves,
    false_bound,
    half_samples,
    mean_jaccard,
    stability,
)

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

PAIRS = 6
C = 2.0
BUSY = 4.0  # a C at which halves select neurons that carry nothing, each half others
WEAK = 0.012  # less than a standard deviation
COPIES = (13, 44)


def grouped(features: Features, units: Sequence[str]) -> Features:
    return replace(features, units=tuple(units))


def with_copy(rows: int, seed: int, noise: float) -> Features:
    """Neuron 44 is neuron 13 with a little noise of its own, so that neither is better."""
    features = planted(rows, seed, 0.03)
    rng = np.random.default_rng(seed + 100)
    answer, other = features.answer.all(), features.other.all()
    for values in (answer, other):
        shared = values[:, COPIES[0]].copy()
        for neuron in COPIES:
            values[:, neuron] = shared + rng.normal(0, noise, rows).astype(np.float32)
    return Features.of(answer, other, features.hallucinated, features.units, features.question_ids)


def found(
    features: Features,
    folder: Path,
    *,
    design: str = "3-vs-1",
    at: float = C,
    likely: Sequence[int] = (),
    pairs: int = PAIRS,
    threshold: float = 0.75,
    seed: int = 0,
) -> StabilityResult | None:
    probe = fit_probe(*whole_rows(features, design), C=at, design=design)
    with probe_rows(features, design, folder, intercept_penalised=True) as rows:
        first = np.array(likely, dtype=np.int64)
        halves = half_samples(rows, features, probe.C, first, pairs=pairs, seed=seed)
        return stability(halves, features, probe, threshold=threshold)


def test_strong_independent_neurons_are_selected_in_every_half(tmp_path: Path) -> None:
    result = found(planted(300, 0, 0.03), tmp_path)
    assert result is not None
    assert result.half_samples == 2 * PAIRS
    assert result.frequency[list(PLANTED)].tolist() == [1.0] * 3
    assert set(PLANTED) <= set(result.stable.tolist())
    others = np.delete(result.frequency, PLANTED)
    assert others.mean() < 0.1  # the check can fail: not everything is selected
    assert result.mean_selected == pytest.approx(result.frequency.sum())
    assert result.C == 2 * C


@pytest.mark.parametrize("design", ["3-vs-1", "1-vs-1"])
def test_the_frequency_is_that_of_each_half_fitted_by_itself(tmp_path: Path, design: str) -> None:
    """Slow: the rows of each half alone, at twice the C, one fit after the other."""
    features = planted(120, 0, WEAK)
    result = found(features, tmp_path, design=design, at=BUSY, seed=3)
    halves = complementary_halves(features, PAIRS, 3)
    assert result is not None
    assert halves is not None
    sets = [
        fit_probe(*whole_rows(features.take(half), design), C=2 * BUSY, design=design).h_neurons.tolist()
        for half in halves
    ]
    counts = [sum(neuron in ids for ids in sets) for neuron in range(LAYERS * D_M)]
    np.testing.assert_array_equal(result.frequency, np.array(counts) / len(sets))
    np.testing.assert_array_equal(result.stable, [j for j, n in enumerate(counts) if n / len(sets) >= 0.75])
    low, high = np.quantile([len(ids) for ids in sets], [0.025, 0.975])
    assert (result.k_low, result.k_high) == (pytest.approx(low), pytest.approx(high))
    assert result.k_low < result.k_high
    shared = [(len(set(a) & set(b)), len(set(a) | set(b))) for a, b in zip(sets[::2], sets[1::2], strict=True)]
    assert result.split_half_shared == pytest.approx(np.mean([s for s, _ in shared]))
    assert result.split_half_jaccard == pytest.approx(np.mean([s / u for s, u in shared]))
    assert 0 < result.split_half_jaccard < 1
    at_one_c = [fit_probe(*whole_rows(features.take(h), design), C=BUSY, design=design).h_neurons.size for h in halves]
    assert sum(at_one_c) != sum(map(len, sets))  # the C of the halves makes a difference


def test_copies_share_the_selections_and_form_one_cluster(tmp_path: Path) -> None:
    """Halves choose now one, now the other: they agree less on neurons than on clusters."""
    result = found(with_copy(120, 0, 0.002), tmp_path, pairs=20)
    assert result is not None
    assert result.split_half_jaccard is not None
    assert result.split_half_clusters is not None
    cluster = dict(zip(result.clustered.tolist(), result.cluster.tolist(), strict=True))
    assert cluster[COPIES[0]] == cluster[COPIES[1]]
    assert sum(number == cluster[COPIES[0]] for number in cluster.values()) == 2
    assert 0.2 < result.frequency[list(COPIES)].min() < result.frequency[list(COPIES)].max() < 1
    assert result.frequency[list(COPIES)].sum() >= 1.0  # one of them is always there
    assert result.frequency[list(PLANTED[1:])].tolist() == [1.0, 1.0]  # those without a copy
    assert result.split_half_clusters > result.split_half_jaccard + 0.1
    without = found(planted(120, 0, 0.03), tmp_path, pairs=20)
    assert without is not None
    assert without.split_half_clusters == without.split_half_jaccard  # the check can fail


@pytest.mark.slow
def test_permuted_labels_leave_no_more_than_the_bound_and_accuracy_at_chance(tmp_path: Path) -> None:
    """And with the true labels the same checks fail, each of them.

    Choice: 1-vs-1, since with `other` rows a neuron that merely fires on answers is told from their labels.
    """
    settings = ProbeSettings(design="1-vs-1", steps=(1.6, 2.5), pairs=10, draws=10)
    parts = [planted(240, 0, 0.03), planted(80, 1, 0.03), planted(120, 2, 0.03)]
    by_chance = [judged(tmp_path, permuted(parts, seed), settings) for seed in range(8)]
    assert np.mean([stable for stable, *_ in by_chance]) <= np.mean([bound for _, bound, *_ in by_chance])
    assert {planted_ones for *_, planted_ones, _ in by_chance} == {0}
    # one accuracy on 120 answers has a standard error of 0.046, the mean of eight 0.016
    assert abs(np.mean([accuracy for *_, accuracy in by_chance]) - 0.5) < 0.05
    stable, bound, planted_ones, accuracy = judged(tmp_path, parts, settings)
    assert stable > bound
    assert planted_ones == len(PLANTED)
    assert accuracy > 0.9


def permuted(parts: Sequence[Features], seed: int) -> list[Features]:
    rng = np.random.default_rng(seed)
    return [replace(f, hallucinated=rng.permutation(f.hallucinated)) for f in parts]


def judged(folder: Path, parts: Sequence[Features], settings: ProbeSettings) -> tuple[int, float, int, float]:
    """Stable neurons, their bound, how many of them are planted, and the accuracy on test answers."""
    result = identify(material_of(folder, parts[0], parts[1], {"test": parts[2]}), settings).result
    assert result.stability is not None
    assert result.stability.false_bound is not None
    accuracy = result.test[0].accuracy
    assert accuracy is not None
    stable = result.stability.stable
    return stable.size, result.stability.false_bound, int(np.isin(PLANTED, stable).sum()), accuracy.estimate


def test_halves_are_complementary_balanced_and_made_of_whole_questions() -> None:
    features = planted(101, 0)
    units = [f"q{i // 3:02d}" for i in range(101)]  # three rows of a question, with both labels in most
    halves = complementary_halves(grouped(features, units), PAIRS, 0)
    assert halves is not None
    assert len(halves) == 2 * PAIRS
    for first, second in zip(halves[::2], halves[1::2], strict=True):
        np.testing.assert_array_equal(first, ~second)
        assert not {units[i] for i in np.flatnonzero(first)} & {units[i] for i in np.flatnonzero(second)}
    own = complementary_halves(features, PAIRS, 0)
    assert own is not None
    for half in own:
        positives, negatives = int(features.hallucinated[half].sum()), int((~features.hallucinated)[half].sum())
        assert positives in {25, 26}  # of 51
        assert negatives == 25  # of 50
    assert len({half.tobytes() for half in own}) == 2 * PAIRS  # other halves in every pair


def test_an_odd_question_goes_to_either_side_in_turn() -> None:
    features = planted(101, 0)  # 51 hallucinated
    halves = complementary_halves(features, 4, 0)
    assert halves is not None
    assert [int(features.hallucinated[half].sum()) for half in halves[::2]] in ([25, 26] * 2, [26, 25] * 2)


def test_halves_follow_the_questions_wherever_their_rows_stand() -> None:
    features = planted(60, 0)
    order = np.random.default_rng(3).permutation(60)
    here, there = complementary_halves(features, 2, 5), complementary_halves(features.take(order), 2, 5)
    assert here is not None
    assert there is not None
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(a[order], b)
    elsewhere = complementary_halves(features, 2, 6)
    assert elsewhere is not None
    assert not np.array_equal(here[0], elsewhere[0])


@pytest.mark.parametrize("hallucinated", [0, 1, 39, 40])
def test_fewer_than_two_questions_of_a_class_have_no_halves(tmp_path: Path, hallucinated: int) -> None:
    features = replace(planted(40, 0), hallucinated=np.arange(40) < hallucinated)
    assert complementary_halves(features, PAIRS, 0) is None
    if 0 < hallucinated < 40:
        assert found(features, tmp_path) is None
    two = replace(features, hallucinated=np.arange(40) < 2)
    halves = complementary_halves(two, PAIRS, 0)
    assert halves is not None
    assert all(two.hallucinated[half].sum() == 1 for half in halves)


def test_two_rows_of_one_question_are_one_question() -> None:
    features = replace(planted(40, 0), hallucinated=np.arange(40) < 2)
    assert complementary_halves(grouped(features, ["same", "same", *features.units[2:]]), PAIRS, 0) is None


def test_no_rows_have_no_halves() -> None:
    assert complementary_halves(planted(4, 0).take([]), PAIRS, 0) is None


def test_one_seed_gives_the_same_numbers_and_another_seed_others(tmp_path: Path) -> None:
    features = planted(120, 0, WEAK)
    a, b, c = (found(features, tmp_path, at=BUSY, seed=seed) for seed in (1, 1, 2))
    assert a is not None
    assert b is not None
    assert c is not None
    np.testing.assert_array_equal(a.frequency, b.frequency)
    assert not np.array_equal(a.frequency, c.frequency)


def test_batches_and_neurons_that_are_looked_at_first_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = planted(120, 0, WEAK)
    whole = found(features, tmp_path, at=BUSY)
    assert whole is not None
    batches: list[int] = []
    original = module.ProbeRows.path

    def counted(self: module.ProbeRows, problems: Sequence[object]) -> object:
        batches.append(len(problems))
        return original(self, problems)  # type: ignore[arg-type]

    monkeypatch.setattr(module.ProbeRows, "path", counted)
    for size, expected in ((1, [2] * PAIRS), (5 * 12 * LAYERS * D_M, [5, 5, 2])):
        batches.clear()
        monkeypatch.setattr(module, "BATCH_BYTES", size)
        parts = found(features, tmp_path, at=BUSY, likely=range(5, 80, 5))
        assert parts is not None
        assert batches == expected
        np.testing.assert_array_equal(parts.frequency, whole.frequency)
        assert parts.split_half_jaccard == whole.split_half_jaccard
        assert parts.split_half_clusters == whole.split_half_clusters


def test_halves_without_a_neuron_say_nothing(tmp_path: Path) -> None:
    """A C below every half's path: no neuron is ever selected, and the ceilings are not 0 but unknown."""
    result = found(planted(120, 0, 0.02), tmp_path, at=1e-3)
    assert result is not None
    assert result.frequency.max() == 0
    assert (result.stable.size, result.clustered.size, result.cluster.size) == (0, 0, 0)
    assert (result.split_half_jaccard, result.split_half_clusters, result.split_half_shared) == (None, None, 0)
    assert (result.mean_selected, result.false_bound) == (0, 0)


def test_the_bound_of_falsely_stable_neurons_is_the_stated_formula() -> None:
    assert false_bound(20.0, 0.75, 1000) == pytest.approx(0.8)  # 400 / (0.5 * 1000)
    assert false_bound(20.0, 0.9, 1000) == pytest.approx(0.5)
    assert false_bound(20.0, 0.5, 1000) is None
    assert false_bound(20.0, 0.3, 1000) is None


def test_the_bound_holds_for_neurons_that_carry_nothing(tmp_path: Path) -> None:
    """Labels of no meaning, five times: on average no more neurons are stable than the bound allows."""
    stable, bounds = [], []
    for seed in range(5):
        result = found(planted(100, seed, 0.0), tmp_path, design="1-vs-1", at=5.0, pairs=10, threshold=0.6)
        assert result is not None
        assert result.false_bound is not None
        assert result.mean_selected > 1  # something is selected
        stable.append(result.stable.size)
        bounds.append(result.false_bound)
    assert np.mean(stable) <= np.mean(bounds)


def test_a_pair_of_empty_sets_is_left_out_of_the_mean() -> None:
    def ids(*neurons: int) -> np.ndarray:
        return np.array(neurons, dtype=np.int64)

    assert mean_jaccard([(ids(1, 2), ids(2, 3)), (ids(), ids()), (ids(4), ids())]) == pytest.approx((1 / 3 + 0) / 2)
    assert mean_jaccard([(ids(), ids())]) is None
    assert mean_jaccard([]) is None


def test_clusters_are_groups_whose_every_pair_correlates() -> None:
    """Slow: the correlation of every pair; opposites, constant neurons and neurons of a chain stay apart."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200))
    columns = np.stack([a, b, a + 0.1 * rng.normal(size=200), -a, np.ones(200), a + b, b], axis=1)
    values = columns.astype(np.float32)
    names = tuple(map(str, range(200)))
    features = Features.of(values, values, np.arange(200) < 100, names, names)
    ids = np.arange(7)
    numbers = clusters(features, ids)
    assert numbers.tolist() == [1, 2, 1, 3, 4, numbers[5], 2]
    with np.errstate(invalid="ignore"):
        r = np.corrcoef(columns.T)
    for i in range(7):
        for j in range(i):
            if numbers[i] == numbers[j]:
                assert r[i, j] >= 0.7
    assert r[0, 5] > 0.65  # the sum is near to both, which are not near to one another: no chain joins them
    assert numbers[0] != numbers[1]
    np.testing.assert_array_equal(clusters(features, ids[[1, 0]]), [1, 2])
    assert clusters(features, ids[:1]).tolist() == [1]
    assert clusters(features, ids[:0]).tolist() == []
    assert clusters(features.take(np.zeros(200, dtype=bool)), ids[:3]).tolist() == [1, 2, 3]
