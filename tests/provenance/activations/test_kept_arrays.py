"""Arrays that are kept: computed once, piece by piece, and again where a file is lost or altered."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from memory_logs import MemoryCaptures

from provenance.activations.kept_arrays import remembered, remembered_by_id

KEY = "k" * 64
IDS = tuple(f"item {n}" for n in range(7))


class Finder:
    """Gives the number at the end of each id, two at a time; breaks off after so many pieces."""

    def __init__(self, pieces: int = 99) -> None:
        self.wanted: list[str] = []
        self._pieces = pieces

    def __call__(self, ids: Sequence[str]) -> Iterator[Mapping[str, int]]:
        self.wanted += ids
        for number, start in enumerate(range(0, len(ids), 2)):
            if number == self._pieces:
                raise ConnectionError
            yield {name: int(name.split()[1]) for name in ids[start : start + 2]}


def test_pieces_that_were_found_before_an_end_are_not_looked_for_again(tmp_path: Path) -> None:
    log = MemoryCaptures()
    with pytest.raises(ConnectionError):
        remembered_by_id(Finder(2), IDS, tmp_path, KEY, log)
    later = Finder()
    assert remembered_by_id(later, IDS, tmp_path, KEY, log) == dict(zip(IDS, range(7), strict=True))
    assert tuple(later.wanted) == IDS[4:]
    nothing = Finder()
    assert list(remembered_by_id(nothing, IDS[::-2], tmp_path, KEY, log).items()) == [
        (f"item {n}", n) for n in (6, 4, 2, 0)
    ]
    assert nothing.wanted == []


def test_a_piece_whose_file_is_altered_is_looked_for_again(tmp_path: Path) -> None:
    log = MemoryCaptures()
    remembered_by_id(Finder(), IDS, tmp_path, KEY, log)
    (tmp_path / log.written[1].file).write_bytes(b"other")
    (tmp_path / log.written[3].file).unlink()
    again = Finder()
    assert remembered_by_id(again, IDS, tmp_path, KEY, log) == dict(zip(IDS, range(7), strict=True))
    assert again.wanted == ["item 2", "item 3", "item 6"]
    assert len(log.written) == 4


def test_an_array_is_computed_once_for_the_same_ids(tmp_path: Path) -> None:
    log, calls = MemoryCaptures(), list[int]()

    def compute() -> np.ndarray:
        calls.append(1)
        return np.arange(3.0)

    for _ in range(2):
        assert remembered(compute, ("a",), tmp_path, KEY, log).tolist() == [0, 1, 2]
    assert len(calls) == 1
    remembered(compute, ("b",), tmp_path, KEY, log)
    assert len(calls) == 2
