"""One declaration of a result table, from which every view of it is made.

A result that is shown is a frozen dataclass. Each field says how it is labelled and printed, whether it is part of the
key, and what it means:

    @table("ladder", "What transfer has to beat", row="one predictor on one question set")
    @dataclass(frozen=True)
    class Rung:
        dataset: str = column("question set", "text", "Name of the question set.", key=True)
        auroc: Estimate | None = column("AUROC", "ci2", "Of the predictor.", counted=True)

The SQL columns, the rows, the named query and the cells of terminal, report and LaTeX follow from it. How a field is
stored follows from its type: an `Estimate` x as x, x_low, x_high (and x_n); a mapping over labels as x_faithful and
x_hallucinated; a collection by its number of elements, n_x.
"""

import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from provenance.cells import NOTHING, Record, compact, fixed, interval, p_cell, yes_or_no
from provenance.records import MARKS, Estimate

Format = str | Callable[[Record], str]
"""A name of `FORMATS`, or a function of the whole record."""
T = TypeVar("T")
LABELS = ("faithful", "hallucinated")
MEMBER = "family"
"""Column with the name of a study's member, first where rows are those of several runs."""
REPLICATE = "replicate"
"""Column with the number of a replicate, behind it where a study's rows are those of several."""
OVER_ALL = 0
"""Number, in that column, of rows about all replicates together."""
SCOPES = {"stage": "model", "dataset": "question set", "claim": "claim", MEMBER: "family", REPLICATE: "replicate"}
"""Labels of what tables belong to."""

_OF_ESTIMATES = {
    "_low": "Lower bound (2.5 %) of this: ",
    "_high": "Upper bound (97.5 %) of this: ",
    "_n": "n of this: ",
}
"""What stands before the meaning of an estimate, for the columns beside it."""


@dataclass(frozen=True)
class Stored:
    """One column of the SQL table."""

    name: str
    kind: type
    """`str`, `int`, `float`, `bool` or `list` (JSON)."""
    nullable: bool
    """Whether it may be NULL; every float may, since NaN is stored as NULL."""
    key: bool
    """Whether it is part of the primary key, beside the run."""
    about: str
    """What it means."""
    unit: str
    """Unit, or empty for dimensionless numbers and text."""


@dataclass(frozen=True)
class Column:
    """One field of a declared table."""

    name: str
    sql: str
    """Of its SQL column, or what the names of several begin with; the field's name unless it says otherwise."""
    label: str
    """Heading; empty for a column that is stored and not shown."""
    format: Format
    """How its cells are printed."""
    about: str
    """What it means, in a sentence."""
    unit: str
    """Unit, or empty."""
    key: bool
    """Whether it is part of the key."""
    counted: bool
    """Whether the number of rows of an estimate is stored as well."""
    words: Mapping[str, str]
    """Stored names in words."""
    beside: str
    """The other column of a cell that shows two."""
    kind: Any
    """Type of the field without `None`."""
    optional: bool
    """Whether the field may be None."""

    @property
    def is_text(self) -> bool:
        """Whether cells are words, which are set to the left."""
        return self.format in ("text", "yes", "verdict") or (callable(self.format) and self.kind is str)

    def cell(self, record: Record) -> str:
        """Text of one cell."""
        return self.format(record) if callable(self.format) else FORMATS[self.format](record, self)

    def stored(self) -> Iterator[Stored]:
        """Its SQL columns."""
        for name, kind, nullable in self._parts():
            part = _OF_ESTIMATES.get(name.removeprefix(self.sql), "") if self.kind is Estimate else ""
            yield Stored(name, kind, nullable, self.key, part + self.about, self.unit)

    def _parts(self) -> Iterator[tuple[str, type, bool]]:
        if self.kind is Estimate:
            yield from ((f"{self.sql}{end}", float, True) for end in ("", "_low", "_high"))
            if self.counted:
                yield f"{self.sql}_n", int, self.optional
        elif _is_by_label(self.kind):
            yield from ((f"{self.sql}_{label}", int, False) for label in LABELS)
        elif _is_collection(self.kind):
            yield f"n_{self.sql}", int, False
        else:
            yield self.sql, self.kind, (self.optional or self.kind is float) and not self.key

    def values(self, value: Any) -> Iterator[Any]:
        """A field's value as the values of its SQL columns."""
        if self.kind is Estimate:
            yield from (None,) * 3 if value is None else map(_number, (value.estimate, value.low, value.high))
            if self.counted:
                yield None if value is None else int(value.n)
        elif _is_by_label(self.kind):
            yield from (int(value.get(label, 0)) for label in LABELS)
        elif _is_collection(self.kind):
            yield len(value)
        elif value is None:
            yield None
        else:
            yield _number(value) if self.kind is float else self.kind(value)


