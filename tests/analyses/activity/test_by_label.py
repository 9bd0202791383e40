"""Activity of single neurons equals the definitions done neuron by neuron."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from provenance.activations.features import Features
from provenance.analyses.activity import by_label
from provenance.analyses.activity.by_label import activity_table, standardised_difference
from provenance.statistics.auroc import auroc


def test_every_column_equals_the_definition_across_block_borders(
    features: Callable[..., Features], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_label, "COLUMNS_PER_BLOCK", 4)
    data = features(11, [2, 9], strength=2.0, faithful=13, hallucinated=17)
    table = activity_table("base", "trivia", data)
    values = data.answer.all().astype(float)
    one, zero = values[data.hallucinated], values[~data.hallucinated]
    for j in range(11):
        pooled = np.sqrt((16 * one[:, j].var(ddof=1) + 12 * zero[:, j].var(ddof=1)) / 28)
        assert table.mean_hallucinated[j] == pytest.approx(one[:, j].mean(), rel=1e-12)
        assert table.mean_faithful[j] == pytest.approx(zero[:, j].mean(), rel=1e-12)
        assert table.standardised_difference[j] == pytest.approx(
            (one[:, j].mean() - zero[:, j].mean()) / pooled, rel=1e-9
        )
        assert table.auroc[j] == auroc(values[:, j], data.hallucinated)
    assert (table.stage, table.dataset, table.n_faithful, table.n_hallucinated) == ("base", "trivia", 13, 17)


def test_refusals_have_statistics_of_their_own_and_change_no_other(
    features: Callable[..., Features], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More active on refusals: their mean and AUROC say so, and those of answers are as without them."""
    monkeypatch.setattr(by_label, "COLUMNS_PER_BLOCK", 4)
    data = features(11, [2], strength=1.0, faithful=13, hallucinated=17)
    refused = features(11, [2, 7], strength=9.0, faithful=0, hallucinated=12, seed=5).answer
    alone, table = activity_table("base", "trivia", data), activity_table("base", "trivia", data, refused)
    invented, values = data.answer.all()[data.hallucinated].astype(float), refused.all().astype(float)
    both = np.concatenate([invented, values])
    for j in range(11):
        assert table.mean_refusal[j] == pytest.approx(values[:, j].mean(), rel=1e-12)
        assert table.auroc_refusal[j] == auroc(both[:, j], np.arange(29) < 17)
    assert set(np.flatnonzero(table.auroc_refusal == 0)) == {2, 7}
    for name in ("mean_faithful", "mean_hallucinated", "standardised_difference", "auroc"):
        np.testing.assert_array_equal(getattr(table, name), getattr(alone, name))
    assert (table.n_refusal, alone.n_refusal, table.n_faithful) == (12, 0, 13)
    assert np.isnan(alone.mean_refusal).all()
    nothing = np.empty((0, 0), dtype=np.float32)
    silent = Features.of(nothing, nothing, np.empty(0, dtype=bool), (), ())
    assert activity_table("base", "trivia", silent, refused).mean_refusal.shape == (11,)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_neurons(tmp_path: Path) -> None:
    """Captures on disk are walked in blocks: more neurons only take what the table says of them."""
    rows, block = 400, by_label.COLUMNS_PER_BLOCK
    label = np.arange(rows) % 2 == 0
    names = tuple(map(str, range(rows)))

    def peak(neurons: int) -> int:
        path = tmp_path / f"{neurons}.npy"
        np.save(path, np.random.default_rng(0).random((rows, neurons), dtype=np.float32).astype(np.float16))
        mapped = np.load(path, mmap_mode="r")
        data = Features.of(mapped, mapped, label, names, names)
        tracemalloc.start()
        activity_table("base", "trivia", data)
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held

    more = (peak(72 * block) - peak(24 * block)) / (48 * block)
    assert more < 120, "bytes a neuron: six numbers, twice while blocks are joined"
    assert more < 2 * rows / 10, "its values alone are more, even as float16"


def test_planted_neurons_stand_out_in_the_stated_direction(features: Callable[..., Features]) -> None:
    table = activity_table("instruct", "trivia", features(30, [4, 20], strength=3.0))
    assert set(np.argsort(table.auroc)[-2:]) == {4, 20}
    assert set(np.argsort(table.standardised_difference)[-2:]) == {4, 20}


def test_one_class_gives_nan_without_a_warning(features: Callable[..., Features]) -> None:
    table = activity_table("base", "trivia", features(5, [], strength=0.0, faithful=8, hallucinated=0))
    assert np.isnan(table.mean_hallucinated).all()
    assert np.isnan(table.standardised_difference).all()
    assert np.isnan(table.auroc).all()
    assert np.isfinite(table.mean_faithful).all()


def test_without_a_response_there_is_a_table_without_neurons() -> None:
    """Nobody knows how many there are where nothing was captured; it is no crash."""
    nothing = np.empty((0, 0), dtype=np.float32)
    table = activity_table("base", "trivia", Features.of(nothing, nothing, np.empty(0, dtype=bool), (), ()))
    assert (table.n_faithful, table.n_hallucinated, table.auroc.shape) == (0, 0, (0,))


def test_a_neuron_that_never_varies_within_a_class_has_no_standardised_difference() -> None:
    values = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0], [0.1, 4.0]])
    difference = standardised_difference(values, np.array([False, False, True, True]))
    assert np.isnan(difference[0])
    assert difference[1] == pytest.approx(2 / np.sqrt(0.5), rel=1e-12)
