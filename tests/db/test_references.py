"""Rows about a neuron lead to its row in `neuron`, and responses to their question; the database refuses others."""

from dataclasses import replace

import numpy as np
import pytest
from dangling import check_refused
from synthetic import (
    PER_LAYER,
    SETS,
    WIDE,
    WIDE_BASE,
    begin,
    digests_of,
    pruned_weights_report,
    questions_of,
    report_of,
    response_of,
    rows,
    stored_compliance_run,
    stored_run,
    stored_timeline_run,
    stored_weights_run,
    task_of,
)
from synthetic_evidence import compliance_report_of, timeline_report_of

from provenance.analyses.results.lineage import Alignment
from provenance.db.connection.digests import verify
from provenance.db.neuron_sets import run_neurons
from provenance.db.schema.base import NEURON_KEY
from provenance.db.schema.tables import Base
from provenance.db.store import Store
from provenance.errors import StoreError

PLACED = """
SELECT p.stage, p.layer, p.neuron_index, n.layer AS row_layer, n.neuron_index AS row_index, n.base_layer, n.base_index
FROM probe_neuron p
JOIN neuron n ON n.run_id = p.run_id AND n.layer = p.instruct_layer AND n.neuron_index = p.instruct_index
WHERE p.run_id = :run
"""


def test_tables_about_single_neurons_refer_to_them() -> None:
    """The table itself has no rows above it, and lists of others are known from files alone."""
    about = {name: table for name, table in Base.metadata.tables.items() if {*NEURON_KEY} <= set(table.columns.keys())}
    assert set(about) == {
        "neuron",
        "probe_neuron",
        "activity",
        "neuron_vocabulary",
        "neuron_answer",
        "replicate_neuron",
    }
    referred = {
        name for name, table in about.items() if "neuron" in {key.column.table.name for key in table.foreign_keys}
    }
    assert referred == set(about) - {"neuron"}


def test_a_probe_neuron_stands_at_its_own_place_and_leads_to_its_row(store: Store) -> None:
    """In a base with other places too, where the analyses count as the instruct checkpoint does."""
    report = report_of()
    layer, index = np.divmod(np.arange(report.neuron_drift.delta.size), PER_LAYER)
    base_ids = layer * WIDE + (index * 7 + 1) % WIDE
    report = replace(report, alignment=Alignment("assignment", base_ids, ""))
    for name, digest in digests_of(report).items():
        store.add_questions(name, digest, "", questions_of())
    run = begin(store, base=WIDE_BASE)
    store.save(run, report, digests_of(report))
    store.finish_run(run, "done", [], 1)
    found = rows(store, PLACED, run=run)
    assert len(found) == rows(store, "SELECT COUNT(*) AS n FROM probe_neuron")[0]["n"] > 0
    for row in found:
        wanted = ("row_layer", "row_index") if row["stage"] == "instruct" else ("base_layer", "base_index")
        assert (row["layer"], row["neuron_index"]) == tuple(row[name] for name in wanted)
    searched = [divmod(int(base_ids[id_]), WIDE) for id_ in report.base_identification.h_neurons]
    exported = run_neurons(store.url, run, "base")
    places = list(zip(exported.layers.tolist(), exported.index.tolist(), strict=True))
    assert set(searched) <= set(places)
    with store.transaction() as connection:
        assert verify(connection, run) is True


def test_a_list_on_weights_leads_to_its_rows_and_runs_without_rows_of_neurons_to_none(store: Store) -> None:
    listed = pruned_weights_report()
    run = stored_weights_run(store, listed)
    found = rows(store, PLACED, run=run)
    assert [row["row_layer"] * PER_LAYER + row["row_index"] for row in found] == listed.h_neurons.tolist()
    others = [
        stored_timeline_run(store, timeline_report_of()),
        stored_compliance_run(store, compliance_report_of()),
    ]
    for other in others:
        kept = rows(store, "SELECT instruct_layer, instruct_index FROM probe_neuron WHERE run_id = :run", run=other)
        assert kept
        assert {value for row in kept for value in row.values()} == {None}


def test_the_database_refuses_rows_that_lead_nowhere(store: Store) -> None:
    check_refused(store)


def test_responses_lead_to_their_question_also_out_of_order(store: Store) -> None:
    stored_run(store, report_of())
    store.response_log(task_of(), 1).put({0: response_of(4), 1: response_of(1)})
    found = rows(
        store,
        "SELECT r.question_id AS said, q.question_id AS asked FROM response r "
        "JOIN question q ON q.dataset_id = r.dataset_id AND q.position = r.question_position ORDER BY r.position",
    )
    assert found == [{"said": "q4", "asked": "q4"}, {"said": "q1", "asked": "q1"}]


def test_a_response_to_a_question_of_no_set_is_refused_and_leaves_nothing(store: Store) -> None:
    stored_run(store, report_of())
    log = store.response_log(task_of(), 1)
    with pytest.raises(StoreError, match=f"{SETS[0]}.*\n.*'q500'"):
        log.put({0: response_of(0), 1: response_of(500)})
    assert log.responses() == []
