"""Cosines of neurons by all their weights, built up from blocks; the threshold stands above what chance reaches."""

import numpy as np
import pytest
import torch
from lineage_factory import make_model, noised, permuted

from provenance.analyses.weights import joined_cosines
from provenance.analyses.weights.joined_cosines import (
    JoinedCosines,
    SinglePrecision,
    layer_cosines,
    norms_of,
    related_cosine,
    scaled,
)


def by_definition(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """Cosine of the unit vectors of all kinds joined end to end: (kinds, neurons, d) each."""

    def joined(weights: torch.Tensor) -> torch.Tensor:
        units = [torch.nn.functional.normalize(kind.double(), dim=1) for kind in weights]
        return torch.nn.functional.normalize(torch.cat(units, dim=1), dim=1)

    return (joined(a) @ joined(b).T).numpy()


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Seven queries and eleven neurons; some weights of both are zero, and one neuron of each is all zeros."""
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(3, 7, 6, generator=rng), torch.randn(3, 11, 6, generator=rng) * 100
    a[0, 2], a[1, 2], b[2, 5], a[:, 4], b[:, 1] = 0, 0, 0, 0, 0
    return a, b


@pytest.mark.parametrize("columns", [(False, False, False), (False, False, True), (True, True, True)])
@pytest.mark.parametrize("step", [1, 4, 20])
def test_blocks_of_rows_and_of_columns_give_the_cosines_of_joined_unit_vectors(
    pair: tuple[torch.Tensor, torch.Tensor], columns: tuple[bool, ...], step: int
) -> None:
    """A neuron of zeros has cosine 0 with all, and one that is zero in some kinds is compared by the others."""
    a, b = pair
    cosines = JoinedCosines(7, 11)
    for kind, as_columns in enumerate(columns):
        if as_columns:
            for start in range(0, 6, step):
                part = slice(start, start + step)
                cosines.add_columns(a[kind][:, part].T, b[kind][:, part].T)
            cosines.end_columns(norms_of(a[kind]), norms_of(b[kind]))
        else:
            for start in range(0, 11, step):
                rows = b[kind][start : start + step]
                cosines.add_rows(scaled(a[kind]), start, rows, norms_of(rows))
    table = cosines.cosines().numpy()
    np.testing.assert_allclose(table, by_definition(a, b), atol=1e-6)  # float32 unit vectors
    assert (table[4] == 0).all()
    assert (table[:, 1] == 0).all()
    assert cosines.empty_queries().tolist() == [j == 4 for j in range(7)]


@pytest.mark.parametrize("at_once", [5, 1000])
def test_some_neurons_of_a_layer_against_a_whole_layer(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(joined_cosines, "NEURONS_AT_ONCE", at_once)
    base = make_model(layers=2, d_m=23)
    instruct = noised(permuted(base), 0.3)
    ids = np.array([22, 0, 7, 8, 9, 10, 1])
    parts = list(layer_cosines(base.source(), 1, instruct.source(), 0, ids))
    assert [(part.start, part.stop) for part, _ in parts] == ([(0, 5), (5, 7)] if at_once == 5 else [(0, 7)])
    table = np.concatenate([rows for _, rows in parts])
    np.testing.assert_allclose(table, by_definition(instruct.layers[0][:, ids], base.layers[1]), atol=1e-6)
    assert np.abs(table - by_definition(instruct.layers[1][:, ids], base.layers[1])).max() > 0.5


@pytest.mark.parametrize(("kinds", "d", "neurons"), [(3, 64, 48), (2, 64, 400), (3, 16, 24), (3, 128, 640)])
def test_no_pair_of_random_neurons_comes_near_the_threshold(kinds: int, d: int, neurons: int) -> None:
    """The best of all pairs, and not only the best for one neuron."""
    rng = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, kinds, neurons, d, generator=rng)
    assert by_definition(a, b).max() < related_cosine(kinds, d, neurons)


def test_the_threshold_follows_from_the_number_of_dimensions() -> None:
    """One half for every real width, more where vectors are short, and never out of reach."""
    assert related_cosine(3, 640, 2048) == related_cosine(3, 8192, 28672) == 0.5
    assert 0.5 < related_cosine(2, 16, 24) < related_cosine(2, 12, 24) < 0.95
    assert related_cosine(2, 2, 10**6) == 0.95
    assert related_cosine(1, 1, 1) <= 0.95


def test_widened_blocks_hold_the_same_numbers_in_memory_used_again() -> None:
    """float32 passes through without a copy."""
    widen, block = SinglePrecision(), torch.randn(5, 4)
    assert widen(block) is block
    first = widen(block.bfloat16())
    assert torch.equal(first, block.bfloat16().float())
    second = widen(torch.ones(2, 3, dtype=torch.float16))
    assert second.tolist() == torch.ones(2, 3).tolist()
    assert second.data_ptr() == first.data_ptr()
