"""What a person sees while work goes on, and the table at the end.

The one idea: progress goes to stderr (a live bar on a terminal, plain lines otherwise), and
results go to stdout, so that `--json` and pipes stay clean.
"""

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from provenance.console_evidence import print_evidence
from provenance.probe_words import GIVEN, baseline_words, rule_words

LINE_EVERY_S = 10.0  # plain progress lines of one step are at least this far apart


class ConsoleProgress:
    """Progress of a long job on stderr.

    Args:
        quiet: Show nothing.
        console: Where to; stderr when not given.
    """

    def __init__(self, *, quiet: bool, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, quiet=quiet)
        self._live = (
            Progress(
                TextColumn("{task.description:<42}"), BarColumn(bar_width=24), MofNCompleteColumn(),
                TimeElapsedColumn(), TextColumn("{task.fields[note]}"), console=self._console,
            )
            if self._console.is_terminal and not quiet
            else None
        )  # fmt: skip
        self._rows: dict[str, Any] = {}
        self._spoken_at: dict[str, float] = {}

    def __enter__(self) -> "ConsoleProgress":  # noqa: PYI034 - the shape checker of the tests cannot read Self
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live:
            self._live.stop()

    def stage(self, name: str) -> None:
        """A new stage begins."""
        if not self._live:
            self._console.print(f"{name} ...", highlight=False, markup=False)

    def step(self, name: str, done: int, total: int, note: str) -> None:
        """Part of a stage is done."""
        if self._live:
            if name not in self._rows:
                self._rows[name] = self._live.add_task(name, total=total, note=note)
            self._live.update(self._rows[name], completed=done, total=total, note=note)
            return
        now = time.monotonic()
        if done >= total or now - self._spoken_at.get(name, 0.0) >= LINE_EVERY_S:
            self._spoken_at[name] = now
            words = f"  {name}: {done} of {total}" + (f" ({note})" if note else "")
            self._console.print(words, highlight=False, markup=False)


def print_summary(summary: Mapping[str, Any], console: Console) -> None:
    """The result of a comparison as tables that can be read."""
    verdict = summary["verdict"]
    if summary["control"]:
        name = summary["control"] + (f", {summary['other']} in the base's place" if summary.get("other") else "")
        said = f"Negative control ({name}): there is nothing to find, and no verdict may be `supported`."
        console.print(f"\n{said}", style="bold", highlight=False, markup=False)
    say_quick(summary, console)
    console.print(f"\n{verdict['overall']}\n", style="bold", highlight=False, markup=False)
    console.print(_facts(summary))
    console.print(_transfer_table(summary))
    print_evidence(summary, console)
    console.print(_funnel_table(summary))
    print_files(summary, console)


def print_files(summary: Mapping[str, Any], console: Console) -> None:
    """Where the results are, as far as they were written."""
    for key in ("database", "report"):
        if summary.get(key):
            say(f"{key}: {summary[key]}", console)
    if summary.get("figures"):
        say(f"figures: {', '.join(summary['figures'])}", console)


def say_quick(summary: Mapping[str, Any], console: Console) -> None:
    """That a run was only a first look, where it was."""
    if summary.get("quick"):
        words = "A quick look: few control sets, shuffles and half-samples. Leave --quick out for numbers to report."
        console.print(f"\n{words}", style="bold", highlight=False, markup=False)


def say(words: str, console: Console) -> None:
    """A line as it is, however long, so that it can be copied."""
    console.print(words, highlight=False, markup=False, soft_wrap=True)


