"""Terminal output of a self test: expected and actual verdicts, case by case, from the summary that `--json` prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from provenance.cli.show.run import say

UNITS = (
    "Effects: SD of log CETT (transfer, beyond_confidence), SD of log change of weights (drift), share of common "
    "carriers (overlap)."
)


def print_selftest(summary: Mapping[str, Any], console: Console) -> None:
    """Lab cases, hit rates, false-alarm rates, and the overall result."""
    rates = summary["rates"]
    console.print(_cases(summary["cases"]))
    nulls, planted = ([row for row in rates if row["is_null"] == wanted] for wanted in (True, False))
    console.print(_rates(planted, "Hit rates: how often a planted effect is called supported"))
    console.print(_rates(nulls, "False alarms: how often nothing, or a nuisance alone, is called supported"))
    say(UNITS, console)
    wrong = sum(not row["as_expected"] for row in (*summary["cases"], *rates))
    words = "everything is as expected" if summary["passed"] else f"{wrong} of the above are not as expected"
    say(f"{words}; {summary['draws']} draws of each kind, seed {summary['seed']}", console)
    if summary["database"]:
        say(f"database: {summary['database']}", console)


def _cases(cases: Sequence[Mapping[str, Any]]) -> Table:
    whole = [Column(name, no_wrap=True) for name in ("family", "control")]
    heads = [*whole, *(Column(name, overflow="fold") for name in ("claim", "expected", "verdict"))]
    table = Table(*heads, title="Lab families and negative controls", title_justify="left")
    for row in cases:
        names = [escape(row["family"]), row["control"] or "–"]
        for claim, verdict in row["verdict"].items():
            table.add_row(*names, claim, row["expected"][claim], verdict)
            names = ["", ""]
        table.add_row("", "", "", "as expected", _yes(row["as_expected"]), end_section=True)
    return table


def _rates(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    whole = [Column(name, no_wrap=True) for name in ("effect", "supported", "95 % interval")]
    table = Table("drawn", *whole, "no power", Column("ok", no_wrap=True), title=title, title_justify="left")
    for row in rows:
        rate = row["rate"]
        table.add_row(
            f"{row['claim']}: {row['world']}",
            f"{row['effect']:g}",
            f"{row['supported']} of {row['draws']}",
            f"{rate['low']:.3f} to {rate['high']:.3f}",
            str(row["no_power"]),
            _yes(row["as_expected"]) if row["is_null"] else "–",
        )
    return table


def _yes(holds: bool) -> str:
    return "yes" if holds else "NO"
