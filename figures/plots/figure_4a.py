"""Figure 4a: AUROC of the instruct checkpoint's probe on the base model.

Each AUROC is shown above the range that random and layer-matched neurons reach under the same treatment, since 0.5
alone is no fair comparison.

Source: Gao et al. 2025, arXiv:2512.01797, Fig. 4a; the nulls are added here.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from provenance.cells import Record, fixed, interval, p_cell
from provenance.figures.drawing import style
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.latex import Table
from provenance.figures.wording.evidence_words import power_rows, power_sentence
from provenance.figures.wording.run_words import (
    Parts,
    captioned,
    first,
    has_power,
    list_words,
    null_words,
    power_words,
    source,
    verdict_words,
)
from provenance.words import TRANSFER_NULLS, baseline_words

ROW_IN = 0.5
FRAME_IN = 0.42  # axis label and ticks
_BAND_HEIGHT = 0.12
_BANDS = {
    "random": (0.15, "white", "///////"),
    "matched": (0.30, style.LIGHT_GREY, ""),
    "shuffled": (0.45, "white", "|||||||"),
}
"""Place, colour and hatching of each null, by its prefix in `TRANSFER_NULLS`."""
_MARKS = {
    "supported": ("readable in the base model", style.BLUE),
    "not distinguishable": ("not distinguishable", "white"),
}


def figure_4a(rows: Sequence[Record]) -> Figure:
    """Draw one row of the query `transfer` per question set, the first at the top."""
    legend = _legend(rows)
    height_in = FRAME_IN + ROW_IN * len(rows) + style.LEGEND_LINE_IN * len(legend) + 0.08
    with style.paper():
        figure = Figure(figsize=(style.column_in(), height_in), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0.5, color=style.INK, linewidth=0.7, linestyle=style.DASHED, zorder=1, gid="chance")
        for position, row in enumerate(rows):
            _draw_row(axes, position, row)
        _frame(axes, rows)
        figure.legend(
            handles=legend, loc="outside lower left", ncols=1, borderaxespad=0.1, handlelength=1.8, labelspacing=0.25
        )
    return figure


def _draw_row(axes: Axes, position: int, row: Record) -> None:
    name = row["dataset"]
    _name(axes, position, row)
    if not has_power(row):
        axes.text(
            0.5, position, power_words(row), transform=axes.get_yaxis_transform(), fontsize=style.SMALL_PT,
            style="italic", color=style.GREY, ha="center", va="center", gid=f"no power:{name}",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
        return
    for kind in _BANDS:
        _draw_null(axes, position, row, kind)
    face = _MARKS[row["verdict"]][1]
    if row["auroc_low"] is not None:
        axes.plot(
            [row["auroc_low"], row["auroc_high"]], [position - 0.1] * 2, color=style.BLUE, linewidth=1.3,
            solid_capstyle="butt", zorder=3, gid=f"interval:{name}",
        )  # fmt: skip
        axes.plot(
            [row["given_probe_low"], row["given_probe_high"]], [position - 0.1] * 2, "|", color=style.BLUE,
            markersize=4.6, markeredgewidth=0.9, zorder=3, gid=f"given probe:{name}",
        )  # fmt: skip
    axes.plot(
        row["auroc"], position - 0.1, "o", markersize=4.6, markerfacecolor=face, markeredgecolor=style.BLUE,
        markeredgewidth=1.1, zorder=4, gid=f"auroc:{name}",
    )  # fmt: skip
    axes.annotate(
        fixed(row["auroc"]), (row["auroc"], position - 0.1), xytext=(0, 4), textcoords="offset points",
        ha="center", va="bottom", fontsize=style.SMALL_PT, color=style.BLUE, annotation_clip=False,
        path_effects=[withStroke(linewidth=1.6, foreground="white")],
    )  # fmt: skip


def _name(axes: Axes, position: int, row: Record) -> None:
    """Write the question set's name, wrapped and shortened, above the numbers of responses."""
    lines = style.wrapped(row["dataset"])
    counts = f"{row['n_faithful']} faithful, {row['n_hallucinated']} hallucinated"
    margin = axes.get_yaxis_transform()
    axes.text(
        -0.03, position + 0.05, "\n".join(lines), transform=margin, ha="right", va="bottom", linespacing=1.0,
        parse_math=False, gid=f"name:{row['dataset']}",
    )  # fmt: skip
    axes.text(
        -0.03, position + 0.12, counts, transform=margin, ha="right", va="top", fontsize=style.TINY_PT,
        color=style.GREY, gid=f"n:{row['dataset']}",
    )  # fmt: skip


def _draw_null(axes: Axes, position: int, row: Record, kind: str) -> None:
    low, high, mean = (row[f"{kind}_{part}"] for part in ("low", "high", "mean"))
    if low is None:
        return
    offset, face, hatch = _BANDS[kind]
    bottom = position + offset - _BAND_HEIGHT / 2
    band = Rectangle(
        (low, bottom), high - low, _BAND_HEIGHT, facecolor=face, edgecolor=style.GREY, hatch=hatch,
        linewidth=0.5, zorder=2, gid=f"{kind}:{row['dataset']}",
    )  # fmt: skip
    axes.add_patch(band)
    axes.plot(
        [mean, mean],
        [bottom, bottom + _BAND_HEIGHT],
        color=style.INK,
        linewidth=1.2,
        zorder=3,
        gid=f"{kind} mean:{row['dataset']}",
    )


