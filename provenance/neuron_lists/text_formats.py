"""Text formats of neuron lists: CSV, the toolkit's JSON, and published forms of JSON.

The format is recognised by content. A format is a line in `READERS` or, within JSON, in `JSON_FORMS`: a test that
recognises it, and a function to `Listed`.

    json               {"schema": 1, "checkpoint": {"ref": "…", "digest": "…"}, "intercept": -0.5,
                        "neurons": [{"layer": 0, "index": 5, "weight": 0.2}, …]}; all but schema and neurons are
                       optional, and further keys are allowed
    json-list          the list of neurons alone
    csv                a header of layer, index and perhaps weight, then a line for each neuron
    json-labels        {"model": "…", "neurons": ["L0:N1819", …]}
    json-by-layer      {"0": [8505, …], …}
    json-positions     {"model": "…", "total_neurons": 123904, "h_neuron_count": 27,
                        "neurons": [{"layer": 1, "position": 1915}, …]}
    json-global-index  [{"global_idx": 6360, "layer": 1, "layer_name": "…", "position": 728, "weight": 0.02}, …]
    json-top-neurons   a summary of a classifier with the positions of its greatest weights
    json-hprobes       {"model": "…", "fit": {"n_h_neurons": 2, "h_neurons": [[1, 728], [3, 5]]},
                        "metadata": {"intermediate_dim": 8192}, "config": {"layer_stride": 1}}: results of hprobes

Source of the formats from `json-labels` on: the replications SystemicVoid/H-Neurons and jhammant/h-neurons, and the
package hprobes (huseyincavusbi/hprobes), whose `h_neurons` are those of positive weight.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from provenance.errors import InputError
from provenance.neuron_lists.listed_neurons import (
    CUT_SHORT,
    FORMS,
    OTHER_CHECKPOINT,
    Listed,
    Named,
    Sizes,
    check_claim,
    checkpoint_named,
)

SCHEMA = 1
_WHOLE = re.compile(r"[0-9]{1,18}")  # longer ones are no index, and Python refuses to read the longest
_LABEL = re.compile(r"L([0-9]{1,18}):N([0-9]{1,18})")
_IN_NAME = re.compile(r"(?:^|\.)([0-9]{1,18})(?:\.|$)")
_COLUMNS = ("layer", "index", "weight")
_POSITION_KEYS = {"layer", "position", "weight", "global_idx", "layer_name"}
_TOP_KEYS = {"rank", "layer", "neuron", "label", "weight"}


@dataclass(frozen=True)
class Reader:
    """Text format."""

    recognises: Callable[[str], bool]
    """Whether a text is of this format."""
    read: Callable[[str, str, Sizes], Listed]
    """Neurons from the text, the file's name, and the sizes of the checkpoint."""


@dataclass(frozen=True)
class JsonForm:
    """Form of JSON."""

    recognises: Callable[[Any], bool]
    """Whether a parsed value is of this form."""
    read: Callable[[Any, str, Sizes], Listed]
    """Neurons from the value, the file's name, and the sizes of the checkpoint."""


def read_text(text: str, where: str, sizes: Sizes) -> Listed:
    """Neurons that a text names, as parsed.

    Raises:
        InputError: It is of no known form, malformed (with the place), or made for a checkpoint of other sizes.
    """
    return next(each for each in READERS if each.recognises(text)).read(text, where, sizes)


def _read_json(text: str, where: str, sizes: Sizes) -> Listed:
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        ended = isinstance(error, json.JSONDecodeError) and (
            error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        )
        raise InputError(f"JSON in {where}", found=str(error), remedy=CUT_SHORT if ended else FORMS) from error
    return next(form for form in JSON_FORMS if form.recognises(value)).read(value, where, sizes)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object; ValueError for a repeated key, of which only the last would count."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:80]!r} twice in one object")
    return found


def _first(value: object) -> object:
    entries = value.get("neurons") if isinstance(value, dict) else value
    return entries[0] if isinstance(entries, list) and entries else None


def _has_position(value: object) -> bool:
    first = _first(value)
    return isinstance(first, dict) and "position" in first


def _entry(entry: object, where: str, needed: set[str], allowed: set[str]) -> dict[str, Any]:
    """An object with the keys of a form and no others, so that a misspelt key is not ignored."""
    if not isinstance(entry, dict) or not needed <= entry.keys() or entry.keys() - allowed:
        further = ", ".join(sorted(allowed - needed))
        raise InputError(
            f"{' and '.join(sorted(needed))} and perhaps {further} for {where}", found=repr(entry)[:200], remedy=FORMS
        )
    return entry


