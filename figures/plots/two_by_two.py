"""The 2 x 2 figure: AUROC by activations, answers and prompt, and agreement with either model's labels.

Base and instruct checkpoint answer differently and get different prompts, so the probe reads every combination;
differences along a row are due to the answers, differences down a column to the neurons or the prompt. Each cell names
its neurons, answers and prompt.
"""

import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from provenance.analyses.results.transfer import TransferCell
from provenance.cells import Record, fixed, interval
from provenance.figures.drawing import style
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.latex import Table
from provenance.figures.tables.result_tables import latex_table
from provenance.figures.wording.evidence_words import pair_words, probe_k
from provenance.figures.wording.run_words import Parts, captioned, list_words, source
from provenance.records import MARKS
from provenance.words import beats_sets

ROW_IN = 0.42  # of the matrix: three lines of text
HEAD_IN = 0.3
SET_IN = 0.4
FRAME_IN = 0.45
MAX_SETS = 6
REASON_CHARACTERS = 30
NARROW_CHARACTERS = 20  # as wide as the panel of kappa
NAME_CHARACTERS = 14  # as wide as the names of the matrix
STAGES = ("base", "instruct")
_ROWS = (("base", "base"), ("instruct", "instruct"), ("instruct", "base"), ("base", "instruct"))  # activations, prompt
_KAPPA = "kappa: "  # prefix of a reason about kappa
_KINDS = (
    ("auroc_agree", "labels agree", style.BLUE, "o", -0.13),
    ("auroc_disagree", "labels differ", style.ORANGE, "^", 0.13),
)


def figure_two_by_two(cells: Sequence[Record], agreement: Sequence[Record]) -> Figure:
    """Draw the matrix of AUROCs in words, and below it agreement by question set.

    Args:
        cells: Rows of the query `cells`; those of its first question set are drawn.
        agreement: Rows of the query `agreement`.
    """
    rows = matrix_rows(cells)
    shown = list(agreement[:MAX_SETS])
    heights = [HEAD_IN + ROW_IN * len(rows) if rows else 0, FRAME_IN + SET_IN * len(shown) if shown else 0]
    signs = [*_signs(in_domain(cells) if rows else []), *_legend(shown)]
    with style.paper():
        height = sum(heights) + style.LEGEND_LINE_IN * len(signs) + 0.05
        figure = Figure(figsize=(style.column_in(), height), layout="constrained")
        grid = figure.add_gridspec(
            2,
            2,
            height_ratios=[max(height, 1e-3) for height in heights],
            width_ratios=(1, 1.4),
            hspace=0.06,
            wspace=0.06,
        )
        if rows:
            _draw_matrix(figure.add_subplot(grid[0, :]), cells, rows)
        if shown:
            left = figure.add_subplot(grid[1, 0])
            _draw_agreement(left, figure.add_subplot(grid[1, 1], sharey=left), shown)
        if signs:
            figure.legend(handles=signs, loc="outside lower left", borderaxespad=0.1, labelspacing=0.25)
    return figure


def matrix_rows(cells: Sequence[Record]) -> list[tuple[str, str]]:
    """Activations and prompt of each row, own prompts first."""
    found = {(row["activations"], row["prompt"]) for row in in_domain(cells)}
    return [row for row in _ROWS if row in found]


def in_domain(cells: Sequence[Record]) -> list[Record]:
    """Cells of the first question set, on which the probe was found."""
    return [row for row in cells if row["dataset"] == cells[0]["dataset"]]


def _draw_matrix(axes: Axes, cells: Sequence[Record], rows: Sequence[tuple[str, str]]) -> None:
    found = {(row["activations"], row["prompt"], row["answers"]): row for row in in_domain(cells)}
    axes.set_xlim(0, len(STAGES))
    axes.set_ylim(len(rows), -0.02)
    for line, (activations, prompt) in enumerate(rows):
        for column, answers in enumerate(STAGES):
            row = found.get((activations, prompt, answers))
            name = f"{activations}:{prompt}:{answers}"
            _draw_cell(axes, (line, column), name, row, own=(activations == prompt == answers))
    names = [
        f"{activations} neurons,\n{'own' if activations == prompt else prompt} prompt" for activations, prompt in rows
    ]
    axes.set_yticks([line + 0.5 for line in range(len(rows))], names, fontsize=style.SMALL_PT, linespacing=1.0)
    axes.set_xticks([0.5, 1.5], [f"{stage} model’s answers" for stage in STAGES], fontsize=style.SMALL_PT)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_cell(axes: Axes, place: tuple[int, int], name: str, row: Record | None, *, own: bool) -> None:
    line, column = place
    box = Rectangle(
        (column + 0.015, line + 0.03), 0.97, 0.94, facecolor=style.PALE_GREY if own else "white",
        edgecolor=style.GREY, linewidth=0.6,
    )  # fmt: skip
    axes.add_patch(box)
    middle: dict[str, Any] = {"ha": "center", "va": "center", "linespacing": 1.0}
    if row is None or row["auroc"] is None:
        reason = "not measured" if row is None else row["reason"] or "no power"
        words = textwrap.fill(reason, REASON_CHARACTERS, max_lines=3, placeholder="…")
        axes.text(
            column + 0.5, line + 0.5, words, fontsize=style.TINY_PT, style="italic", color=style.GREY,
            gid=f"reason:{name}", parse_math=False, **middle,
        )  # fmt: skip
        return
    mark = MARKS["supported" if beats_sets(row) else "not distinguishable"]
    band = "" if row["auroc_low"] is None else f" [{fixed(row['auroc_low'])}, {fixed(row['auroc_high'])}]"
    axes.text(column + 0.5, line + 0.34, f"{mark} {fixed(row['auroc'])}{band}", gid=f"cell:{name}", **middle)
    bars = [f"{kind} {fixed(row[column])}" for kind, column in _BARS.items() if row[column] is not None]
    under = [f"n = {row['n_faithful']} + {row['n_hallucinated']}", *([", ".join(bars)] if bars else [])]
    axes.text(
        column + 0.5, line + 0.7, "\n".join(under), fontsize=style.TINY_PT, color=style.GREY, gid=f"n:{name}", **middle
    )