@dataclass(frozen=True)
class Table:
    """A declared table."""

    name: str
    """Of the SQL table."""
    title: str
    row: str
    """What one row is."""
    query: str
    """Name of its query; empty where a query is written by hand."""
    subject: str
    """Table in which each run that looked into this has a row."""
    scope: tuple[str, ...]
    """Text columns before its own: what it belongs to, as part of the key."""
    single: bool
    """Whether a run has one row at most."""
    note: str
    """What a reader must know to read it."""
    columns: tuple[Column, ...]
    """Its fields, in order."""
    bulk: str
    """Of a second SQL table with a row per neuron; empty where there is none."""
    per_neuron: tuple[Stored, ...]
    """Columns of that table after the key, layer and index of the neuron."""

    def stored(self) -> list[Stored]:
        """Its SQL columns after the run's number: scope, key, position, the others."""
        scope = [Stored(name, str, nullable=False, key=True, about="", unit="") for name in self.scope]
        own = [part for column in self.columns for part in column.stored()]
        keys = [*scope, *(part for part in own if part.key)]
        natural = any(column.key for column in self.columns)
        place = Stored("position", int, nullable=False, key=not natural, about="Order of the rows.", unit="")
        return [*keys, *([place] if self._has_place else []), *(part for part in own if not part.key)]

    @property
    def _has_place(self) -> bool:
        return not self.single and "position" not in {column.sql for column in self.columns}

    @property
    def keys(self) -> list[Stored]:
        """The key columns among its fields."""
        return [part for column in self.columns for part in column.stored() if part.key]

    def sql(self) -> str:
        """Text of its query."""
        names = [*self.scope, *(part.name for column in self.columns for part in column.stored())]
        order = [*(f"{name} DESC" for name in self.scope), *([] if self.single else ["position"])]
        ordered = f" ORDER BY {', '.join(order)}" if order else ""
        return f"SELECT {', '.join(names)} FROM {self.name} WHERE run_id = :run{ordered}"  # noqa: S608 - declared names

    def cells(self, records: Sequence[Record], only: Sequence[str] = ()) -> "Cells":
        """The rows as text: fields `only`, in order (default: all labelled), no columns that say nothing anywhere.

        Rows over a study have the name of its member before all others, and the number of the replicate if it has some.
        """
        own = {column.name for column in self.columns}
        member = [_scope(name) for name in (MEMBER, REPLICATE) if records and name in records[0] and name not in own]
        everything = [*map(_scope, self.scope), *self.columns]
        named = {column.name: column for column in everything}
        chosen = [named[name] for name in only] if only else [column for column in everything if column.label]
        shown = [(column, [column.cell(row) for row in records]) for column in (*member, *chosen)]
        kept = [(column, cells) for column, cells in shown if column.key or set(cells) - {NOTHING}]
        return Cells(
            tuple(column.label for column, _ in kept),
            tuple(zip(*(cells for _, cells in kept), strict=True)),
            tuple(place for place, (column, _) in enumerate(kept) if column.is_text),
        )


