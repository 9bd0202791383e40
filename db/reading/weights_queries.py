"""The SQL of named queries about weights: lineage, counterparts, drift.

They work on every kind of run that read weights, with or without a model's answers; values that a run did not compute
are NULL, not zero.
"""

from provenance.analyses.results.drift import CETT_OF_GROUPS, DRIFT_PLACES, DriftResult, NeuronGroup
from provenance.analyses.results.drift import RANK_BINS as STORED
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

_DRIFTED = """n.layer, n.neuron_index, n.stability_rank, n.drift_z, n.cosine_distance_up, n.cosine_distance_gate,
       n.cosine_distance_down, n.is_h_neuron"""
# The first ones have places, and an index; only for more of them are all neurons looked at.
MOST_DRIFTED = f"""
SELECT {_DRIFTED} FROM neuron n
WHERE :limit <= {DRIFT_PLACES} AND n.run_id = :run AND n.drift_place < :limit
UNION ALL
SELECT {_DRIFTED} FROM neuron n
WHERE :limit > {DRIFT_PLACES} AND n.run_id = :run AND n.stability_rank >= 0
ORDER BY stability_rank, layer, neuron_index
LIMIT :limit
"""  # noqa: S608 - of declared names


def _drift(tables: str, key: str = "") -> str:
    """SQL of the drift with the test that decides, from the tables whose names begin so and have this key as well."""
    same = f" AND {{0}}.{key} = d.{key}" if key else ""
    return f"""
SELECT {f"d.{key}, " if key else ""}{columns_of(DriftResult, "d")}, n.matching AS decided_by, n.k AS k_compared,
       n.ratio, n.ratio_low, n.ratio_high, n.p_more_stable AS p_decides, n.smallest_detectable
FROM {tables}drift d
LEFT JOIN {tables}drift_test n ON n.run_id = d.run_id{same.format("n")} AND n.position = (
     SELECT m.position FROM {tables}drift_test m
     WHERE m.run_id = d.run_id{same.format("m")} AND m.side = 'hallucinated' AND m.measure = 'delta'
     ORDER BY m.p_more_stable DESC, m.position DESC LIMIT 1)
WHERE d.run_id = :run{f" ORDER BY d.{key}" if key else ""}
"""  # noqa: S608 - of declared names


DRIFT = _drift("")
DRIFT_REPLICATES = _drift("replicate_", "replicate")

_DISTANCES = ("stability_rank", "cosine_distance_up", "cosine_distance_gate", "cosine_distance_down")
LAYERS = f"""
WITH h AS (SELECT layer, {", ".join(f"AVG({name}) AS mean_{name}" for name in _DISTANCES)},
                  {", ".join(f"AVG({name}) AS {name}" for name in CETT_OF_GROUPS)}
           FROM v_h_neurons WHERE run_id = :run GROUP BY layer)
SELECT l.layer, l.neurons, l.h_neurons, l.compared,
       {", ".join(f"l.mean_{name}, h.mean_{name} AS h_mean_{name}" for name in _DISTANCES)},
       l.identical, {", ".join(f"h.{name} AS h_{name}" for name in CETT_OF_GROUPS)}
FROM layer_drift l LEFT JOIN h ON h.layer = l.layer
WHERE l.run_id = :run
ORDER BY l.layer
"""  # noqa: S608 - of constants

LAYERS_ON_A_SCREEN = (
    "layer", "h_neurons", "mean_stability_rank", "h_mean_stability_rank", "h_base_cett_hallucinated",
    "h_instruct_cett_hallucinated",
)  # fmt: skip
"""Of the columns of `LAYERS`: where the H-Neurons are, how far they moved, and how active they are in both models."""

MOST_LAYERS = 5
# SQLite and PostgreSQL have no function in common that joins texts, so one layer is added after another.
H_NEURONS_SUMMARY = f"""
WITH RECURSIVE ranked AS (
    SELECT layer, h_neurons, ROW_NUMBER() OVER (ORDER BY h_neurons DESC, layer) AS place
    FROM layer_drift WHERE run_id = :run AND h_neurons > 0),
said (place, words) AS (
    SELECT CAST(0 AS BIGINT), CAST('' AS TEXT)
    UNION ALL
    SELECT r.place, s.words || CASE r.place WHEN 1 THEN '' ELSE ', ' END || r.layer || ' (' || r.h_neurons || ')'
    FROM said s JOIN ranked r ON r.place = s.place + 1 WHERE r.place <= {MOST_LAYERS})
SELECT g.kind, g.neurons, g.layers,
       CASE g.kind WHEN 'H-Neurons' THEN
           (SELECT words FROM said ORDER BY place DESC LIMIT 1) ||
           CASE WHEN g.layers > {MOST_LAYERS} THEN ' and ' || (g.layers - {MOST_LAYERS}) || ' more' ELSE '' END
       END AS most_in_layers,
       {columns_of(NeuronGroup, "g", leave_out=("kind", "neurons", "layers"))}
FROM neuron_group g WHERE g.run_id = :run ORDER BY g.position
"""  # noqa: S608 - of declared names

H_RANKS = """
SELECT layer, neuron_index, stability_rank
FROM v_h_neurons
WHERE run_id = :run
ORDER BY CASE WHEN stability_rank IS NULL THEN 1 ELSE 0 END, stability_rank, layer, neuron_index
"""

# From the stored counts: `:bins` has to divide their number, so that bins are made of whole ranges.
RANK_BINS = f"""
WITH RECURSIVE edge (bin) AS (SELECT 0 UNION ALL SELECT bin + 1 FROM edge WHERE bin < :bins - 1)
SELECT e.bin, CAST(e.bin AS DOUBLE PRECISION) / :bins AS low, CAST(e.bin + 1 AS DOUBLE PRECISION) / :bins AS high,
       (SELECT COALESCE(SUM(s.neurons), 0) FROM rank_bin s
        WHERE s.run_id = :run AND s.bin >= e.bin * ({STORED} / :bins) AND s.bin < (e.bin + 1) * ({STORED} / :bins))
       AS neurons
FROM edge e
ORDER BY e.bin
"""  # noqa: S608 - of a constant
