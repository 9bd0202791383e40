"""The first tables. Comments say what one row is; `db.schema` says it at length."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BULK: dict[str, Any] = {"sqlite_with_rowid": False}


def _text(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.String(), nullable=null) for name in names]


def _whole(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Integer(), nullable=null) for name in names]


def _real(*names: str, null: bool = True) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Double(), nullable=null) for name in names]


def _flag(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Boolean(), nullable=False) for name in names]


def _json(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.JSON(), nullable=False) for name in names]


def _ref(name: str, target: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), sa.ForeignKey(target), nullable=False)


def upgrade() -> None:
    """The tables of the first release."""
    _inputs()
    _work()
    _probes()
    _neurons()
    _origin()
    _summary()


def _inputs() -> None:
    # one set of weights, known by the digest of its files
    op.create_table(
        "checkpoint",
        *_whole("id"),
        *_text("digest", "ref", "model_type"),
        *_whole("layers", "neurons_per_layer", "hidden_size"),
        *_text("dtype"),
        *_text("commit_sha", null=True),
        *_text("added_utc"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    # a base checkpoint and an instruction-tuned one that are compared
    op.create_table(
        "family",
        *_whole("id"),
        _ref("base_id", "checkpoint.id"),
        _ref("instruct_id", "checkpoint.id"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("base_id", "instruct_id", name="family_pair"),
    )
    # one question set, known by its content digest
    op.create_table(
        "dataset",
        *_whole("id"),
        *_text("digest", "name", "source"),
        *_whole("n_questions"),
        *_text("added_utc"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    # one question of a question set
    op.create_table(
        "question",
        _ref("dataset_id", "dataset.id"),
        *_whole("position"),
        *_text("question_id", "text"),
        *_json("answers"),
        *_text("unit"),
        sa.PrimaryKeyConstraint("dataset_id", "position"),
        **_BULK,
    )
    # one command on one pair with one set of settings, however often it was interrupted
    op.create_table(
        "run",
        *_whole("id"),
        *_text("key"),
        _ref("family_id", "family.id"),
        *_text("command"),
        *_json("settings"),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        *_json("versions"),
        *_text("status"),
        *_whole("resumed"),
        *_text("started_utc"),
        *_text("finished_utc", null=True),
        *_json("durations_ms"),
        sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=True),
        *_text("content_digest", null=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("run_by_status", "run", ["status", "id"])
    # the name under which a run used a question set
    op.create_table(
        "run_dataset",
        _ref("run_id", "run.id"),
        *_text("name"),
        *_whole("position"),
        _ref("dataset_id", "dataset.id"),
        sa.PrimaryKeyConstraint("run_id", "name"),
    )


def _work() -> None:
    # one checkpoint answering one question set under one protocol; its key digests all of that
    op.create_table(
        "task",
        *_whole("id"),
        *_text("key", "stage", "dataset"),
        _ref("dataset_id", "dataset.id"),
        _ref("checkpoint_id", "checkpoint.id"),
        *_json("settings"),
        *_whole("n_batches", "batches_done"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    # a run that used a task's responses; a task is shared by all runs with its key
    op.create_table(
        "run_task",
        _ref("run_id", "run.id"),
        _ref("task_id", "task.id"),
        sa.PrimaryKeyConstraint("run_id", "task_id"),
    )
    # what a checkpoint said to one question, how it was judged, and its tokens
    op.create_table(
        "response",
        _ref("task_id", "task.id"),
        *_whole("position", "batch"),
        _ref("run_id", "run.id"),
        *_text("question_id", "unit", "split", "label", "reason"),
        *_whole("n_samples", "n_right"),
        *_text("text", "label_source"),
        *_json("prompt_ids", "response_ids", "regions", "samples"),
        sa.PrimaryKeyConstraint("task_id", "position"),
        **_BULK,
    )
    # one file of captured vectors, and whose they are
    op.create_table(
        "capture",
        _ref("task_id", "task.id"),
        *_whole("position"),
        *_text("file", "sha256"),
        *_json("question_ids"),
        *_text("written_utc"),
        sa.PrimaryKeyConstraint("task_id", "position"),
    )


def _probes() -> None:
    # the probe of one checkpoint in one run; `reason` says why it is missing, if it is
    op.create_table(
        "probe",
        _ref("run_id", "run.id"),
        *_text("stage"),
        *_real("c", "alpha_max", "intercept"),
        *_flag("intercept_penalised"),
        *_text("design"),
        *_whole("n_train_faithful", "n_train_hallucinated", "n_neurons", "n_h_neurons"),
        *_text("reason"),
        sa.PrimaryKeyConstraint("run_id", "stage"),
    )
    # one C that was tried for a probe
    op.create_table(
        "probe_path",
        _ref("run_id", "run.id"),
        *_text("stage"),
        *_whole("step"),
        *_real("c", null=False),
        *_whole("n_positive", "n_nonzero"),
        *_real("validation_accuracy"),
        sa.PrimaryKeyConstraint("run_id", "stage", "step"),
    )
    # one neuron that a probe uses, by a weight other than zero or as one of the given H-Neurons
    op.create_table(
        "probe_neuron",
        _ref("run_id", "run.id"),
        *_text("stage"),
        *_whole("layer", "neuron_index"),
        *_real("weight"),
        *_flag("is_h_neuron"),
        sa.PrimaryKeyConstraint("run_id", "stage", "layer", "neuron_index"),
    )
    # a probe on held-out responses of its own model to one question set
    op.create_table(
        "held_out",
        _ref("run_id", "run.id"),
        *_text("stage", "dataset"),
        *_whole("position"),
        *_real("accuracy", "accuracy_low", "accuracy_high", "auroc", "auroc_low", "auroc_high", "random_accuracy"),
        *_real("random_accuracy_low", "random_accuracy_high"),
        *_whole("n_faithful", "n_hallucinated"),
        sa.PrimaryKeyConstraint("run_id", "stage", "dataset"),
    )


def _neurons() -> None:
    # one neuron of a comparison, H-Neuron or not (`is_h_neuron`: of the instruct probe)
    op.create_table(
        "neuron",
        _ref("run_id", "run.id"),
        *_whole("layer", "neuron_index"),
        *_real(
            "delta_up",
            "delta_gate",
            "delta_down",
            "delta",
            "stability_rank",
            "norm_up_base",
            "norm_up_instruct",
        ),
        *_real("norm_down_base", "norm_down_instruct"),
        *_flag("identical", "is_h_neuron", "is_base_h_neuron"),
        *_real("probe_weight", "base_probe_weight", "activation_correlation"),
        sa.PrimaryKeyConstraint("run_id", "layer", "neuron_index"),
        **_BULK,
    )
    op.create_index("neuron_by_rank", "neuron", ["run_id", "stability_rank"])
    # one neuron's mean CETT on answer tokens, for one checkpoint and question set
    op.create_table(
        "activity",
        _ref("run_id", "run.id"),
        *_text("stage", "dataset"),
        *_whole("layer", "neuron_index"),
        *_real("mean_faithful", "mean_hallucinated", "standardised_difference", "auroc"),
        sa.PrimaryKeyConstraint("run_id", "stage", "dataset", "layer", "neuron_index"),
        **_BULK,
    )
    # the responses behind the activity of one checkpoint on one question set
    op.create_table(
        "activity_set",
        _ref("run_id", "run.id"),
        *_text("stage", "dataset"),
        *_whole("n_faithful", "n_hallucinated"),
        sa.PrimaryKeyConstraint("run_id", "stage", "dataset"),
    )


def _origin() -> None:
    # the instruct probe, unchanged, on the base model's responses to one question set
    op.create_table(
        "transfer",
        _ref("run_id", "run.id"),
        *_text("dataset"),
        *_whole("position"),
        *_real("auroc", "auroc_low", "auroc_high"),
        *_whole("n_faithful", "n_hallucinated"),
        *_text("verdict", "reason"),
        sa.PrimaryKeyConstraint("run_id", "dataset"),
    )
    # how stable a run's H-Neurons are, against neurons of the same layers
    op.create_table(
        "drift",
        _ref("run_id", "run.id"),
        *_whole("k"),
        *_real("mean_stability_rank", "effect", "p_t", "p_permutation", "uniform_sd", "smallest_detectable"),
        *_real("share_identical", "rounding_floor"),
        *_text("verdict", "reason"),
        sa.PrimaryKeyConstraint("run_id"),
    )
    # a run's H-Neurons of the base against those of the instruct checkpoint
    op.create_table(
        "overlap",
        _ref("run_id", "run.id"),
        *_whole("k_base", "k_instruct", "shared"),
        *_real("jaccard", "expected", "p_hypergeometric", "p_zero"),
        *_text("verdict", "reason"),
        sa.PrimaryKeyConstraint("run_id"),
    )
    # whether a run's instruct checkpoint descends from its base, with the evidence
    op.create_table(
        "lineage",
        _ref("run_id", "run.id"),
        *_text("verdict"),
        *_real("share_identical_tensors"),
        *_whole("tensors_compared"),
        *_json("only_base", "only_instruct"),
        *_real("median_cosine_gate", "median_cosine_up", "median_cosine_down", "self_match", "nearest_cosine"),
        *_whole("neurons_sampled"),
        *_flag("same_tokenizer"),
        *_real("vocabulary_shared"),
        sa.PrimaryKeyConstraint("run_id"),
    )
    # a statistic's distribution under one null, summed up; `dataset` is empty for drift
    op.create_table(
        "null_summary",
        _ref("run_id", "run.id"),
        *_text("claim", "dataset", "kind"),
        *_whole("draws"),
        *_real("mean", "low", "high", "p95", "p_value"),
        sa.PrimaryKeyConstraint("run_id", "claim", "dataset", "kind"),
    )
    # a statistic on one draw of a null; `claim` is transfer, drift, or identification
    op.create_table(
        "null_draw",
        _ref("run_id", "run.id"),
        *_text("claim", "stage", "dataset", "kind"),
        *_whole("draw"),
        *_real("value"),
        sa.PrimaryKeyConstraint("run_id", "claim", "stage", "dataset", "kind", "draw"),
        **_BULK,
    )


def _summary() -> None:
    # what a run says about one claim; `overall` has a sentence and no verdict of its own
    op.create_table(
        "verdict",
        _ref("run_id", "run.id"),
        *_text("claim"),
        *_text("verdict", null=True),
        *_text("words"),
        sa.PrimaryKeyConstraint("run_id", "claim"),
    )
    # how many questions each stage of the work kept, for one checkpoint, question set and split
    op.create_table(
        "funnel",
        _ref("run_id", "run.id"),
        *_text("stage", "dataset", "split"),
        *_whole("position", "asked", "answered", "consistent_faithful", "consistent_hallucinated"),
        *_whole("span_found_faithful", "span_found_hallucinated", "captured_faithful", "captured_hallucinated"),
        *_whole("fitted_faithful", "fitted_hallucinated"),
        sa.PrimaryKeyConstraint("run_id", "stage", "dataset", "split"),
    )
    # how many questions one stage of the work dropped for one reason
    op.create_table(
        "funnel_drop",
        _ref("run_id", "run.id"),
        *_text("stage", "dataset", "split", "reason"),
        *_whole("n_questions"),
        sa.PrimaryKeyConstraint("run_id", "stage", "dataset", "split", "reason"),
    )
