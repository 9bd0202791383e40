"""Views: the questions that people ask of the database, over all runs, with the references that were given for them.

Every column has the meaning and unit of the column it comes from, unless it says more. The SQL is common to SQLite and
PostgreSQL; where one table has millions of rows, the tables before it in a CROSS JOIN are those that narrow it, since
SQLite keeps their order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Table, inspect, text

from provenance.analyses.results.answers import ActivityTable
from provenance.analyses.results.claims import Claim, Reason
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.db.schema.base import EVERYWHERE, Base, meaning
from provenance.db.schema.neurons import Neuron, ProbeNeuron
from provenance.db.schema.result_tables import BULK_TABLES, TABLES
from provenance.db.schema.work import Checkpoint, Run
from provenance.table_declaration import declared
from provenance.words import TRANSFER_NULLS


@dataclass(frozen=True)
class ViewColumn:
    """One column of a view."""

    name: str
    sql: str
    """Expression over the view's tables."""
    meaning: str
    unit: str = ""


@dataclass(frozen=True)
class View:
    """One view."""

    name: str
    row: str
    """What one row is."""
    columns: tuple[ViewColumn, ...]
    source: str
    """FROM and WHERE of its SQL."""

    @property
    def sql(self) -> str:
        """The statement that makes it."""
        columns = ", ".join(f"{column.sql} AS {column.name}" for column in self.columns)
        return f"CREATE VIEW {self.name} AS SELECT {columns} {' '.join(self.source.split())}"


def _of(table: Table, alias: str, names: Iterable[str]) -> Iterator[ViewColumn]:
    """Columns of a table as they are."""
    for name in names:
        yield ViewColumn(name, f"{alias}.{name}", *meaning(table.columns[name]))


def _table(cls: type[Base]) -> Table:
    return Base.metadata.tables[cls.__tablename__]


def _named(columns: Iterable[ViewColumn], names: dict[str, str]) -> Iterator[ViewColumn]:
    """Columns under other names, which say what they are beside those of other tables."""
    for column in columns:
        yield replace(column, name=names.get(column.name, column.name))


def _heads(run: str) -> tuple[ViewColumn, ...]:
    """The run of a row: its number, as `run` has it, its command and its pair."""
    return (
        ViewColumn("run_id", run, EVERYWHERE["run_id"]),
        *_of(_table(Run), "r", ["command"]),
        *_named(_of(_table(Run), "r", ["base_ref", "instruct_ref"]), {"base_ref": "base", "instruct_ref": "instruct"}),
    )


def _columns_of(cls: type, alias: str) -> Iterator[ViewColumn]:
    """All columns of a declared table, without its place in the order of rows."""
    return _of(TABLES[cls], alias, (part.name for column in declared(cls).columns for part in column.stored()))


_RUN = _table(Run)
_CHECKPOINT = _table(Checkpoint)
V_RUN = View(
    "v_run",
    "one run with its pair, status and verdict",
    (
        *_heads("r.id"),
        *_of(_RUN, "r", ["status", "resumed"]),
        ViewColumn("h_neurons", "COALESCE(p.n_h_neurons, l.n_neurons)", "H-Neurons; NULL where none are looked at."),
        *_of(_RUN, "r", ["overall", "seed", "quick", "started_utc", "finished_utc"]),
        *_of(_CHECKPOINT, "i", ["model_type", "layers", "neurons_per_layer", "hidden_size"]),
        ViewColumn("base_digest", "b.digest", "SHA-256 over the digests of the base's files."),
        ViewColumn("base_dtype", "b.dtype", "Storage dtype of the base's MLP weights."),
        ViewColumn("instruct_digest", "i.digest", "SHA-256 over the digests of the instruct checkpoint's files."),
        ViewColumn("instruct_dtype", "i.dtype", "Storage dtype of the instruct checkpoint's MLP weights."),
        *_named(_of(_RUN, "r", ["key"]), {"key": "run_key"}),
        *_of(_RUN, "r", ["settings", "versions", "peak_memory_bytes", "content_digest"]),
    ),
    """
    FROM run r
    JOIN family f ON f.id = r.family_id
    JOIN checkpoint b ON b.id = f.base_id
    JOIN checkpoint i ON i.id = f.instruct_id
    LEFT JOIN probe p ON p.run_id = r.id AND p.stage = 'instruct'
    LEFT JOIN neuron_list l ON l.run_id = r.id
    """,
)

V_CLAIMS = View(
    "v_claims",
    "one claim of one run, with its verdict and what decided",
    (
        *_heads("c.run_id"),
        *_named(_of(TABLES[Claim], "c", ["name"]), {"name": "claim"}),
        *_of(TABLES[Claim], "c", ["verdict", "dataset", "decided_by"]),
        *_of(TABLES[Reason], "d", ["value", "relation", "bar", "holds", "against"]),
        *_of(TABLES[Claim], "c", ["not_met", "words", "position"]),
    ),
    """
    FROM claim c
    CROSS JOIN run r
    LEFT JOIN claim_reason d ON d.run_id = c.run_id AND d.claim = c.name AND d.code = c.decided_by
    WHERE r.id = c.run_id AND r.content_digest IS NOT NULL
    """,
)

_ACTIVITY = BULK_TABLES[ActivityTable]
_STATISTICS = [part.name for part in declared(ActivityTable).per_neuron]
_CETT = {f"mean_{label}": f"cett_{label}" for label in ("faithful", "hallucinated", "refusal")}


