"""Products block by block against one product in float64, whatever the blocks and the storage."""

from pathlib import Path

import numpy as np
import pytest

from provenance.probe.block_products import columns, exact_products, products, widened_blocks

RNG = np.random.default_rng(0)
MATRIX = RNG.gamma(2.0, 0.01, (37, 90))
VECTORS = RNG.normal(size=(90, 3))
SIZES = [1, 4 * 90 * 10, 1 << 30]  # bytes: one neuron, ten neurons and a rest, all


@pytest.fixture(params=["float16", "float32", "float64"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> np.ndarray:
    np.save(tmp_path / "matrix.npy", MATRIX.astype(request.param))
    return np.load(tmp_path / "matrix.npy", mmap_mode="r")


@pytest.mark.parametrize("block_bytes", SIZES)
def test_products_are_those_of_the_whole_matrix(stored: np.ndarray, block_bytes: int) -> None:
    """However the matrix is cut, up to float32: 1e-7 of the sum of the terms' sizes, which is what it promises."""
    slow = stored.astype(np.float64) @ VECTORS
    size = np.abs(stored.astype(np.float64)) @ np.abs(VECTORS)
    found = products(stored, VECTORS, block_bytes)
    assert (np.abs(found - slow) <= 2e-7 * size).all()
    assert not (np.abs(found[::-1] - slow) <= 2e-7 * size).all()
    assert found.dtype == np.float32


@pytest.mark.parametrize("block_bytes", SIZES)
def test_exact_products_have_the_digits_of_float64(stored: np.ndarray, block_bytes: int) -> None:
    """For chosen neurons, in the order that is asked for, also twice."""
    ids = np.array([30, 2, 2, 36])
    slow = [[sum(float(a) * b for a, b in zip(stored[i], v, strict=True)) for v in VECTORS.T] for i in ids]
    np.testing.assert_allclose(exact_products(stored, ids, VECTORS, block_bytes), slow, rtol=1e-12)
    assert np.abs(products(stored, VECTORS)[ids] - slow).max() > 1e-12


@pytest.mark.parametrize("block_bytes", SIZES)
def test_blocks_hold_every_neuron_once_and_in_order(stored: np.ndarray, block_bytes: int) -> None:
    """Put together again they are the matrix in float32; one buffer serves all of them."""
    blocks = [(start, block.copy()) for start, block in widened_blocks(stored, block_bytes)]
    assert [start for start, _ in blocks] == np.cumsum([0] + [len(block) for _, block in blocks[:-1]]).tolist()
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), stored.astype(np.float32))
    assert max(block.nbytes for _, block in blocks) <= max(block_bytes, 4 * 90)
    owners = {id(block.base) for _, block in widened_blocks(stored, block_bytes)}
    assert len(owners) == 1


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_nothing_times_something(shape: tuple[int, int]) -> None:
    """No neurons give no products, no rows give zeros."""
    empty, vectors = np.empty(shape, dtype=np.float32), np.ones((shape[1], 2))
    np.testing.assert_array_equal(products(empty, vectors), np.zeros((shape[0], 2)))
    np.testing.assert_array_equal(exact_products(empty, np.arange(shape[0]), vectors), np.zeros((shape[0], 2)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_shows_in_its_own_neuron_only(value: float) -> None:
    """So that whoever sums a matrix learns of it, even where the vector is zero."""
    harmed = MATRIX.astype(np.float32)
    harmed[4, 7] = value
    for vector in (np.ones(90), np.arange(90.0) % 7):
        assert np.flatnonzero(~np.isfinite(products(harmed, vector[:, None])[:, 0])).tolist() == [4]


def test_columns_are_a_copy_in_float64(stored: np.ndarray) -> None:
    """Writing to what was read leaves the matrix as it is."""
    read = columns(stored, np.array([3, 1]))
    assert read.dtype == np.float64
    np.testing.assert_array_equal(read, stored[[3, 1]].astype(np.float64))
    read[:] = 0
    assert stored[3].max() > 0
