"""The first tables, of version 0.2.0. Comments say what one row is; `db.schema` says it at length."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0.2.0_1"
down_revision = None
branch_labels = None
depends_on = None

_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "ref": sa.Integer(),
    "whole": sa.Integer(),
    "long": sa.BigInteger(),
    "real": sa.Double(),
    "text": sa.String(),
    "flag": sa.Boolean(),
    "json": sa.JSON(),
}
_TABLES = {  # primary key, then columns by type in their order; `?`: may be NULL
    # one set of weights, known by the digest of its files
    "checkpoint": (
        "key id; whole id; text digest ref model_type; whole layers neurons_per_layer hidden_size; text dtype; "
        "text? commit_sha; text added_utc"
    ),
    # one question set, known by its content digest
    "dataset": "key id; whole id; text digest name source; whole n_questions; text added_utc",
    # a base checkpoint and an instruction-tuned one that are compared
    "family": "key id; whole id; ref base_id=checkpoint.id instruct_id=checkpoint.id",
    # one neuron set that was imported for a checkpoint
    "neuron_set": (
        "key id; whole id; text digest; ref checkpoint_id=checkpoint.id; text source format; text? named_checkpoint; "
        "real? intercept; whole n_neurons n_positive; text added_utc"
    ),
    # one question of a question set
    "question": (
        "key dataset_id position; ref dataset_id=dataset.id; whole position; text question_id text; json answers; "
        "text unit"
    ),
    # one checkpoint answering one question set under one protocol; its key digests all of that
    "task": (
        "key id; whole id; text key stage dataset; ref dataset_id=dataset.id checkpoint_id=checkpoint.id; "
        "json settings; whole n_batches batches_done"
    ),
    # captured vectors written together, where they are (a file, or the stem of arrays), and whose
    "capture": (
        "key task_id position; ref task_id=task.id; whole position; text file sha256; json question_ids; "
        "text written_utc"
    ),
    # one neuron of an imported set; `weight` is NULL where the file has none
    "neuron_set_member": (
        "key neuron_set_id layer neuron_index; ref neuron_set_id=neuron_set.id; whole layer neuron_index; real? weight"
    ),
    # one command on one pair with one set of settings, however often it was interrupted
    "run": (
        "key id; whole id; text key; ref family_id=family.id; text command; json settings; long seed; json versions; "
        "text status; whole resumed; text started_utc; text? finished_utc; json durations_ms; "
        "long? peak_memory_bytes; text? content_digest"
    ),
    # one neuron's mean CETT on answer tokens, for one checkpoint and question set
    "activity": (
        "key run_id stage dataset layer neuron_index; ref run_id=run.id; text stage dataset; whole layer "
        "neuron_index; real? mean_faithful mean_hallucinated standardised_difference auroc"
    ),
    # the responses behind the activity of one checkpoint on one question set
    "activity_set": "key run_id stage dataset; ref run_id=run.id; text stage dataset; whole n_faithful n_hallucinated",
    # how a run found each neuron's counterpart in the base, and for how many there is none
    "alignment": "key run_id; ref run_id=run.id; text method; whole n_neurons n_unmapped; text reason",
    # the instruct probe on one model's activations while it reads one model's answers in one's prompt
    "cell": (
        "key run_id dataset activations answers prompt; ref run_id=run.id; text dataset activations answers prompt; "
        "whole position; real? auroc auroc_low auroc_high; whole n_faithful n_hallucinated n_dropped; "
        "real? random_p95 layer_matched_p95; text reason"
    ),
    # one thing that may be said of a run's pair, and how well it stands
    "claim": "key run_id name; ref run_id=run.id; text name; whole position; text verdict dataset words",
    # one condition of a claim, what was measured, and the bar that it was held against
    "claim_reason": (
        "key run_id claim position; ref run_id=run.id; text claim; whole position; text code dataset; real? value; "
        "text relation; real? bar; flag? holds"
    ),
    # how stable a run's H-Neurons are, against neurons of the same layers
    "drift": (
        "key run_id; ref run_id=run.id; whole k; real? mean_stability_rank effect p_t p_permutation uniform_sd "
        "smallest_detectable share_identical rounding_floor; text verdict reason"
    ),
    # one way of asking whether one side's neurons changed less than others like them
    "drift_test": (
        "key run_id side measure matching; ref run_id=run.id; text side measure matching; whole position bins k; "
        "real? mean_rank null_mean null_sd effect effect_low effect_high p_more_stable p_less_stable "
        "smallest_detectable z_all z_layer"
    ),
    # how many questions each stage of the work kept, for one checkpoint, question set and split
    "funnel": (
        "key run_id stage dataset split; ref run_id=run.id; text stage dataset split; whole position asked answered "
        "consistent_faithful consistent_hallucinated span_found_faithful span_found_hallucinated captured_faithful "
        "captured_hallucinated fitted_faithful fitted_hallucinated"
    ),
    # how many questions one stage of the work dropped for one reason
    "funnel_drop": (
        "key run_id stage dataset split reason; ref run_id=run.id; text stage dataset split reason; whole n_questions"
    ),
    # a probe on held-out responses of its own model to one question set
    "held_out": (
        "key run_id stage dataset; ref run_id=run.id; text stage dataset; whole position; real? accuracy accuracy_low "
        "accuracy_high auroc auroc_low auroc_high random_accuracy random_accuracy_low random_accuracy_high; "
        "whole n_faithful n_hallucinated"
    ),
    # what scaling one kind of neuron set by one factor did to one outcome of one model's answers
    "intervention": (
        "key run_id position; ref run_id=run.id; whole position; text stage; real alpha; text kind outcome; whole k; "
        "real? effect effect_low effect_high; whole effect_n n_draws; real? p_value"
    ),
    # whether both models are right on the same questions of one set, and whose labels the base follows
    "label_agreement": (
        "key run_id dataset; ref run_id=run.id; text dataset; whole position n_common n_agree; real? kappa kappa_low "
        "kappa_high auroc_agree auroc_agree_low auroc_agree_high; whole? auroc_agree_n; real? auroc_disagree "
        "auroc_disagree_low auroc_disagree_high; whole? auroc_disagree_n; text reason"
    ),
    # one thing that transfer has to beat on the base's own answers to one question set
    "ladder": (
        "key run_id dataset kind; ref run_id=run.id; text dataset kind; whole position; real? auroc auroc_low "
        "auroc_high; whole? auroc_n; real? gain gain_low gain_high; whole? gain_n; real? gain_sd p_value p_holm; "
        "whole draws"
    ),
    # whether a run's instruct checkpoint descends from its base, with the evidence
    "lineage": (
        "key run_id; ref run_id=run.id; text verdict; real? share_identical_tensors; whole tensors_compared; "
        "json only_base only_instruct; real? median_cosine_gate median_cosine_up median_cosine_down self_match "
        "nearest_cosine; whole neurons_sampled; flag same_tokenizer; real? vocabulary_shared; text? reason; "
        "real? found_in_base found_in_instruct; whole? vocabulary_base vocabulary_instruct; json? layer_of"
    ),
    # one setting of config.json that differs, as JSON text; NULL where a checkpoint has none
    "lineage_config": "key run_id key; ref run_id=run.id; text key; text? base instruct",
    # the tensors of one kind in one layer, against their namesakes; `layer` is NULL outside the layers
    "lineage_tensor": (
        "key run_id position; ref run_id=run.id; whole position; text kind; whole? layer; whole n_rows "
        "n_identical_rows; real? cosine_low cosine_median cosine_high"
    ),
    # one neuron of a comparison, H-Neuron or not (`is_h_neuron`: of the instruct probe)
    "neuron": (
        "key run_id layer neuron_index; ref run_id=run.id; whole layer neuron_index; real? delta_up delta_gate "
        "delta_down delta stability_rank norm_up_base norm_up_instruct norm_down_base norm_down_instruct; "
        "flag identical is_h_neuron is_base_h_neuron; real? probe_weight base_probe_weight activation_correlation; "
        "whole? base_layer base_index; real? similarity margin"
    ),
    # the list of neurons that a run was given in place of a search, or of any (a weights-only run)
    "neuron_list": "key run_id; ref run_id=run.id; text source; whole n_neurons n_weighted",
    # a statistic on one draw of a null; `claim` is transfer, drift, identification, or baseline
    "null_draw": (
        "key run_id claim stage dataset kind draw; ref run_id=run.id; text claim stage dataset kind; whole draw; "
        "real? value"
    ),
    # a statistic's distribution under one null, summed up; `dataset` is empty for drift
    "null_summary": (
        "key run_id claim dataset kind; ref run_id=run.id; text claim dataset kind; whole draws; real? mean low high "
        "p95 p_value"
    ),
    # a run's H-Neurons of the base against those of the instruct checkpoint
    "overlap": (
        "key run_id; ref run_id=run.id; whole k_base k_instruct shared; real? jaccard expected p_hypergeometric "
        "p_zero; text verdict reason; real? ceiling_base ceiling_instruct ratio_base ratio_instruct cluster_jaccard "
        "rank_biased"
    ),
    # how many neurons two sets of a run's sizes share under one null
    "overlap_null": (
        "key run_id kind; ref run_id=run.id; text kind; whole position; real? expected sd p_value p_zero "
        "smallest_detectable; whole draws"
    ),
    # what one test could have found; `dataset` is empty where it has none
    "power": (
        "key run_id claim test dataset; ref run_id=run.id; text claim test dataset; whole position k n; real? sd "
        "smallest_detectable; text unit"
    ),
    # the probe of one checkpoint in one run; `reason` says why it is missing, if it is
    "probe": (
        "key run_id stage; ref run_id=run.id; text stage; real? c alpha_max intercept; flag intercept_penalised; "
        "text design; whole n_train_faithful n_train_hallucinated n_neurons n_h_neurons; text reason; text? rule; "
        "real? gap violation"
    ),
    # one thing that a probe has to beat on one held-out question set
    "probe_baseline": (
        "key run_id stage dataset kind; ref run_id=run.id; text stage dataset kind; whole position n_draws; "
        "real? accuracy accuracy_low accuracy_high auroc auroc_low auroc_high gain gain_low gain_high"
    ),
    # the probe at one C, fitted on all training rows, on held-out answers to one question set
    "probe_curve": (
        "key run_id stage step dataset; ref run_id=run.id; text stage; whole step; text dataset; whole position; "
        "real c; whole n_positive n_nonzero; flag is_chosen; real? accuracy accuracy_low accuracy_high auroc "
        "auroc_low auroc_high transfer transfer_low transfer_high"
    ),
    # one neuron that a probe uses, was given, or selected on half of the questions at least once
    "probe_neuron": (
        "key run_id stage layer neuron_index; ref run_id=run.id; text stage; whole layer neuron_index; real? weight; "
        "flag is_h_neuron; real? selection_frequency auroc; whole? cluster"
    ),
    # one C that was tried for a probe
    "probe_path": (
        "key run_id stage step; ref run_id=run.id; text stage; whole step; real c; whole n_positive n_nonzero; "
        "real? validation_accuracy validation_auroc suppressed_accuracy gap violation"
    ),
    # how far a probe's neurons depend on which questions it was fitted on
    "probe_stability": (
        "key run_id stage; ref run_id=run.id; text stage; real c; whole n_half_samples; real threshold; "
        "whole n_stable; real mean_selected; real? false_bound; real split_half_shared; real? split_half_jaccard "
        "split_half_clusters; real cluster_correlation; whole n_clusters"
    ),
    # what a checkpoint said to one question, how it was judged, and its tokens
    "response": (
        "key task_id position; ref task_id=task.id; whole position batch; ref run_id=run.id; text question_id unit "
        "split label reason; whole n_samples n_right; text text label_source; json prompt_ids response_ids regions "
        "samples"
    ),
    # the name under which a run used a question set
    "run_dataset": "key run_id name; ref run_id=run.id; text name; whole position; ref dataset_id=dataset.id",
    # a run that used a task's responses; a task is shared by all runs with its key
    "run_task": "key run_id task_id; ref run_id=run.id task_id=task.id",
    # transfer to one question set with magnitudes put right in one way
    "scale_control": (
        "key run_id dataset kind; ref run_id=run.id; text dataset kind; whole position; real? auroc auroc_low "
        "auroc_high; whole? auroc_n; real? random_p95 layer_matched_p95; text reason"
    ),
    # for how many neurons of a run's probe both models agree on the side of 0.5
    "sign_agreement": (
        "key run_id; ref run_id=run.id; whole k agree; real? share expected p_value; whole n_base n_instruct"
    ),
    # one checkpoint of a timeline, seen with the probe of the last one; position -1 is the floor
    "trace_point": (
        "key run_id position; ref run_id=run.id; whole position; text ref digest; flag is_floor; text prompt; "
        "real? own own_low own_high own_random_p95 own_layer_matched_p95; whole n_faithful n_hallucinated; "
        "real? forced forced_low forced_high; whole? forced_n; real? forced_random_p95 forced_layer_matched_p95 "
        "mean_stability_rank null_mean p_value change_h change_all correlation_h correlation_all; text reason"
    ),
    # the instruct probe, unchanged, on the base model's responses to one question set
    "transfer": (
        "key run_id dataset; ref run_id=run.id; text dataset; whole position; real? auroc auroc_low auroc_high; "
        "whole n_faithful n_hallucinated; text verdict reason; real? p_value p_holm; text? decided_by; real? p_chance"
    ),
    # what a run says about one claim; `overall` has a sentence and no verdict of its own
    "verdict": "key run_id claim; ref run_id=run.id; text claim; text? verdict; text words",
}
_UNIQUE = (
    ("checkpoint", None, "digest"),
    ("dataset", None, "digest"),
    ("family", "family_pair", "base_id instruct_id"),
    ("neuron_set", "neuron_set_of_checkpoint", "digest checkpoint_id"),
    ("task", None, "key"),
    ("run", None, "key"),
)
_IN_KEY_ORDER = frozenset({"activity", "neuron", "null_draw", "question", "response"})


def upgrade() -> None:
    """Makes the tables."""
    for name, text in _TABLES.items():
        (_, *key), *groups = (group.split() for group in text.split("; "))
        unique = [sa.UniqueConstraint(*of.split(), name=label) for table, label, of in _UNIQUE if table == name]
        order = {"sqlite_with_rowid": False} if name in _IN_KEY_ORDER else {}
        op.create_table(name, *_columns(groups), sa.PrimaryKeyConstraint(*key), *unique, **order)
    op.create_index("run_by_status", "run", ["status", "id"])
    op.create_index("neuron_by_rank", "neuron", ["run_id", "stability_rank"])


def _columns(groups: list[list[str]]) -> list[sa.Column[Any]]:
    """Columns of groups such as `real? low high`; a reference is written `ref run_id=run.id`."""
    return [
        sa.Column(name, _TYPES[kind.rstrip("?")], *map(sa.ForeignKey, target), nullable=kind.endswith("?"))
        for kind, *names in groups
        for name, *target in (each.split("=") for each in names)
    ]
