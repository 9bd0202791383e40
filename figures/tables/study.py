"""Tables of a study: its members with their verdicts, what the literature says, and the tables of its figures."""

from collections.abc import Mapping, Sequence

from provenance.analyses.results.replicates import Replicate
from provenance.cells import NOTHING, Record, compact, fixed, interval
from provenance.checkpoints.published_numbers import of_dataset, published_numbers
from provenance.db.reading.run_query import QueryResult
from provenance.figures.tables.result_tables import ReportTable, report_table
from provenance.figures.wording.run_words import has_power
from provenance.figures.wording.study_words import count_words, replicate_counts
from provenance.records import MARKS
from provenance.words import CLAIMS, Concept

QUERIES = ("run", "probes", "transfer", "drift", "claims", "compliance-slopes", "trace", "replicates")
"""Named queries about one run that the tables need."""


def members_table(members: Sequence[Record], results: Mapping[str, QueryResult]) -> ReportTable | None:
    """One row a family: H-Neurons, the first transfer with power, the weights, and its claims by verdict.

    Where families are about different concepts, each is named. Interventions alone are in the table of their slopes.
    """
    names = [member["family"] for member in members if member["run"] is not None and member["kind"] == "family"]
    names = [name for name in names if any(_rows(name, results[query]) for query in ("probes", "drift"))]
    if not names:
        return None
    about = {row["family"]: Concept.of_settings(row["settings"]).name for row in results["run"].records()}
    differ = len({about[name] for name in names}) > 1
    header = ("family", *(["concept"] if differ else []), "k", "‰", "transfer", "weights, × like", "claims")
    rows = [(name, *([about[name]] if differ else []), *_member(name, results)) for name in names]
    words = (0, 1, len(header) - 1) if differ else (0, len(header) - 1)
    note = ", ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items())
    counts = replicate_counts(results["claims"])
    over = (
        f" Numbers and verdicts are those over {count_words(counts)} replicates: medians, p doubled." if counts else ""
    )
    said = f"Transfer: AUROC on the first question set with power. {note}.{over}"
    return ReportTable("Families", said, header, rows, words, quoted=words[:-1])


def _member(name: str, results: Mapping[str, QueryResult]) -> tuple[str, ...]:
    about, probe, drift = (_of(name, results[query], "instruct") for query in ("run", "probes", "drift"))
    transfer = next((row for row in _rows(name, results["transfer"]) if has_power(row)), {})
    k = probe[0]["n_h_neurons"] if probe else None
    share = None if k is None else 1000 * k / (about[0]["layers"] * about[0]["neurons_per_layer"])
    verdicts = {row["claim"]: row["verdict"] for row in _rows(name, results["claims"])}
    named = {verdict: [CLAIMS[claim] for claim in CLAIMS if verdicts.get(claim) == verdict] for verdict in MARKS}
    claims = "\n".join(f"{MARKS[verdict]} {'; '.join(words)}" for verdict, words in named.items() if words)
    count, moved = NOTHING if k is None else str(k), interval(drift[0], "ratio") if drift else NOTHING
    return count, fixed(share), interval(transfer, "auroc"), moved, claims


def _rows(name: str, result: QueryResult) -> list[Record]:
    return [row for row in result.records() if row["family"] == name]


def _of(name: str, result: QueryResult, stage: str) -> list[Record]:
    """Rows of a member; those of one checkpoint where the query is about both."""
    return [row for row in _rows(name, result) if row.get("stage", stage) == stage]


def replicates_table(results: Mapping[str, QueryResult]) -> ReportTable | None:
    """Transfer in every replicate of every family; None where no family has several."""
    return report_table(Replicate, results["replicates"].records())


def unfinished_table(members: Sequence[Record]) -> ReportTable | None:
    """Members without a run, and why; None if there are none."""
    rows = [
        (member["family"], f"{member['base']} → {member['instruct']}", member["reason"])
        for member in members
        if member["run"] is None
    ]
    return ReportTable("Not run", "", ("family", "checkpoints", "reason"), rows, (0, 1, 2), (0, 1, 2)) if rows else None


def literature_table(members: Sequence[Record], results: Mapping[str, QueryResult]) -> ReportTable | None:
    """Published numbers beside ours, and the p that a published mean rank has under uniform ranks."""
    known = published_numbers()
    rows: list[tuple[str, ...]] = []
    for member in members:
        name = member["family"]
        if name not in known:
            continue
        numbers, drift = known[name], _rows(name, results["drift"])
        for row in _rows(name, results["transfer"]):
            printed = of_dataset(numbers.transfer, row["dataset"])
            if printed is not None:
                rows.append((name, f"transfer, {row['dataset']}", fixed(printed), interval(row, "auroc"), ""))
        low, high = numbers.p_uniform
        check = f"p {numbers.p} printed; {compact(low)} to {compact(high)} if ranks are uniform"
        ours = fixed(drift[0]["mean_rank"], 3) if drift else NOTHING
        rows.append((name, "mean stability rank", fixed(numbers.mean_rank, 3), ours, check))
    if not rows:
        return None
    note = f"{next(iter(known.values())).source}. The last column says whether a printed rank is possible by chance."
    return ReportTable(
        "What the literature says", note, ("family", "number", "published", "here", "check"), rows, (0, 1, 4)
    )
