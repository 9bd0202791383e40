"""What a person sees of a timeline: one line per checkpoint.

The one idea: the same summary object that `--json` prints, so that nothing is said in one form only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from provenance.console import print_files, probe_facts, say, say_quick

NONE = "–"


def print_trace(summary: Mapping[str, Any], console: Console) -> None:
    """The last checkpoint's probe, and what it reads along the way to it.

    Args:
        summary: As `--json` prints it.
        console: Where to.
    """
    points, neurons = summary["points"], summary["neurons"]
    say_quick(summary, console)
    console.print(_probe(summary["identification"], neurons))
    console.print(_places(points, summary["dataset"]))
    console.print(_readings(points))
    console.print(_changes(points))
    for point in points:
        if point["reason"]:
            say(f"{_name(point)}: {point['reason']}", console)
    print_files(summary, console)


def _probe(found: Mapping[str, Any], neurons: Mapping[str, Any]) -> Table:
    table = Table("", "", title="The ruler: the last checkpoint's probe", title_justify="left")
    table.add_row("H-Neurons", f"{neurons['h']} of {neurons['total']} ({neurons['per_mille']:.2f} ‰)")
    for name, words in probe_facts(found):
        table.add_row(name, escape(words))
    return table


def _places(points: Sequence[Mapping[str, Any]], dataset: str) -> Table:
    """Which checkpoint a point is; the tables below have no room for a long reference."""
    title = escape(f"Checkpoints, with the answers they gave themselves to {dataset}")
    table = Table("point", Column("checkpoint", overflow="fold"), "prompt", "faithful + halluc.", title=title)
    table.title_justify = "left"
    for point in points:
        counts = f"{point['n_faithful']} + {point['n_hallucinated']}"
        table.add_row(_name(point), escape(point["ref"]), point["prompt"], counts)
    return table


def _readings(points: Sequence[Mapping[str, Any]]) -> Table:
    """AUROCs on own and on the last checkpoint's answers, with what other neuron sets of the same size reach."""
    numbers = (Column(name, no_wrap=True) for name in ("own answers", "sets p95", "last one's answers", "sets p95"))
    title = "AUROC of the last checkpoint's probe, weights unchanged"
    table = Table("point", *numbers, title=title, title_justify="left")
    for point in points:
        cells = (_estimate(point["own"]), _bar(point, "own"), _estimate(point["forced"]), _bar(point, "forced"))
        table.add_row(_name(point), *cells)
    return table


def _changes(points: Sequence[Mapping[str, Any]]) -> Table:
    """Weights and activations against those of the last checkpoint, the H-Neurons' beside all neurons'."""
    names = ("rank", "others", "p", "1-cos H", "1-cos all", "r of H", "r of all")
    keys = ("mean_stability_rank", "null_mean", "p_value", "change_h", "change_all", "correlation_h", "correlation_all")
    columns = (Column(name, no_wrap=True, justify="right") for name in names)
    title = "Stability rank, weights and activations, against the last checkpoint's"
    table = Table("point", *columns, title=title, title_justify="left")
    for point in points:
        table.add_row(_name(point), *(_number(point[key]) for key in keys))
    return table


def _name(point: Mapping[str, Any]) -> str:
    """A short name for a point."""
    return "floor" if point["is_floor"] else str(point["position"])


def _bar(point: Mapping[str, Any], what: str) -> str:
    """The higher 95th percentile of random and of layer-matched neuron sets."""
    bars = [point[f"{what}_{kind}_p95"] for kind in ("random", "layer_matched")]
    return _number(max((bar for bar in bars if bar is not None), default=None))


def _number(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:.3g}" if abs(value) < 0.1 else f"{value:.3f}"


def _estimate(estimate: Mapping[str, float] | None) -> str:
    return NONE if estimate is None else "{estimate:.3f} [{low:.3f}, {high:.3f}]".format(**estimate)