def _active(stage: str) -> Iterator[ViewColumn]:
    """Activity of a neuron in one checkpoint on the first question set."""
    words = f"In the {stage} checkpoint, on the run's first question set: "
    columns = _of(_ACTIVITY, stage[0] + "a", ["mean_faithful", "mean_hallucinated", "auroc"])
    for column in _named(columns, _CETT):
        yield replace(column, name=f"{stage}_{column.name}", meaning=words + column.meaning)


V_H_NEURONS = View(
    "v_h_neurons",
    "one H-Neuron of one run: its weight, how far tuning moved it, its activity in both checkpoints",
    (
        *_heads("h.run_id"),
        *_of(_table(ProbeNeuron), "h", ["layer", "neuron_index"]),
        *_named(_of(_table(ProbeNeuron), "h", ["weight"]), {"weight": "probe_weight"}),
        *_of(
            _table(Neuron),
            "n",
            ("stability_rank", "drift_z", "cosine_distance_up", "cosine_distance_gate", "cosine_distance_down",
             "identical"),
        ),
        ViewColumn(
            "is_base_h_neuron",
            "CASE WHEN p.run_id IS NOT NULL THEN n.is_base_h_neuron END",
            "Whether its counterpart is an H-Neuron of the base's own probe; NULL without a search there.",
        ),
        *_active("base"),
        *_active("instruct"),
        *_of(_table(Neuron), "n", ["activation_correlation"]),
        *_of(_table(ProbeNeuron), "h", ["selection_frequency"]),
        *_named(_of(_table(ProbeNeuron), "h", ["auroc"]), {"auroc": "training_auroc"}),
        *_of(_table(ProbeNeuron), "h", ["cluster"]),
        *_of(_table(Neuron), "n", ["base_layer", "base_index", "similarity", "margin"]),
    ),
    """
    FROM probe_neuron h
    CROSS JOIN run r
    CROSS JOIN neuron n
    LEFT JOIN probe p ON p.run_id = h.run_id AND p.stage = 'base'
    LEFT JOIN run_dataset d ON d.run_id = h.run_id AND d.position = 0
    LEFT JOIN activity ba ON ba.run_id = h.run_id AND ba.stage = 'base' AND ba.dataset = d.name
         AND ba.layer = h.layer AND ba.neuron_index = h.neuron_index
    LEFT JOIN activity ia ON ia.run_id = h.run_id AND ia.stage = 'instruct' AND ia.dataset = d.name
         AND ia.layer = h.layer AND ia.neuron_index = h.neuron_index
    WHERE h.stage = 'instruct' AND h.is_h_neuron AND r.id = h.run_id AND r.content_digest IS NOT NULL
      AND n.run_id = h.run_id AND n.layer = h.layer AND n.neuron_index = h.neuron_index
    """,
)  # fmt: skip

V_NEURON_ACTIVITY = View(
    "v_neuron_activity",
    "one neuron of any kind in one checkpoint on one question set: its mean CETT by label",
    (
        *_heads("s.run_id"),
        *_of(TABLES[ActivityTable], "s", ["stage", "dataset"]),
        *_of(_ACTIVITY, "a", ["layer", "neuron_index"]),
        ViewColumn("is_h_neuron", "COALESCE(h.is_h_neuron, FALSE)", "Whether it is an H-Neuron of the instruct probe."),
        *_named(_of(_ACTIVITY, "a", _STATISTICS), _CETT),
        *_of(TABLES[ActivityTable], "s", ["n_faithful", "n_hallucinated", "n_refusal"]),
    ),
    """
    FROM activity_set s
    CROSS JOIN run r
    CROSS JOIN activity a
    LEFT JOIN probe_neuron h ON h.run_id = s.run_id AND h.stage = 'instruct'
         AND h.layer = a.layer AND h.neuron_index = a.neuron_index
    WHERE r.id = s.run_id AND r.content_digest IS NOT NULL
      AND a.run_id = s.run_id AND a.stage = s.stage AND a.dataset = s.dataset
    """,
)

NULL_COLUMNS = {"auroc": "mean", "sets_low": "low", "sets_high": "high", "sets_p95": "p95", "draws": "draws"}
"""Columns of a null of transfer, and what they are called behind its name."""


def _nulls() -> Iterator[ViewColumn]:
    """The nulls of transfer, side by side."""
    for name, kind in TRANSFER_NULLS.items():
        for column in _of(TABLES[Rung], name, NULL_COLUMNS):
            yield replace(
                column, name=f"{name}_{NULL_COLUMNS[column.name]}", meaning=f"Null `{kind}`: {column.meaning}"
            )


V_TRANSFER = View(
    "v_transfer",
    "the instruct probe on the base's own answers to one question set of one run, beside its nulls (Figure 4a)",
    (
        *_heads("t.run_id"),
        *_columns_of(TransferResult, "t"),
        *_nulls(),
        *_of(TABLES[TransferResult], "t", ["position"]),
    ),
    "FROM transfer t CROSS JOIN run r\n"
    + "\n".join(
        f"LEFT JOIN ladder {name} ON {name}.run_id = t.run_id AND {name}.dataset = t.dataset AND {name}.kind = '{kind}'"
        for name, kind in TRANSFER_NULLS.items()
    )
    + "\nWHERE r.id = t.run_id AND r.content_digest IS NOT NULL",
)

VIEWS = (V_RUN, V_CLAIMS, V_H_NEURONS, V_NEURON_ACTIVITY, V_TRANSFER)
"""All views, in the order of help."""


def make_views(connection: Connection) -> None:
    """Make all views as this release has them, in place of those of an older one."""
    there = inspect(connection).get_view_names()
    for view in VIEWS:
        if view.name in there:
            connection.execute(text(f"DROP VIEW {view.name}"))
        connection.execute(text(view.sql))
