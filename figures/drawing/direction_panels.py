"""Panels of directions in the residual stream by layer: AUROC on the other model's answers and on the model's own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from provenance.cells import Record
from provenance.figures.drawing import style
from provenance.words import DIRECTIONS

PANEL_IN = 1.0
PROBE_OF: Mapping[str, str] = {"instruct": "raw", "base": "forward"}
"""Row of the query `scales` with the probe of a model on the other one's answers."""
_MARKERS: Mapping[str, str] = dict(zip(DIRECTIONS, ("o", "s"), strict=True))
_SHORT: Mapping[str, str] = dict(zip(DIRECTIONS, ("difference of means", "logistic regression"), strict=True))
_CHOSEN = 4.6  # size of the chosen layer's marker
_OTHERS = 2.6


@dataclass(frozen=True)
class Panel:
    """Directions of one model on one question set."""

    fitted_on: str
    """Stage of that model."""
    rows: Sequence[Record]
    """Rows of the query `directions-by-layer`."""
    probe: float | None
    """AUROC of its probe on the other model's answers; None if unknown."""

    @property
    def lines(self) -> Iterator[tuple[str, bool, list[Record]]]:
        """By kind, and whether the answers are the model's own, the rows layer by layer."""
        for kind in DIRECTIONS:
            for own in (True, False):
                rows = [row for row in self.rows if row["kind"] == kind and self._is_own(row) == own]
                if rows:
                    yield kind, own, sorted(rows, key=lambda row: int(row["layer"]))

    def carried(self) -> Iterator[Record]:
        """The chosen layer of each kind, on the other model's answers."""
        for _, own, rows in self.lines:
            if not own:
                yield rows[chosen(rows)]

    def _is_own(self, row: Record) -> bool:
        return bool(row["answers"] == self.fitted_on)


def panels_of(directions: Sequence[Record], scales: Sequence[Record]) -> list[Panel]:
    """One panel for each model that directions were fitted on, on the first question set that has any.

    Args:
        directions: Rows of the query `directions-by-layer`.
        scales: Rows of the query `scales`.
    """
    name = next((row["dataset"] for row in directions), None)
    found: list[Panel] = []
    for stage, kind in PROBE_OF.items():
        rows = [row for row in directions if row["dataset"] == name and row["fitted_on"] == stage]
        probe = next((row["auroc"] for row in scales if row["dataset"] == name and row["kind"] == kind), None)
        found += [Panel(stage, rows, probe)] if rows else []
    return found


def chosen(rows: Sequence[Record]) -> int:
    """Place of the layer that cross-validation on training answers chose, the first among equals."""
    return max(range(len(rows)), key=lambda place: (rows[place]["left_out"], -place))


def draw_directions(axes: Axes, panel: Panel) -> None:
    """Draw AUROC by layer: filled where carried over, hollow on the model's own answers, chosen layers larger."""
    stage = panel.fitted_on
    axes.axhline(0.5, color=style.INK, linewidth=0.7, linestyle=style.DASHED, zorder=1, gid=f"chance:{stage}")
    if panel.probe is not None:
        axes.axhline(panel.probe, color=style.ORANGE, linewidth=0.9, zorder=1, gid=f"probe:{stage}")
    for kind, own, rows in panel.lines:
        gid = f"{stage}:{kind}:{'own' if own else 'carried'}"
        layers, areas = [row["layer"] for row in rows], [row["auroc"] for row in rows]
        look = _look(kind, own=own)
        axes.plot(layers, areas, markersize=_OTHERS, zorder=3 - own, gid=gid, **look)
        best = chosen(rows)
        axes.plot(layers[best], areas[best], markersize=_CHOSEN, zorder=4 - own, gid=f"chosen:{gid}", **look)
        if not own:
            low, high = ([row[f"auroc_{end}"] for row in rows] for end in ("low", "high"))
            axes.vlines(layers, low, high, color=style.BLUE, linewidth=0.6, alpha=0.6, zorder=2, gid=f"interval:{gid}")
    axes.set_ylabel("AUROC")
    axes.tick_params(axis="y", labelsize=style.SMALL_PT)
    axes.locator_params(axis="y", nbins=4)
    axes.set_title(f"directions fitted on the {_model(stage)}", loc="left", fontsize=style.SMALL_PT, pad=2.5)


def legend_of_directions(panels: Sequence[Panel]) -> list[Line2D]:
    """What the lines of the panels are."""
    handles = [Line2D([], [], label=_SHORT[kind], markersize=_OTHERS, **_look(kind, own=False)) for kind in DIRECTIONS]
    handles.append(Line2D([], [], label="on its own answers", markersize=_OTHERS, **_look(DIRECTIONS[0], own=True)))
    if any(panel.probe is not None for panel in panels):
        handles.append(Line2D([], [], color=style.ORANGE, linewidth=0.9, label="the probe on neurons, carried over"))
    return handles


def _look(kind: str, *, own: bool) -> dict[str, Any]:
    colour = style.GREY if own else style.BLUE
    return {
        "color": colour,
        "marker": _MARKERS[kind],
        "markerfacecolor": "white" if own else colour,
        "markeredgecolor": colour,
        "markeredgewidth": 0.7,
        "linewidth": 0.6 if own else 1.0,
    }


def _model(stage: str) -> str:
    return "base" if stage == "base" else "instruct checkpoint"
