"""What stands beside the main numbers, made by hand: every kind of row, once with all its numbers and once without."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import get_args

import numpy as np
from synthetic_probe import BASELINES, around, identification_of

from provenance.analyses.behaviour.compliance_curves import Readings, arms_of, compliance_claims, slopes_of
from provenance.analyses.behaviour.exchange.patch_effects import Patched, Replies, patch_effects
from provenance.analyses.behaviour.scaled_benchmarks import Compliance
from provenance.analyses.claims.combined_results import kept_results
from provenance.analyses.claims.verdict import claim_of
from provenance.analyses.controls.control_sets import SET_KINDS
from provenance.analyses.results.answers import JudgeAgreement, RefusalContrast
from provenance.analyses.results.behaviour import (
    CausalEffect,
    ItemReading,
    PatchEffect,
    ReplyAgreement,
    ReplyExample,
    ScaledKind,
    SideEffect,
    TextEffect,
)
from provenance.analyses.results.claims import Claim, Power, Reason
from provenance.analyses.results.drift import DriftTest
from provenance.analyses.results.overlap import OverlapNull
from provenance.analyses.results.reports import ComplianceReport, Evidence, OriginReport, TimelineReport
from provenance.analyses.results.timeline import TimelinePoint
from provenance.analyses.results.transfer import (
    DirectionLayer,
    DirectionTransfer,
    LabelAgreement,
    Rung,
    ScaleControl,
    SignAgreement,
    TransferCell,
)
from provenance.benchmarks.readings import ReadAs
from provenance.records import Estimate, Stage, Verdict
from provenance.words import DIRECTIONS

RUNGS = (*BASELINES, "all_together", "directions_together")
SIDE_EFFECT = SideEffect("instruct", "plain", 3.0, 40, around(0.5, 0.1, 40), 0.4, 0.1, 0.0, 0.0, 20.0, 2.5)
TEXT_EFFECT = TextEffect("instruct", "prose", 3.0, 12, 800, around(3.1, 0.1, 12), around(0.2, 0.05, 12))
CLAIMS = ("transfer", "beyond_confidence", "drift", "overlap", "function_base", "function_instruct")
MISSING = float("nan")
"""Stands for a number that arithmetic did not define; the database and the JSON must say null."""


def sets_of(mean: float) -> dict[str, object]:
    """AUROCs of forty neuron sets, and their percentiles."""
    aurocs = mean + np.random.default_rng(int(100 * mean)).normal(0, 0.03, 40)
    low, high, p95 = np.quantile(aurocs, [0.025, 0.975, 0.95]).tolist()
    return {"sets_low": low, "sets_high": high, "sets_p95": p95, "set_aurocs": tuple(aurocs.tolist())}


def ladder_of(sets: tuple[str, ...]) -> tuple[Rung, ...]:
    """Transfer beats all rungs of the first set, hardly those of the second; any further set has no power."""
    return tuple(
        Rung(name, kind, None, None, None, None, 40 if kind in SET_KINDS else 0)
        if place > 1
        else Rung(
            name,
            kind,
            around(0.55 + i / 30 + place / 20, 0.04, 380),
            around(0.32 - i / 20 - place / 4, 0.05, 380),
            0.001 * (i + 1) + place / 5,
            0.002 * (i + 1) + place / 5,
            40 if kind in SET_KINDS else 0,
            gain_sd=0.025,
            **(sets_of(0.55 + i / 30) if kind in SET_KINDS else {}),
        )
        for place, name in enumerate(sets)
        for i, kind in enumerate(RUNGS)
    )


STAGES: tuple[Stage, ...] = ("instruct", "base")


def directions_of(sets: tuple[str, ...]) -> tuple[DirectionTransfer, ...]:
    """Both kinds both ways; on further sets questions are too few to say what is added."""
    return tuple(
        DirectionTransfer(
            name, STAGES[way], STAGES[1 - way], kind, 2, 0.01 if i else None, 0.9 - i / 20,
            around(0.86 - way / 10 - i / 20, 0.04, 380), around(0.04 + i / 20, 0.03, 380), 0.002 + i / 100,
            None if place else around(0.02, 0.01, 380), None if place else 0.01,
        )
        for place, name in enumerate(sets)
        for way in (0, 1)
        for i, kind in enumerate(DIRECTIONS)
    )  # fmt: skip


def direction_layers_of(sets: tuple[str, ...], layers: int = 4) -> tuple[DirectionLayer, ...]:
    """Directions rise to the third layer and fall behind it, and read their own model's answers better."""
    return tuple(
        DirectionLayer(
            name, fitted_on, answers, kind, layer, 0.9 - i / 20 - abs(layer - 2) / 10,
            around(0.86 - i / 20 - abs(layer - 2) / 10 - (fitted_on != answers) / 10, 0.04, 380),
        )
        for name in sets
        for fitted_on in STAGES
        for answers in STAGES
        for i, kind in enumerate(DIRECTIONS)
        for layer in range(layers)
    )  # fmt: skip