_BARS = {"random": "random_p95", "matched": "layer_matched_p95"}


def _draw_agreement(left: Axes, right: Axes, rows: Sequence[Record]) -> None:
    left.axvline(0.0, color=style.INK, linewidth=0.7, linestyle=style.DASHED, zorder=1, gid="kappa 0")
    right.axvline(0.5, color=style.INK, linewidth=0.7, linestyle=style.DASHED, zorder=1, gid="chance")
    for position, row in enumerate(rows):
        _name(left, position, row)
        _estimate(left, position, row, "kappa", style.INK, "s")
        for column, _, colour, marker, offset in _KINDS:
            _estimate(right, position + offset, row, column, colour, marker)
        if row["kappa"] is None:
            _say_why(left, position, row, NARROW_CHARACTERS, kappa=True)
        if row["auroc_agree"] is None and row["auroc_disagree"] is None:
            _say_why(right, position, row, REASON_CHARACTERS, kappa=False)
    lows = [row["kappa_low"] for row in rows if row["kappa_low"] is not None]
    left.set_xlim(min([-0.1, *(low - 0.03 for low in lows)]), 1.02)
    right.set_xlim(-0.02, 1.02)
    left.set_ylim(len(rows) - 0.5, -0.5)
    for axes, label in ((left, "kappa of labels"), (right, "AUROC on base’s answers")):
        axes.tick_params(axis="y", length=0, labelleft=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(label, fontsize=style.SMALL_PT, labelpad=2)
        axes.set_xticks([0, 0.5, 1])


def _say_why(axes: Axes, position: int, row: Record, width: int, *, kappa: bool) -> None:
    """Write the first applicable reason for a missing number; the table has all reasons."""
    parts = [part for part in row["reason"].split("; ") if part.startswith(_KAPPA) == kappa]
    words = textwrap.fill((parts[0] if parts else "no power").removeprefix(_KAPPA), width, max_lines=3, placeholder="…")
    axes.text(
        0.5, position, words, transform=axes.get_yaxis_transform(), fontsize=style.TINY_PT, style="italic",
        color=style.GREY, ha="center", va="center", linespacing=1.0, parse_math=False,
        gid=f"{'kappa reason' if kappa else 'reason'}:{row['dataset']}",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )  # fmt: skip


def _name(axes: Axes, position: int, row: Record) -> None:
    margin = axes.get_yaxis_transform()
    axes.text(
        -0.04, position + 0.02, "\n".join(style.wrapped(row["dataset"], NAME_CHARACTERS)), transform=margin, ha="right",
        va="bottom", fontsize=style.SMALL_PT, linespacing=0.95, parse_math=False, gid=f"name:{row['dataset']}",
    )  # fmt: skip
    axes.text(
        -0.04, position + 0.06, f"{row['n_agree']} of {row['n_common']} agree", transform=margin, ha="right", va="top",
        fontsize=style.TINY_PT, color=style.GREY, gid=f"n:{row['dataset']}",
    )  # fmt: skip


def _estimate(axes: Axes, position: float, row: Record, column: str, colour: str, marker: str) -> None:
    if row[column] is None:
        return
    if row[f"{column}_low"] is not None:
        axes.plot(
            [row[f"{column}_low"], row[f"{column}_high"]], [position] * 2, color=colour, linewidth=1.1,
            solid_capstyle="butt", zorder=3, gid=f"{column} interval:{row['dataset']}",
        )  # fmt: skip
    axes.plot(
        row[column], position, marker, color=colour, markersize=3.6, zorder=4, gid=f"{column}:{row['dataset']}",
        clip_on=False,
    )  # fmt: skip


def _signs(cells: Sequence[Record]) -> list[Line2D]:
    """Legend of the signs beside AUROCs that occur."""
    known = [beats_sets(row) for row in cells if row["auroc"] is not None]
    words = {True: "the interval is above 0.5 and both kinds of neuron sets", False: "it is not above all of these"}
    return [
        Line2D(
            [], [], color=style.INK, marker="o", markersize=4.2, markeredgewidth=0.7, linestyle="",
            markerfacecolor=style.INK if beats else "white", label=text,
        )
        for beats, text in words.items()
        if beats in known
    ]  # fmt: skip


def _legend(rows: Sequence[Record]) -> list[Line2D]:
    return [
        Line2D(
            [], [], color=colour, marker=marker, markersize=3.6, linewidth=1.1,
            label=f"questions on which the two models’ {words}, 95 % interval",
        )
        for column, words, colour, marker, _ in _KINDS
        if any(row[column] is not None for row in rows)
    ]  # fmt: skip


def has_cells(parts: Parts) -> bool:
    """Whether the run has cells or agreement."""
    return bool(parts["cells"].rows or parts["agreement"].rows)


def caption_two_by_two(parts: Parts) -> list[str]:
    """Caption of the 2 x 2 figure: a description, then the numbers."""
    base, instruct = pair_words(parts)
    cells, agreement = parts["cells"].records(), parts["agreement"].records()
    lede = captioned(
        f"Whose neurons, answers, prompt and labels: the probe of {instruct} (k = {probe_k(parts)} H-Neurons, weights "
        f"unchanged) on it and on {base}.",
        list_words(parts),
        *_matrix_words(cells),
        *(_BELOW if agreement else ()),
    )
    more = len(agreement) - MAX_SETS
    words = [
        *lede,
        *(_cell_words(row) for row in (in_domain(cells) if cells else [])),
        *(_agreement_words(row) for row in agreement),
        f"{more} question sets have no line." if more > 0 else "",
        f"Drawn from {source(parts)}.",
    ]
    return [line for line in words if line]


_BELOW = (
    "Below: AUROC on the base’s own answers where both models’ labels agree and where they differ.",
    (
        "Above 0.5 where they differ the probe follows the base’s labels, below it the instruct model’s. Kappa: "
        "Cohen’s, of both models’ labels on the questions that both answered."
    ),
)


def _matrix_words(cells: list[Record]) -> Sequence[str]:
    if not cells:
        return ()
    return (
        (
            f"Top: AUROC on held-out answers to {in_domain(cells)[0]['dataset']}, 95 % interval by question; "
            f"{MARKS['supported']}: above 0.5 and both nulls."
        ),
        (
            f"{MARKS['not distinguishable']}: it is not. Under it: n faithful + hallucinated answers, labelled by the "
            "answering model, and the nulls: 95th percentile of refitted random and layer-matched neuron sets on the "
            "same rows. Grey: own answers in the own prompt."
        ),
    )


def _cell_words(row: Record) -> str:
    who = f"{row['activations']} neurons, {row['answers']} answers, {row['prompt']} prompt"
    lost = f"; could not be placed in that prompt: {row['n_dropped']}" if row["n_dropped"] else ""
    if row["auroc"] is None:
        return f"{who}: {row['reason'] or 'no power'}{lost}."
    n = f"n = {row['n_faithful']} faithful + {row['n_hallucinated']} hallucinated"
    bars = [
        f"{name} {fixed(row[f'{column}_p95'])}"
        for name, column in (("random", "random"), ("layer-matched", "layer_matched"))
        if row[f"{column}_p95"] is not None
    ]
    null = f", 95th percentile of neuron sets: {', '.join(bars)}" if bars else ""
    return f"{who}: {interval(row, 'auroc')}, {n}{null}{lost}."


def _agreement_words(row: Record) -> str:
    words = [
        f"{row['dataset']}: labels agree on {row['n_agree']} of {row['n_common']} questions",
        f"kappa {interval(row, 'kappa')}",
        f"AUROC where they agree {interval(row, 'auroc_agree')}",
        f"where they differ {interval(row, 'auroc_disagree')}",
        *([row["reason"]] if row["reason"] else []),
    ]
    return "; ".join(words) + "."


def table_two_by_two(parts: Parts) -> Table:
    """The cells as a table."""
    base, instruct = pair_words(parts)
    caption = (
        f"The probe of {instruct} (k = {probe_k(parts)}, weights unchanged) on its own neurons and on those of {base}, "
        "by whose answers they read and in whose prompt: AUROC with its 95 % interval by question, and the 95th "
        "percentile of refitted neuron sets."
    )
    return latex_table(TransferCell, parts["cells"].records(), caption)


FIGURE = GalleryFigure(
    order=4,
    name="figure_two_by_two",
    title="Whose neurons, whose answers, whose prompt?",
    data={"cells": ("cells", {}), "agreement": ("agreement", {})},
    ready=has_cells,
    context=("run", "probes", "cells", "agreement", "drift", "neuron-list"),
    draw=lambda parts: figure_two_by_two(parts["cells"].records(), parts["agreement"].records()),
    caption=caption_two_by_two,
    table=table_two_by_two,
)
