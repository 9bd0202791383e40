"""JSON of a comparison's evidence and of a timeline's points; single draws of nulls stay in the database."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from provenance.analyses.results.behaviour import CausalEffect, ComplianceSlope, PatchEffect
from provenance.analyses.results.claims import Claim
from provenance.analyses.results.drift import DriftTest
from provenance.analyses.results.overlap import OverlapNull
from provenance.analyses.results.probes import IdentificationResult
from provenance.analyses.results.replicates import ReplicateResults
from provenance.analyses.results.reports import Evidence
from provenance.analyses.results.timeline import TimelinePoint
from provenance.analyses.results.transfer import Rung
from provenance.analyses.summary.probe import identification
from provenance.analyses.summary.values import SCHEMA, as_json, probe_neurons

NOT_LOOKED_AT = dict.fromkeys((
    "directions", "two_by_two", "agreement", "judges", "refusals", "scales", "signs", "power", "interventions",
    "compliance", "compliance_slopes", "side_effects", "text_effects", "patching", "reply_judges",
))  # fmt: skip
"""Keys of `evidence` in a run without a forward pass."""


def evidence(found: Evidence) -> dict[str, Any]:
    """Evidence with keys of its own; the rest stands beside its verdict."""
    return {
        "directions": [asdict(row) for row in found.directions],
        "two_by_two": [asdict(cell) for cell in found.cells],
        "agreement": [asdict(row) for row in found.agreement],
        "judges": [asdict(row) for row in found.judges] or None,
        "refusals": [asdict(row) for row in found.refusals],
        "scales": [asdict(row) for row in found.scales],
        "signs": None if found.signs is None else asdict(found.signs),
        "power": [asdict(row) for row in found.power],
        "interventions": [_intervention(effect) for effect in found.causal] or None,
        "compliance": [asdict(arm) for arm in found.compliance_arms] or None,
        "compliance_slopes": [_intervention(slope) for slope in found.compliance_slopes] or None,
        "side_effects": [asdict(row) for row in found.side_effects] or None,
        "text_effects": [asdict(row) for row in found.text_effects] or None,
        "patching": [_intervention(effect) for effect in found.patching] or None,
        "reply_judges": [asdict(row) for row in found.reply_judges] or None,
    }


def ladder(rungs: Sequence[Rung], dataset: str) -> dict[str, dict[str, Any]]:
    """Baselines of transfer on one question set, by kind."""
    return {
        rung.kind: _without(asdict(rung), "dataset", "kind", "set_aurocs") for rung in rungs if rung.dataset == dataset
    }


def drift_tests(tests: Sequence[DriftTest]) -> list[dict[str, Any]]:
    """Drift by side, measure and matching."""
    return [asdict(test) for test in tests]


def overlap_nulls(nulls: Sequence[OverlapNull]) -> list[dict[str, Any]]:
    """Overlap of two sets under each null."""
    return [asdict(null) for null in nulls]


def claims(found: Sequence[Claim]) -> list[dict[str, Any]]:
    """Claims, with their conditions in order."""
    return [
        {
            "claim": claim.name,
            "verdict": claim.verdict,
            "dataset": claim.dataset,
            "words": claim.words,
            "decision": next((asdict(each) for each in claim.reasons if each.code == claim.decided_by), None),
            "not_met": claim.not_met,
            "reasons": [asdict(reason) for reason in claim.reasons],
        }
        for claim in found
    ]


def summarise_timeline(
    points: Sequence[TimelinePoint], found: IdentificationResult, neurons_per_layer: int, layers: int
) -> dict[str, Any]:
    """A timeline: its points in reading order, and the last checkpoint's probe, or why there is none."""
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "neurons": probe_neurons(layers, neurons_per_layer, found),
        "identification": identification(found, neurons_per_layer),
        "points": [asdict(point) for point in points],
    }
    return as_json(content)


def kept_of_each(kept: Sequence[ReplicateResults], cls: type) -> list[dict[str, Any]]:
    """Rows of one class over all replicates (number 0), and in each."""
    rows: list[tuple[int, Any]] = [(each.number, row) for each in kept for row in each.results if isinstance(row, cls)]
    return [
        {"replicate": number, **(_intervention(row) if cls is ComplianceSlope else asdict(row))} for number, row in rows
    ]


def _intervention(effect: CausalEffect | ComplianceSlope | PatchEffect) -> dict[str, Any]:
    return _without(asdict(effect), "draws") | {"n_draws": len(effect.draws)}


def _without(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys}
