"""Weights by kind: dozens of tensors summed up, with the range over layers."""

from collections.abc import Iterable
from statistics import median

from provenance.cells import NOTHING, Record, compact, fixed

PERMUTED, RESIZED = "descendant, neurons permuted", "descendant, pruned or widened"
"""Verdicts under which rows of the same index need not be the same neuron."""
UNMATCHED = (
    "Rows are compared with the row of the same index, though the neurons of this pair were permuted or left out: "
    "for gate, up and down this does not say how far neurons moved; the drift of neurons, mapped by assignment, does."
)


BY_KIND = ("kind", "tensors", "rows", "identical rows", "1 − cos, median layer", "over layers")


def by_kind(rows: Iterable[Record]) -> list[Record]:
    """One record a kind: tensors, rows, share of identical rows, and 1 - cosine over its layers."""
    found: dict[str, list[Record]] = {}
    for row in rows:
        found.setdefault(row["kind"], []).append(row)
    return [_summed(kind, part) for kind, part in found.items()]


def _summed(kind: str, rows: list[Record]) -> Record:
    changes = [max(0.0, 1 - row["cosine_median"]) for row in rows if row["cosine_median"] is not None]
    n_rows = sum(row["n_rows"] for row in rows)
    return {
        "kind": kind,
        "tensors": len(rows),
        "n_rows": n_rows,
        "share_identical": sum(row["n_identical_rows"] for row in rows) / n_rows if n_rows else None,
        "change": median(changes) if changes else None,
        "change_low": min(changes) if changes else None,
        "change_high": max(changes) if changes else None,
    }


def kind_cells(rows: Iterable[Record]) -> list[tuple[str, ...]]:
    """Weights by kind as cells under `BY_KIND`."""
    return [
        (
            row["kind"],
            str(row["tensors"]),
            str(row["n_rows"]),
            fixed(row["share_identical"], 3),
            compact(row["change"]),
            _range(row) if row["tensors"] > 1 else NOTHING,
        )
        for row in by_kind(rows)
    ]


def _range(row: Record) -> str:
    if row["change"] is None:
        return NOTHING
    return f"[{compact(row['change_low'])}, {compact(row['change_high'])}]"