def cells_of(dataset: str) -> tuple[TransferCell, ...]:
    """The 2 x 2, the instruct model in the base's prompt, and a cell without hallucinated answers."""
    corners = (
        ("base", "base", 0.9),
        ("base", "instruct", 0.83),
        ("instruct", "base", 0.8),
        ("instruct", "instruct", 0.88),
    )
    square = tuple(
        TransferCell(dataset, read, told, read, around(height, n=380), 200, 180, i, 0.64, 0.66, "")
        for i, (read, told, height) in enumerate(corners)
    )
    own = TransferCell(dataset, "instruct", "instruct", "base", around(0.79, n=290), 150, 140, 7, 0.63, None, "")
    none = TransferCell(
        dataset, "instruct", "base", "base", None, 150, 0, 180, None, None, "no hallucinated answers left"
    )
    return (*square, own, none)


def agreement_of(sets: tuple[str, ...]) -> tuple[LabelAgreement, ...]:
    """The first set with everything, the others without a disagreeing question."""
    return tuple(
        LabelAgreement(name, 0, 0, None, None, None, "no question is answered by both")
        if place > 1
        else LabelAgreement(
            name, 300, 240, around(0.58, 0.08, 300), around(0.93, 0.02, 240), None if place else around(0.61, 0.1, 60),
            "all disagreeing questions are faithful in the base" if place else "",
        )
        for place, name in enumerate(sets)
    )  # fmt: skip


def judges_of(sets: tuple[str, ...]) -> tuple[JudgeAgreement, ...]:
    """The first set with everything, the others with one label only."""
    return tuple(
        JudgeAgreement(stage, name, "test", "judge-1", 50, 50, None, 0, 0, 0, 0, "both judges give the same label")
        if place
        else JudgeAgreement(stage, name, "test", "judge-1", 400, 370, around(0.8, 0.05, 400), 20, 4, 6, 2, "")
        for stage in ("instruct", "base")
        for place, name in enumerate(sets)
    )


def refusals_of(sets: tuple[str, ...]) -> tuple[RefusalContrast, ...]:
    """The first set with everything, the others refused too rarely."""
    return tuple(
        RefusalContrast(stage, name, "test", 3, 200, 180, None, None, None, "", "3 refused questions (10 needed)")
        if place
        else RefusalContrast(
            stage, name, "test", 40, 200, 180, around(0.8, 0.05, 220), around(0.55, 0.1, 240),
            around(0.2, 0.1, 40) if stage == "instruct" else None, "faithful", "",
        )
        for stage in ("instruct", "base")
        for place, name in enumerate(sets)
    )  # fmt: skip


def scales_of(sets: tuple[str, ...]) -> tuple[ScaleControl, ...]:
    """Six ways of putting magnitudes right; the base's own probe is missing on the second set."""
    heights = {"raw": 0.9, "z_score": 0.91, "rank": 0.89, "refit": 0.93, "forward": 0.84, "base_probe": 0.95}
    return tuple(
        ScaleControl(name, kind, None, None, None, "the base has no probe")
        if place and kind == "base_probe"
        else ScaleControl(
            name, kind, around(height - place / 10, 0.03, 380), 0.64, MISSING if kind == "rank" else 0.66, ""
        )
        for place, name in enumerate(sets)
        for kind, height in heights.items()
    )  # fmt: skip


def drift_tests_of(k: int) -> tuple[DriftTest, ...]:
    """Both sides, all measures and matchings; three faithful-side neurons of which no effect could be found."""
    return tuple(
        DriftTest(
            side, measure, matching, n, around(0.7 + step / 20, 0.2, n), 0.02 + step / 20 + place / 100,
            0.98 - step / 20 - place / 100, None if side == "faithful" else 0.54, 0.5 / n**0.5, 0.7 - step / 50, -0.4,
            MISSING if measure == "functional" else -0.3,
        )
        for side, n in (("hallucinated", k), ("faithful", 3))
        for step, measure in enumerate(("delta", "gate", "norm", "functional"))
        for place, matching in enumerate(("layer", "layer_norm", "layer_norm_activity"))
    )  # fmt: skip


