"""Views of captured rows: always what indexing a plain array gives, without holding it."""

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from provenance.activations.neuron_rows import NeuronRows, neuron_major, picked
from provenance.errors import PairError, StoreError

ROWS, D = 7, 11
Array = np.ndarray[Any, Any]


def array(dtype: str = "float32", seed: int = 0, rows: int = ROWS) -> Array:
    """CETT-like numbers that the dtype holds exactly."""
    return np.random.default_rng(seed).gamma(2.0, 0.01, (rows, D)).astype(dtype)


def joined(rows: NeuronRows, width: int) -> Array:
    """All blocks side by side; each says where it begins."""
    blocks = list(rows.blocks(width))
    starts = [start for start, _ in blocks]
    assert starts == list(range(0, rows.shape[1], width))
    return np.concatenate([block for _, block in blocks], axis=1)


@pytest.fixture(params=["float32", "float16"])
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["memory", "mapped"])
def values(request: pytest.FixtureRequest, dtype: str, tmp_path: Path) -> Array:
    if request.param == "memory":
        return array(dtype)
    np.save(tmp_path / "values.npy", array(dtype))
    return np.asarray(np.load(tmp_path / "values.npy", mmap_mode="r"))


def test_columns_and_blocks_are_those_of_the_array_as_float32(values: Array) -> None:
    """Whatever is stored, in memory or on disk, float32 comes out, and for float16 every bit of it."""
    rows = NeuronRows.of(values)
    plain = values.astype(np.float32)
    assert (rows.shape, len(rows), rows.dtype) == ((ROWS, D), ROWS, values.dtype)
    for read, expected in (
        (rows.all(), plain),
        (rows.columns(np.array([3, 3, 10, 0])), plain[:, [3, 3, 10, 0]]),
        *((joined(rows, width), plain) for width in (1, 4, D, 100)),
    ):
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize(
    "chosen",
    [
        [5, 0, 0, 6],
        [-1, 2],
        [],
        np.arange(ROWS) % 2 == 0,
        np.array([4], dtype=np.int32),
    ],
    ids=["repeated", "from the end", "none", "one truth each", "int32"],
)
def test_taken_rows_are_those_that_numpy_takes(values: Array, chosen: Any) -> None:
    taken = NeuronRows.of(values).take(chosen)
    index = np.asarray(chosen, dtype=None if len(chosen) else np.int64)
    np.testing.assert_array_equal(taken.all(), values[index].astype(np.float32))
    np.testing.assert_array_equal(joined(taken, 4), values[index].astype(np.float32))


def test_a_row_that_is_not_there_is_an_error_at_once() -> None:
    """Before anything is read, and a mask of another length as well: it is not taken as numbers 0 and 1."""
    rows = NeuronRows.of(array())
    for chosen in ([ROWS], [-ROWS - 1], np.ones(ROWS + 1, dtype=bool)):
        with pytest.raises(IndexError):
            rows.take(chosen)
    with pytest.raises(IndexError):
        rows.columns(np.array([D]))


def test_mapped_neurons_are_columns_in_that_order_and_zeros_where_there_is_none(values: Array) -> None:
    ids = np.array([4, -1, 0, 4, 10])
    rows = NeuronRows.of(values).take([6, 1]).mapped(ids)
    slow = np.stack([values[[6, 1], j] if j >= 0 else np.zeros(2) for j in ids], axis=1).astype(np.float32)
    assert rows.shape == (2, 5)
    for width in (1, 2, 5):
        np.testing.assert_array_equal(joined(rows, width), slow)
    np.testing.assert_array_equal(rows.columns(np.array([1, 4])), slow[:, [1, 4]])
    np.testing.assert_array_equal(
        rows.mapped(np.array([3, 1, -1])).all(), np.stack([slow[:, 3], slow[:, 1], 0 * slow[:, 0]], 1)
    )
    assert values[6, 10] != 0, "the last neuron is what -1 would wrongly read"


def test_stacked_rows_are_concatenated_rows_of_one_array_or_of_two(values: Array) -> None:
    """Two parts of one file are read as one; rows of another file, another dtype and another order follow them."""
    rows = NeuronRows.of(values)
    one = rows.take([3, 1]).stacked(rows.take([1, 5]))
    np.testing.assert_array_equal(one.all(), values[[3, 1, 1, 5]].astype(np.float32))
    assert len(one.sources) == 1
    more = array("float32", seed=1)
    backwards = np.arange(D)[::-1]
    two = one.stacked(NeuronRows.of(more).mapped(backwards).take([6]))
    assert (two.shape, two.dtype) == ((5, D), np.float32)
    expected = np.concatenate([values[[3, 1, 1, 5]], more[[6]][:, ::-1]]).astype(np.float32)
    np.testing.assert_array_equal(joined(two, 3), expected)
    np.testing.assert_array_equal(two.take([4, 0]).all(), expected[[4, 0]])


