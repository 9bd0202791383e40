"""What conclusions are held against: ladder, 2 x 2, nulls, power, interventions, claims with reasons; timelines.

Every new column may be NULL: runs of older schemas did not compute it, and their digests still hold.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds to what there is; no row of an older run changes."""
    _columns()
    _transfer()
    _controls()
    _drift()
    _overlap_and_power()
    _interventions()
    _claims()
    _timelines()


def _columns() -> None:
    added: dict[str, tuple[sa.Column[float] | sa.Column[str], ...]] = {
        "transfer": (*_real("p_value", "p_holm", "p_chance"), sa.Column("decided_by", sa.String())),
        "overlap": _real("ratio_base", "ratio_instruct", "cluster_jaccard", "rank_biased"),
    }
    for table, columns in added.items():
        for column in columns:
            op.add_column(table, column)


def _run_id() -> sa.Column[int]:
    return sa.Column("run_id", sa.Integer(), sa.ForeignKey("run.id"), nullable=False)


def _text(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.String(), nullable=False) for name in names)


def _whole(*names: str, null: bool = False) -> tuple[sa.Column[int], ...]:
    return tuple(sa.Column(name, sa.Integer(), nullable=null) for name in names)


def _real(*names: str) -> tuple[sa.Column[float], ...]:
    return tuple(sa.Column(name, sa.Double()) for name in names)


def _interval(name: str) -> tuple[sa.Column[float], ...]:
    return _real(name, f"{name}_low", f"{name}_high")


def _transfer() -> None:
    # one thing that transfer has to beat on the base's own answers to one question set
    op.create_table(
        "ladder",
        _run_id(),
        *_text("dataset", "kind"),
        *_whole("position"),
        *_interval("auroc"),
        *_whole("auroc_n", null=True),
        *_interval("gain"),
        *_whole("gain_n", null=True),
        *_real("gain_sd", "p_value", "p_holm"),
        *_whole("draws"),
        sa.PrimaryKeyConstraint("run_id", "dataset", "kind"),
    )
    # the instruct probe on one model's activations while it reads one model's answers in one's prompt
    op.create_table(
        "cell",
        _run_id(),
        *_text("dataset", "activations", "answers", "prompt"),
        *_whole("position"),
        *_interval("auroc"),
        *_whole("n_faithful", "n_hallucinated", "n_dropped"),
        *_real("random_p95", "layer_matched_p95"),
        *_text("reason"),
        sa.PrimaryKeyConstraint("run_id", "dataset", "activations", "answers", "prompt"),
    )


def _controls() -> None:
    # whether both models are right on the same questions of one set, and whose labels the base follows
    op.create_table(
        "label_agreement",
        _run_id(),
        *_text("dataset"),
        *_whole("position", "n_common", "n_agree"),
        *_interval("kappa"),
        *_interval("auroc_agree"),
        *_whole("auroc_agree_n", null=True),
        *_interval("auroc_disagree"),
        *_whole("auroc_disagree_n", null=True),
        *_text("reason"),
        sa.PrimaryKeyConstraint("run_id", "dataset"),
    )
    # transfer to one question set with magnitudes put right in one way
    op.create_table(
        "scale_control",
        _run_id(),
        *_text("dataset", "kind"),
        *_whole("position"),
        *_interval("auroc"),
        *_whole("auroc_n", null=True),
        *_real("random_p95", "layer_matched_p95"),
        *_text("reason"),
        sa.PrimaryKeyConstraint("run_id", "dataset", "kind"),
    )
    # for how many neurons of a run's probe both models agree on the side of 0.5
    op.create_table(
        "sign_agreement",
        _run_id(),
        *_whole("k", "agree"),
        *_real("share", "expected", "p_value"),
        *_whole("n_base", "n_instruct"),
        sa.PrimaryKeyConstraint("run_id"),
    )


def _drift() -> None:
    # one way of asking whether one side's neurons changed less than others like them
    op.create_table(
        "drift_test",
        _run_id(),
        *_text("side", "measure", "matching"),
        *_whole("position", "bins", "k"),
        *_real("mean_rank", "null_mean", "null_sd"),
        *_interval("effect"),
        *_real("p_more_stable", "p_less_stable", "smallest_detectable", "z_all", "z_layer"),
        sa.PrimaryKeyConstraint("run_id", "side", "measure", "matching"),
    )


def _overlap_and_power() -> None:
    # how many neurons two sets of a run's sizes share under one null
    op.create_table(
        "overlap_null",
        _run_id(),
        *_text("kind"),
        *_whole("position"),
        *_real("expected", "sd", "p_value", "p_zero", "smallest_detectable"),
        *_whole("draws"),
        sa.PrimaryKeyConstraint("run_id", "kind"),
    )
    # what one test could have found
    op.create_table(
        "power",
        _run_id(),
        *_text("claim", "test", "dataset"),
        *_whole("position", "k", "n"),
        *_real("sd", "smallest_detectable"),
        *_text("unit"),
        sa.PrimaryKeyConstraint("run_id", "claim", "test", "dataset"),
    )


def _interventions() -> None:
    # what scaling one kind of neuron set by one factor did to one outcome of one model's answers
    op.create_table(
        "intervention",
        _run_id(),
        *_whole("position"),
        *_text("stage"),
        sa.Column("alpha", sa.Double(), nullable=False),
        *_text("kind", "outcome"),
        *_whole("k"),
        *_interval("effect"),
        *_whole("effect_n", "n_draws"),
        *_real("p_value"),
        sa.PrimaryKeyConstraint("run_id", "position"),
    )


def _claims() -> None:
    # one thing that may be said of a run's pair, and how well it stands
    op.create_table(
        "claim",
        _run_id(),
        *_text("name"),
        *_whole("position"),
        *_text("verdict", "dataset", "words"),
        sa.PrimaryKeyConstraint("run_id", "name"),
    )
    # one condition of a claim, what was measured, and the bar that it was held against
    op.create_table(
        "claim_reason",
        _run_id(),
        *_text("claim"),
        *_whole("position"),
        *_text("code", "dataset"),
        *_real("value"),
        *_text("relation"),
        *_real("bar"),
        sa.Column("holds", sa.Boolean()),
        *_text("role"),
        sa.PrimaryKeyConstraint("run_id", "claim", "position"),
    )


def _timelines() -> None:
    # one checkpoint of a timeline, seen with the probe of the last one
    op.create_table(
        "trace_point",
        _run_id(),
        *_whole("position"),
        *_text("ref", "digest"),
        sa.Column("is_floor", sa.Boolean(), nullable=False),
        *_text("prompt"),
        *_interval("own"),
        *_real("own_random_p95", "own_layer_matched_p95"),
        *_whole("n_faithful", "n_hallucinated"),
        *_interval("forced"),
        *_whole("forced_n", null=True),
        *_real("forced_random_p95", "forced_layer_matched_p95", "mean_stability_rank", "null_mean", "p_value"),
        *_real("change_h", "change_all", "correlation_h", "correlation_all"),
        *_text("reason"),
        sa.PrimaryKeyConstraint("run_id", "position"),
    )
