"""Named queries about what conclusions are held against: the ladder, the controls, nulls, power, claims, timelines.

The one idea: whoever doubts a verdict finds every number that decided it, one row each, in the order in
which the report shows them. Columns are those of the tables in `db.schema_evidence`.
"""

from db.query import Query

_LADDER = """
SELECT dataset, kind, auroc, auroc_low, auroc_high, auroc_n, gain, gain_low, gain_high, gain_n, p_value, p_holm,
       draws, gain_sd
FROM ladder WHERE run_id = :run ORDER BY position
"""

_CELLS = """
SELECT dataset, activations, answers, prompt, auroc, auroc_low, auroc_high, n_faithful, n_hallucinated, n_dropped,
       random_p95, layer_matched_p95, reason
FROM cell WHERE run_id = :run ORDER BY position
"""

_AGREEMENT = """
SELECT dataset, n_common, n_agree, kappa, kappa_low, kappa_high, auroc_agree, auroc_agree_low, auroc_agree_high,
       auroc_agree_n, auroc_disagree, auroc_disagree_low, auroc_disagree_high, auroc_disagree_n, reason
FROM label_agreement WHERE run_id = :run ORDER BY position
"""

_SCALES = """
SELECT dataset, kind, auroc, auroc_low, auroc_high, auroc_n, random_p95, layer_matched_p95, reason
FROM scale_control WHERE run_id = :run ORDER BY position
"""

_SIGNS = """
SELECT k, agree, share, expected, p_value, n_base, n_instruct FROM sign_agreement WHERE run_id = :run
"""

_DRIFT_TESTS = """
SELECT side, measure, matching, bins, k, mean_rank, null_mean, null_sd, effect, effect_low, effect_high,
       p_more_stable, p_less_stable, smallest_detectable, z_all, z_layer
FROM drift_test WHERE run_id = :run ORDER BY position
"""

_OVERLAP_NULLS = """
SELECT kind, expected, sd, p_value, p_zero, smallest_detectable, draws
FROM overlap_null WHERE run_id = :run ORDER BY position
"""

_POWER = """
SELECT claim, test, dataset, k, n, sd, smallest_detectable, unit FROM power WHERE run_id = :run ORDER BY position
"""

_INTERVENTIONS = """
SELECT stage, alpha, kind, outcome, k, effect, effect_low, effect_high, effect_n, n_draws, p_value
FROM intervention WHERE run_id = :run ORDER BY position
"""

_CLAIMS = """
SELECT name AS claim, verdict, dataset, words FROM claim WHERE run_id = :run ORDER BY position
"""

_REASONS = """
SELECT r.claim, r.code, r.dataset, r.value, r.relation, r.bar, r.holds, r.role
FROM claim_reason r JOIN claim c ON c.run_id = r.run_id AND c.name = r.claim
WHERE r.run_id = :run ORDER BY c.position, r.position
"""

_TRACE = """
SELECT position, ref, digest, is_floor, prompt, own, own_low, own_high, own_random_p95, own_layer_matched_p95,
       n_faithful, n_hallucinated, forced, forced_low, forced_high, forced_n, forced_random_p95,
       forced_layer_matched_p95, mean_stability_rank, null_mean, p_value, change_h, change_all,
       correlation_h, correlation_all, reason
FROM trace_point WHERE run_id = :run ORDER BY position
"""

EVIDENCE_QUERIES = (
    Query("claims", "one thing that may be said of the pair, and how well it stands", _CLAIMS, subject="claim"),
    Query("reasons", "one condition of a claim: value, bar, and whether it holds", _REASONS, subject="claim"),
    Query("ladder", "one thing that transfer has to beat on one question set", _LADDER, subject="ladder"),
    Query("cells", "the probe on one model's activations, answers and prompt", _CELLS, subject="cell"),
    Query("agreement", "one question set: whose labels transfer follows", _AGREEMENT, subject="label_agreement"),
    Query("scales", "transfer with magnitudes put right in one way", _SCALES, subject="scale_control"),
    Query("signs", "how many neurons point the same way in both models", _SIGNS, subject="sign_agreement"),
    Query("drift-tests", "one drift measure of one side against one matched null", _DRIFT_TESTS, subject="drift_test"),
    Query("overlap-nulls", "how many neurons two sets share under one null", _OVERLAP_NULLS, subject="overlap_null"),
    Query("power", "what one test could have found", _POWER, subject="power"),
    Query("interventions", "one factor, neuron set and outcome of scaling", _INTERVENTIONS, subject="intervention"),
    Query("trace", "one checkpoint of a timeline, the floor first", _TRACE, subject="trace_point"),
)
"""In the order in which help lists them."""
