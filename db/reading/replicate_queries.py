"""The SQL of named queries about every replicate of a comparison, which the figures of a study show.

Each has the columns of the query about one draw that are kept of every replicate, after the replicate's number. The
rows of replicate 0 are about all of them together.
"""

from provenance.analyses.results.probes import HeldOut
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.db.reading.result_queries import columns_of, names_of
from provenance.db.schema.result_tables import REPLICATE_TABLES
from provenance.db.schema.views import NULL_COLUMNS, V_CLAIMS
from provenance.words import TRANSFER_NULLS

_RUNGS = REPLICATE_TABLES[Rung].name
_SAME = "{0}.run_id = {1}.run_id AND {0}.replicate = {1}.replicate"
_JOINED = f"LEFT JOIN {_RUNGS} {{0}} ON {_SAME} AND {{0}}.dataset = {{1}}.dataset AND {{0}}.kind = '{{2}}'"

TRANSFER = f"""
SELECT t.replicate, {columns_of(TransferResult, "t")},
       {", ".join(f"{name}.{of} AS {name}_{to}" for name in TRANSFER_NULLS for of, to in NULL_COLUMNS.items())}
FROM {REPLICATE_TABLES[TransferResult].name} t
{" ".join(_JOINED.format(name, "t", kind) for name, kind in TRANSFER_NULLS.items())}
WHERE t.run_id = :run ORDER BY t.replicate, t.position
"""  # noqa: S608 - of declared names

IDENTIFICATION = f"""
SELECT h.replicate, 'instruct' AS stage, {columns_of(HeldOut, "h")}, d.k AS n_h_neurons
FROM replicate_held_out h JOIN replicate_drift d ON {_SAME.format("d", "h")}
WHERE h.run_id = :run ORDER BY h.replicate, h.position
"""  # noqa: S608 - of declared names

_KNOWN = ("claim", "verdict")
CLAIMS = f"""
SELECT 0 AS replicate, {", ".join(names_of(V_CLAIMS))}, position AS place
FROM v_claims WHERE run_id = :run AND EXISTS (SELECT 1 FROM replicate_claim c WHERE c.run_id = :run)
UNION ALL
SELECT replicate, {", ".join(name if name in _KNOWN else f"NULL AS {name}" for name in names_of(V_CLAIMS))},
       position AS place
FROM replicate_claim WHERE run_id = :run ORDER BY replicate, place
"""  # noqa: S608 - of declared names

PROBES = """
SELECT d.replicate, 'instruct' AS stage, d.k AS n_h_neurons
FROM replicate_drift d WHERE d.run_id = :run ORDER BY d.replicate
"""

H_RANKS = """
SELECT h.replicate, h.layer, h.neuron_index, n.stability_rank
FROM replicate_neuron h
JOIN neuron n ON n.run_id = h.run_id AND n.layer = h.layer AND n.neuron_index = h.neuron_index
WHERE h.run_id = :run
ORDER BY h.replicate, CASE WHEN n.stability_rank IS NULL THEN 1 ELSE 0 END, n.stability_rank, h.layer, h.neuron_index
"""
