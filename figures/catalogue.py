"""All figures by name, the paper's first: every module of `plots` (of a run) and `study_plots` that has a `FIGURE`."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from provenance.figures import plots, study_plots
from provenance.figures.drawing.figure_spec import GalleryFigure


def _declared(folder: ModuleType) -> Iterator[GalleryFigure]:
    for found in iter_modules(folder.__path__, f"{folder.__name__}."):
        figure = getattr(import_module(found.name), "FIGURE", None)
        if figure is not None:
            yield figure


def _gallery(folder: ModuleType) -> Mapping[str, GalleryFigure]:
    return {figure.name: figure for figure in sorted(_declared(folder), key=lambda figure: figure.order)}


GALLERY = _gallery(plots)
"""Figures of one run."""
STUDY_GALLERY = _gallery(study_plots)
"""Figures of a study, over its runs."""
