"""Harm that leaves a row without the one that it is about, and a database that refuses it."""

import pytest
from sqlalchemy import text
from synthetic import kept_response, questions_of, report_of, stored_run, task_of

from provenance.db.store import Store
from provenance.errors import StoreError

DANGLING = (
    "UPDATE probe_neuron SET instruct_index = instruct_index + 99 WHERE stage = 'base'",
    "UPDATE neuron_answer SET layer = layer + 99",
    "UPDATE neuron_vocabulary SET neuron_index = neuron_index + 99",
    "UPDATE activity SET layer = layer + 99",
    "UPDATE response SET question_position = 99",
    "UPDATE response SET dataset_id = (SELECT id FROM dataset WHERE name = 'none')",
    "DELETE FROM neuron",
    "DELETE FROM question WHERE position = 1",
)


def check_refused(store: Store) -> None:
    """None of it can be done to a finished run."""
    stored_run(store, report_of())
    store.add_questions("none", "digest of none", "", questions_of(0))
    store.response_log(task_of(), 1).put({0: kept_response(1)})
    for harm in DANGLING:
        with pytest.raises(StoreError, match=r"(?i)foreign key"), store.transaction() as connection:
            connection.execute(text(harm))
