"""Results of several replicates of the same comparison as those of all of them together.

The rule is that of their claims (`combined_claims`): every p-value is twice the median over replicates, every other
number, the ends of intervals among them, its median; verdicts are those of the combined conditions.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from statistics import median_low
from typing import Any, TypeVar

from provenance.analyses.claims.claim_conditions import dataset_claim
from provenance.analyses.claims.combined_claims import combined_claims
from provenance.analyses.results.claims import Claim
from provenance.analyses.results.drift import DriftResult
from provenance.analyses.results.replicates import OF_EVERY_REPLICATE, ReplicateNeuron, ReplicateResults
from provenance.analyses.results.reports import OriginReport
from provenance.analyses.results.transfer import TransferResult
from provenance.records import Estimate, Verdict
from provenance.statistics.replicates import over_draws, p_over_draws
from provenance.table_declaration import OVER_ALL, Column, declared

T = TypeVar("T")
P_VALUE = "p_"
"""What the names of p-values begin with."""


def kept_results(kept: Iterable[Iterable[object]]) -> tuple[ReplicateResults, ...]:
    """What is kept of all replicates together, and then of each; verdicts over all are the first one's.

    Args:
        kept: Of each replicate, in order, its results of the classes `OF_EVERY_REPLICATE`.
    """
    each = [ReplicateResults(number, tuple(rows)) for number, rows in enumerate(kept, 1)]
    together = (row for cls in OF_EVERY_REPLICATE for row in _combined(cls, each))
    return (ReplicateResults(OVER_ALL, tuple(together)), *each)


def replicate_results(reports: Sequence[OriginReport], claims: Sequence[Claim]) -> tuple[ReplicateResults, ...]:
    """The same of comparisons, with verdicts over all of them.

    Args:
        reports: Of all replicates, in order.
        claims: Those over all of them.
    """
    together, *each = kept_results(map(_kept, reports))
    drift: Verdict = next((claim.verdict for claim in claims if claim.name == "drift"), "no power")
    judged = [
        replace(row, verdict=transfer_verdict(row.dataset, reports))
        if isinstance(row, TransferResult)
        else replace(row, verdict=drift)
        if isinstance(row, DriftResult)
        else row
        for row in together.results
    ]
    return (ReplicateResults(OVER_ALL, tuple(judged)), *each)


def replicate_neurons(reports: Sequence[OriginReport]) -> Iterator[ReplicateNeuron]:
    """The instruct checkpoint's H-Neurons in each replicate."""
    for number, report in enumerate(reports, 1):
        for flat in report.identification.h_neurons.tolist():
            yield ReplicateNeuron(number, *divmod(flat, report.neurons_per_layer))


def transfer_verdict(dataset: str, reports: Sequence[OriginReport]) -> Verdict:
    """Verdict of transfer to one question set over all replicates, by its conditions in each."""
    [claim] = combined_claims([list(_transfer_claims(dataset, report)) for report in reports])
    return claim.verdict


def _transfer_claims(dataset: str, report: OriginReport) -> Iterator[Claim]:
    """The claim of a replicate, if it has the question set."""
    searched = report.identification.rule != "given"
    for row in report.transfer:
        if row.dataset == dataset:
            yield dataset_claim(row, report.evidence.ladder, report.alignment.reason, searched=searched)


def _kept(report: OriginReport) -> Iterator[object]:
    yield from report.transfer
    yield from report.evidence.ladder
    yield from (replace(held, baselines=()) for held in report.identification.test)
    yield report.drift
    yield from report.evidence.drift
    yield from report.evidence.compliance_arms
    yield from report.evidence.compliance_slopes
    yield from report.evidence.side_effects
    yield from report.evidence.text_effects
    yield from report.evidence.patching


def _combined(cls: type[T], replicates: Sequence[ReplicateResults]) -> Iterator[T]:
    """One result for each key that a class of results has in most replicates; what the others have is left out."""
    keys = [column.name for column in declared(cls).columns if column.key]
    found: dict[Hashable, list[T]] = {}
    for row in (row for each in replicates for row in each.results if isinstance(row, cls)):
        found.setdefault(tuple(getattr(row, key) for key in keys), []).append(row)
    for rows in found.values():
        if 2 * len(rows) > len(replicates):
            yield over_replicates(rows, len(rows))


def over_replicates(rows: Sequence[T], replicates: int) -> T:
    """One result from those of several replicates, of which some may lack it; its verdict is the first one's.

    Counts become an observed one, the lower median; collections, of which the number is stored, one of that number.
    Words that differ are left out, where they may be.
    """
    columns = {column.name: column for column in declared(type(rows[0])).columns}
    values = {
        item.name: _value([getattr(row, item.name) for row in rows], columns[item.name], replicates)
        for item in fields(rows[0])  # type: ignore[arg-type]  # a dataclass by contract
        if item.name in columns and item.name != "verdict"
    }
    return replace(rows[0], **values)  # type: ignore[type-var]


def _value(values: Sequence[Any], column: Column, replicates: int) -> Any:
    known = [value for value in values if value is not None]
    if column.kind is Estimate:
        return _estimate(known) if 2 * len(known) > replicates else None
    if column.kind is float:
        return (p_over_draws if column.name.startswith(P_VALUE) else over_draws)(values, replicates)
    if column.kind is int:
        return median_low(known) if known else None
    if known and isinstance(known[0], tuple):
        return sorted(known, key=len)[(len(known) - 1) // 2]
    if len(set(values)) == 1:
        return values[0]
    return None if column.optional else ""


def _estimate(known: Sequence[Estimate]) -> Estimate:
    ends = (over_draws([getattr(each, end) for each in known], len(known)) for end in ("estimate", "low", "high"))
    estimate, low, high = (float("nan") if end is None else end for end in ends)
    return Estimate(estimate, low, high, median_low(each.n for each in known))
