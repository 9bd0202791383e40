"""All figures by name, the paper's first: every module of `plots` that declares a `FIGURE`."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules

from provenance.figures import plots
from provenance.figures.drawing.figure_spec import GalleryFigure


def _declared() -> Iterator[GalleryFigure]:
    for found in iter_modules(plots.__path__, f"{plots.__name__}."):
        figure = getattr(import_module(found.name), "FIGURE", None)
        if figure is not None:
            yield figure


GALLERY: Mapping[str, GalleryFigure] = {
    figure.name: figure for figure in sorted(_declared(), key=lambda figure: figure.order)
}
