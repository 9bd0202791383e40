"""The JSON Schema of `provenance compare --json`, made from the declarations of its results.

The schema ships as `provenance/cli/compare.schema.json`, so that a program can check what it reads without running this
package; a test keeps the two equal.
"""

import types
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from provenance.analyses.results.answers import Funnel, JudgeAgreement, RefusalContrast
from provenance.analyses.results.behaviour import (
    CausalEffect,
    ComplianceArm,
    ComplianceSlope,
    PatchEffect,
    ReplyAgreement,
    SideEffect,
    TextEffect,
)
from provenance.analyses.results.claims import Claim, Power, Reason
from provenance.analyses.results.drift import DriftResult, DriftTest
from provenance.analyses.results.lineage import LineageResult
from provenance.analyses.results.overlap import OverlapNull, OverlapResult
from provenance.analyses.results.probes import Baseline, CurvePoint, HeldOut, PathPoint
from provenance.analyses.results.replicates import Replicate, ReplicateClaim, VarianceComponent
from provenance.analyses.results.transfer import (
    DirectionTransfer,
    LabelAgreement,
    Rung,
    ScaleControl,
    SignAgreement,
    TransferCell,
    TransferResult,
)
from provenance.analyses.summary.values import SCHEMA
from provenance.records import Estimate, Verdict
from provenance.stages import StageTime

Schema = dict[str, Any]
_PLAIN: Mapping[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
_ESTIMATE = {"$ref": "#/$defs/E"}
_NUMBER: Schema = {"type": ["number", "null"]}
_COUNT: Schema = {"type": "integer"}
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_OPEN: Schema = {"type": ["object", "null"]}
"""Objects whose keys are left open."""
_SOMETIMES: Mapping[str, Schema] = {
    "figures": _TEXTS,
    "report": _TEXT,
    "quick": {"type": "boolean"},
    "other": _TEXT,
    "source": _TEXT_OR_NULL,
    "spread": _OPEN,
    "concept": {
        "type": "object",
        "properties": {"name": _TEXT, "positive": _TEXT, "negative": _TEXT},
        "required": ["name", "positive", "negative"],
    },
    "not_drawn": {"type": "object", "additionalProperties": _TEXT},
    "notes": _TEXTS,
    "bytes_received": {"type": ["integer", "null"]},
}
"""Keys that only some comparisons have: with files, by answers, with a control of another model, by weights alone, on
responses that exist."""


def compare_schema() -> Schema:
    """The schema of the whole object."""
    content = _object(_about() | _results())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "provenance compare --json",
        "$defs": {"E": _estimate()},
        **content,
        "properties": content["properties"] | dict(_SOMETIMES),
    }


def _about() -> dict[str, Schema]:
    """What is said of the run."""
    checkpoint = _object({"ref": _TEXT, "digest": _TEXT})
    return {
        "schema": {"const": SCHEMA},
        "base": checkpoint,
        "instruct": checkpoint,
        "control": _TEXT_OR_NULL,
        "run": _COUNT,
        "stages": _rows(StageTime),
        "peak_memory_bytes": _COUNT,
        "database": _TEXT,
    }