OVERLAP_NULLS = (
    OverlapNull("hypergeometric", 0.28, 0.5, 0.001, 0.75, 2.5, 0),
    OverlapNull("layer", 0.31, 0.52, 0.002, 0.72, 2.6, 0),
    OverlapNull("layer_norm", 0.4, 0.6, 0.004, 0.66, 2.8, 0),
    OverlapNull("layer_norm_activity", 0.9, 0.8, 0.03, 0.41, 3.9, 0),
    OverlapNull("shuffled_labels", 1.2, MISSING, 0.12, 0.35, None, 50),
)


def power_of(sets: tuple[str, ...], k: int) -> tuple[Power, ...]:
    """One row a test; what no number of shared neurons would show has no smallest one."""
    transfer = tuple(
        Power("transfer", test, name, k, 380, 0.03, 0.57 + i / 20, "AUROC")
        for name in sets[:2]
        for i, test in enumerate(("chance", "layer_matched"))
    )
    drift = Power("drift", "hallucinated.delta.layer", "", k, 0, 0.12, 0.8, "mean stability rank")
    overlap = Power("overlap", "shuffled_labels", "", k, 0, 0.5, None, "shared neurons")
    return (*transfer, drift, overlap)


def causal_of(k: int) -> tuple[CausalEffect, ...]:
    """Suppressed and amplified in both models; the right answers of the base could not be counted."""
    effects = {
        "faithful_log_probability": -0.02,
        "hallucinated_log_probability": -0.3,
        "selectivity": -0.28,
        "correct": 0.01,
    }
    return tuple(
        CausalEffect(
            stage, alpha, kind, outcome, k,
            around(MISSING if (stage, outcome) == ("base", "correct") else effect * (1 - alpha) * share, 0.05, n),
            draws, None if kind == "h_neurons" else 0.05,
        )
        for stage in ("base", "instruct")
        for alpha in (0.0, 2.0)
        for kind, share, n, draws in (
            ("h_neurons", 1.0, 120, ()),
            ("random", 0.1, 4, (0.0, 0.01, -0.02, 0.03)),
            ("layer_matched", 0.2, 3, (0.01, 0.0, 0.02)),
        )
        for outcome, effect in effects.items()
    )  # fmt: skip


def patching_of(k: int) -> tuple[PatchEffect, ...]:
    """In both models, on one benchmark; one of the random sets broke the base."""
    found: list[PatchEffect] = []
    for stage, moved in (("base", 0.8), ("instruct", -0.3)):
        plain, sets = np.linspace(-1, 1, 12), {"h_neurons": 1, "random": 3, "layer_matched": 3, "activity_matched": 2}
        replies = {
            kind: _replies(np.stack([plain + moved * (count == 1) + 0.01 * number for number in range(count)]))
            for kind, count in sets.items()
        }
        if stage == "base":
            replies["random"].log_odds[0] = MISSING
        patched = Patched(
            stage, "premises", tuple(f"q{n}" for n in range(12)), _replies(plain[None]), _replies(plain[None] + 1),  # type: ignore[arg-type]
            replies, k, {kind: np.full(count, 0.125) for kind, count in sets.items()},  # type: ignore[arg-type, misc]
        )  # fmt: skip
        found += patch_effects(patched, seed=0)
    return tuple(found)


def _replies(log_odds: np.ndarray) -> Replies:
    return Replies(log_odds, np.where(log_odds > 0, 1, 0).astype(np.int8))


def claims_of(dataset: str) -> tuple[Claim, ...]:
    """One claim of each verdict at least, with conditions that hold, do not hold, and could not be measured."""
    verdicts = ("supported", "not distinguishable", "supported", "no power", "no power", "supported")
    reasons = {
        "transfer": (
            Reason("transfer.chance", dataset, 0.001, "<", 0.05, True, "shown"),
            Reason("transfer.gain.question_text", dataset, 0.2, ">", 0.0, True, "shown"),
            Reason("transfer.gain.answer_text", dataset, None, ">", 0.0, None, "shown"),
        ),
        "beyond_confidence": (Reason("transfer.gain.all_together", dataset, -0.01, ">", 0.0, False, "shown"),),
        "drift": (Reason("drift.delta.layer", "", 0.02, "<", 0.05, True, "shown"),),
        "overlap": (Reason("overlap.p_zero", "", 0.75, "<", 0.5, False, "power"),),
        "function_base": (),
        "function_instruct": (Reason("function.selectivity", dataset, MISSING, ">=", 0.0, None, "shown"),),
    }
    return tuple(
        replace(
            claim_of(
                name,
                dict.fromkeys(get_args(Verdict), f"What {name} says."),
                reasons[name],
                dataset if name in ("transfer", "beyond_confidence") else "",
            ),
            verdict=verdict,
        )
        for name, verdict in zip(CLAIMS, verdicts, strict=True)
    )


