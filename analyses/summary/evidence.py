"""What the JSON of a comparison says about its evidence, and that of a timeline about its points.

The one idea: what a verdict was held against stands beside it, under the names of
`provenance.analyses.results.transfer` and its neighbours.
Single draws of nulls stay in the database.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from provenance.analyses.results.behaviour import CausalEffect
from provenance.analyses.results.claims import Claim
from provenance.analyses.results.drift import DriftTest
from provenance.analyses.results.overlap import OverlapNull
from provenance.analyses.results.probes import IdentificationResult
from provenance.analyses.results.reports import Evidence
from provenance.analyses.results.timeline import TracePoint
from provenance.analyses.results.transfer import Rung
from provenance.analyses.summary.probe import identification
from provenance.analyses.summary.values import SCHEMA, as_json, counted_neurons

NOT_LOOKED_AT = dict.fromkeys(("two_by_two", "agreement", "scales", "signs", "power", "interventions"))
"""The keys of `evidence` where no forward pass was run."""


def evidence(found: Evidence) -> dict[str, Any]:
    """The parts that have a key of their own; the others stand beside the verdict that they belong to."""
    return {
        "two_by_two": [asdict(cell) for cell in found.cells],
        "agreement": [asdict(row) for row in found.agreement],
        "scales": [asdict(row) for row in found.scales],
        "signs": None if found.signs is None else asdict(found.signs),
        "power": [asdict(row) for row in found.power],
        "interventions": [_intervention(effect) for effect in found.causal] or None,
    }


def ladder(rungs: Sequence[Rung], dataset: str) -> dict[str, dict[str, Any]]:
    """What transfer has to beat on one question set, by kind."""
    return {
        rung.kind: _without(asdict(rung), "dataset", "kind", "set_aurocs") for rung in rungs if rung.dataset == dataset
    }


def drift_tests(tests: Sequence[DriftTest]) -> list[dict[str, Any]]:
    """Drift by side, measure and matching."""
    return [asdict(test) for test in tests]


def overlap_nulls(nulls: Sequence[OverlapNull]) -> list[dict[str, Any]]:
    """What two sets share under each null."""
    return [asdict(null) for null in nulls]


def claims(found: Sequence[Claim]) -> list[dict[str, Any]]:
    """What may be said, with the conditions in order."""
    return [
        {
            "claim": claim.name,
            "verdict": claim.verdict,
            "dataset": claim.dataset,
            "words": claim.words,
            "reasons": [asdict(reason) for reason in claim.reasons],
        }
        for claim in found
    ]


def summarise_trace(
    points: Sequence[TracePoint], found: IdentificationResult, neurons_per_layer: int, layers: int
) -> dict[str, Any]:
    """A timeline: its points, and the probe that saw them all.

    Args:
        points: In the order in which they are to be read.
        found: The last checkpoint's probe, or why there is none.
        neurons_per_layer: Of every checkpoint.
        layers: Of every checkpoint.
    """
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "neurons": counted_neurons(layers * neurons_per_layer, int(found.h_neurons.size)),
        "identification": identification(found, neurons_per_layer),
        "points": [asdict(point) for point in points],
    }
    return as_json(content)


def _intervention(effect: CausalEffect) -> dict[str, Any]:
    return _without(asdict(effect), "draws") | {"n_draws": len(effect.draws)}


def _without(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys}
