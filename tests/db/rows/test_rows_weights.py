"""What weights alone say is stored alike by every kind of run, and a neuron without a counterpart has no numbers."""

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import text
from synthetic import (
    PER_LAYER,
    WIDE,
    digests_of,
    lineage_of,
    pruned_weights_report,
    report_of,
    rows,
    stored_lineage_run,
    stored_run,
    stored_weights_run,
    weights_report_of,
)

from provenance.db.connection.digests import run_digest, verify
from provenance.db.store import Store
from provenance.errors import StoreError


def test_every_neuron_is_stored_with_its_counterpart_by_the_base_models_own_layer_width(store: Store) -> None:
    report = pruned_weights_report()
    stored_weights_run(store, report)
    found = rows(store, "SELECT base_layer, base_index FROM neuron ORDER BY layer, neuron_index")
    expected = [divmod(flat, WIDE) if flat >= 0 else (None, None) for flat in report.alignment.base_ids.tolist()]
    assert [(row["base_layer"], row["base_index"]) for row in found] == expected
    assert WIDE != PER_LAYER


def test_by_index_every_neuron_is_its_own_counterpart(store: Store) -> None:
    stored_run(store, report_of())
    same = rows(store, "SELECT 1 FROM neuron WHERE base_layer = layer AND base_index = neuron_index")
    assert len(same) == 64


def test_similarity_and_margin_are_those_of_h_neurons_and_null_for_all_others(store: Store) -> None:
    report = weights_report_of()
    stored_weights_run(store, report)
    found = rows(
        store, "SELECT * FROM neuron WHERE similarity IS NOT NULL OR margin IS NOT NULL ORDER BY layer, neuron_index"
    )
    assert [row["layer"] * PER_LAYER + row["neuron_index"] for row in found] == report.h_neurons.tolist()
    assert [row["similarity"] for row in found] == report.mapped.similarity.tolist()
    assert [row["margin"] for row in found] == report.mapped.margin.tolist()
    assert [row["probe_weight"] for row in found] == report.weights.tolist()
    assert {row["is_h_neuron"] for row in found} == {1}


def test_an_unmapped_neuron_has_no_drift_and_no_rank(store: Store) -> None:
    report = pruned_weights_report()
    stored_weights_run(store, report)
    found = rows(store, "SELECT * FROM neuron WHERE base_layer IS NULL")
    assert len(found) == report.alignment.unmapped.size
    names = (
        "cosine_distance_up",
        "cosine_distance_gate",
        "cosine_distance_down",
        "drift_z",
        "stability_rank",
        "norm_up_base",
        "base_index",
        "similarity",
    )
    assert {row[name] for row in found for name in names} == {None}
    assert not any(row["identical"] for row in found)


def test_the_list_is_stored_with_its_source_and_weights(store: Store) -> None:
    report = replace(weights_report_of(k=3), weights=np.array([2.0, np.nan, 0.5]))
    stored_weights_run(store, report)
    assert rows(store, "SELECT source, n_neurons, n_weighted FROM neuron_list") == [
        {"source": report.source, "n_neurons": 3, "n_weighted": 2}
    ]
    found = rows(store, "SELECT weight, is_h_neuron FROM probe_neuron ORDER BY layer, neuron_index")
    assert [(row["weight"], row["is_h_neuron"]) for row in found] == [(2.0, 1), (None, 1), (0.5, 1)]
    assert rows(store, "SELECT 1 FROM probe") == []


def test_a_run_without_list_stores_drift_and_no_listed_neuron(store: Store) -> None:
    stored_weights_run(store, weights_report_of(k=0))
    assert rows(store, "SELECT source, n_neurons FROM neuron_list") == [{"source": "", "n_neurons": 0}]
    assert rows(store, "SELECT 1 FROM probe_neuron") == []
    assert rows(store, "SELECT k, share_identical FROM drift") == [{"k": 0, "share_identical": 0.1}]
    assert rows(store, "SELECT 1 FROM neuron WHERE is_h_neuron OR stability_rank IS NULL") == []


