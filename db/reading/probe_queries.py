"""The SQL of named queries about probes: the choice of C, the value of the neurons, and given sets.

Every result that depends on a choice (of C, of the questions, of one neuron among correlated ones) can be read beside
the results of the other choices.
"""

IDENTIFICATION = """
SELECT h.stage, h.dataset, p.c, p.alpha_max, p.design, p.intercept_penalised, p.n_train_faithful,
       p.n_train_hallucinated, p.n_h_neurons, p.n_neurons, h.accuracy, h.accuracy_low, h.accuracy_high,
       h.random_accuracy, h.random_accuracy_low, h.random_accuracy_high, h.auroc, h.auroc_low, h.auroc_high,
       h.n_faithful, h.n_hallucinated, h.detection, h.detection_low, h.detection_high, h.random_detection,
       h.random_detection_low, h.random_detection_high, p.reason
FROM probe p LEFT JOIN held_out h ON h.run_id = p.run_id AND h.stage = p.stage
WHERE p.run_id = :run
ORDER BY p.stage DESC, h.position
"""

PROBES = """
SELECT p.stage, p.c, p.alpha_max, p.intercept, p.intercept_penalised, p.design, p.n_train_faithful,
       p.n_train_hallucinated, p.n_neurons, p.n_h_neurons, p.reason, p.rule, p.gap, p.violation,
       CASE WHEN p.rule = 'given' THEN l.source END AS source
FROM probe p LEFT JOIN neuron_list l ON l.run_id = p.run_id
WHERE p.run_id = :run ORDER BY p.stage DESC
"""

PROBE_PATH = """
SELECT t.stage, t.c, t.n_positive, t.fewest, t.most, t.n_nonzero, t.validation_accuracy, t.validation_auroc,
       t.suppressed_accuracy, t.gap, t.violation, CASE WHEN t.c = p.c THEN 1 ELSE 0 END AS is_chosen
FROM probe_path t LEFT JOIN probe p ON p.run_id = t.run_id AND p.stage = t.stage
WHERE t.run_id = :run ORDER BY t.stage DESC, t.position
"""

PROBE_CURVE = """
SELECT t.stage, t.dataset, t.c, t.n_positive, t.n_nonzero, CASE WHEN t.c = p.c THEN 1 ELSE 0 END AS is_chosen,
       t.accuracy, t.accuracy_low, t.accuracy_high, t.auroc, t.auroc_low, t.auroc_high,
       t.transfer, t.transfer_low, t.transfer_high
FROM probe_curve t LEFT JOIN probe p ON p.run_id = t.run_id AND p.stage = t.stage
WHERE t.run_id = :run ORDER BY t.stage DESC, t.position
"""

BASELINES = """
SELECT b.stage, b.dataset, b.kind, b.n_draws, b.accuracy, b.accuracy_low, b.accuracy_high,
       b.auroc, b.auroc_low, b.auroc_high, b.gain, b.gain_low, b.gain_high,
       h.auroc AS probe_auroc, h.auroc_low AS probe_auroc_low, h.auroc_high AS probe_auroc_high
FROM probe_baseline b
LEFT JOIN held_out h ON h.run_id = b.run_id AND h.stage = b.stage AND h.dataset = b.dataset
WHERE b.run_id = :run
ORDER BY b.stage DESC, h.position, b.position
"""

STABILITY = """
SELECT t.stage, t.c, t.n_half_samples, t.threshold, t.n_stable,
       (SELECT COUNT(*) FROM probe_neuron s WHERE s.run_id = t.run_id AND s.stage = t.stage
        AND s.selection_frequency >= t.threshold AND s.is_h_neuron) AS n_stable_used,
       (SELECT COUNT(*) FROM probe_neuron s WHERE s.run_id = t.run_id AND s.stage = t.stage
        AND s.selection_frequency > 0) AS n_selected,
       p.n_h_neurons, t.mean_selected, t.k_low, t.k_high, t.false_bound, t.split_half_shared, t.split_half_jaccard,
       t.split_half_clusters, t.cluster_correlation,
       (SELECT COUNT(DISTINCT s.cluster) FROM probe_neuron s
        WHERE s.run_id = t.run_id AND s.stage = t.stage) AS n_clusters
FROM probe_stability t LEFT JOIN probe p ON p.run_id = t.run_id AND p.stage = t.stage
WHERE t.run_id = :run ORDER BY t.stage DESC
"""

