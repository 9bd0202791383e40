"""Named queries of declared results, in the order of the report; a query that joins tables is written by hand."""

from provenance.analyses.results.behaviour import CausalEffect
from provenance.analyses.results.claims import Power
from provenance.analyses.results.drift import DriftTest
from provenance.analyses.results.overlap import OverlapNull
from provenance.analyses.results.timeline import TimelinePoint
from provenance.analyses.results.transfer import LabelAgreement, Rung, ScaleControl, SignAgreement, TransferCell
from provenance.db.reading.declared_queries import query_of
from provenance.db.reading.named_query import Query

_CLAIMS = """
SELECT name AS claim, verdict, dataset, words FROM claim WHERE run_id = :run ORDER BY position
"""

_REASONS = """
SELECT r.claim, r.code, r.dataset, r.value, r.relation, r.bar, r.holds, r.role
FROM claim_reason r JOIN claim c ON c.run_id = r.run_id AND c.name = r.claim
WHERE r.run_id = :run ORDER BY c.position, r.position
"""

EVIDENCE_QUERIES = (
    Query("claims", "one thing that may be said of the pair, and how well it stands", _CLAIMS, subject="claim"),
    Query("reasons", "one condition of a claim: value, bar, and whether it holds", _REASONS, subject="claim"),
    *map(
        query_of,
        (
            Rung,
            TransferCell,
            LabelAgreement,
            ScaleControl,
            SignAgreement,
            DriftTest,
            OverlapNull,
            Power,
            CausalEffect,
            TimelinePoint,
        ),
    ),
)
"""In the order of help."""