def _facts(summary: Mapping[str, Any]) -> Table:
    table = Table(
        "",
        "",
        Column("verdict", no_wrap=True),
        title=escape(f"{summary['base']['ref']} → {summary['instruct']['ref']}"),
        title_justify="left",
    )
    neurons, found, drift, shared = (summary[key] for key in ("neurons", "identification", "drift", "overlap"))
    table.add_row("lineage", f"self-match {summary['lineage']['self_match']:.1%}", summary["lineage"]["verdict"])
    table.add_row("H-Neurons", f"{neurons['h']} of {neurons['total']} ({neurons['per_mille']:.2f} ‰)", "")
    for name, words in probe_facts(found):
        table.add_row(name, escape(words), "")
    null = drift["matched_null"]
    band = f"; same layers {null['mean']:.3f} [{null['low']:.3f}, {null['high']:.3f}]" if null else ""
    table.add_row("stability rank", f"{_n(drift['mean_stability_rank'])}{band}", summary["verdict"]["drift"])
    table.add_row("", f"p (permutation) {_n(drift['p_permutation'])}, p (t-test) {_n(drift['p_t'])}", "")
    if drift["k"]:
        found = f"found from a mean rank of {_n(drift['smallest_detectable'])} (80 % power, k = {drift['k']})"
        table.add_row("", f"{found}; SD of {drift['k']} ranks {_n(drift['uniform_sd'])}", "")
    words = f"{shared['shared']} of {shared['k_base']} (base) and {shared['k_instruct']} (instruct)"
    table.add_row("overlap", words, summary["verdict"]["overlap"])
    table.add_row("", f"Jaccard {_n(shared['jaccard'])}", "")
    ceilings = ", ".join(f"{_n(shared[f'ceiling_{side}'])} ({side})" for side in ("base", "instruct"))
    table.add_row("", f"two halves of one model: {ceilings}", "")
    return table


def probe_facts(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What to know of a probe, by name: how it was chosen, held-out numbers, the highest baseline, stability.

    Args:
        found: `identification` of the summary.
    """
    rows = [
        ("probe", _chosen(found)),
        ("probe, held out", f"accuracy {_e(found['accuracy'])}"),
        ("", f"random neurons’ accuracy {_e(found['random_accuracy'])}"),
        ("", f"AUROC {_e(found['auroc'])}"),
    ]
    best = highest_baseline(found)
    if best is not None:
        kind, baseline = best
        rows.append(("top baseline", f"{baseline_words(kind)}: AUROC {_e(baseline['auroc'])}"))
        rows.append(("", f"the probe’s AUROC minus that {_e(baseline['gain'])}"))
    half = found["stability"]
    if half is not None:
        used = f"({half['stable_h']} in the probe)"
        rows.append(("stability", f"{len(half['stable'])} of {half['selected']} selected neurons are stable {used},"))
        rows.append(("", f"selected in {half['threshold']:.0%} or more of {half['half_samples']} half-samples"))
        rows.append(("", f"two halves of the questions: Jaccard {_n(half['split_half_jaccard'])}"))
    return rows


def _chosen(found: Mapping[str, Any]) -> str:
    """How C was chosen, where neurons are from, or why there is no probe."""
    words = rule_words(found["rule"], found["source"])
    if found["rule"] == GIVEN:
        return f"{words}; {found['reason']}" if found["reason"] else words
    return f"none: {found['reason']}" if found["reason"] else f"C = {found['C']:.3g}: {words}"


def highest_baseline(found: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The baseline of highest AUROC on the first question set, with its kind; None where there is none."""
    first = found["held_out"][0]["baselines"] if found["held_out"] else {}
    scored = [(kind, row) for kind, row in first.items() if row["auroc"] is not None]
    return max(scored, key=lambda pair: float(pair[1]["auroc"]["estimate"]), default=None)


def _transfer_table(summary: Mapping[str, Any]) -> Table:
    table = Table(
        "questions", "faithful", "halluc.", "AUROC on the base", "random p95", "layer-matched p95",
        Column("verdict", no_wrap=True),
        title="Transfer: the instruct probe on the base model's own answers", title_justify="left",
    )  # fmt: skip
    for row in summary["transfer"]:
        baselines = row["baselines"]
        bars = [_n(baselines[kind]["p95"]) if kind in baselines else "–" for kind in ("random", "layer_matched")]
        table.add_row(
            escape(row["dataset"]),
            str(row["n_faithful"]),
            str(row["n_hallucinated"]),
            _e(row["auroc"]),
            *bars,
            row["verdict"],
        )
    return table


def _funnel_table(summary: Mapping[str, Any]) -> Table:
    table = Table(
        "",
        "asked",
        "answered",
        "consistent",
        "captured",
        title="Funnel (faithful + hallucinated)",
        title_justify="left",
    )
    for name, row in summary["funnel"].items():
        pairs = [f"{row[key]['faithful']} + {row[key]['hallucinated']}" for key in ("consistent", "captured")]
        table.add_row(escape(name), str(row["asked"]), str(row["answered"]), *pairs)
    return table


def _n(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if abs(value) < 0.1 else f"{value:.3f}"


def _e(estimate: Mapping[str, float] | None) -> str:
    if estimate is None:
        return "–"
    return f"{estimate['estimate']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"