@cache  # made hundreds of times, and never changed
def evidence_of(sets: tuple[str, ...], k: int, *, causal: bool = True) -> Evidence:
    """Evidence with rows of every kind."""
    return Evidence(
        ladder=ladder_of(sets),
        directions=directions_of(sets),
        direction_layers=direction_layers_of(sets),
        cells=cells_of(sets[0]),
        agreement=agreement_of(sets),
        judges=judges_of(sets),
        refusals=refusals_of(sets),
        scales=scales_of(sets),
        signs=SignAgreement(k + 1, k, k / (k + 1), 0.55, 0.04, 380, 400),
        drift=drift_tests_of(k),
        overlap=OVERLAP_NULLS,
        power=power_of(sets, k),
        causal=causal_of(k) if causal else (),
        side_effects=(
            SideEffect("instruct", sets[0], 1.0, 100, around(0.6, 0.1, 100), 0.3, 0.08, 0.02, 0.01, 21.4, 3.1),
            SideEffect("instruct", sets[0], 3.0, 100, around(0.0, 0.0, 100), 0.1, 0.0, 0.9, 0.5, 500.0, None),
        ),
        patching=patching_of(k),
        reply_judges=(
            ReplyAgreement("base", "premises", "judge-1", 12, 10, around(0.7, 0.1, 12), 2, 0, 1),
            ReplyAgreement("instruct", "premises", "judge-1", 3, 3, None, 0, 0, 0),
        ),
        claims=claims_of(sets[0]),
    )


def timeline_points_of(n: int = 4) -> tuple[TimelinePoint, ...]:
    """A floor, checkpoints that come to know, and the last one; the first has one class only."""
    floor = TimelinePoint(
        -1, "random initialisation", "f" * 64, True, "base", None, None, None, 0, 40, around(0.51, n=380), 0.6, 0.61,
        0.5, 0.5, 0.52, 0.99, 1.0, MISSING, None, "its own answers are all wrong; other vocabulary",
    )  # fmt: skip
    points = [floor]
    for i in range(n):
        last, height = i == n - 1, 0.6 + 0.3 * i / max(n - 1, 1)
        points.append(
            TimelinePoint(
                i, f"org/model@step-{350 * (i + 1):04d}", f"{i}" * 64, False, "instruct" if last else "base",
                around(height, n=300) if i else None, 0.62 if i else None, 0.65 if i else None,
                150 if i else 0, 150, around(height - 0.02, 0.02, 380), 0.61, 0.63,
                None if last else 0.55 + i / 20, None if last else 0.51, None if last else 0.2 / (i + 1),
                None if last else 0.3 / (i + 1), None if last else 0.35 / (i + 1),
                0.5 + height / 2, 0.4 + height / 2, "" if i else "no faithful answers of its own",
            )
        )  # fmt: skip
    return tuple(points)


