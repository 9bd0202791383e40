"""The named queries: SQL shared by users, figures and the report.

A figure shows only the results of queries, so every number in it is available as a table under the query's name. The
SQL is common to SQLite and PostgreSQL. `:run` is by default the newest finished comparison that has rows of the query's
subject. Queries about weights are in `provenance.db.reading.weights_queries`, about probes in
`provenance.db.reading.probe_queries`, about single neurons in `provenance.db.reading.card_queries`, about replicates in
`provenance.db.reading.replicate_queries`; a declared result that names a query has one without SQL of its own.
"""

from collections.abc import Mapping

from provenance.db.reading import probe_queries as probe_sql
from provenance.db.reading import replicate_queries as replicate_sql
from provenance.db.reading import weights_queries as sql
from provenance.db.reading.card_queries import EXAMPLES, NEURON_CARD
from provenance.db.reading.query import Query
from provenance.db.reading.result_queries import names_of, of_run, queries_of
from provenance.db.schema.result_tables import MEASURED, RESULTS
from provenance.db.schema.views import V_CLAIMS, V_NEURON_ACTIVITY, V_TRANSFER
from provenance.table_declaration import declared

_RUNS = """
SELECT r.run_id AS run, r.command, r.base, r.instruct, r.status, r.resumed, r.h_neurons,
       (SELECT COUNT(*) FROM v_claims c WHERE c.run_id = r.run_id AND c.verdict = 'supported') AS supported,
       (SELECT COUNT(*) FROM v_claims c WHERE c.run_id = r.run_id) AS claims,
       r.overall, r.started_utc, r.finished_utc
FROM v_run r ORDER BY r.run_id
"""

_RUN = """
SELECT run_id AS run, command, run_key, status, resumed, seed, quick, settings, versions, started_utc, finished_utc,
       peak_memory_bytes, content_digest, overall, base, base_digest, base_dtype, instruct,
       instruct_digest, instruct_dtype, model_type, layers, neurons_per_layer, hidden_size
FROM v_run WHERE run_id = :run
"""

_COLUMNS = """
SELECT table_name, column_name, unit, meaning FROM data_dictionary ORDER BY table_name, column_name
"""

_DATASETS = """
SELECT rd.name, d.source, d.n_questions, d.digest
FROM run_dataset rd JOIN dataset d ON d.id = rd.dataset_id
WHERE rd.run_id = :run
ORDER BY rd.position
"""

_TRANSFER = of_run(V_TRANSFER, order="position")

_DROPS = """
SELECT d.stage, d.dataset, d.split, d.reason, d.n_questions
FROM funnel_drop d
JOIN funnel f ON f.run_id = d.run_id AND f.stage = d.stage AND f.dataset = d.dataset AND f.split = d.split
WHERE d.run_id = :run ORDER BY f.position, d.n_questions DESC, d.reason
"""

_STUDIES = """
SELECT s.name AS study, s.title, COUNT(m.position) AS members, COUNT(m.run_id) AS finished, s.updated_utc
FROM study s LEFT JOIN study_member m ON m.study_id = s.id
GROUP BY s.id, s.name, s.title, s.updated_utc ORDER BY s.updated_utc DESC, s.id DESC
"""

_STUDY = """
SELECT s.name AS study, s.title, m.name AS family, m.kind, m.base, m.instruct, m.run_id AS run, m.reason, r.overall,
       r.seed, r.quick
FROM study s JOIN study_member m ON m.study_id = s.id
LEFT JOIN run r ON r.id = m.run_id
WHERE s.name = :study ORDER BY m.position
"""

_ACTIVITY = f"""
SELECT {", ".join(f"a.{name}" for name in names_of(V_NEURON_ACTIVITY) if name != "is_h_neuron")}
FROM probe_neuron h
CROSS JOIN v_neuron_activity a
WHERE h.run_id = :run AND h.stage = 'instruct' AND h.is_h_neuron
  AND a.run_id = h.run_id AND a.layer = h.layer AND a.neuron_index = h.neuron_index
ORDER BY h.weight DESC, a.layer, a.neuron_index, a.stage, a.dataset
"""  # noqa: S608 - of declared names

