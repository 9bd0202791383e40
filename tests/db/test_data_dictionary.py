"""The database explains its own tables and columns."""

import re

from provenance.db.reading.run_query import run_query
from provenance.db.schema.data_dictionary import dictionary_rows
from provenance.db.schema.result_tables import RESULTS
from provenance.db.schema.tables import Base
from provenance.db.schema.views import VIEWS
from provenance.table_declaration import declared
from provenance.words import CLAIMS


def test_columns_query_names_every_table_and_every_declared_column_with_its_meaning(url: str) -> None:
    """A field without a meaning fails here."""
    found = {(row["table_name"], row["column_name"]): row for row in run_query(url, "columns").records()}
    views = {view.name: [column.name for column in view.columns] for view in VIEWS}
    tables = {name: list(table.columns.keys()) for name, table in Base.metadata.tables.items()}
    assert set(found) == {(name, column) for name, own in {**tables, **views}.items() for column in ("", *own)}
    assert [place for place, row in found.items() if not row["meaning"]] == []
    for cls in RESULTS:
        said = declared(cls)
        for column in said.columns:
            for part in column.stored():
                row = found[said.name, part.name]
                assert (row["unit"], row["meaning"]) == (column.unit, in_sql(part.about))
                assert row["meaning"].endswith(in_sql(column.about))
                assert row["meaning"], f"{cls.__name__}.{column.name} says nothing"
        for part in said.per_neuron:
            assert found[said.bulk, part.name]["meaning"] == in_sql(part.about)


def in_sql(about: str) -> str:
    """A meaning as the database says it, where no value is NULL."""
    return about.replace("None", "NULL").replace("NaN", "NULL")


def test_meanings_are_words_about_the_database_and_not_about_the_program() -> None:
    """No value of Python's, no module, and the unit in its own column."""
    wrong = re.compile(r"\bNone\b|\bNaN\b|\bprovenance\.\w+\.|dimensionless;|, dimensionless\b")
    assert [row for row in dictionary_rows() if wrong.search(row["meaning"])] == []


def test_the_meaning_of_a_claim_names_every_claim() -> None:
    """Those of a benchmark with a name after the colon."""
    (row,) = (row for row in dictionary_rows() if (row["table_name"], row["column_name"]) == ("claim", "name"))
    assert set(re.findall("`([a-z_]+)", row["meaning"])) == set(CLAIMS)
