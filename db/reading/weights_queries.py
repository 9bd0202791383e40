"""The SQL of named queries about weights: lineage, counterparts, drift.

They work on every kind of run that read weights, with or without a model's answers; values that a run did not compute
are NULL, not zero.
"""

from provenance.analyses.results.drift import DriftResult
from provenance.db.reading.result_queries import columns_of

LINEAGE = """
SELECT verdict, reason, share_identical_tensors, tensors_compared, median_cosine_gate, median_cosine_up,
       median_cosine_down, self_match, nearest_cosine, found_in_base, found_in_instruct, neurons_sampled,
       same_tokenizer, vocabulary_shared, vocabulary_base, vocabulary_instruct, only_base, only_instruct, layer_of
FROM lineage WHERE run_id = :run
"""

ALIGNMENT = """
SELECT method, n_neurons, n_neurons - n_unmapped AS n_mapped, n_unmapped, reason
FROM alignment WHERE run_id = :run
"""

NEURON_LIST = """
SELECT l.source, l.n_neurons, l.n_weighted, EXISTS (SELECT 1 FROM probe b WHERE b.run_id = l.run_id) AS is_compared
FROM neuron_list l WHERE l.run_id = :run
"""

MAPPING = """
SELECT n.layer, n.neuron_index, n.base_layer, n.base_index, n.similarity, n.margin, h.weight AS probe_weight
FROM probe_neuron h
CROSS JOIN neuron n
WHERE h.run_id = :run AND h.stage = 'instruct' AND h.is_h_neuron
  AND n.run_id = h.run_id AND n.layer = h.layer AND n.neuron_index = h.neuron_index
ORDER BY CASE WHEN n.base_layer IS NULL THEN 0 ELSE 1 END, n.margin, n.similarity, n.layer,
         n.neuron_index
"""

UNMAPPED = """
SELECT n.layer, n.neuron_index, n.is_h_neuron
FROM alignment m
CROSS JOIN neuron n
WHERE m.run_id = :run AND m.n_unmapped > 0
  AND n.run_id = m.run_id AND n.base_layer IS NULL
ORDER BY n.is_h_neuron DESC, n.layer, n.neuron_index
LIMIT :limit
"""

# H-Neurons are found through the few rows of probe_neuron, never by walking all neurons:
# SQLite keeps the order of tables in a CROSS JOIN, and PostgreSQL finds it from statistics.
H_NEURONS = """
SELECT n.layer, n.neuron_index, h.weight AS probe_weight, n.stability_rank, n.delta, n.delta_up, n.delta_gate,
       n.delta_down, n.identical, CASE WHEN b.run_id IS NOT NULL THEN n.is_base_h_neuron END AS is_base_h_neuron,
       n.activation_correlation, h.selection_frequency, h.auroc, h.cluster
FROM probe_neuron h
CROSS JOIN neuron n
LEFT JOIN probe b ON b.run_id = h.run_id AND b.stage = 'base'
WHERE h.run_id = :run AND h.stage = 'instruct' AND h.is_h_neuron
  AND n.run_id = h.run_id AND n.layer = h.layer AND n.neuron_index = h.neuron_index
ORDER BY CASE WHEN h.weight IS NULL THEN 1 ELSE 0 END, h.weight DESC, n.layer, n.neuron_index
"""

STABLE = """
SELECT n.layer, n.neuron_index, n.stability_rank, h.weight AS probe_weight, n.delta, n.activation_correlation
FROM probe_neuron h
CROSS JOIN neuron n
WHERE h.run_id = :run AND h.stage = 'instruct' AND h.is_h_neuron
  AND n.run_id = h.run_id AND n.layer = h.layer AND n.neuron_index = h.neuron_index
  AND n.stability_rank IS NOT NULL
ORDER BY n.stability_rank DESC, n.layer, n.neuron_index
LIMIT :limit
"""

# Neurons without a counterpart have no rank; the index on ranks holds them first.
MOST_DRIFTED = """
SELECT n.layer, n.neuron_index, n.stability_rank, n.delta, n.delta_up, n.delta_gate, n.delta_down,
       n.is_h_neuron
FROM neuron n
WHERE n.run_id = :run AND n.stability_rank >= 0
ORDER BY n.stability_rank
LIMIT :limit
"""

DRIFT = f"""
SELECT {columns_of(DriftResult, "d")}, n.matching AS decided_by, n.k AS k_compared, n.ratio, n.ratio_low, n.ratio_high,
       n.p_more_stable AS p_decides, n.smallest_detectable
FROM drift d
LEFT JOIN drift_test n ON n.run_id = d.run_id AND n.position = (
     SELECT m.position FROM drift_test m
     WHERE m.run_id = d.run_id AND m.side = 'hallucinated' AND m.measure = 'delta'
     ORDER BY m.p_more_stable DESC, m.position DESC LIMIT 1)
WHERE d.run_id = :run
"""  # noqa: S608 - of declared names

H_RANKS = """
SELECT n.layer, n.neuron_index, n.stability_rank
FROM probe_neuron h
CROSS JOIN neuron n
WHERE h.run_id = :run AND h.stage = 'instruct' AND h.is_h_neuron
  AND n.run_id = h.run_id AND n.layer = h.layer AND n.neuron_index = h.neuron_index
ORDER BY CASE WHEN n.stability_rank IS NULL THEN 1 ELSE 0 END, n.stability_rank, n.layer, n.neuron_index
"""

# Counted range by range on the index over ranks: no row of a table of millions leaves the database.
RANK_BINS = """
WITH RECURSIVE edge (bin) AS (SELECT 0 UNION ALL SELECT bin + 1 FROM edge WHERE bin < :bins - 1)
SELECT e.bin, CAST(e.bin AS DOUBLE PRECISION) / :bins AS low,
       CAST(e.bin + 1 AS DOUBLE PRECISION) / :bins AS high,
       (SELECT COUNT(*) FROM neuron n
        WHERE n.run_id = :run AND n.stability_rank >= CAST(e.bin AS DOUBLE PRECISION) / :bins
          AND n.stability_rank < CASE WHEN e.bin = :bins - 1 THEN 2.0
                                      ELSE CAST(e.bin + 1 AS DOUBLE PRECISION) / :bins END) AS neurons
FROM edge e
ORDER BY e.bin
"""