# Of each cluster, the neuron of largest positive weight stands for what the probe uses.
_USED = """
used AS (SELECT stage, cluster, layer, neuron_index, weight,
                ROW_NUMBER() OVER (PARTITION BY stage, cluster
                                   ORDER BY COALESCE(weight, 0) DESC, layer, neuron_index) AS nth
         FROM probe_neuron WHERE run_id = :run AND is_h_neuron AND cluster IS NOT NULL)
"""

STABLE_NEURONS = f"""
WITH {_USED},
often AS (SELECT s.stage, s.layer, s.neuron_index, s.selection_frequency, s.weight, s.is_h_neuron, s.auroc, s.cluster,
                 ROW_NUMBER() OVER (PARTITION BY s.stage ORDER BY s.selection_frequency DESC, s.layer,
                                    s.neuron_index) AS nth
          FROM probe_neuron s WHERE s.run_id = :run AND s.selection_frequency > 0)
SELECT o.stage, o.layer, o.neuron_index, o.selection_frequency,
       CASE WHEN o.selection_frequency >= t.threshold THEN 1 ELSE 0 END AS is_stable,
       o.is_h_neuron, o.weight AS probe_weight, o.auroc, o.cluster,
       u.layer AS instead_layer, u.neuron_index AS instead_index, u.weight AS instead_weight
FROM often o
LEFT JOIN probe_stability t ON t.run_id = :run AND t.stage = o.stage
LEFT JOIN used u ON u.stage = o.stage AND u.cluster = o.cluster AND u.nth = 1 AND NOT o.is_h_neuron
WHERE o.nth <= :limit
ORDER BY o.stage DESC, o.nth
"""  # noqa: S608 - of two constants

CLUSTERS = f"""
WITH {_USED},
often AS (SELECT s.stage, s.cluster, s.layer, s.neuron_index, s.selection_frequency, s.is_h_neuron,
                 ROW_NUMBER() OVER (PARTITION BY s.stage, s.cluster
                                    ORDER BY COALESCE(s.selection_frequency, -1) DESC, s.layer, s.neuron_index) AS nth
          FROM probe_neuron s WHERE s.run_id = :run AND s.cluster IS NOT NULL)
SELECT o.stage, o.cluster, COUNT(*) AS neurons, SUM(CASE WHEN o.is_h_neuron THEN 1 ELSE 0 END) AS h_neurons,
       MAX(u.layer) AS used_layer, MAX(u.neuron_index) AS used_index,
       MAX(o.selection_frequency) AS highest_frequency,
       MAX(CASE WHEN o.nth = 1 THEN o.layer END) AS frequent_layer,
       MAX(CASE WHEN o.nth = 1 THEN o.neuron_index END) AS frequent_index
FROM often o
LEFT JOIN used u ON u.stage = o.stage AND u.cluster = o.cluster AND u.nth = 1
GROUP BY o.stage, o.cluster
ORDER BY o.stage DESC, COUNT(*) DESC, MAX(o.selection_frequency) DESC, o.cluster
"""  # noqa: S608 - of two constants

NEURON_SETS = """
SELECT s.id AS neuron_set, c.ref AS checkpoint, c.digest AS checkpoint_digest, s.source, s.format, s.named_checkpoint,
       s.n_neurons, s.n_positive, s.intercept, s.digest, s.added_utc
FROM neuron_set s JOIN checkpoint c ON c.id = s.checkpoint_id
ORDER BY s.id
"""

NEURON_SET_MEMBERS = """
SELECT m.neuron_set_id AS neuron_set, s.source, m.layer, m.neuron_index, m.weight
FROM neuron_set_member m JOIN neuron_set s ON s.id = m.neuron_set_id
ORDER BY m.neuron_set_id, CASE WHEN m.weight IS NULL THEN 1 ELSE 0 END, m.weight DESC, m.layer, m.neuron_index
"""
