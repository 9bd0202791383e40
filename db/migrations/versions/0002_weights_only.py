"""Lineage evidence in full, neuron by neuron counterparts in the base, and runs that are given a neuron list.

Every new column may be NULL: runs of schema 0001 did not compute it, and their digests still hold.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds to what there is; no row of an older run changes."""
    _columns()
    _evidence()
    _mapping()


def _columns() -> None:
    for column in (
        sa.Column("reason", sa.String()),
        sa.Column("found_in_base", sa.Double()),
        sa.Column("found_in_instruct", sa.Double()),
        sa.Column("vocabulary_base", sa.Integer()),
        sa.Column("vocabulary_instruct", sa.Integer()),
        sa.Column("layer_of", sa.JSON()),
    ):
        op.add_column("lineage", column)
    for column in (
        sa.Column("base_layer", sa.Integer()),
        sa.Column("base_index", sa.Integer()),
        sa.Column("similarity", sa.Double()),
        sa.Column("margin", sa.Double()),
    ):
        op.add_column("neuron", column)


def _run_id() -> sa.Column[int]:
    return sa.Column("run_id", sa.Integer(), sa.ForeignKey("run.id"), nullable=False)


def _evidence() -> None:
    # the tensors of one kind in one layer, against their namesakes in the other checkpoint
    op.create_table(
        "lineage_tensor",
        _run_id(),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("layer", sa.Integer()),
        sa.Column("n_rows", sa.Integer(), nullable=False),
        sa.Column("n_identical_rows", sa.Integer(), nullable=False),
        sa.Column("cosine_low", sa.Double()),
        sa.Column("cosine_median", sa.Double()),
        sa.Column("cosine_high", sa.Double()),
        sa.PrimaryKeyConstraint("run_id", "position"),
    )
    # one setting of config.json that differs
    op.create_table(
        "lineage_config",
        _run_id(),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("base", sa.String()),
        sa.Column("instruct", sa.String()),
        sa.PrimaryKeyConstraint("run_id", "key"),
    )


def _mapping() -> None:
    # how a run found each neuron's counterpart in the base
    op.create_table(
        "alignment",
        _run_id(),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("n_neurons", sa.Integer(), nullable=False),
        sa.Column("n_unmapped", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
    )
    # the list of neurons that a run was given in place of a probe
    op.create_table(
        "neuron_list",
        _run_id(),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("n_neurons", sa.Integer(), nullable=False),
        sa.Column("n_weighted", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
    )
