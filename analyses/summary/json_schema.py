"""The JSON Schema of `provenance compare --json`, made from the declarations of its results.

The schema ships as a file, so that programs can check results without this package; a test keeps the two equal.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from provenance.analyses.results.answers import Funnel
from provenance.analyses.results.behaviour import CausalEffect
from provenance.analyses.results.claims import Claim, Power
from provenance.analyses.results.drift import DriftResult, DriftTest
from provenance.analyses.results.lineage import LineageResult
from provenance.analyses.results.overlap import OverlapNull, OverlapResult
from provenance.analyses.results.probes import CurvePoint, PathPoint
from provenance.analyses.results.transfer import (
    LabelAgreement,
    Rung,
    ScaleControl,
    SignAgreement,
    TransferCell,
    TransferResult,
)
from provenance.analyses.summary.values import SCHEMA
from provenance.records import Estimate

Schema = dict[str, Any]
_PLAIN: Mapping[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
_ESTIMATE = {"$ref": "#/$defs/E"}
_NUMBER: Schema = {"type": ["number", "null"]}
_TEXT: Schema = {"type": "string"}


def compare_schema() -> Schema:
    """The schema of the whole object."""
    about = _object({"ref": _TEXT, "digest": _TEXT})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "provenance compare --json",
        "$defs": {"E": _estimate()},
        **_object(
            {
                "schema": {"const": SCHEMA},
                "base": about,
                "instruct": about,
                "neurons": _object({"total": {"type": "integer"}, "h": {"type": "integer"}, "per_mille": _NUMBER}),
                "lineage": _or_null(record(LineageResult)),
                "funnel": _or_null({"type": "object", "additionalProperties": record(Funnel)}),
                "identification": _or_null(_identification()),
                "base_identification": _or_null(_identification()),
                "transfer": _rows(
                    TransferResult,
                    decided_by={"type": ["string", "null"]},
                    ladder={"type": "object", "additionalProperties": _rung()},
                ),
                "drift": _or_null(record(DriftResult, tests=_rows(DriftTest))),
                "overlap": _or_null(record(OverlapResult, nulls=_rows(OverlapNull))),
                "two_by_two": _rows(TransferCell),
                "agreement": _rows(LabelAgreement),
                "scales": _rows(ScaleControl),
                "signs": _or_null(record(SignAgreement)),
                "power": _rows(Power),
                "interventions": _rows(CausalEffect),
                "verdict": _object({"overall": _TEXT, "claims": _claims()}),
                "control": {"type": ["string", "null"]},
                "run": {"type": "integer"},
                "database": _TEXT,
            }
        ),
    }


def record(cls: type, **more: Schema) -> Schema:
    """The schema of a result dataclass as `asdict` gives it, NaN as null, with `more` properties.

    Fields with arrays or rows of other tables are left open.
    """
    hints = get_type_hints(cls)
    names = [item.name for item in fields(cls)]
    return _object({name: found for name in names if (found := _of(hints[name])) is not None} | more)


def _of(hint: Any) -> Schema | None:
    """Schema of a type; None if it has none of its own."""
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    optional = len(parts) > 1
    [kind] = [part for part in parts if part is not type(None)]
    if kind is Estimate:
        return _or_null(_ESTIMATE) if optional else _ESTIMATE
    if get_origin(kind) is Literal:
        return {"enum": [*get_args(kind), *([None] if optional else [])]}
    if kind in _PLAIN:
        return {"type": [_PLAIN[kind], "null"] if optional or kind is float else _PLAIN[kind]}
    return None


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _rows(cls: type, **more: Schema) -> Schema:
    return _or_null({"type": "array", "items": record(cls, **more)})


def _estimate() -> Schema:
    return _object(dict.fromkeys(("estimate", "low", "high"), _NUMBER) | {"n": {"type": "integer"}})


def _without(schema: Schema, names: Sequence[str]) -> Schema:
    return _object({name: found for name, found in schema["properties"].items() if name not in names})


def _rung() -> Schema:
    return _without(record(Rung), ("dataset", "kind"))


def _claims() -> Schema:
    named = record(Claim)["properties"]
    reasons = {"type": "array", "items": {"type": "object", "required": ["code", "value", "relation", "bar", "holds"]}}
    return _or_null({"type": "array", "items": _object({"claim": named.pop("name"), **named, "reasons": reasons})})


def _identification() -> Schema:
    points = {"path": _rows(PathPoint), "curve": _rows(CurvePoint)}
    numbers = {name: _or_null(_ESTIMATE) for name in ("accuracy", "auroc", "random_accuracy")}
    return _object({"C": _NUMBER, "rule": _TEXT, "h": {"type": "integer"}, **numbers, **points, "reason": _TEXT})
