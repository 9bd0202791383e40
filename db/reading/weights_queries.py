"""The SQL of named queries about weights: lineage, counterparts, drift.

They work on every kind of run that read weights, with or without a model's answers; values that a run did not compute
are NULL, not zero.
"""

from provenance.analyses.results.drift import DriftResult
from provenance.db.reading.result_queries import columns_of, of_run
from provenance.db.schema.views import V_H_NEURONS

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
SELECT layer, neuron_index, base_layer, base_index, similarity, margin, probe_weight
FROM v_h_neurons
WHERE run_id = :run
ORDER BY CASE WHEN base_layer IS NULL THEN 0 ELSE 1 END, margin, similarity, layer, neuron_index
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

H_NEURONS = of_run(
    V_H_NEURONS, order="CASE WHEN probe_weight IS NULL THEN 1 ELSE 0 END, probe_weight DESC, layer, neuron_index"
)

STABLE = """
SELECT layer, neuron_index, stability_rank, probe_weight, drift_z, activation_correlation
FROM v_h_neurons
WHERE run_id = :run AND stability_rank IS NOT NULL
ORDER BY stability_rank DESC, layer, neuron_index
LIMIT :limit
"""

# Neurons without a counterpart have no rank; the index on ranks holds them first.
MOST_DRIFTED = """
SELECT n.layer, n.neuron_index, n.stability_rank, n.drift_z, n.cosine_distance_up, n.cosine_distance_gate,
       n.cosine_distance_down, n.is_h_neuron
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

_MOVED = """
       COUNT(*) AS neurons, COUNT(stability_rank) AS compared, AVG(stability_rank) AS mean_stability_rank,
       AVG(cosine_distance_up) AS mean_cosine_distance_up, AVG(cosine_distance_gate) AS mean_cosine_distance_gate,
       AVG(cosine_distance_down) AS mean_cosine_distance_down,
       SUM(CASE WHEN identical THEN 1 ELSE 0 END) AS identical
"""
_ACTIVE = ("base_cett_faithful", "base_cett_hallucinated", "instruct_cett_faithful", "instruct_cett_hallucinated")

_DISTANCES = ("stability_rank", "cosine_distance_up", "cosine_distance_gate", "cosine_distance_down")
LAYERS = f"""
WITH h AS (SELECT layer, {", ".join(f"AVG({name}) AS mean_{name}" for name in _DISTANCES)},
                  {", ".join(f"AVG({name}) AS {name}" for name in _ACTIVE)}
           FROM v_h_neurons WHERE run_id = :run GROUP BY layer)
SELECT l.layer, l.neurons, l.h_neurons, l.compared,
       {", ".join(f"l.mean_{name}, h.mean_{name} AS h_mean_{name}" for name in _DISTANCES)},
       l.identical, {", ".join(f"h.{name} AS h_{name}" for name in _ACTIVE)}
FROM layer_drift l LEFT JOIN h ON h.layer = l.layer
WHERE l.run_id = :run
ORDER BY l.layer
"""  # noqa: S608 - of constants

_OF_LABEL = "AVG(CASE WHEN stage = '{0}' THEN cett_{1} END) AS {0}_cett_{1}"
_BY_LABEL = ", ".join(
    _OF_LABEL.format(stage, label) for stage in ("base", "instruct") for label in ("faithful", "hallucinated")
)
H_NEURONS_SUMMARY = f"""
WITH moved AS (SELECT is_h_neuron, COUNT(DISTINCT layer) AS layers, MIN(layer) AS first_layer, MAX(layer) AS last_layer,
                      {_MOVED}
               FROM neuron WHERE run_id = :run GROUP BY is_h_neuron),
active AS (SELECT is_h_neuron, {_BY_LABEL}
           FROM v_neuron_activity
           WHERE run_id = :run
             AND dataset = (SELECT d.name FROM run_dataset d WHERE d.run_id = :run AND d.position = 0)
           GROUP BY is_h_neuron)
SELECT CASE WHEN m.is_h_neuron THEN 'H-Neurons' ELSE 'all others' END AS kind, m.neurons, m.layers, m.first_layer,
       m.last_layer, m.mean_stability_rank, m.mean_cosine_distance_up, m.mean_cosine_distance_gate,
       m.mean_cosine_distance_down, m.identical, {", ".join(f"active.{name}" for name in _ACTIVE)}
FROM moved m LEFT JOIN active ON active.is_h_neuron = m.is_h_neuron
ORDER BY m.is_h_neuron DESC
"""  # noqa: S608 - of constants

H_RANKS = """
SELECT layer, neuron_index, stability_rank
FROM v_h_neurons
WHERE run_id = :run
ORDER BY CASE WHEN stability_rank IS NULL THEN 1 ELSE 0 END, stability_rank, layer, neuron_index
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
