"""Neuron lists of others: files that name neurons of a checkpoint by layer and index, read and checked.

The one idea: a file is read by what it holds, and a neuron outside the checkpoint, or named twice, is
an error with its place in the file, since a list for another model looks just like one for this.

    JSON   {"schema": 1, "checkpoint": {"ref": "…", "digest": "…"},
            "neurons": [{"layer": 0, "index": 5, "weight": 0.2}, …]}
           `checkpoint` and the weights can be left out, and so can all but the list of neurons
    CSV    a header of layer, index and perhaps weight, then a line for each neuron

A further format is a function from text to neurons, and a line in `_READERS`.
Source of what the weights mean: Gao et al. 2025, arXiv:2512.01797, Sec. 6.1.3.
"""

import csv
import hashlib
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from provenance.errors import InputError

SCHEMA = 1
DIGEST_SHOWN = 12
FORMS = 'write {"schema": 1, "neurons": [{"layer": 0, "index": 5}, …]}, or CSV with the header layer,index[,weight]'
_WHOLE = re.compile(r"[0-9]{1,18}")  # longer ones are no index, and Python refuses to read the longest
_COLUMNS = ("layer", "index", "weight")


@dataclass(frozen=True)
class NeuronSet:
    """Neurons of one checkpoint, ordered by flat id."""

    layers: Int[np.ndarray, " neurons"]
    """Layer of each neuron."""
    index: Int[np.ndarray, " neurons"]
    """Its index in the layer."""
    weights: Float[np.ndarray, " neurons"] | None
    """Its weight in the probe, float64; None when the file has none."""
    ids: Int[np.ndarray, " neurons"]
    """Flat ids, layer * d_m + index, rising."""
    source: str
    """The file, as it was named."""
    digest: str
    """SHA-256 of the file."""
    checkpoint: dict[str, str] = field(default_factory=dict)
    """What the file says about the checkpoint that the neurons belong to: `ref` and `digest`, or less."""

    @property
    def h_ids(self) -> Int[np.ndarray, " h"]:
        """The H-Neurons: those of positive weight, or all when there are no weights."""
        return self.ids if self.weights is None else self.ids[self.weights > 0]

    def mismatch(self, ref: str, digest: str) -> str:
        """What to tell the user where the file names another checkpoint; empty where it does not.

        Args:
            ref: Reference of the checkpoint that the neurons are taken for, pinned where it can be.
            digest: Its digest; where the file names one, the reference does not count.
        """
        named, its_digest = self.checkpoint.get("ref"), self.checkpoint.get("digest")
        if its_digest is not None:
            differs = its_digest.strip().casefold() != digest.casefold()
            theirs = f"{named or 'a checkpoint'} (digest {its_digest[:DIGEST_SHOWN]})"
            ours = f"{ref} (digest {digest[:DIGEST_SHOWN]})"
        else:
            differs = named is not None and not _may_be_same(named.strip(), ref)
            theirs, ours = str(named), ref
        return f"{self.source} says that its neurons are those of {theirs}, not of {ours}" if differs else ""


def _may_be_same(named: str, ref: str) -> bool:
    """Whether a reference in a file can mean a checkpoint: same name, and the same revision where it has one."""
    (name, _, revision), (our_name, _, our_revision) = named.partition("@"), ref.partition("@")
    same_revision = not revision or (bool(our_revision) and our_revision.startswith(revision))
    return name.casefold() == our_name.casefold() and same_revision


@dataclass(frozen=True)
class _Named:
    """One neuron as the file has it."""

    where: str
    """Its place, such as `line 3`."""
    layer: object
    """As parsed."""
    index: object
    """As parsed."""
    weight: object
    """As parsed; None when there is none."""


@dataclass(frozen=True)
class _Listed:
    """What a reader makes of a file."""

    neurons: list[_Named]
    """In the order of the file."""
    checkpoint: dict[str, str]
    """What it says about the checkpoint."""


@dataclass(frozen=True)
class _Reader:
    """A format."""

    recognises: Callable[[str], bool]
    """Whether a text is of this format."""
    read: Callable[[str, str], _Listed]
    """Its neurons, from the text and the file's name."""