def _read_ours(value: dict[str, Any], where: str, _sizes: Sizes) -> Listed:
    if value.get("schema") != SCHEMA or isinstance(value.get("schema"), bool):
        raise InputError(f'"schema": {SCHEMA} in {where}', found=repr(value.get("schema"))[:200], remedy=FORMS)
    neurons = value.get("neurons")
    if not isinstance(neurons, list):
        raise InputError(f'"neurons" as a list in {where}', found=type(neurons).__name__, remedy=FORMS)
    about = _checkpoint(value.get("checkpoint"), where)
    return Listed("json", _ours(neurons, where), about, value.get("intercept"))


def _read_list(value: list[Any], where: str, _sizes: Sizes) -> Listed:
    return Listed("json-list", _ours(value, where))


def _ours(entries: list[Any], where: str) -> list[Named]:
    named = []
    for number, each in enumerate(entries, start=1):
        place = f"neuron {number} of {where}"
        entry = _entry(each, place, {"layer", "index"}, set(_COLUMNS))
        named.append(Named(place, entry["layer"], entry["index"], entry.get("weight")))
    return named


def _checkpoint(value: object, where: str) -> dict[str, str]:
    found: dict[Any, Any] = value if isinstance(value, dict) else {}
    kept = {key: found[key] for key in ("ref", "digest") if key in found}
    are_texts = all(isinstance(text, str) and text.isprintable() for text in kept.values())
    if not are_texts or not isinstance(value, dict | None):
        raise InputError(f'"checkpoint" with ref and digest as texts in {where}', found=repr(value)[:200], remedy=FORMS)
    return kept


def _read_labels(value: dict[str, Any], where: str, _sizes: Sizes) -> Listed:
    named = []
    for number, label in enumerate(value["neurons"], start=1):
        match = _LABEL.fullmatch(label) if isinstance(label, str) else None
        if match is None:
            raise InputError(
                f"a label such as L0:N1819 for neuron {number} of {where}", found=repr(label)[:200], remedy=FORMS
            )
        named.append(Named(f"neuron {number} of {where}", int(match[1]), int(match[2])))
    return Listed("json-labels", named, checkpoint_named(value.get("model"), where))


def _read_by_layer(value: dict[str, Any], where: str, _sizes: Sizes) -> Listed:
    named = []
    for layer, indices in value.items():
        if not isinstance(indices, list):
            raise InputError(f"a list of indices for layer {layer} of {where}", found=repr(indices)[:200], remedy=FORMS)
        named += [
            Named(f"neuron {number} of layer {layer} of {where}", int(layer), index)
            for number, index in enumerate(indices, start=1)
        ]
    return Listed("json-by-layer", named)


def _read_positions(value: dict[str, Any], where: str, sizes: Sizes) -> Listed:
    named = _positions(value["neurons"], where)
    check_claim(value, "total_neurons", sizes.neurons, where, OTHER_CHECKPOINT)
    check_claim(value, "h_neuron_count", len(named), where, CUT_SHORT)
    return Listed("json-positions", named, checkpoint_named(value.get("model"), where))


def _read_global(value: list[Any], where: str, _sizes: Sizes) -> Listed:
    return Listed("json-global-index", _positions(value, where))


def _positions(entries: list[Any], where: str) -> list[Named]:
    named = []
    for number, each in enumerate(entries, start=1):
        place = f"neuron {number} of {where}"
        entry = _entry(each, place, {"layer", "position"}, _POSITION_KEYS)
        layer = entry["layer"]
        in_name = _IN_NAME.search(str(entry.get("layer_name", "")))
        if in_name and int(in_name[1]) != layer:
            found = f"layer {layer!r} in {entry['layer_name']!r}"
            raise InputError(
                f"layer and layer_name that agree on {place}", found=found[:200], remedy="drop one of them"
            )
        named.append(Named(place, layer, entry["position"], entry.get("weight"), entry.get("global_idx")))
    return named


