"""Studies in the database: members, their runs, and queries over all of them."""

from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import WIDE_BASE, begin, report_of, stored_run

from provenance.db.reading.run_query import run_query
from provenance.db.reading.study_query import study_query
from provenance.db.store import Store
from provenance.db.studies import NOT_YET, Membership, keep_study, record_run, study_of_runs
from provenance.errors import InputError

FIRST, SECOND = (Membership("family", name, f"org/{name}", f"org/{name}-it") for name in ("first", "second"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A database with finished runs of two pairs."""
    opened = Store.open(f"sqlite:///{tmp_path / 'p.db'}")
    stored_run(opened, report_of(seed=0), key="k0")
    second = begin(opened, "k1", base=WIDE_BASE)
    opened.save(second, report_of(seed=1))
    opened.finish_run(second, "done", [], 1)
    return opened


def members(store: Store, study: str | None = None) -> list[tuple[object, ...]]:
    found = run_query(store.url, "study", {} if study is None else {"study": study}).records()
    return [(row["family"], row["run"], row["reason"]) for row in found]


def test_members_have_no_run_before_it_is_recorded_and_a_reason_where_it_failed(store: Store) -> None:
    assert keep_study(store, "s", "S", "text", "d", [FIRST, SECOND]) == []
    assert members(store) == [("first", None, NOT_YET), ("second", None, NOT_YET)]
    record_run(store, "s", "first", 1)
    record_run(store, "s", "second", None, "gated")
    assert members(store, "s") == [("first", 1, ""), ("second", None, "gated")]


def test_an_edited_study_keeps_the_runs_of_members_that_are_as_they_were(store: Store) -> None:
    """Other checkpoints, questions or settings under the same name are another member."""
    keep_study(store, "s", "S", "text", "d", [FIRST, SECOND])
    record_run(store, "s", "first", 1)
    record_run(store, "s", "second", 2)
    assert keep_study(store, "s", "S", "text 1", "d1", [FIRST, replace(SECOND, job_digest="other questions")]) == [
        "second"
    ]
    assert members(store) == [("first", 1, ""), ("second", None, NOT_YET)]
    other = Membership("family", "second", "org/other", SECOND.instruct)
    assert keep_study(store, "s", "S", "text 2", "d2", [other, FIRST]) == ["second"]
    assert members(store, "s") == [("second", None, NOT_YET), ("first", 1, "")]
    assert keep_study(store, "s", "S", "text 3", "d3", [FIRST]) == ["second"]
    assert members(store, "s") == [("first", 1, "")]


def test_a_query_over_a_study_has_the_rows_of_each_run_after_its_name(store: Store) -> None:
    study_of_runs(store, "both", "Both", [2, 1])
    found = study_query(store.url, "both", "transfer")
    names = [name for name, _, _ in members(store, "both")]
    assert names == ["instruct@0123abc-run-2", "instruct@0123abc-run-1"]
    alone = [run_query(store.url, "transfer", {"run": run}) for run in (2, 1)]
    assert found.columns == ("family", *alone[0].columns)
    assert found.rows == tuple((name, *row) for name, each in zip(names, alone, strict=True) for row in each.rows)
    assert study_query(store.url, None, "most-drifted", {"limit": 1}).rows[0][0] == names[0]


def test_what_is_not_there_is_named(store: Store) -> None:
    begin(store, "unfinished")
    stored_run(store, report_of(), key="control", command="compare --control permuted-index")
    for runs, said in (
        ([1, 1], "two of one pair among the runs 1, 1"),
        ([4], "run 4, compare --control"),
        ([9], "run 9, which is not in it"),
        ([3], "run 3, which has no results"),
    ):
        with pytest.raises(InputError, match=said):
            study_of_runs(store, "x", "X", runs)
    assert run_query(store.url, "study").rows == ()
    with pytest.raises(InputError, match="a study without members"):
        study_query(store.url, None, "transfer")
    keep_study(store, "filed", "F", "a file", "d", [FIRST])
    with pytest.raises(InputError, match="'filed', a study with a file"):
        study_of_runs(store, "filed", "F", [1])
    keep_study(store, "empty", "E", "", "", [FIRST])
    with pytest.raises(InputError, match="1 members, none of them run"):
        study_query(store.url, "empty", "transfer")
    with pytest.raises(InputError, match="'nothing'; it has "):
        study_query(store.url, "nothing", "transfer")
    study_of_runs(store, "both", "Both", [1])
    for query in ("runs", "studies", "SELECT 1", "nonsense"):
        with pytest.raises(InputError, match="a named query about one run"):
            study_query(store.url, "both", query)


def test_runs_are_taken_as_finished_by_their_key(store: Store) -> None:
    begin(store, "unfinished")
    assert [store.finished(key) for key in ("k0", "k1", "unfinished", "never begun")] == [1, 2, None, None]