@dataclass(frozen=True)
class Cells:
    """A table as text."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: tuple[int, ...]
    """Places of the columns that hold words and are set to the left."""


_DECLARED: dict[type, Table] = {}


def column(
    label: str,
    format: Format = "text",  # noqa: A002 - the word for it
    about: str = "",
    *,
    sql: str = "",
    unit: str = "",
    key: bool = False,
    counted: bool = False,
    words: Mapping[str, str] | None = None,
    beside: str = "",
    default: Any = MISSING,
) -> Any:
    """Declare a field of a table; its arguments are the fields of `Column`."""
    said = {"label": label, "format": format, "about": about, "sql": sql, "unit": unit, "key": key, "counted": counted}
    return field(default=default, metadata={**said, "words": words or {}, "beside": beside})


def part(about: str, *, default: Any = MISSING) -> Any:  # noqa: ARG001 - for the reader, as a column's
    """Declare a field that is not a column: an array, or rows of a table of its own."""
    return field(default=default)


def per_neuron(about: str, unit: str = "") -> Any:
    """Declare an array over all neurons, which is a column of the table with a row per neuron."""
    return field(metadata={"neuron": {"kind": float, "nullable": True, "key": False, "about": about, "unit": unit}})


def table(
    name: str,
    title: str,
    *,
    row: str,
    query: str = "",
    subject: str = "",
    scope: tuple[str, ...] = (),
    single: bool = False,
    note: str = "",
    bulk: str = "",
) -> Callable[[type[T]], type[T]]:
    """Declare a frozen dataclass of `column`s as a table; the arguments are the fields of `Table`."""

    def declare(cls: type[T]) -> type[T]:
        hints = get_type_hints(cls)
        own = fields(cls)  # type: ignore[arg-type]  # a dataclass by contract
        columns = tuple(_column(item, hints[item.name]) for item in own if "label" in item.metadata)
        neurons = tuple(Stored(item.name, **item.metadata["neuron"]) for item in own if "neuron" in item.metadata)
        _DECLARED[cls] = Table(name, title, row, query, subject or name, scope, single, note, columns, bulk, neurons)
        return cls

    return declare


def declared(cls: type) -> Table:
    """The table that a class declares."""
    return _DECLARED[cls]


def declared_in(package: ModuleType) -> tuple[type, ...]:
    """Classes that the modules of a package declare, by module and in their order there; imports all of them."""
    names = [f"{package.__name__}.{found.name}" for found in iter_modules(package.__path__)]
    for name in names:
        import_module(name)
    return tuple(cls for name in names for cls in _DECLARED if cls.__module__ == name)


def _column(item: Field[Any], hint: Any) -> Column:
    """A field with its declared type, which is text where only certain words are allowed."""
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    [kind] = [part for part in parts if part is not type(None)]
    said = {**item.metadata, "sql": item.metadata["sql"] or item.name}
    return Column(item.name, **said, kind=str if get_origin(kind) is Literal else kind, optional=len(parts) > 1)


def _scope(name: str) -> Column:
    words = {str(OVER_ALL): "all"} if name == REPLICATE else {}
    return Column(name, name, SCOPES[name], "text", "", "", key=True, counted=False, words=words, beside="", kind=str,
                  optional=False)  # fmt: skip


def _is_by_label(kind: Any) -> bool:
    return get_origin(kind) is dict


def _is_collection(kind: Any) -> bool:
    return kind not in (str, int, float, bool)


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def row_of(value: object, **scope: str | int) -> Record:
    """A result of a declared class as its row; `scope` gives the values of the columns in the table's scope."""
    row: Record = dict(scope)
    for item in declared(type(value)).columns:
        names = (part.name for part in item.stored())
        row |= zip(names, item.values(getattr(value, item.name)), strict=True)
    return row


def rows_of(values: Sequence[object], **scope: str | int) -> list[Record]:
    """Results of one class as rows, each with its position unless it says that itself."""
    return [{"position": place, **row_of(value, **scope)} for place, value in enumerate(values)]


def _text(record: Record, column: Column) -> str:
    value = record[column.sql]
    return column.words.get(str(value), str(value)) if value not in (None, "") else NOTHING


def _pair(record: Record, column: Column) -> str:
    names = [f"{column.sql}_{label}" for label in LABELS] if not column.beside else [column.sql, column.beside]
    return " + ".join(str(record[name]) for name in names)


FORMATS: Mapping[str, Callable[[Record, Column], str]] = {
    "text": _text,
    "verdict": lambda record, column: f"{MARKS[record[column.sql]]} {record[column.sql] or NOTHING}",
    "yes": lambda record, column: yes_or_no(record[column.sql]),
    "count": lambda record, column: NOTHING if _first(record, column) is None else str(_first(record, column)),
    "some": lambda record, column: str(_first(record, column)) if _first(record, column) else NOTHING,
    "pair": _pair,
    "of": lambda record, column: f"{record[column.sql]} of {record[column.beside]}",
    "g": lambda record, column: f"{record[column.sql]:g}",
    "order": lambda record, column: NOTHING if record[column.sql] is None else f"{record[column.sql]:.1e}",
    "compact": lambda record, column: compact(record[column.sql]),
    "p": lambda record, column: p_cell(record[column.sql]),
    **{f"fixed{n}": lambda record, column, n=n: fixed(record[column.sql], n) for n in range(6)},  # type: ignore[misc]
    **{f"ci{n}": lambda record, column, n=n: interval(record, column.sql, n) for n in (2, 3)},  # type: ignore[misc]
}
"""How cells are printed, by the name of the format; `some`: a count, with nothing in place of 0."""


def _first(record: Record, column: Column) -> Any:
    return record[next(column.stored()).name]