def test_lineage_is_stored_alike_by_every_kind_of_run(store: Store) -> None:
    lineage = lineage_of()
    runs = [
        stored_run(store, report_of()),
        stored_weights_run(store, weights_report_of()),
        stored_lineage_run(store, lineage),
    ]
    for table in ("lineage", "lineage_tensor", "lineage_config"):
        found = [rows(store, f"SELECT * FROM {table} WHERE run_id = :r", r=run) for run in runs]  # noqa: S608
        plain = [[{**row, "run_id": 0} for row in part] for part in found]
        assert plain[0] == plain[1] == plain[2], table
        assert plain[0]


def test_lineage_keeps_its_reason_shares_and_vocabularies(store: Store) -> None:
    lineage = lineage_of()
    stored_lineage_run(store, lineage)
    found = rows(store, "SELECT * FROM lineage")[0]
    assert (found["reason"], found["found_in_base"], found["found_in_instruct"]) == (lineage.reason, 1.0, 0.98)
    assert (found["vocabulary_base"], found["vocabulary_instruct"]) == (299, 300)
    assert found["layer_of"] == "[0, 1, 2, 3]"
    assert rows(store, "SELECT overall FROM run") == [{"overall": f"Descendant: {lineage.reason}"}]


def test_a_share_of_nothing_is_null(store: Store) -> None:
    stored_lineage_run(store, replace(lineage_of(), neurons_sampled=0, tensors_compared=0))
    found = rows(store, "SELECT * FROM lineage")[0]
    names = ("share_identical_tensors", "self_match", "nearest_cosine", "found_in_base", "found_in_instruct")
    assert {found[name] for name in names} == {None}
    assert found["vocabulary_shared"] == 0.996


def test_a_cosine_that_is_not_defined_is_null(store: Store) -> None:
    stored_lineage_run(store, lineage_of())
    found = rows(store, "SELECT kind, cosine_low, cosine_high FROM lineage_tensor WHERE cosine_median IS NULL")
    assert found == [{"kind": "lm_head", "cosine_low": None, "cosine_high": None}]


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE neuron SET base_index = base_index + 1 WHERE layer = 2 AND neuron_index = 5",
        "UPDATE neuron SET margin = NULL WHERE margin IS NOT NULL",
        "UPDATE lineage SET found_in_base = 0.5",
        "UPDATE lineage_tensor SET cosine_low = cosine_low - 1e-12 WHERE position = 3",
        "DELETE FROM lineage_config WHERE key = 'use_cache'",
        "UPDATE alignment SET n_unmapped = 1",
        "UPDATE neuron_list SET source = 'another file'",
    ],
)
def test_the_digest_sees_a_changed_row_in_every_new_place(store: Store, harm: str) -> None:
    run = stored_weights_run(store, weights_report_of())
    with store.transaction() as connection:
        assert verify(connection, run) is True
        assert connection.execute(text(harm)).rowcount > 0
        assert verify(connection, run) is False


def test_a_value_counts_with_the_name_of_its_column(store: Store) -> None:
    """Two columns that swap their values must not give the same digest."""
    run = stored_lineage_run(store, lineage_of())
    digests = []
    for here, there in (("found_in_base", "found_in_instruct"), ("found_in_instruct", "found_in_base")):
        with store.transaction() as connection:
            connection.execute(text(f"UPDATE lineage SET {here} = 0.5, {there} = NULL"))  # noqa: S608
            digests.append(run_digest(connection, run))
    assert digests[0] != digests[1]


def test_saving_another_kind_of_results_leaves_nothing_of_the_earlier(store: Store) -> None:
    run = stored_run(store, report_of())
    store.save(run, weights_report_of())
    assert rows(store, "SELECT 1 FROM transfer UNION ALL SELECT 1 FROM funnel UNION ALL SELECT 1 FROM probe") == []
    store.save(run, lineage_of())
    assert rows(store, "SELECT 1 FROM neuron UNION ALL SELECT 1 FROM drift UNION ALL SELECT 1 FROM alignment") == []
    store.save(run, report_of(), digests_of(report_of()))
    assert rows(store, "SELECT 1 FROM neuron_list") == []
    with store.transaction() as connection:
        assert verify(connection, run) is True


def test_results_for_a_run_that_never_began_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="no such run"):
        store.save(12, weights_report_of())
    with pytest.raises(StoreError, match="no such run"):
        store.save(12, lineage_of())
