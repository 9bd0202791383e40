"""What a person sees of a pair's weights: lineage, mapping and drift as tables.

The one idea: the same summary object that `--json` prints, so that nothing is said in one form only.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from provenance.console import print_files, say

CONFIG_SHOWN = 12
UNMAPPED_SHOWN = 8
VALUE_SHOWN = 32


def print_lineage(summary: Mapping[str, Any], console: Console) -> None:
    """How two checkpoints are related, with the evidence."""
    lineage = summary["lineage"]
    say(f"{summary['base']['ref']} → {summary['instruct']['ref']}", console)
    console.print(f"\n{lineage['verdict']}: {lineage['reason']}\n", style="bold", highlight=False, markup=False)
    console.print(_evidence(summary))
    if lineage["tensors"]:
        console.print(_tensors(lineage["tensors"]))
    if lineage["config"]:
        console.print(_config(lineage["config"]))
    say("the evidence says whether two checkpoints are related, not which came first", console)
    _files(summary, console)


def print_weights(summary: Mapping[str, Any], console: Console) -> None:
    """What the weights alone say of a neuron list, or of all neurons."""
    say(f"{summary['base']['ref']} → {summary['instruct']['ref']}", console)
    console.print(f"\n{summary['verdict']['overall']}\n", style="bold", highlight=False, markup=False)
    console.print(_drift(summary))
    if summary["neurons"]["h"]:
        console.print(_mapping(summary["mapping"]))
    if summary["lineage"]:
        console.print(_evidence(summary))
    say(f"neurons that moved most: provenance query most-drifted --run {summary['run']}", console)
    _files(summary, console)


def _evidence(summary: Mapping[str, Any]) -> Table:
    lineage = summary["lineage"]
    table = Table("", "", title="Lineage", title_justify="left")
    identical = f"{lineage['share_identical_tensors']:.1%} of {lineage['tensors_compared']} bit-identical"
    table.add_row("tensors", identical)
    for side in ("base", "instruct"):
        only = lineage[f"only_{side}"]
        if only:
            table.add_row(f"only in {side}", escape(f"{len(only)}, such as {only[0]}"))
    if lineage["neurons_sampled"]:
        found = f"{lineage['found_in_base']:.1%} / {lineage['found_in_instruct']:.1%}"
        table.add_row("self-match", f"{lineage['self_match']:.1%} of {lineage['neurons_sampled']:,} sampled neurons")
        table.add_row("found in base / instruct", found)
        table.add_row("nearest neighbour", f"median cosine {lineage['nearest_cosine']:.4f}")
    sizes = lineage["vocabulary_sizes"]
    shared = lineage["vocabulary_shared"]
    words = "the same" if lineage["same_tokenizer"] else "–" if shared is None else f"{shared:.1%} of tokens shared"
    table.add_row("tokenizer", f"{words}; {sizes['base']:,} and {sizes['instruct']:,} tokens")
    return table


def _tensors(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One line per kind, over its layers."""
    numbers = (Column(name, no_wrap=True, justify="right") for name in ("layers", "rows", "same", "median", "95 %"))
    title = "Tensors: 1 - cos of rows of the same index; median layer, and 95 % of the worst layer"
    table = Table(Column("kind", no_wrap=True), *numbers, title=title, title_justify="left")
    kinds: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        kinds[row["kind"]].append(row)
    for kind, members in kinds.items():
        total, same = (sum(row[key] for row in members) for key in ("rows", "identical_rows"))
        middle = [row["cosine_median"] for row in members if row["cosine_median"] is not None]
        lowest = [row["cosine_low"] for row in members if row["cosine_low"] is not None]
        cells = [f"{1 - value:.1e}" for value in (median(middle), min(lowest))] if middle and lowest else ["–", "–"]
        table.add_row(escape(kind), str(len(members)), f"{total:,}", f"{same / total:.1%}", *cells)
    return table


def _config(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("setting", "base", "instruct", title="Differences in config.json", title_justify="left")
    for row in rows[:CONFIG_SHOWN]:
        table.add_row(*(_short(row[key]) for key in ("key", "base", "instruct")))
    if len(rows) > CONFIG_SHOWN:
        table.add_row(f"and {len(rows) - CONFIG_SHOWN} more", "", "")
    return table


def _short(value: str | None) -> str:
    """A setting's value on one line."""
    if value is None:
        return "–"
    return escape(value if len(value) <= VALUE_SHOWN else f"{value[:VALUE_SHOWN]}…")


def _drift(summary: Mapping[str, Any]) -> Table:
    drift, neurons = summary["drift"], summary["neurons"]
    table = Table("", "", title="Drift", title_justify="left")
    table.add_row("neurons", f"{neurons['total']:,}, {drift['share_identical']:.2%} bit-identical")
    for kind, spread in summary["spread"].items():
        table.add_row(f"1 - cos, {kind}", f"median {spread['median']:.3g} [{spread['low']:.3g}, {spread['high']:.3g}]")
    table.add_row("rounding floor", f"{drift['rounding_floor']:.2g}, from the storage dtypes")
    if summary.get("bytes_received") is not None:
        table.add_row("over the network", f"{summary['bytes_received']:,} bytes")
    if drift["matched_null"]:
        null = drift["matched_null"]
        band = f"same layers {null['mean']:.3f} [{null['low']:.3f}, {null['high']:.3f}]"
        table.add_row("listed neurons", f"{neurons['h']} ({neurons['per_mille']:.2f} ‰)")
        table.add_row("stability rank", f"{drift['mean_stability_rank']:.3f}; {band}")
        table.add_row("p", f"{drift['p_permutation']:.3g} (permutation), {_number(drift['p_t'])} (t-test)")
        table.add_row("verdict", f"{drift['verdict']}: {escape(drift['reason'])}")
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _mapping(mapping: Mapping[str, Any]) -> Table:
    table = Table("", "", title="Mapping of the listed neurons to the base", title_justify="left")
    table.add_row("method", f"{mapping['method']}{', by position only' if mapping['reason'] else ''}")
    if mapping["reason"]:
        table.add_row("why", escape(mapping["reason"]))
    table.add_row("mapped", f"{mapping['mapped']}; {len(mapping['unmapped'])} without a counterpart")
    if mapping["unmapped"]:
        shown = ", ".join(f"({layer}, {index})" for layer, index in mapping["unmapped"][:UNMAPPED_SHOWN])
        table.add_row("without one", shown + (" …" if len(mapping["unmapped"]) > UNMAPPED_SHOWN else ""))
    for key in ("lowest_similarity", "lowest_margin"):
        if mapping[key] is not None:
            table.add_row(key.replace("_", " "), f"{mapping[key]:.4f}")
    return table


def _files(summary: Mapping[str, Any], console: Console) -> None:
    for note in summary["notes"]:
        console.print(f"note: {note}", highlight=False, markup=False)
    if summary.get("source"):
        say(f"neuron list: {summary['source']}", console)
    print_files(summary, console)
