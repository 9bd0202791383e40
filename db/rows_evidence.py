"""What conclusions are held against, as rows: one function a table, each a result dataclass by its field names.

The one idea: a row says what the dataclass says. Text and counts go in as they are, numbers with NaN as NULL,
an interval x as x, x_low, x_high, and its rows as x_n where no other column counts them.
"""

from collections.abc import Sequence

from analyses.evidence_results import (
    CausalEffect,
    Cell,
    Claim,
    DriftTest,
    Evidence,
    LabelAgreement,
    OverlapNull,
    Power,
    Reason,
    Rung,
    ScaleControl,
    SignAgreement,
)
from db import schema
from db.rows_probe import interval
from db.values import Row, number, numbers
from provenance.intervals import Estimate


def evidence_rows(evidence: Evidence) -> dict[type[schema.Base], list[Row]]:
    """The rows of every table beside the main numbers of a comparison."""
    return {
        schema.LadderRow: _in_order([rung_row(rung) for rung in evidence.ladder]),
        schema.CellRow: _in_order([cell_row(cell) for cell in evidence.cells]),
        schema.LabelAgreementRow: _in_order([agreement_row(found) for found in evidence.agreement]),
        schema.ScaleControlRow: _in_order([scale_row(control) for control in evidence.scales]),
        schema.SignAgreementRow: [] if evidence.signs is None else [sign_row(evidence.signs)],
        schema.DriftTestRow: drift_test_rows(evidence.drift),
        schema.OverlapNullRow: _in_order([overlap_null_row(null) for null in evidence.overlap]),
        schema.PowerRow: _in_order([power_row(power) for power in evidence.power]),
        schema.InterventionRow: _in_order([intervention_row(effect) for effect in evidence.causal]),
        **claim_rows(evidence.claims),
    }


def _in_order(rows: Sequence[Row]) -> list[Row]:
    return [{**row, "position": position} for position, row in enumerate(rows)]


def counted_interval(name: str, estimate: Estimate | None) -> Row:
    """An estimate as four columns."""
    return {**interval(name, estimate), f"{name}_n": None if estimate is None else int(estimate.n)}


def rung_row(rung: Rung) -> Row:
    """One thing that transfer has to beat."""
    return {
        "dataset": rung.dataset,
        "kind": rung.kind,
        **counted_interval("auroc", rung.auroc),
        **counted_interval("gain", rung.gain),
        **numbers(rung, "gain_sd", "p_value", "p_holm"),
        "draws": int(rung.draws),
    }


def cell_row(cell: Cell) -> Row:
    """Whose activations, whose answers, whose prompt."""
    return {
        "dataset": cell.dataset,
        "activations": cell.activations,
        "answers": cell.answers,
        "prompt": cell.prompt,
        **interval("auroc", cell.auroc),
        "n_faithful": int(cell.n_faithful),
        "n_hallucinated": int(cell.n_hallucinated),
        "n_dropped": int(cell.n_dropped),
        **numbers(cell, "random_p95", "layer_matched_p95"),
        "reason": cell.reason,
    }


def agreement_row(found: LabelAgreement) -> Row:
    """Whose labels."""
    return {
        "dataset": found.dataset,
        "n_common": int(found.n_common),
        "n_agree": int(found.n_agree),
        **interval("kappa", found.kappa),
        **counted_interval("auroc_agree", found.auroc_agree),
        **counted_interval("auroc_disagree", found.auroc_disagree),
        "reason": found.reason,
    }


def scale_row(control: ScaleControl) -> Row:
    """Magnitudes put right in one way."""
    return {
        "dataset": control.dataset,
        "kind": control.kind,
        **counted_interval("auroc", control.auroc),
        **numbers(control, "random_p95", "layer_matched_p95"),
        "reason": control.reason,
    }


def sign_row(signs: SignAgreement) -> Row:
    """Which way single neurons point."""
    return {
        "k": int(signs.k),
        "agree": int(signs.agree),
        **numbers(signs, "share", "expected", "p_value"),
        "n_base": int(signs.n_base),
        "n_instruct": int(signs.n_instruct),
    }


def drift_test_rows(tests: Sequence[DriftTest]) -> list[Row]:
    """Drift by side, measure and matching."""
    names = (
        "mean_rank", "null_mean", "null_sd", "p_more_stable", "p_less_stable", "smallest_detectable", "z_all", "z_layer"
    )  # fmt: skip
    return _in_order(
        [
            {
                "side": test.side,
                "measure": test.measure,
                "matching": test.matching,
                "bins": int(test.bins),
                "k": int(test.k),
                **numbers(test, *names),
                **interval("effect", test.effect),
            }
            for test in tests
        ]
    )


def overlap_null_row(null: OverlapNull) -> Row:
    """What two sets share under one null."""
    found = numbers(null, "expected", "sd", "p_value", "p_zero", "smallest_detectable")
    return {"kind": null.kind, **found, "draws": int(null.draws)}


def power_row(power: Power) -> Row:
    """What one test could have found."""
    return {
        "claim": power.claim,
        "test": power.test,
        "dataset": power.dataset,
        "k": int(power.k),
        "n": int(power.n),
        **numbers(power, "sd", "smallest_detectable"),
        "unit": power.unit,
    }


def intervention_row(effect: CausalEffect) -> Row:
    """What scaling did; of the control sets their number."""
    return {
        "stage": effect.stage,
        "alpha": float(effect.alpha),
        "kind": effect.kind,
        "outcome": effect.outcome,
        "k": int(effect.k),
        **counted_interval("effect", effect.effect),
        "n_draws": len(effect.draws),
        "p_value": number(effect.p_value),
    }


def claim_rows(claims: Sequence[Claim]) -> dict[type[schema.Base], list[Row]]:
    """Claims, and the conditions of each."""
    return {
        schema.ClaimRow: _in_order([claim_row(claim) for claim in claims]),
        schema.ClaimReason: [row for claim in claims for row in reason_rows(claim)],
    }


def claim_row(claim: Claim) -> Row:
    """What may be said."""
    return {"name": claim.name, "verdict": claim.verdict, "dataset": claim.dataset, "words": claim.words}


def reason_rows(claim: Claim) -> list[Row]:
    """The conditions of one claim."""
    return _in_order([{"claim": claim.name, **_reason(reason)} for reason in claim.reasons])


def _reason(reason: Reason) -> Row:
    return {
        "code": reason.code,
        "dataset": reason.dataset,
        **numbers(reason, "value", "bar"),
        "relation": reason.relation,
        "holds": None if reason.holds is None else bool(reason.holds),
        "role": reason.role,
    }