def _results() -> dict[str, Schema]:
    """What was found; null under the keys of what was not looked at."""
    return {
        "neurons": _object({"total": _COUNT, "h": _COUNT, "per_mille": _NUMBER, "list": _neurons()}),
        "lineage": _or_null(record(LineageResult)),
        "mapping": _mapping(),
        "funnel": _or_null(_by_name(record(Funnel))),
        "identification": _or_null(_identification()),
        "base_identification": _or_null(_identification()),
        "transfer": _rows(TransferResult, ladder=_by_name(_without(record(Rung), "dataset", "kind"))),
        "drift": _or_null(record(DriftResult, tests=_rows(DriftTest))),
        "overlap": _or_null(record(OverlapResult, nulls=_rows(OverlapNull))),
        "directions": _rows(DirectionTransfer),
        "two_by_two": _rows(TransferCell),
        "agreement": _rows(LabelAgreement),
        "judges": _rows(JudgeAgreement),
        "refusals": _rows(RefusalContrast),
        "scales": _rows(ScaleControl),
        "signs": _or_null(record(SignAgreement)),
        "power": _rows(Power),
        "interventions": _rows(CausalEffect, n_draws=_COUNT),
        "compliance": _rows(ComplianceArm),
        "compliance_slopes": _rows(ComplianceSlope, n_draws=_COUNT),
        "side_effects": _rows(SideEffect),
        "text_effects": _rows(TextEffect),
        "patching": _rows(PatchEffect, n_draws=_COUNT),
        "reply_judges": _rows(ReplyAgreement),
        "verdict": _verdict(),
        "replicates": _or_null(
            _object(
                {
                    "transfer": _rows(Replicate),
                    "claims": _rows(ReplicateClaim),
                    "variance": _rows(VarianceComponent),
                    "compliance_slopes": _rows(ComplianceSlope, n_draws=_COUNT, replicate=_COUNT),
                }
            )
        ),
    }


def record(cls: type, **more: Schema) -> Schema:
    """The schema of a result dataclass as `asdict` gives it, NaN as null.

    Args:
        cls: The dataclass; fields that hold arrays or rows of other tables are left open.
        more: Properties beside its fields.
    """
    hints = get_type_hints(cls)
    names = [item.name for item in fields(cls)]
    return _object({name: found for name in names if (found := _of(hints[name])) is not None} | more)


def _of(hint: Any) -> Schema | None:
    """Of a field; None where it has no schema of its own."""
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


def _neurons() -> Schema:
    one = _object({"layer": _COUNT, "index": _COUNT, "weight": _NUMBER})
    return {"type": "array", "items": one}


def _estimate() -> Schema:
    return _object(dict.fromkeys(("estimate", "low", "high"), _NUMBER) | {"n": _COUNT})


def _by_name(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


def _without(schema: Schema, *names: str) -> Schema:
    return _object({name: found for name, found in schema["properties"].items() if name not in names})


def _mapping() -> Schema:
    lowest = dict.fromkeys(("lowest_similarity", "lowest_margin"), _NUMBER)
    pairs: Schema = {"type": "array", "items": {"type": "array", "items": _COUNT, "minItems": 2, "maxItems": 2}}
    counts = {"mapped": _COUNT, "unmapped": pairs, "neurons_unmapped": _COUNT}
    return _object({"method": _TEXT, **counts, **lowest, "reason": _TEXT})


def _verdict() -> Schema:
    kind = {"enum": [*get_args(Verdict), None]}
    return _object({"transfer": kind, "drift": kind, "overlap": kind, "overall": _TEXT, "claims": _claims()})


def _claims() -> Schema:
    named = _without(record(Claim), "decided_by")["properties"]
    reason = record(Reason)
    conditions = {"decision": _or_null(reason), "reasons": {"type": "array", "items": reason}}
    claim = _object({"claim": named.pop("name"), **named, **conditions})
    return _or_null({"type": "array", "items": claim})


def _identification() -> Schema:
    numbers = dict.fromkeys(("C", "alpha_max", "gap", "violation"), _NUMBER)
    words = {"rule": _TEXT, "source": _TEXT_OR_NULL, "design": _TEXT, "reason": _TEXT}
    counts = {"h": _COUNT, "nonzero": _COUNT, "n_train": _by_name(_COUNT)}
    areas = {name: _or_null(_ESTIMATE) for name in ("accuracy", "auroc", "random_accuracy")}
    baseline = _without(record(Baseline, n_draws=_COUNT), "kind")
    held_out = _rows(HeldOut, baselines=_by_name(baseline))
    points = {"held_out": held_out, "path": _rows(PathPoint), "curve": _rows(CurvePoint)}
    penalised = {"intercept_penalised": {"type": "boolean"}}
    return _object({**numbers, **words, **counts, **penalised, **areas, **points, "stability": _OPEN})
