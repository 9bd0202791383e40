"""What a conclusion was held against, as tables on a terminal.

The one idea: a claim is shown with the conditions that it did not meet or that could not be measured; the numbers of
those it met are in the JSON, the database and the report.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from provenance.probe_words import baseline_words

CLAIM_WORDS = {
    "transfer": "readable in the base",
    "beyond_confidence": "beyond confidence",
    "own_labels": "follows own labels",
    "drift": "weights kept",
    "overlap": "found again",
    "function_base": "function, base",
    "function_instruct": "function, instruct",
}
PROMPT_WORDS = {"base": "base prompt", "instruct": "instruct prompt"}


def print_evidence(summary: Mapping[str, Any], console: Console) -> None:
    """Claims with what they failed, the ladder of the question set that decides, and whose text it is.

    Args:
        summary: As `--json` prints it.
        console: Where to.
    """
    claims = summary["verdict"]["claims"]
    if claims:
        console.print(_claims_table(claims))
    rests_on = next((claim["dataset"] for claim in claims if claim["claim"] == "transfer"), "")
    row = next((row for row in summary["transfer"] if row["dataset"] == rests_on), None)
    if row is not None and row["ladder"]:
        found = {p["test"]: p["smallest_detectable"] for p in summary["power"] if p["dataset"] == rests_on}
        console.print(_ladder_table(row, found))
    if summary["two_by_two"]:
        console.print(_cells_table(summary["two_by_two"]))
    if summary["interventions"]:
        console.print(_interventions_table(summary["interventions"]))


def _claims_table(claims: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Claims", title_justify="left")
    for head in ("claim", "verdict", "met", "not met, or not measured (–)"):
        table.add_column(head, overflow="fold", no_wrap=head == "verdict")
    for claim in claims:
        reasons = claim["reasons"]
        met = sum(reason["holds"] is True for reason in reasons)
        failed = "\n".join(_condition(reason) for reason in reasons if reason["holds"] is not True)
        table.add_row(
            CLAIM_WORDS.get(claim["claim"], claim["claim"]),
            claim["verdict"],
            f"{met} of {len(reasons)}",
            escape(failed),
        )
    return table


def _condition(reason: Mapping[str, Any]) -> str:
    missing = "–" if reason["holds"] is None else "none"
    value = missing if reason["value"] is None else f"{reason['value']:.3g}"
    return f"{reason['code']} {value}, needs {reason['relation']} {reason['bar']:g}"


def _ladder_table(row: Mapping[str, Any], found: Mapping[str, float | None]) -> Table:
    """The probe, then everything it is held against, and the AUROC that would be found with 80 % power."""
    title, ladder = f"What transfer has to beat on {row['dataset']}", row["ladder"]
    heads = ("", "AUROC", "gain of the probe", "p", "p (Holm)", "found from")
    table = Table(*heads, title=escape(title), title_justify="left")
    table.caption = (
        "p against neuron sets counts single sets, their AUROC and the gain over them are means; found from: the "
        "smallest AUROC found with 80 % power (first row: against chance)"
    )
    table.add_row(
        "the probe; its largest p", _interval(row["auroc"]), "", _p(row["p_value"]), _p(row["p_holm"]),
        _p(found.get("chance")), end_section=True,
    )  # fmt: skip
    for kind, rung in ladder.items():
        table.add_row(
            baseline_words(kind),
            _interval(rung["auroc"]),
            _interval(rung["gain"]),
            _p(rung["p_value"]),
            _p(rung["p_holm"]),
            _p(found.get(kind)),
        )
    return table


def _cells_table(cells: Sequence[Mapping[str, Any]]) -> Table:
    title = f"Whose neurons, whose answers, whose prompt ({cells[0]['dataset']})"
    table = Table("neurons", "answers", "prompt", "AUROC", "n", title=escape(title), title_justify="left")
    for cell in cells:
        n = str(cell["n_faithful"] + cell["n_hallucinated"])
        said = _interval(cell["auroc"]) if cell["auroc"] else escape(cell["reason"])
        table.add_row(cell["activations"], cell["answers"], PROMPT_WORDS[cell["prompt"]], said, n)
    return table


def _interventions_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """What scaling did, a line per model, factor and outcome; control sets by their mean and the p against them."""
    table = Table(
        "model", "factor", "change of", "H-Neurons", "random", "p", "layer-matched", "p",
        title="Scaling the H-Neurons", title_justify="left",
    )  # fmt: skip
    groups: dict[tuple[Any, ...], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["stage"], row["alpha"], row["outcome"]), {})[row["kind"]] = row
    for (stage, alpha, outcome), kinds in groups.items():
        cells = [_interval(kinds["h_neurons"]["effect"])]
        for kind in ("random", "layer_matched"):
            cells += [_interval(kinds[kind]["effect"]), _p(kinds[kind]["p_value"])] if kind in kinds else ["–", "–"]
        table.add_row(stage, f"{alpha:g}", outcome.replace("_", " "), *cells)
    return table


def _interval(estimate: Mapping[str, float | None] | None) -> str:
    if estimate is None or estimate["estimate"] is None:
        return "–"
    low, high = estimate["low"], estimate["high"]
    band = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{estimate['estimate']:.3f}{band}"


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"
