"""Declared results as tables of the report, of LaTeX and of a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from provenance.cells import NOTHING, Record
from provenance.db.reading.run_query import QueryResult
from provenance.figures.tables import latex
from provenance.table_declaration import declared
from provenance.words import Concept

Results = Mapping[str, QueryResult]


@dataclass(frozen=True)
class ReportTable:
    """A table of the report."""

    title: str
    """Heading."""
    note: str
    """A sentence below it."""
    header: Sequence[str]
    """Column titles."""
    rows: Sequence[Sequence[str]]
    """Cells."""
    text: tuple[int, ...] = (0,)
    """Left-aligned columns of words."""
    quoted: tuple[int, ...] = ()
    """Columns of texts that models and users wrote."""

    def worded(self, concept: Concept) -> "ReportTable":
        """The table in the words of a concept."""
        title = concept.worded(self.title)
        return replace(
            self,
            title=title[:1].upper() + title[1:],
            note=concept.worded(self.note),
            header=tuple(map(concept.worded, self.header)),
            rows=[
                tuple(cell if place in self.quoted else concept.worded(cell) for place, cell in enumerate(row))
                for row in self.rows
            ],
        )


def report_table(cls: type, records: Sequence[Record], *more: str, only: Sequence[str] = ()) -> ReportTable | None:
    """The table of a declared result; None without rows.

    Args:
        cls: The declared class.
        records: Its rows.
        more: Sentences after the declared note.
        only: Fields to show, in this order; by default all with a label.
    """
    if not records:
        return None
    said = declared(cls)
    cells = said.cells(records, only)
    return ReportTable(said.title, " ".join(filter(None, (said.note, *more))), cells.header, cells.rows, cells.text)


def facts(cls: type, record: Record, only: Sequence[str] = ()) -> list[tuple[str, str]]:
    """A single row as lines of label and cell, without empty ones; `only` as for `report_table`."""
    cells = declared(cls).cells([record], only)
    return [(label, cell) for label, cell in zip(cells.header, cells.rows[0], strict=True) if cell != NOTHING]


def latex_table(cls: type, records: Sequence[Record], caption: str, only: Sequence[str] = ()) -> latex.Table:
    """The table of a declared result for a paper."""
    cells = declared(cls).cells(records, only)
    return latex.Table(caption, cells.header, cells.rows)