def _frame(axes: Axes, rows: Sequence[Record]) -> None:
    drawn = [row for row in rows if has_power(row)]  # rows without power must not stretch the axis
    lows = [low for row in drawn for kind in ("auroc", *_BANDS) if (low := row[f"{kind}_low"]) is not None]
    axes.set_xlim(max(0.0, min([0.4, *(low - 0.03 for low in lows)])), 1.02)
    axes.set_ylim(len(rows) - 0.42, -0.62)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("AUROC on the base’s own answers")


def _legend(rows: Sequence[Record]) -> list[Line2D | Patch]:
    shown = [row for row in rows if has_power(row)]
    handles: list[Line2D | Patch] = [
        Line2D(
            [], [], color=style.BLUE, marker="o", markersize=4.6, markerfacecolor=face, linewidth=1.3,
            label=f"H-Neurons, 95 % interval: {words}",
        )
        for verdict, (words, face) in _MARKS.items()
        if any(row["verdict"] == verdict for row in shown)
    ]  # fmt: skip
    handles += [
        Patch(
            facecolor=face,
            edgecolor=style.GREY,
            hatch=hatch,
            linewidth=0.5,
            label=f"{baseline_words(TRANSFER_NULLS[kind])}: mean, 95 % of draws",
        )
        for kind, (_, face, hatch) in _BANDS.items()
        if any(row[f"{kind}_low"] is not None for row in shown)
    ]
    return [*handles, Line2D([], [], color=style.INK, linewidth=0.7, linestyle=style.DASHED, label="chance (0.5)")]


def caption_4a(parts: Parts) -> list[str]:
    """Caption of Figure 4a: what is drawn, then the numbers."""
    run, rows = first(parts["run"]), parts["transfer"].records()
    probe = next((row for row in parts["probes"].records() if row["stage"] == "instruct"), None)
    k, weights = (probe["n_h_neurons"], probe["n_neurons"]) if probe else (0, 0)
    return [
        *captioned(
            f"Backward transfer from {run['instruct']} to {run['base']}: AUROC of the instruct probe ({weights} "
            f"weights, unchanged; k = {k} H-Neurons) on the base’s own answers, with 95 % interval.",
            list_words(parts),
            "Filled: it beats chance, all nulls, answer length and texts after Holm’s correction.",
            f"Bands: middle 95 % of refits on {weights} random (hatched) and layer-matched neurons (grey), and of "
            "searches with shuffled labels (bars).",
            "Intervals are over test questions and training sets, ticks over questions alone; bands have their mean.",
        ),
        *(_transfer_words(row, parts) for row in rows),
        f"Drawn from {source(parts)}.",
    ]


def _transfer_words(row: Record, parts: Parts) -> str:
    if not has_power(row):
        return f"{row['dataset']}: {power_words(row)}."
    n = f"n = {row['n_faithful']} faithful + {row['n_hallucinated']} hallucinated"
    words = [f"{row['dataset']}: {interval(row, 'auroc')}, {n}"]
    words += [
        f"{baseline_words(kind)} {null_words(row, prefix)} over {row[f'{prefix}_draws']} draws"
        for prefix, kind in TRANSFER_NULLS.items()
        if row[f"{prefix}_mean"] is not None
    ]
    if row["p_holm"] is not None:
        words.append(f"largest p {p_cell(row['p_value'])}, after Holm’s correction {p_cell(row['p_holm'])}")
    said = "; ".join([*words, verdict_words("transfer", row["verdict"])]) + "."
    return f"{said} {power_sentence(power_rows(parts['power'], 'transfer', row['dataset']))}".rstrip()


def table_4a(parts: Parts) -> Table:
    """Figure 4a as a table."""
    run = first(parts["run"])
    caption = (
        f"Backward transfer from {run['instruct']} to {run['base']}: AUROC with its 95 % interval over test "
        "questions and training sets, and the same for refits on random and layer-matched neurons, and for the same "
        "search with shuffled labels (mean and middle 95 % of draws)."
    )
    header = ("question set", "AUROC", "random", "layer-matched", "shuffled labels", "faithful", "halluc.", "verdict")
    rows = [
        (
            row["dataset"],
            interval(row, "auroc"),
            *(null_words(row, prefix) for prefix in TRANSFER_NULLS),
            str(row["n_faithful"]),
            str(row["n_hallucinated"]),
            row["verdict"],
        )
        for row in parts["transfer"].records()
    ]
    return Table(caption, header, rows)


FIGURE = GalleryFigure(
    order=1,
    name="figure_4a",
    title="Does the probe read the base model?",
    data={"transfer": ("transfer", {})},
    ready=lambda parts: bool(parts["transfer"].rows),
    context=("run", "probes", "transfer", "drift", "neuron-list", "power"),
    draw=lambda parts: figure_4a(parts["transfer"].records()),
    caption=caption_4a,
    table=table_4a,
)
