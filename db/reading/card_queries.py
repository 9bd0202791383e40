"""The SQL about single neurons and single answers.

The H-Neurons one by one, everything that is known of one neuron of any kind, and answers to read as examples.
"""

NEURON_CARD = """
SELECT h.layer, h.neuron_index, s.stage, h.weight AS probe_weight, h.selection_frequency, h.auroc AS training_auroc,
       n.cosine_distance_up, n.cosine_distance_gate, n.cosine_distance_down, n.stability_rank, d.rounding_floor,
       n.identical, s.dataset, a.mean_faithful, a.mean_hallucinated, a.auroc, v.promotes, v.suppresses, v.logit_sd,
       v.null_share, v.null_rank, v.null_random, v.reason
FROM probe_neuron h
CROSS JOIN neuron n
CROSS JOIN activity_set s
LEFT JOIN activity a ON a.run_id = s.run_id AND a.stage = s.stage AND a.dataset = s.dataset
     AND a.layer = h.layer AND a.neuron_index = h.neuron_index
LEFT JOIN neuron_vocabulary v ON v.run_id = s.run_id AND v.stage = s.stage
     AND v.layer = h.layer AND v.neuron_index = h.neuron_index
LEFT JOIN drift d ON d.run_id = h.run_id
WHERE h.run_id = :run AND h.stage = 'instruct' AND h.is_h_neuron
  AND n.run_id = h.run_id AND n.layer = h.layer AND n.neuron_index = h.neuron_index
  AND s.run_id = h.run_id
  AND s.dataset = (SELECT r.name FROM run_dataset r WHERE r.run_id = h.run_id AND r.position = 0)
ORDER BY CASE WHEN h.weight IS NULL THEN 1 ELSE 0 END, h.weight DESC, h.layer, h.neuron_index, s.stage
"""

# A neuron that no half-sample selected has no row in probe_neuron, and was selected by none of them.
ONE_NEURON = """
SELECT n.layer, n.neuron_index, n.is_h_neuron, n.is_base_h_neuron, n.probe_weight, n.base_probe_weight,
       CASE WHEN t.run_id IS NULL THEN NULL ELSE COALESCE(h.selection_frequency, 0) END AS selection_frequency,
       h.auroc AS training_auroc, h.cluster, n.cosine_distance_up, n.cosine_distance_gate, n.cosine_distance_down,
       n.drift_z, n.stability_rank, d.rounding_floor, n.identical, n.norm_up_base,
       n.norm_up_instruct, n.norm_down_base, n.norm_down_instruct,
       n.activation_correlation, n.base_layer, n.base_index, n.similarity, n.margin
FROM neuron n
JOIN run r ON r.id = n.run_id AND r.content_digest IS NOT NULL
LEFT JOIN probe_neuron h ON h.run_id = n.run_id AND h.stage = 'instruct'
     AND h.layer = n.layer AND h.neuron_index = n.neuron_index
LEFT JOIN probe_stability t ON t.run_id = n.run_id AND t.stage = 'instruct'
LEFT JOIN drift d ON d.run_id = n.run_id
WHERE n.run_id = :run AND n.layer = :layer AND n.neuron_index = :neuron
"""

ACTIVITY_OF_ONE = """
SELECT s.stage, s.dataset, a.mean_faithful, a.mean_hallucinated, a.mean_refusal, a.standardised_difference, a.auroc,
       a.auroc_refusal, s.n_faithful, s.n_hallucinated, s.n_refusal
FROM activity_set s
CROSS JOIN activity a
WHERE s.run_id = :run AND a.run_id = s.run_id AND a.stage = s.stage AND a.dataset = s.dataset
  AND a.layer = :layer AND a.neuron_index = :neuron
ORDER BY s.stage, s.position
"""

VOCABULARY_OF_ONE = """
SELECT stage, promotes, suppresses, logit_sd, null_share, null_rank, null_random, reason
FROM neuron_vocabulary
WHERE run_id = :run AND layer = :layer AND neuron_index = :neuron ORDER BY position
"""

# Of several draws of one comparison, all numbers are of the first, whose tasks are the first as well.
ANSWERS_OF_ONE = """
SELECT w.stage, w.place, w.dataset, w.question_id, w.label, w.cett, w.answer,
       (SELECT q.text FROM run_dataset r JOIN question q ON q.dataset_id = r.dataset_id
        WHERE r.run_id = w.run_id AND r.name = w.dataset AND q.question_id = w.question_id
        ORDER BY q.position LIMIT 1) AS question,
       (SELECT p.text FROM run_task r JOIN task t ON t.id = r.task_id JOIN response p ON p.task_id = t.id
        WHERE r.run_id = w.run_id AND t.stage = w.stage AND t.dataset = w.dataset AND p.split = 'test'
          AND p.question_id = w.question_id AND p.label = w.label
        ORDER BY t.id LIMIT 1) AS response
FROM neuron_answer w
WHERE w.run_id = :run AND w.layer = :layer AND w.neuron_index = :neuron ORDER BY w.position
"""

# The words behind the captured tokens are known of answers on which an H-Neuron is most active, so these come first.
EXAMPLES = """
WITH told AS (
    SELECT stage, dataset, question_id, label, MIN(answer) AS captured
    FROM neuron_answer WHERE run_id = :run GROUP BY stage, dataset, question_id, label),
ranked AS (
    SELECT t.stage, t.dataset, p.dataset_id, p.question_position, p.question_id, p.label, p.text, p.n_right,
           p.n_samples, p.label_source, p.regions, a.captured,
           ROW_NUMBER() OVER (PARTITION BY t.stage, p.label
                              ORDER BY CASE WHEN a.captured IS NULL THEN 1 ELSE 0 END, t.id, p.position) AS place
    FROM run_task rt
    JOIN task t ON t.id = rt.task_id
    JOIN response p ON p.task_id = t.id
    LEFT JOIN told a ON a.stage = t.stage AND a.dataset = t.dataset AND a.question_id = p.question_id
         AND a.label = p.label
    WHERE rt.run_id = :run AND p.split = 'test' AND p.label IN ('faithful', 'hallucinated', 'refusal'))
SELECT r.stage, r.dataset, r.question_id, r.label, q.text AS question, q.answers, r.text AS response, r.n_right,
       r.n_samples, r.label_source, r.regions, r.captured
FROM ranked r
JOIN question q ON q.dataset_id = r.dataset_id AND q.position = r.question_position
WHERE r.place <= :each
ORDER BY CASE r.label WHEN 'hallucinated' THEN 0 WHEN 'faithful' THEN 1 ELSE 2 END, r.stage, r.place
"""