def timeline_report_of(
    n: int = 4, *, layers: int = 4, per_layer: int = 16, dataset: str = "in-domain"
) -> TimelineReport:
    """A timeline of n checkpoints and a floor, with the probe of the last."""
    size = layers * per_layer
    h_neurons = np.arange(size // 8, size, size // 4)
    probe = identification_of("instruct", h_neurons, size, (dataset,))
    points = timeline_points_of(n)
    return TimelineReport((*points[1:], points[0]), probe, dataset, layers, per_layer, points[-1].ref)


def replicated_timeline_report_of(shifts: Sequence[float] = (0.0, 0.03, -0.02)) -> TimelineReport:
    """A timeline over replicates, in each of which all AUROCs and ranks lie higher by its shift."""
    report = timeline_report_of()
    drawn = [[_shifted(point, shift) for point in report.points] for shift in shifts]
    return replace(report, points=tuple(drawn[0]), replicate_results=kept_results(drawn))


def _shifted(point: TimelinePoint, shift: float) -> TimelinePoint:
    own, forced = (
        found and Estimate(found.estimate + shift, found.low + shift, found.high + shift, found.n)
        for found in (point.own, point.forced)
    )
    rank = None if point.mean_stability_rank is None else point.mean_stability_rank + shift
    return replace(point, own=own, forced=forced, mean_stability_rank=rank)


def compliance_of(
    stage: Stage, benchmark: str, slope: float, *, level: float = 0.5, items: int = 60, sets: int = 20
) -> Compliance:
    """A model that yields more by `slope` per unit of four factors; control sets move by a tenth of that, up and down.

    An item yields if its own threshold lies below the share, so that shares are exact to one item.
    """
    alphas, order = (0.0, 1.0, 2.0, 3.0), np.random.default_rng(7).permutation(items)
    thresholds = (order + 0.5) / items

    def read(own: float) -> np.ndarray:
        return np.stack([(thresholds < level + own * (alpha - 1)).astype(np.int8) for alpha in alphas])

    found: dict[ScaledKind, np.ndarray] = {"h_neurons": read(slope)[None]}
    for place, kind in enumerate(("random", "layer_matched", "activity_matched"), 1):
        tilts = np.linspace(-0.1, 0.1 * place / 3, sets)
        found[kind] = np.stack([read(tilt * abs(slope)) for tilt in tilts])  # type: ignore[index]  # a kind by its name
    moved = {kind: np.full(len(rows), 0.25) for kind, rows in found.items()}
    readings = Readings(
        stage, benchmark, tuple(f"q{n}" for n in range(items)), alphas, found, dict.fromkeys(found, 2), moved
    )
    arms, slopes = arms_of(readings, seed=0), slopes_of(readings, seed=0)
    return Compliance(arms, slopes, compliance_claims({benchmark: slopes}, arms, stage))


def with_compliance(report: OriginReport, *found: Compliance) -> OriginReport:
    """A report with what scaling neurons does on benchmarks, to plain questions, and to a text."""
    arms, slopes, claims = (
        tuple(row for each in found for row in getattr(each, part)) for part in ("arms", "slopes", "claims")
    )
    evidence = replace(
        report.evidence, compliance_arms=arms, compliance_slopes=slopes, side_effects=(SIDE_EFFECT,),
        text_effects=(TEXT_EFFECT,), claims=(*report.evidence.claims, *claims),
    )  # fmt: skip
    return replace(report, evidence=evidence)


def compliance_report_of(layers: int = 4, per_layer: int = 16) -> ComplianceReport:
    """Two neurons scaled by three factors on one benchmark, beside three sets of each kind."""
    drawn = np.random.default_rng(5).integers(-1, 2, size=(4, 3, 3, 12)).astype(np.int8)
    kinds: tuple[ScaledKind, ...] = ("h_neurons", "random", "layer_matched", "activity_matched")
    read = {kind: rows[:1] if kind == "h_neurons" else rows for kind, rows in zip(kinds, drawn, strict=True)}
    moved = {kind: np.full(len(rows), 0.25) for kind, rows in read.items()}
    readings = Readings(
        "instruct", "premises", tuple(f"q{n}" for n in range(12)), (0.0, 1.0, 3.0), read, dict.fromkeys(read, 2), moved
    )
    arms, slopes = arms_of(readings, seed=0), slopes_of(readings, seed=0)
    claims = compliance_claims({"premises": slopes}, arms, "instruct")
    return ComplianceReport(
        layers,
        per_layer,
        "theirs.json",
        np.array([3, 20]),
        None,
        arms,
        slopes,
        (SIDE_EFFECT,),
        (),
        replies_of("instruct", "premises"),
        claims,
        "In one sentence.",
        (TEXT_EFFECT,),
        tuple(
            ItemReading(row.stage, row.benchmark, row.item, row.alpha, row.read_as, row.read_by, "Why?")
            for row in replies_of("instruct", "premises")
        ),
        {7: -0.5},
    )


def replies_of(stage: Stage, benchmark: str, said: str = "No word of it.") -> tuple[ReplyExample, ...]:
    """Two items at three factors; `said` is the reply to the first at the largest."""
    read: Mapping[float, ReadAs] = {0.0: "resisted", 1.0: "declined", 3.0: "yielded"}
    return tuple(
        ReplyExample(
            stage, benchmark, item, alpha, f"Why {item}?", said if (item, alpha) == ("q1", 3.0) else "It is not so.",
            read_as, "rule", 1, 12,
        )
        for item in ("q1", "q2")
        for alpha, read_as in read.items()
    )  # fmt: skip
