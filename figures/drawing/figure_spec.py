"""What a figure of the gallery is: where its rows come from, and what is made of them.

The one idea: a figure is a function from rows that named queries return, so whoever has the database has the figure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure

from provenance.figures.tables import latex
from provenance.figures.wording.run_words import Parts


@dataclass(frozen=True)
class GalleryFigure:
    """One figure and everything that comes with it."""

    order: int
    """Place in the gallery."""
    name: str
    """Stem of its files."""
    title: str
    """A few words, for headings and metadata."""
    data: Mapping[str, tuple[str, Mapping[str, int]]]
    """What is drawn, by part: named query and parameters. The first part's CSV has the figure's name."""
    ready: Callable[[Parts], bool]
    """Whether the run has something to draw, by the context alone; nothing else is read where it has not."""
    context: tuple[str, ...]
    """Named queries that are read first, for this, the caption and metadata."""
    draw: Callable[[Parts], Figure]
    """From rows to figure."""
    caption: Callable[[Parts], list[str]]
    """From rows to words: what is drawn first, then the numbers."""
    table: Callable[[Parts], latex.Table]
    """From rows to a table for a paper."""