def read_neurons(path: Path, layers: int, d_m: int) -> NeuronSet:
    """Read a neuron list.

    Args:
        path: The file.
        layers: Layers of the checkpoint that the neurons belong to.
        d_m: Its neurons per layer.

    Raises:
        InputError: The file is missing, not UTF-8, malformed (with the line), empty, names a neuron twice or
            one that the checkpoint does not have, or has weights and none of them positive.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"a neuron list at {path}", found=error.strerror or str(error), remedy="check the path"
        ) from error
    text = _text(data, path)
    reader = next(each for each in _READERS if each.recognises(text))
    listed = reader.read(text, str(path))
    if not listed.neurons:
        raise InputError(f"neurons in {path}", found="none", remedy=FORMS)
    return _checked(listed, path, hashlib.sha256(data).hexdigest(), layers, d_m)


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"UTF-8 in {path}", found=f"byte 0x{data[error.start]:02x} on line {line}", remedy=FORMS
        ) from error


def _read_json(text: str, where: str) -> _Listed:
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise InputError(f"JSON in {where}", found=str(error), remedy=FORMS) from error
    if isinstance(value, list):
        value = {"schema": SCHEMA, "neurons": value}
    if value.get("schema") != SCHEMA or isinstance(value.get("schema"), bool):
        raise InputError(f'"schema": {SCHEMA} in {where}', found=repr(value.get("schema")), remedy=FORMS)
    neurons = value.get("neurons")
    if not isinstance(neurons, list):
        raise InputError(f'"neurons" as a list in {where}', found=type(neurons).__name__, remedy=FORMS)
    named = [_from_object(entry, f"neuron {number} of {where}") for number, entry in enumerate(neurons, start=1)]
    return _Listed(named, _checkpoint(value.get("checkpoint"), where))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object; ValueError where a key stands there twice, of which only the last would count."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:80]!r} twice in one object")
    return found


def _from_object(entry: object, where: str) -> _Named:
    if not isinstance(entry, dict) or not {"layer", "index"} <= entry.keys() or entry.keys() - set(_COLUMNS):
        raise InputError(f"layer, index and perhaps weight for {where}", found=repr(entry)[:200], remedy=FORMS)
    return _Named(where, entry["layer"], entry["index"], entry.get("weight"))


def _checkpoint(value: object, where: str) -> dict[str, str]:
    found: dict[Any, Any] = value if isinstance(value, dict) else {}
    kept = {key: found[key] for key in ("ref", "digest") if key in found}
    are_texts = all(isinstance(text, str) and text.isprintable() for text in kept.values())
    if not are_texts or not isinstance(value, dict | None):
        raise InputError(f'"checkpoint" with ref and digest as texts in {where}', found=repr(value)[:200], remedy=FORMS)
    return kept


def _read_csv(text: str, where: str) -> _Listed:
    rows = _csv_rows(text, where)
    header_line, header = next(rows, (1, []))
    columns = tuple(name.strip() for name in header)
    if not {"layer", "index"} <= set(columns) <= set(_COLUMNS) or len(set(columns)) < len(columns):
        raise InputError(
            f"a header of layer, index and perhaps weight on line {header_line} of {where}",
            found=repr(",".join(header))[:200] if header else "an empty file",
            remedy=FORMS,
        )
    named = []
    for line, row in rows:
        if len(row) != len(columns):
            raise InputError(
                f"{len(columns)} values on line {line} of {where}", found=repr(",".join(row))[:200], remedy=FORMS
            )
        named.append(_from_texts(dict(zip(columns, row, strict=True)), f"line {line} of {where}"))
    return _Listed(named, {})


def _csv_rows(text: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and values of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if any(value.strip() for value in row) or len(row) > 1:
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"CSV on line {reader.line_num} of {where}", found=str(error), remedy=FORMS) from error


def _from_texts(row: dict[str, str], where: str) -> _Named:
    """Texts as the values that JSON would have had; what is no number stays a text, and is refused as such."""
    values: dict[str, object] = {}
    for name, text in row.items():
        stripped = text.strip()
        if name == "weight":
            values[name] = _as_float(stripped)
        else:
            values[name] = int(stripped) if _WHOLE.fullmatch(stripped) else stripped
    return _Named(where, values["layer"], values["index"], values.get("weight"))


def _as_float(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


_READERS = (
    _Reader(lambda text: text.lstrip().startswith(("{", "[")), _read_json),
    _Reader(lambda _: True, _read_csv),
)


def _checked(listed: _Listed, path: Path, digest: str, layers: int, d_m: int) -> NeuronSet:
    seen: dict[int, str] = {}
    for named in listed.neurons:
        layer = _position(named.layer, "layer", layers, named.where)
        flat = layer * d_m + _position(named.index, "index", d_m, named.where)
        if flat in seen:
            raise InputError(
                f"every neuron once in {path}",
                found=f"layer {layer}, index {named.index} on {seen[flat]} and on {named.where}",
                remedy="drop one of the two",
            )
        seen[flat] = named.where
    unordered = np.fromiter(seen, dtype=np.int64)
    order = np.argsort(unordered)
    ids, weights = unordered[order], _weights(listed.neurons, path)
    return NeuronSet(
        ids // d_m, ids % d_m, None if weights is None else weights[order], ids, str(path), digest, listed.checkpoint
    )


def _position(value: object, what: str, size: int, where: str) -> int:
    """A layer or an index that the checkpoint has."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < size:
        raise InputError(
            f"{what} as a whole number from 0 to {size - 1} on {where}",
            found=repr(value)[:200],
            remedy="check that the list was made for this checkpoint, and that it counts from zero",
        )
    return value


def _weights(neurons: list[_Named], path: Path) -> Float[np.ndarray, " neurons"] | None:
    """The weights in file order; for all neurons or for none, and some of them positive."""
    without = [named.where for named in neurons if named.weight is None]
    if len(without) == len(neurons):
        return None
    if without:
        raise InputError(
            f"a weight for every neuron of {path}, or for none",
            found=f"none on {without[0]}, and {len(without)} without in all",
            remedy="add the weights, or leave all of them out",
        )
    weights = np.array([_weight(named) for named in neurons])
    if not (weights > 0).any():
        raise InputError(
            f"H-Neurons in {path}, which are those of positive weight",
            found=f"{len(weights)} weights, none of them positive",
            remedy="leave the weights out to take all neurons, or check their sign",
        )
    return weights


def _weight(named: _Named) -> float:
    value = named.weight
    # compared, not asked for isfinite: JSON has whole numbers that no float can hold
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= sys.float_info.max:
        raise InputError(f"a finite number as weight on {named.where}", found=repr(value)[:200], remedy=FORMS)
    return float(value)
