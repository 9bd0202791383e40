"""What neurons are worth: path diagnostics, curves, baselines, stability; and neuron sets from elsewhere.

Every new column may be NULL: runs of older schemas did not compute it, and their digests still hold.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds to what there is; no row of an older run changes."""
    _columns()
    _curves()
    _baselines()
    _stability()
    _sets()


def _columns() -> None:
    added: dict[str, tuple[sa.Column[float] | sa.Column[str] | sa.Column[int], ...]] = {
        "probe": (sa.Column("rule", sa.String()), sa.Column("gap", sa.Double()), sa.Column("violation", sa.Double())),
        "probe_path": (
            sa.Column("validation_auroc", sa.Double()),
            sa.Column("suppressed_accuracy", sa.Double()),
            sa.Column("gap", sa.Double()),
            sa.Column("violation", sa.Double()),
        ),
        "probe_neuron": (
            sa.Column("selection_frequency", sa.Double()),
            sa.Column("auroc", sa.Double()),
            sa.Column("cluster", sa.Integer()),
        ),
        "overlap": (sa.Column("ceiling_base", sa.Double()), sa.Column("ceiling_instruct", sa.Double())),
    }
    for table, columns in added.items():
        for column in columns:
            op.add_column(table, column)


def _probe_key() -> tuple[sa.Column[int], sa.Column[str]]:
    return (
        sa.Column("run_id", sa.Integer(), sa.ForeignKey("run.id"), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
    )


def _intervals(*names: str) -> list[sa.Column[float]]:
    return [sa.Column(f"{name}{part}", sa.Double()) for name in names for part in ("", "_low", "_high")]


def _curves() -> None:
    # the probe at one C, on held-out answers to one question set
    op.create_table(
        "probe_curve",
        *_probe_key(),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("c", sa.Double(), nullable=False),
        sa.Column("n_positive", sa.Integer(), nullable=False),
        sa.Column("n_nonzero", sa.Integer(), nullable=False),
        sa.Column("is_chosen", sa.Boolean(), nullable=False),
        *_intervals("accuracy", "auroc", "transfer"),
        sa.PrimaryKeyConstraint("run_id", "stage", "step", "dataset"),
    )


def _baselines() -> None:
    # one thing that a probe has to beat on one held-out question set
    op.create_table(
        "probe_baseline",
        *_probe_key(),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("n_draws", sa.Integer(), nullable=False),
        *_intervals("accuracy", "auroc", "gain"),
        sa.PrimaryKeyConstraint("run_id", "stage", "dataset", "kind"),
    )


def _stability() -> None:
    # how far a probe's neurons depend on which questions it was fitted on
    op.create_table(
        "probe_stability",
        *_probe_key(),
        sa.Column("c", sa.Double(), nullable=False),
        sa.Column("n_half_samples", sa.Integer(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("n_stable", sa.Integer(), nullable=False),
        sa.Column("mean_selected", sa.Double(), nullable=False),
        sa.Column("false_bound", sa.Double()),
        sa.Column("split_half_shared", sa.Double(), nullable=False),
        sa.Column("split_half_jaccard", sa.Double()),
        sa.Column("split_half_clusters", sa.Double()),
        sa.Column("cluster_correlation", sa.Double(), nullable=False),
        sa.Column("n_clusters", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "stage"),
    )


def _sets() -> None:
    # one neuron set that was imported for a checkpoint
    op.create_table(
        "neuron_set",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), sa.ForeignKey("checkpoint.id"), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("named_checkpoint", sa.String()),
        sa.Column("intercept", sa.Double()),
        sa.Column("n_neurons", sa.Integer(), nullable=False),
        sa.Column("n_positive", sa.Integer(), nullable=False),
        sa.Column("added_utc", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest", "checkpoint_id", name="neuron_set_of_checkpoint"),
    )
    # one neuron of an imported set
    op.create_table(
        "neuron_set_member",
        sa.Column("neuron_set_id", sa.Integer(), sa.ForeignKey("neuron_set.id"), nullable=False),
        sa.Column("layer", sa.Integer(), nullable=False),
        sa.Column("neuron_index", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Double()),
        sa.PrimaryKeyConstraint("neuron_set_id", "layer", "neuron_index"),
    )
