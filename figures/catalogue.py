"""All figures: name, queries, drawing, caption, table. Adding a figure is adding an entry here."""

from collections.abc import Mapping

from provenance.figures.captions import Parts, caption_4a, caption_4b, table_4a, table_4b
from provenance.figures.figure_spec import GalleryFigure
from provenance.figures.plots.drift import caption_drift, figure_drift, moves_neurons, table_drift
from provenance.figures.plots.figure_4a import figure_4a
from provenance.figures.plots.figure_4b import figure_4b
from provenance.figures.plots.ladder import caption_ladder, figure_ladder, has_ladder, table_ladder
from provenance.figures.plots.lineage import caption_lineage, drawn_kinds, figure_lineage, table_lineage
from provenance.figures.plots.nulls import caption_nulls, figure_nulls, has_nulls, table_nulls
from provenance.figures.plots.path import figure_path
from provenance.figures.plots.path_words import caption_path, has_path, table_path
from provenance.figures.plots.timeline import caption_trajectory, figure_trajectory, has_trace, table_trajectory
from provenance.figures.plots.two_by_two import caption_two_by_two, figure_two_by_two, has_cells, table_two_by_two
from provenance.figures.words import first, problem_words, run_kind

CURVE_BINS = 200  # a curve in a column of 3.25 in has about that many distinguishable steps


def _floor(parts: Parts) -> float | None:
    """The change that storage rounding alone can cause, if known."""
    return first(parts["drift"]).get("rounding_floor") or None


GALLERY: Mapping[str, GalleryFigure] = {
    figure.name: figure
    for figure in (
        GalleryFigure(
            name="figure_4a",
            title="Does the probe read the base model?",
            data={"transfer": ("transfer", {})},
            ready=lambda parts: bool(parts["transfer"].rows),
            context=("run", "probes", "transfer", "drift", "neuron-list", "power"),
            draw=lambda parts: figure_4a(parts["transfer"].records()),
            caption=caption_4a,
            table=table_4a,
        ),
        GalleryFigure(
            name="figure_4b",
            title="Did the H-Neurons change less than others?",
            data={
                "ranks": ("h-neuron-ranks", {}),
                "bins": ("rank-bins", {"bins": CURVE_BINS}),
                "drift": ("drift", {}),
            },
            # Without a list of neurons there is nothing to compare with all others.
            ready=lambda parts: run_kind(parts) in ("comparison", "listed"),
            context=("run", "neuron-list", "alignment", "drift", "power"),
            draw=lambda parts: figure_4b(
                parts["ranks"].records(),
                parts["bins"].records(),
                first(parts["drift"]),
                by_position=bool(problem_words(parts)),
            ),
            caption=caption_4b,
            table=table_4b,
        ),
        GalleryFigure(
            name="figure_ladder",
            title="What does transfer have to beat?",
            data={"ladder": ("ladder", {}), "transfer": ("transfer", {})},
            ready=has_ladder,
            context=("run", "probes", "transfer", "ladder", "drift", "neuron-list", "power"),
            draw=lambda parts: figure_ladder(parts["ladder"].records(), parts["transfer"].records()),
            caption=caption_ladder,
            table=table_ladder,
        ),
        GalleryFigure(
            name="figure_two_by_two",
            title="Whose neurons, whose answers, whose prompt?",
            data={"cells": ("cells", {}), "agreement": ("agreement", {})},
            ready=has_cells,
            context=("run", "probes", "cells", "agreement", "drift", "neuron-list"),
            draw=lambda parts: figure_two_by_two(parts["cells"].records(), parts["agreement"].records()),
            caption=caption_two_by_two,
            table=table_two_by_two,
        ),
        GalleryFigure(
            name="figure_nulls",
            title="Did they change less than neurons like them?",
            data={"tests": ("drift-tests", {})},
            ready=has_nulls,
            context=("run", "drift-tests", "alignment", "drift", "neuron-list"),
            draw=lambda parts: figure_nulls(parts["tests"].records()),
            caption=caption_nulls,
            table=table_nulls,
        ),
        GalleryFigure(
            name="figure_trajectory",
            title="Since when can the probe be read?",
            data={"trace": ("trace", {})},
            ready=has_trace,
            context=("run", "probes", "trace"),
            draw=lambda parts: figure_trajectory(parts["trace"].records()),
            caption=caption_trajectory,
            table=table_trajectory,
        ),
        GalleryFigure(
            name="figure_path",
            title="Does anything hang on one C?",
            data={"curve": ("probe-curve", {}), "baselines": ("baselines", {})},
            ready=has_path,
            context=("run", "probes", "identification", "transfer", "probe-curve"),
            draw=lambda parts: figure_path(
                parts["curve"].records(), parts["baselines"].records(), parts["transfer"].records()
            ),
            caption=caption_path,
            table=table_path,
        ),
        GalleryFigure(
            name="figure_lineage",
            title="How far did each kind of weights move?",
            data={"tensors": ("lineage-tensors", {}), "drift": ("drift", {})},
            ready=lambda parts: bool(drawn_kinds(parts["lineage-tensors"].records())),
            context=("run", "lineage", "lineage-tensors"),
            draw=lambda parts: figure_lineage(parts["tensors"].records(), _floor(parts)),
            caption=caption_lineage,
            table=table_lineage,
        ),
        GalleryFigure(
            name="figure_drift",
            title="How far did neurons move?",
            data={"layers": ("drift-by-layer", {}), "drift": ("drift", {})},
            ready=moves_neurons,
            context=("run", "neuron-list", "alignment", "lineage-tensors", "drift"),
            draw=lambda parts: figure_drift(parts["layers"].records(), _floor(parts)),
            caption=caption_drift,
            table=table_drift,
        ),
    )
}
"""All figures by name, those of the paper first, in its order."""
