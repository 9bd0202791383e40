"""Evidence as rows: every field of every result is found again in its table, NaN is NULL, and order is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from math import isnan

import pytest
from db.rows_evidence import evidence_rows
from sqlalchemy import text
from synthetic import (
    SETS,
    digests_of,
    no_probe_report,
    report_of,
    rows,
    stored_run,
    stored_trace_run,
    stored_weights_run,
    weights_report_of,
)
from synthetic_evidence import MISSING, evidence_of, trace_report_of

from analyses.evidence_results import Evidence, Reason, ScaleControl, SignAgreement
from db.base import Base
from db.digests import run_digest, verify
from db.store import Store
from provenance.errors import StoreError
from provenance.intervals import Estimate

TABLES = {
    "ladder": "ladder",
    "cells": "cell",
    "agreement": "label_agreement",
    "scales": "scale_control",
    "drift": "drift_test",
    "overlap": "overlap_null",
    "power": "power",
    "causal": "intervention",
    "claims": "claim",
}
COUNTED = {
    "auroc": ("ladder", "scale_control"),
    "gain": ("ladder",),
    "effect": ("intervention",),
    "auroc_agree": ("label_agreement",),
    "auroc_disagree": ("label_agreement",),
    "forced": ("trace_point",),
}
"""Intervals whose rows no other column counts, and where."""


def plain(value: object) -> object:
    return None if isinstance(value, float) and isnan(value) else value


def flat(result: object, table: str) -> Iterator[tuple[str, object]]:
    """A result by column names, the slow way: field by field."""
    for field in fields(result):  # type: ignore[arg-type]
        value = getattr(result, field.name)
        if isinstance(value, Estimate) or (value is None and "Estimate" in str(field.type)):
            for part, name in (("estimate", ""), ("low", "_low"), ("high", "_high")):
                yield f"{field.name}{name}", plain(getattr(value, part, None))
            if table in COUNTED.get(field.name, ()):
                yield f"{field.name}_n", getattr(value, "n", None)
        elif field.name == "draws" and isinstance(value, tuple):
            yield "n_draws", len(value)
        elif field.name != "reasons":
            yield field.name, plain(value)


def flats(results: Sequence[object], table: str) -> list[dict[str, object]]:
    return [dict(flat(result, table)) for result in results]


def stored_rows(store: Store, table: str) -> list[dict[str, object]]:
    """What a table holds, by position where it has one."""
    order = "position" if "position" in Base.metadata.tables[table].c else "run_id"
    found = rows(store, f"SELECT * FROM {table} ORDER BY {order}")  # noqa: S608 - of this module's names
    return [{name: value for name, value in row.items() if name not in ("run_id", "position")} for row in found]


@pytest.mark.parametrize(("part", "table"), TABLES.items())
def test_every_field_of_every_result_is_a_column_with_its_value(store: Store, part: str, table: str) -> None:
    """In the order of the report; a field that a result gains and no column keeps fails here."""
    report = report_of()
    stored_run(store, report)
    expected = flats(getattr(report.evidence, part), table)
    assert stored_rows(store, table) == expected
    assert expected != expected[::-1]


def test_signs_are_one_row_and_none_without_a_probe(store: Store) -> None:
    report = report_of()
    stored_run(store, report)
    assert stored_rows(store, "sign_agreement") == flats([report.evidence.signs], "sign_agreement")
    assert STORED[SignAgreement] not in evidence_rows(replace(report.evidence, signs=None))


def test_conditions_stand_under_their_claim_and_keep_what_could_not_be_measured(store: Store) -> None:
    report = report_of()
    stored_run(store, report)
    for claim in report.evidence.claims:
        found = rows(store, "SELECT * FROM claim_reason WHERE claim = :c ORDER BY position", c=claim.name)
        kept = [{n: v for n, v in row.items() if n not in ("run_id", "position", "claim")} for row in found]
        assert kept == flats(claim.reasons, "claim_reason")
    holds = rows(store, "SELECT DISTINCT holds FROM claim_reason ORDER BY holds")
    assert [row["holds"] for row in holds] == [None, 0, 1]


def test_without_evidence_there_is_no_row_that_could_be_read_as_a_result(store: Store) -> None:
    stored_run(store, no_probe_report())
    for table in (*TABLES.values(), "sign_agreement", "claim_reason", "trace_point"):
        assert stored_rows(store, table) == [], table
    assert evidence_rows(Evidence()) == {}


def test_nan_is_null_and_an_interval_that_is_missing_is_null_altogether() -> None:
    def auroc(estimate: Estimate | None) -> list[object]:
        row = row_of(ScaleControl("a", "raw", estimate, None, None, ""))
        return [row[f"auroc{end}"] for end in ("", "_low", "_high", "_n")]

    assert auroc(None) == [None] * 4
    assert auroc(Estimate(MISSING, MISSING, 1.0, 3)) == [None, None, 1.0, 3]


def test_one_question_set_and_five_are_told_apart(store: Store) -> None:
    for number, sets in enumerate((SETS[:1], tuple("abcde"))):
        report = replace(report_of(), evidence=evidence_of(sets, 6, causal=False))
        run = stored_run(store, report, f"k{number}")
        found = rows(store, "SELECT DISTINCT dataset FROM ladder WHERE run_id = :r ORDER BY dataset", r=run)
        assert [row["dataset"] for row in found] == sorted(sets)
        assert rows(store, "SELECT 1 FROM intervention WHERE run_id = :r", r=run) == []


def test_a_second_claim_of_the_same_name_is_refused_and_not_mixed_with_the_first(store: Store) -> None:
    """Their conditions would otherwise be read as those of one."""
    report = report_of()
    twice = replace(report.evidence, claims=report.evidence.claims[:1] * 2)
    assert len(evidence_rows(twice)[STORED[Reason]]) == 6
    run = stored_run(store, report)
    with pytest.raises(StoreError, match="UNIQUE"):
        store.save_report(run, replace(report, evidence=twice), digests_of(report))
    with store.transaction() as connection:
        assert verify(connection, run) is True


def test_transfer_and_overlap_rows_carry_what_decided() -> None:
    report = report_of()
    for result in report.transfer:
        row = row_of(result)
        assert {name: row[name] for name in ("p_value", "p_holm", "p_chance", "decided_by")} == {
            "p_value": result.p_value,
            "p_holm": result.p_holm,
            "p_chance": result.p_chance,
            "decided_by": result.decided_by,
        }
    row = row_of(report.overlap)
    assert (row["ratio_base"], row["ratio_instruct"]) == (None, report.overlap.ratio_instruct)
    assert (row["cluster_jaccard"], row["rank_biased"]) == (0.6, 0.55)


def test_the_digest_covers_every_table_of_evidence(store: Store) -> None:
    """Any altered number of evidence is seen."""
    run = stored_run(store, report_of())
    numbers = {
        "ladder": "gain", "cell": "auroc", "label_agreement": "kappa", "scale_control": "auroc", "claim_reason": "bar",
        "sign_agreement": "expected", "drift_test": "mean_rank", "overlap_null": "expected", "power": "sd",
        "intervention": "effect",
    }  # fmt: skip
    for table, column in numbers.items():
        with store.transaction() as connection:
            before = run_digest(connection, run)
            connection.execute(text(f"UPDATE {table} SET {column} = {column} + 1e-9"))  # noqa: S608
            assert run_digest(connection, run) != before, table


def test_drift_tests_of_a_run_without_a_forward_pass_are_stored(store: Store) -> None:
    report = weights_report_of()
    stored_weights_run(store, report)
    assert stored_rows(store, "drift_test") == flats(report.drift_tests, "drift_test")


def test_a_timeline_stores_its_points_in_order_and_its_one_probe(store: Store) -> None:
    report = trace_report_of()
    run = stored_trace_run(store, report)
    found = rows(store, "SELECT * FROM trace_point ORDER BY position")
    expected = sorted(report.points, key=lambda point: point.position)
    assert [{n: v for n, v in row.items() if n != "run_id"} for row in found] == flats(expected, "trace_point")
    assert [row["is_floor"] for row in found] == [1, 0, 0, 0, 0]
    assert rows(store, "SELECT stage, n_h_neurons FROM probe") == [{"stage": "instruct", "n_h_neurons": 4}]
    assert rows(store, "SELECT name FROM run_dataset") == [{"name": report.dataset}]
    drawn = rows(store, "SELECT value FROM null_draw WHERE claim = 'baseline' AND kind = 'random' ORDER BY draw")
    assert [row["value"] for row in drawn] == [0.58, 0.6, 0.62]
    with store.transaction() as connection:
        assert verify(connection, run) is True


def test_a_timeline_of_a_run_that_never_began_or_of_an_unknown_question_set_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="no such run"):
        store.save_trace(12, trace_report_of(), {})
    run = stored_trace_run(store, trace_report_of())
    with pytest.raises(StoreError, match="never seen"):
        store.save_trace(run, trace_report_of(2), {"never seen": "no such digest"})
    assert len(stored_rows(store, "trace_point")) == 5