def _read_summary(value: dict[str, Any], where: str, sizes: Sizes) -> Listed:
    """The greatest weights in a classifier's summary; refused without positions."""
    structure = value.get("structure")
    top = structure.get("top_positive_neurons") if isinstance(structure, dict) else None
    if not isinstance(structure, dict) or not isinstance(top, list):
        raise InputError(
            f"neurons by layer and index in {where}",
            found=f"a summary of a classifier that counts its H-Neurons ({value.get('selected_h_neurons')!r:.40}) and "
            "names none of them",
            remedy="ask its publisher for the positions, or import the classifier itself (--allow-pickle)",
        )
    check_claim(value, "total_ffn_neurons", sizes.neurons, where, OTHER_CHECKPOINT)
    check_claim(structure, "n_layers", sizes.layers, where, OTHER_CHECKPOINT)
    check_claim(structure, "neurons_per_layer", sizes.d_m, where, OTHER_CHECKPOINT)
    counted = value.get("selected_h_neurons")
    note = f"{where} names {len(top)} of the {counted!r:.40} H-Neurons that it counts, those of greatest weight"
    notes = () if counted == len(top) else (note,)
    return Listed("json-top-neurons", _top(top, where), checkpoint_named(value.get("model"), where), notes=notes)


def _top(entries: list[Any], where: str) -> list[Named]:
    named = []
    for number, each in enumerate(entries, start=1):
        place = f"neuron {number} of {where}"
        entry = _entry(each, place, {"layer", "neuron"}, _TOP_KEYS)
        label = f"L{entry['layer']}:N{entry['neuron']}"
        if entry.get("label", label) != label:
            raise InputError(f"the label {label[:80]} on {place}", found=repr(entry["label"])[:80], remedy=FORMS)
        named.append(Named(place, entry["layer"], entry["neuron"], entry.get("weight")))
    return named


def _hprobes_part(value: object) -> dict[str, Any] | None:
    """The part of hprobes' results that lists neurons: `fit`, or `config` in files without it."""
    parts = [value.get(name) for name in ("fit", "config")] if isinstance(value, dict) else []
    return next((part for part in parts if isinstance(part, dict) and isinstance(part.get("h_neurons"), list)), None)


def _read_hprobes(value: dict[str, Any], where: str, sizes: Sizes) -> Listed:
    part = _hprobes_part(value) or {}
    named = []
    for number, pair in enumerate(part["h_neurons"], start=1):
        if not isinstance(pair, list) or len(pair) != 2:
            raise InputError(
                f"[layer, neuron] for neuron {number} of {where}", found=repr(pair)[:200], remedy=CUT_SHORT
            )
        named.append(Named(f"neuron {number} of {where}", *pair))
    check_claim(part, "n_h_neurons", len(named), where, CUT_SHORT)
    metadata, config = (value.get(name) or {} for name in ("metadata", "config"))
    for claims in (metadata, config):
        if isinstance(claims, dict) and isinstance(claims.get("intermediate_dim"), int):
            check_claim(claims, "intermediate_dim", sizes.d_m, where, OTHER_CHECKPOINT)
    stride = config.get("layer_stride", 1) if isinstance(config, dict) else 1
    notes = () if stride == 1 else (f"{where} was searched in one of every {stride!r:.20} layers",)
    return Listed("json-hprobes", named, checkpoint_named(value.get("model"), where), notes=notes)


def _read_csv(text: str, where: str, _sizes: Sizes) -> Listed:
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
    return Listed("csv", named)


def _csv_rows(text: str, where: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if any(value.strip() for value in row) or len(row) > 1:
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"CSV on line {reader.line_num} of {where}", found=str(error), remedy=FORMS) from error


def _from_texts(row: dict[str, str], where: str) -> Named:
    """Convert texts to the values that JSON would have; a text that is no number stays, and is refused later."""
    values: dict[str, object] = {}
    for name, text in row.items():
        stripped = text.strip()
        if name == "weight":
            values[name] = _as_float(stripped)
        else:
            values[name] = int(stripped) if _WHOLE.fullmatch(stripped) else stripped
    return Named(where, values["layer"], values["index"], values.get("weight"))


def _as_float(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


READERS = (
    Reader(lambda text: text.lstrip().startswith(("{", "[")), _read_json),
    Reader(lambda _: True, _read_csv),
)
JSON_FORMS = (
    JsonForm(lambda value: isinstance(value, dict) and "schema" in value, _read_ours),
    JsonForm(lambda value: _hprobes_part(value) is not None, _read_hprobes),
    JsonForm(lambda value: isinstance(value, dict) and isinstance(_first(value), str), _read_labels),
    JsonForm(lambda value: isinstance(value, dict) and _has_position(value), _read_positions),
    JsonForm(
        lambda value: isinstance(value, dict) and bool(value) and all(map(_WHOLE.fullmatch, value)), _read_by_layer
    ),
    JsonForm(lambda value: isinstance(value, dict) and "selected_h_neurons" in value, _read_summary),
    JsonForm(lambda value: isinstance(value, dict), _read_ours),
    JsonForm(_has_position, _read_global),
    JsonForm(lambda _: True, _read_list),
)