def test_rows_over_other_neurons_are_not_stacked() -> None:
    with pytest.raises(PairError, match="11 and 12 neurons"):
        NeuronRows.of(array()).stacked(NeuronRows.of(np.ones((2, 12), dtype=np.float32)))


def test_no_rows_have_any_neurons() -> None:
    """Where nothing was captured, nobody knows how many neurons there are; joining and asking still work."""
    nothing, rows = NeuronRows.of(np.empty((0, 0), dtype=np.float32)), NeuronRows.of(array())
    assert nothing.columns(np.array([3, 8])).shape == (0, 2)
    assert list(nothing.blocks(4)) == []
    for both in (nothing.stacked(rows), rows.stacked(nothing)):
        np.testing.assert_array_equal(both.all(), array())
    assert len(nothing.stacked(nothing)) == 0


def test_nan_and_infinity_come_out_as_they_are(dtype: str) -> None:
    """A view judges nothing; what may not hold such values refuses them itself."""
    values = array(dtype)
    values[2] = np.nan
    values[4, 3] = np.inf
    np.testing.assert_array_equal(NeuronRows.of(values).all(), values.astype(np.float32))
    with neuron_major([NeuronRows.of(values)], Path()) as matrix:
        np.testing.assert_array_equal(matrix, values.T)


def test_columns_are_picked_alike_from_a_view_and_from_an_array() -> None:
    ids = np.array([9, 2])
    np.testing.assert_array_equal(picked(NeuronRows.of(array()), ids), picked(array(), ids))


@pytest.mark.parametrize("limit", [0, 1 << 30], ids=["scratch file", "memory"])
@pytest.mark.parametrize("block_bytes", [0, 1, 60, 100, 1 << 20])
def test_neuron_major_is_the_transpose_of_all_parts(
    values: Array, tmp_path: Path, limit: int, block_bytes: int
) -> None:
    """For any block size, either dtype, gathered rows, mapped neurons and several parts; and it is read-only."""
    rows = NeuronRows.of(values)
    parts = [rows.take([2, 2, 0]), NeuronRows.of(array(str(values.dtype), seed=3)).mapped(np.arange(D)[::-1])]
    expected = np.concatenate([values[[2, 2, 0]], array(str(values.dtype), seed=3)[:, ::-1]]).T
    with neuron_major(parts, tmp_path / "scratch", limit_bytes=limit, block_bytes=block_bytes) as matrix:
        assert (matrix.dtype, matrix.shape, matrix.flags.c_contiguous) == (values.dtype, (D, 3 + ROWS), True)
        np.testing.assert_array_equal(matrix, expected)
        assert isinstance(matrix, np.memmap) == (limit == 0)
        with pytest.raises(ValueError, match="read-only"):
            matrix[0, 0] = 1


def test_neuron_major_of_two_dtypes_is_in_the_wider_one(tmp_path: Path) -> None:
    parts = [NeuronRows.of(array("float16")), NeuronRows.of(array("float32", seed=1))]
    with neuron_major(parts, tmp_path) as matrix:
        assert matrix.dtype == np.float32
        np.testing.assert_array_equal(matrix, np.concatenate([array("float16"), array("float32", seed=1)]).T)


def test_neuron_major_of_nothing_is_empty(tmp_path: Path) -> None:
    nothing = NeuronRows.of(array()).take([])
    for parts in ([], [nothing], [nothing, nothing]):
        with neuron_major(parts, tmp_path, limit_bytes=0) as matrix:
            assert matrix.shape[1] == 0


def test_a_scratch_file_has_no_name_and_leaves_nothing(tmp_path: Path) -> None:
    """Nothing of it can be left behind, neither by an error inside the block nor by a kill."""

    def fail() -> None:
        with neuron_major([NeuronRows.of(array())], tmp_path, limit_bytes=0):
            assert list(tmp_path.iterdir()) == []
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_scratch_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(StoreError, match="remedy"),
        neuron_major([NeuronRows.of(array())], tmp_path / "file", limit_bytes=0),
    ):
        pass


@pytest.mark.costly
def test_memory_holds_blocks_and_never_the_whole(tmp_path: Path) -> None:
    """Walking, choosing, mapping and turning a mapped file takes a fraction of it; reading all of it does not."""
    shape = (500, 100_000)
    np.lib.format.open_memmap(tmp_path / "v.npy", mode="w+", dtype=np.float16, shape=shape).flush()
    rows = NeuronRows.of(np.load(tmp_path / "v.npy", mmap_mode="r"))
    chosen = rows.take(np.arange(500)[::-1]).mapped(np.arange(100_000)).stacked(rows)

    def peak(walk: Any) -> int:
        gc.collect()
        tracemalloc.start()
        walk()
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held

    def turn() -> None:
        with neuron_major([chosen], tmp_path, limit_bytes=0):
            pass

    whole = 2 * 500 * 100_000 * 2
    assert peak(lambda: [None for _ in chosen.blocks(1024)]) < whole / 2.5
    assert peak(turn) < whole / 2.5
    assert peak(chosen.all) > whole
