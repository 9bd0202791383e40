"""Activity of single neurons equals the definitions done neuron by neuron."""

from collections.abc import Callable

import numpy as np
import pytest

from analyses import activity
from analyses.activity import activity_table, standardised_difference
from provenance.features import Features
from provenance.intervals import auroc


def test_every_column_equals_the_definition_across_block_borders(
    features: Callable[..., Features], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "COLUMNS_PER_BLOCK", 4)
    data = features(11, [2, 9], strength=2.0, faithful=13, hallucinated=17)
    table = activity_table("base", "trivia", data)
    one, zero = data.answer[data.hallucinated].astype(float), data.answer[~data.hallucinated].astype(float)
    for j in range(11):
        pooled = np.sqrt((16 * one[:, j].var(ddof=1) + 12 * zero[:, j].var(ddof=1)) / 28)
        assert table.mean_hallucinated[j] == pytest.approx(one[:, j].mean(), rel=1e-12)
        assert table.mean_faithful[j] == pytest.approx(zero[:, j].mean(), rel=1e-12)
        assert table.standardised_difference[j] == pytest.approx(
            (one[:, j].mean() - zero[:, j].mean()) / pooled, rel=1e-9
        )
        assert table.auroc[j] == auroc(data.answer[:, j].astype(float), data.hallucinated)
    assert (table.stage, table.dataset, table.n_faithful, table.n_hallucinated) == ("base", "trivia", 13, 17)


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


def test_a_neuron_that_never_varies_within_a_class_has_no_standardised_difference() -> None:
    values = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0], [0.1, 4.0]])
    difference = standardised_difference(values, np.array([False, False, True, True]))
    assert np.isnan(difference[0])
    assert difference[1] == pytest.approx(2 / np.sqrt(0.5), rel=1e-12)