_NULL_DRAWS = """
SELECT claim, stage, dataset, kind, draw, value
FROM null_draw WHERE run_id = :run ORDER BY claim, stage, dataset, kind, draw
"""

_RESPONSES = """
SELECT t.stage, t.dataset, p.question_id, p.split, p.label, p.reason, p.label_source, p.rule_label,
       p.n_right, p.n_samples, p.text
FROM run_task rt
JOIN task t ON t.id = rt.task_id
JOIN response p ON p.task_id = t.id
WHERE rt.run_id = :run
ORDER BY t.id, p.position
LIMIT :limit
"""

_CLAIMS = of_run(V_CLAIMS, order="position")

_REASONS = """
SELECT r.claim, r.code, r.dataset, r.value, r.relation, r.bar, r.holds, r.role, r.against
FROM claim_reason r JOIN claim c ON c.run_id = r.run_id AND c.name = r.claim
WHERE r.run_id = :run ORDER BY c.position, r.position
"""

_ALL = (
    Query(
        "runs",
        "one run with its pair, status, number of claims that are supported, and overall verdict",
        _RUNS,
        narrow=("run", "command", "base", "instruct", "status", "supported", "claims", "finished_utc"),
    ),
    Query("run", "everything about one run: settings, versions, digests, times", _RUN),
    Query("columns", "one table or column: its unit and meaning", _COLUMNS),
    Query("datasets", "one question set of the run", _DATASETS, subject="run_dataset"),
    Query("lineage", "whether the instruct checkpoint descends from the base", sql.LINEAGE, subject="lineage"),
    Query(
        "alignment", "how neurons were matched with the base's, and how many were", sql.ALIGNMENT, subject="alignment"
    ),
    Query(
        "mapping",
        "one H-Neuron's counterpart in the base; those without one first, then the least certain",
        sql.MAPPING,
        subject="alignment",
    ),
    Query(
        "unmapped",
        "one neuron of any kind without a counterpart in the base, H-Neurons first",
        sql.UNMAPPED,
        {"limit": 100},
        subject="alignment",
    ),
    Query(
        "neuron-list",
        "the list of neurons that a run was given in place of a search",
        sql.NEURON_LIST,
        subject="neuron_list",
    ),
    Query(
        "identification",
        "one probe on one held-out question set (Table 1)",
        probe_sql.IDENTIFICATION,
        subject="probe",
        each_draw="identification-replicates",
        known_by=("stage", "dataset"),
    ),
    Query(
        "identification-replicates",
        "the instruct probe of one replicate, or (0) over all, on one held-out question set",
        replicate_sql.IDENTIFICATION,
        subject="replicate_held_out",
    ),
    Query(
        "probes",
        "one probe, and how its C was chosen",
        probe_sql.PROBES,
        subject="probe",
        each_draw="probes-replicates",
        known_by=("stage",),
    ),
    Query(
        "probes-replicates",
        "the number of H-Neurons in one replicate, or (0) over all",
        replicate_sql.PROBES,
        subject="replicate_drift",
    ),
    Query("probe-path", "one C that was tried, with the neurons it keeps", probe_sql.PROBE_PATH, subject="probe"),
    Query(
        "probe-curve",
        "one C on one held-out question set, and transferred to the base",
        probe_sql.PROBE_CURVE,
        subject="probe",
    ),
    Query(
        "baselines",
        "one simpler thing on one held-out question set, and the probe's gain over it",
        probe_sql.BASELINES,
        subject="probe",
    ),
    Query(
        "stability",
        "how far one probe depends on which questions it was fitted on",
        probe_sql.STABILITY,
        subject="probe",
    ),
    Query(
        "stable-neurons",
        "one neuron that half-samples selected, most often first; if the probe uses another of its cluster, that one",
        probe_sql.STABLE_NEURONS,
        {"limit": 20},
        subject="probe",
    ),
    Query("clusters", "one cluster of correlated neurons, largest first", probe_sql.CLUSTERS, subject="probe"),
    Query(
        "h-neurons",
        "one H-Neuron, largest weight first: how far it moved, its activity in both models",
        sql.H_NEURONS,
        subject="drift",
    ),
    Query("stable-h-neurons", "one H-Neuron, least changed first", sql.STABLE, {"limit": 20}, subject="drift"),
    Query(
        "most-drifted", "one neuron of any kind, most changed first", sql.MOST_DRIFTED, {"limit": 20}, subject="drift"
    ),
    Query(
        "transfer",
        "the probe on the base model, one question set, with both nulls (Figure 4a)",
        _TRANSFER,
        subject="transfer",
        each_draw="transfer-replicates",
        known_by=("dataset",),
    ),
    Query(
        "transfer-replicates",
        "the probe of one replicate, or (0) over all, on the base model, one question set",
        replicate_sql.TRANSFER,
        subject="replicate_transfer",
    ),
    Query(
        "drift",
        "the H-Neurons' mean stability rank against its null",
        sql.DRIFT,
        subject="drift",
        each_draw="drift-replicates",
    ),
    Query(
        "drift-replicates",
        "the same of one replicate, or (0) over all",
        sql.DRIFT_REPLICATES,
        subject="replicate_drift",
    ),
    Query(
        "layers",
        "one layer: its H-Neurons, how far they and all its neurons moved, how active they are in both models",
        sql.LAYERS,
        subject="drift",
        narrow=sql.LAYERS_ON_A_SCREEN,
    ),
    Query(
        "h-neurons-summary",
        "the H-Neurons, or all other neurons: in which layers (of how many), how far they moved, how active they are "
        "in both models",
        sql.H_NEURONS_SUMMARY,
        subject="drift",
    ),
    Query("drops", "how many questions were dropped for one reason", _DROPS, subject="funnel"),
    Query("activity-of-h-neurons", "one H-Neuron's mean CETT on one question set", _ACTIVITY, subject="activity_set"),
    Query(
        "neuron-card",
        "one H-Neuron in one model: activity, drift, tokens that it promotes and suppresses",
        NEURON_CARD,
        subject="activity_set",
    ),
    Query("null-draws", "one draw of one null", _NULL_DRAWS, subject="drift"),
    Query(
        "h-neuron-ranks",
        "one H-Neuron's stability rank (Figure 4b)",
        sql.H_RANKS,
        subject="drift",
        each_draw="h-neuron-ranks-replicates",
        known_by=("layer", "neuron_index"),
    ),
    Query(
        "h-neuron-ranks-replicates",
        "one H-Neuron of one replicate, and its stability rank",
        replicate_sql.H_RANKS,
        subject="replicate_neuron",
    ),
    Query(
        "rank-bins",
        "how many of all neurons have a stability rank in one bin (Figure 4b)",
        sql.RANK_BINS,
        {"bins": 50},
        subject="drift",
    ),
    Query(
        "responses",
        "one response of the run's checkpoints and its label",
        _RESPONSES,
        {"limit": 50},
        subject="run_task",
    ),
    Query(
        "examples",
        "one held-out answer to read, of each model and label: question, judgement, captured words",
        EXAMPLES,
        {"each": 2},
        subject="run_task",
    ),
    Query(
        "claims",
        "one thing that may be said of the pair, how well it stands, and the condition that decided",
        _CLAIMS,
        subject="claim",
        narrow=("claim", "verdict", "decided_by", "value", "bar"),
        each_draw="claims-replicates",
        known_by=("claim",),
    ),
    Query(
        "claims-replicates",
        "one claim in one replicate, or (0) over all",
        replicate_sql.CLAIMS,
        subject="replicate_claim",
    ),
    Query("reasons", "one condition of a claim: value, bar, and whether it holds", _REASONS, subject="claim"),
    *(query for cls in (*RESULTS, *MEASURED) if declared(cls).query for query in queries_of(cls)),
    Query("studies", "one study, the last changed first", _STUDIES),
    Query("study", "one family or timeline of a study, and its run", _STUDY),
    Query("neuron-sets", "one imported neuron set", probe_sql.NEURON_SETS),
    Query("neuron-set-members", "one neuron of an imported set, largest weight first", probe_sql.NEURON_SET_MEMBERS),
)

QUERIES: Mapping[str, Query] = {query.name: query for query in _ALL}
"""All named queries, in the order of help."""
