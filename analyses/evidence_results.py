"""Results beside the three main numbers: baselines, matched nulls, power, causal effects and claims.

Each class is a declared table (`provenance.declared`): its fields are the columns of the database, the terminal, the
report and the LaTeX table.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from provenance.cells import NOTHING, Record, fixed, interval
from provenance.declared import column, part, table
from provenance.intervals import Estimate
from provenance.records import MARKS, Stage, Verdict
from provenance.words import (
    BASELINES,
    MATCHINGS,
    MEASURES,
    OUTCOMES,
    OVERLAP_NULLS,
    SCALES,
    SETS,
    SIDES,
    against_words,
    beats_sets,
    detectable_words,
    drawn_words,
)

Side = Literal["hallucinated", "faithful"]
"""Neurons with positive probe weights (the H-Neurons), or with negative ones."""
Measure = Literal["delta", "gate", "norm", "functional"]
"""The paper's Delta; 1 - cos of the gate row; change of norms; 1 - correlation of activations over the same tokens."""
Matching = Literal["layer", "layer_norm", "layer_norm_activity"]
"""What neurons are matched on: layer, and within it quantiles of weight norm and of mean CETT, both of the base."""
ScaleKind = Literal["raw", "z_score", "rank", "refit", "forward", "base_probe"]
OverlapNullKind = Literal["hypergeometric", "layer", "layer_norm", "layer_norm_activity", "shuffled_labels"]
Relation = Literal["<", "<=", ">", ">="]
Role = Literal["power", "shown", "part"]
"""Whether an effect could have been found; whether it was found; or one of several numbers that a shown condition sums
up, which decides nothing by itself."""
CausalKind = Literal["h_neurons", "random", "layer_matched"]
Outcome = Literal["faithful_log_probability", "hallucinated_log_probability", "selectivity", "correct"]


_NAMED = "Name of the question set."
_P95_RANDOM = "95th percentile of refitted random neuron sets on the same rows."
_P95_MATCHED = "95th percentile of refitted layer-matched neuron sets on the same rows."
_MISSING = "Why a number is missing; empty otherwise."


@table(
    "ladder",
    "What transfer has to beat",
    row="one thing that transfer has to beat on one question set",
    query="ladder",
    note="On the base model’s own answers: AUROC of the probe, weights unchanged, and of each baseline; gain: the "
    "probe’s AUROC minus the baseline’s, paired by question. Neuron sets are refitted on the same rows and transferred "
    "the same way: means over sets. Length, texts and log-probability together: a logistic regression, cross-fitted by "
    "question; its gain is what adding the probe to it brings. p: one-sided; Holm: over question sets with power. The "
    "probe’s own p is the largest over its baselines.",
)
@dataclass(frozen=True)
class Rung:
    """One predictor that transfer has to beat on the base's own answers to one question set."""

    dataset: str = column("question set", "text", _NAMED, key=True)
    kind: str = column(
        "predictor",
        "text",
        "A kind of `analyses.baselines.BASELINE_KINDS`; or jointly `lengths_and_texts`, or `all_together`, which has "
        "the log-probability as well.",
        key=True,
        words=BASELINES,
    )
    auroc: Estimate | None = column("AUROC", "ci2", "Of the baseline; the mean over neuron sets.", counted=True)
    gain: Estimate | None = column(
        "gain of the probe",
        "ci3",
        "The probe's AUROC minus the baseline's, paired by question. For joint kinds, with the probe minus without.",
        counted=True,
    )
    p_value: float | None = column(
        "p", "p", "One-sided, by paired bootstrap over questions (and over neuron sets): P(gain <= 0)."
    )
    p_holm: float | None = column(
        "p (Holm)", "p", "The same after Holm's correction over the question sets that have power."
    )
    draws: int = column("sets", "some", "Neuron sets; 0 for other baselines.")
    sets_low: float | None = column("", "fixed2", "2.5th percentile of AUROC over neuron sets.", default=None)
    sets_high: float | None = column("", "fixed2", "97.5th percentile of AUROC over neuron sets.", default=None)
    sets_p95: float | None = column("sets p95", "fixed2", "95th percentile of AUROC over neuron sets.", default=None)
    set_aurocs: tuple[float, ...] = part("AUROC of each neuron set.", default=())
    gain_sd: float | None = column(
        "", "compact", "SD of the gain over resamples of questions (and of neuron sets).", unit="AUROC", default=None
    )


def _marked_auroc(record: Record) -> str:
    if record["auroc"] is None:
        return NOTHING
    return f"{MARKS['supported' if beats_sets(record) else 'not distinguishable']} {interval(record, 'auroc')}"


@table(
    "cell",
    "Whose labels, whose text, whose prompt",
    row="the probe on one model's activations, answers and prompt",
    query="cells",
    note="The instruct checkpoint’s probe, weights unchanged, on one model’s neurons while it reads one model’s answers "
    "with that model’s labels, in one model’s prompt. p95: 95th percentile of refitted neuron sets on the same rows. "
    "●: the interval lies above 0.5 and both p95. Not placed: answers that could not be put in that prompt.",
)
@dataclass(frozen=True)
class Cell:
    """The instruct probe on one model's activations while it reads one model's answers in one model's prompt."""

    dataset: str = column("question set", "text", _NAMED, key=True)
    activations: Stage = column("neurons", "text", "The model whose neurons are read.", key=True)
    answers: Stage = column("answers", "text", "The model whose answers, with their labels, are read.", key=True)
    prompt: Stage = column("prompt", "text", "The model whose prompt format they stand in.", key=True)
    auroc: Estimate | None = column(
        "AUROC", _marked_auroc, "AUROC of the instruct probe, weights unchanged; None where a class is missing."
    )
    n_faithful: int = column("n (f + h)", "pair", "Faithful answers scored.", beside="n_hallucinated")
    n_hallucinated: int = column("", "count", "Hallucinated answers scored.")
    n_dropped: int = column("not placed", "some", "Answers that could not be placed in the other prompt.")
    random_p95: float | None = column("random p95", "fixed2", _P95_RANDOM)
    layer_matched_p95: float | None = column("layer-matched p95", "fixed2", _P95_MATCHED)
    reason: str = column("why there is no number", "text", _MISSING)


@table(
    "label_agreement",
    "Where the two models’ labels agree and differ",
    row="one question set: whose labels transfer follows",
    query="agreement",
    note="Questions on which both models’ answers have a label. AUROC of the instruct checkpoint’s probe on the base "
    "model’s own answers with its own labels; where labels differ, above 0.5 it follows the base’s labels and below "
    "0.5 the instruct model’s.",
)
@dataclass(frozen=True)
class LabelAgreement:
    """Whether both models are right on the same questions, and whose labels the base's neurons follow."""

    dataset: str = column("question set", "text", _NAMED, key=True)
    n_common: int = column("", "count", "Questions on which both models' answers have a label.")
    n_agree: int = column("same label", "of", "Of these, with the same label.", beside="n_common")
    kappa: Estimate | None = column(
        "kappa", "ci2", "Cohen's kappa; None without common questions or with one class only on either side."
    )
    auroc_agree: Estimate | None = column(
        "AUROC, labels agree",
        "ci2",
        "Instruct probe on the base's own answers with the base's labels, on agreeing questions.",
        counted=True,
    )
    auroc_disagree: Estimate | None = column(
        "AUROC, labels differ",
        "ci2",
        "The same on disagreeing questions: above 0.5 it follows the base's labels, below 0.5 the instruct model's.",
        counted=True,
    )
    reason: str = column("why a number is missing", "text", _MISSING)


@table(
    "scale_control",
    "Magnitudes",
    row="transfer with magnitudes put right in one way",
    query="scales",
    note="CETT values of a neuron differ in size between the models. AUROC on held-out answers with the weights as they "
    "are, with values put on the instruct model’s scale, and with the weights fitted anew: an upper bound. The base’s "
    "own probe on its own answers is the ceiling.",
)
@dataclass(frozen=True)
class ScaleControl:
    """Transfer with magnitudes put right in one way."""

    dataset: str = column("question set", "text", _NAMED, key=True)
    kind: ScaleKind = column(
        "scale",
        "text",
        "`raw` weights; `z_score` within a model; `rank`: quantiles of one model onto those of the other; `refit` of "
        "the probe's neurons on the base's training answers; `forward`: the base's probe on the instruct model's "
        "answers; `base_probe`: the base's own probe on its own answers, the ceiling.",
        key=True,
        words=SCALES,
    )
    auroc: Estimate | None = column("AUROC", "ci2", "On held-out answers; None where it is not defined.", counted=True)
    random_p95: float | None = column("random p95", "fixed2", _P95_RANDOM)
    layer_matched_p95: float | None = column("layer-matched p95", "fixed2", _P95_MATCHED)
    reason: str = column("why there is no number", "text", _MISSING)


@table(
    "sign_agreement",
    "Signs",
    row="how many neurons point the same way in both models",
    query="signs",
    single=True,
)
@dataclass(frozen=True)
class SignAgreement:
    """Whether single neurons point the same way in both models: more active on hallucinated answers, or less."""

    k: int = column("k", "count", "Neurons with a probe weight whose AUROC is not 0.5 exactly in either model.")
    agree: int = column("agree", "count", "Of these, on the same side of 0.5 in both.")
    share: float | None = column("share", "fixed2", "agree / k; None without neurons.")
    expected: float | None = column("expected", "fixed2", "Mean share in sets of neurons of the same layers.")
    p_value: float | None = column("p", "p", "One-sided, exact over such sets: P(share at least this high).")
    n_base: int = column("n, base", "count", "Answers of the base under its AUROCs.")
    n_instruct: int = column("n, instruct", "count", "Answers of the instruct model.")


@table(
    "drift_test",
    "Drift against matched nulls",
    row="one drift measure of one side against one matched null",
    query="drift-tests",
    note="Mean stability rank (0 = changed most, 1 = changed least) by each measure; null and SD: exact, over sets of "
    "as many neurons of the same cells; effect: mean rank minus null, with Student's t interval over neurons; p: "
    "one-sided permutation, of being more stable and of being less; least: the smallest mean rank found with 80 % "
    "power; z: mean z-score of the measure over all neurons and within the layer, positive = changed more.",
)
@dataclass(frozen=True)
class DriftTest:
    """One test of whether a set of neurons changed less than matched sets."""

    side: Side = column("neurons", "text", "The set.", key=True, words=SIDES)
    measure: Measure = column("measure", "text", "Kind of change.", key=True, words=MEASURES)
    matching: Matching = column("matched on", "text", "Properties that matched sets share.", key=True, words=MATCHINGS)
    bins: int = column("", "count", "Quantile bins a layer was cut into by each of norm and activity; 1 for `layer`.")
    k: int = column("k", "count", "Neurons of the set that have a rank.")
    mean_rank: float = column(
        "mean rank", "fixed3", "Mean stability rank by this measure, 0 = changed most, 1 = changed least."
    )
    null_mean: float = column(
        "null",
        "fixed3",
        "Exact mean over matched sets; beyond `layer`, of sets with the set's own norms and activities.",
    )
    null_sd: float = column("SD", "fixed3", "Exact SD over the same sets.")
    effect: Estimate = column(
        "effect", "ci3", "mean_rank - null_mean with a 95 % interval over the neurons (Student's t)."
    )
    p_more_stable: float = column("p more", "p", "One-sided permutation p of being more stable.")
    p_less_stable: float = column("p less", "p", "One-sided permutation p of being less stable.")
    smallest_detectable: float | None = column(
        "least", "fixed3", "Mean rank detected with 80 % power at one-sided 5 %; None where no mean rank would be."
    )
    z_all: float | None = column(
        "z, all",
        "fixed2",
        "Mean over the set of the measure's z-score over all neurons; positive = changed more.",
    )
    z_layer: float | None = column("z, layer", "fixed2", "The same with z-scores within the neuron's layer.")


@table(
    "overlap_null",
    "Overlap against its nulls",
    row="how many neurons two sets share under one null",
    query="overlap-nulls",
    note="p: of sharing at least as many. Least detectable: neurons two searches must be expected to share so that "
    "80 % of such pairs reach p < 0.05.",
)
@dataclass(frozen=True)
class OverlapNull:
    """How many neurons two sets of these sizes share under one null."""

    kind: OverlapNullKind = column(
        "drawn from",
        "text",
        "`hypergeometric`: any neurons; `layer...`: neurons matched as for drift; `shuffled_labels`: searches in both "
        "models with shuffled labels of the training answers.",
        key=True,
        words=OVERLAP_NULLS,
    )
    expected: float = column("expected", "fixed3", "Mean number shared.", unit="neurons")
    sd: float = column("SD", "fixed3", "SD of it.", unit="neurons")
    p_value: float = column("p", "p", "P(at least as many shared).")
    p_zero: float = column("P(none shared)", "fixed3", "P(none shared).")
    smallest_detectable: float | None = column(
        "least detectable",
        "fixed1",
        "Shared neurons expected of two searches so that 80 % of such pairs reach p < 0.05; None: never.",
        unit="neurons",
    )
    draws: int = column("pairs drawn", drawn_words, "Pairs of shuffled searches; 0 where the null is exact.")


@table(
    "power",
    "Power",
    row="what one test could have found",
    query="power",
    note="The smallest value of the statistic that the test finds with 80 % power at one-sided 5 %; none: no value "
    "would be found. A verdict of “not distinguishable” says nothing about smaller effects.",
)
@dataclass(frozen=True)
class Power:
    """What one test could have found."""

    claim: str = column("claim", "text", "`transfer`, `drift` or `overlap`.", key=True)
    test: str = column("against", against_words, "The null or baseline.", key=True)
    dataset: str = column("question set", "text", "Question set; empty where the test has none.", key=True)
    k: int = column("k", "count", "Neurons in the set that is tested.")
    n: int = column("n", "some", "Answers; 0 where the test has none.")
    sd: float = column(
        "SD under the null", "compact", "Standard deviation of the statistic under the null, in its own unit."
    )
    smallest_detectable: float | None = column(
        "smallest detectable",
        detectable_words,
        "Value of the statistic found with 80 % power at one-sided 5 %; None where none would be, or it is not known.",
    )
    unit: str = column("unit", "text", "`AUROC`, `mean stability rank` or `shared neurons`.")


@table(
    "intervention",
    "Intervention",
    row="one factor, neuron set and outcome of scaling",
    query="interventions",
    note="z of the neurons times α in the forward pass; change against the model as it is. Log-probabilities: mean over "
    "the model’s own answers, nats per token. H-Neurons: 95 % interval by question; control sets of as many neurons: "
    "mean and middle 95 % of sets. p: share of sets, the H-Neurons among them, with an effect at least as far in the "
    "expected direction.",
)
@dataclass(frozen=True)
class CausalEffect:
    """What scaling a set of neurons in the forward pass did to one model's answers."""

    stage: Stage = column("model", "text", "The model.")
    alpha: float = column("α", "g", "Factor on z of the set; 1 would change nothing.")
    kind: CausalKind = column(
        "neurons scaled", "text", "The H-Neurons, or control sets of as many neurons.", words=SETS
    )
    outcome: Outcome = column(
        "change of",
        "text",
        "Change, scaled minus as it is, of: mean log-probability (nats per token) of the model's own faithful or of "
        "its hallucinated answers, the second minus the first (`selectivity`), or the share of right greedy answers.",
        words=OUTCOMES,
    )
    k: int = column("k", "count", "Neurons of a set.")
    effect: Estimate = column(
        "effect",
        "ci3",
        "By question for the H-Neurons, n: questions; over sets for control sets (their mean, 2.5th and 97.5th "
        "percentile), n: sets.",
        counted=True,
    )
    draws: tuple[float, ...] = column("sets", "some", "Effect of each control set; empty for the H-Neurons.")
    p_value: float | None = column(
        "p of the H-Neurons",
        "p",
        "For a kind of control sets: share of them, counting the H-Neurons as one, with an effect at least as far in "
        "the expected direction (less of what is suppressed, more of what is amplified); None for the H-Neurons.",
    )


@table("claim_reason", "Conditions", row="one condition of a claim: value, bar, and whether it holds", scope=("claim",))
@dataclass(frozen=True)
class Reason:
    """One condition of a claim."""

    code: str = column("condition", "text", "Stable name, such as `transfer.p.question_text`.")
    dataset: str = column("question set", "text", "Question set; empty where it has none.")
    value: float | None = column("value", "compact", "The measured value; None where it could not be measured.")
    relation: Relation = column("", "text", "How the value has to stand to the bar.")
    bar: float = column("bar", "compact", "The bar.")
    holds: bool | None = column("holds", "yes", "Whether it does; None where it could not be measured.")
    role: Role = column("role", "text", "Its part in the verdict (`analyses.conditions.verdict_of`).")


@table("claim", "Claims", row="one thing that may be said of the pair, and how well it stands")
@dataclass(frozen=True)
class Claim:
    """One thing that may be said of the pair, how well it stands, and why."""

    name: str = column(
        "claim",
        "text",
        "`transfer`, `beyond_confidence`, `own_labels`, `drift`, `overlap`, `function_base` or `function_instruct`.",
        key=True,
    )
    verdict: Verdict = column("verdict", "text", "How well it stands.")
    dataset: str = column("question set", "text", "Question set it rests on; empty where it has none.")
    words: str = column("", "text", "The claim, or why it is not made.")
    reasons: tuple[Reason, ...] = part("Conditions, in order.")


@dataclass(frozen=True)
class Evidence:
    """Everything that stands beside the main numbers of one comparison."""

    ladder: tuple[Rung, ...] = ()
    """By question set and kind."""
    cells: tuple[Cell, ...] = ()
    """Of the in-domain question set: whose activations, whose answers, whose prompt."""
    agreement: tuple[LabelAgreement, ...] = ()
    """By question set."""
    scales: tuple[ScaleControl, ...] = ()
    """By question set and kind."""
    signs: SignAgreement | None = None
    """Of the neurons with a probe weight; None without a probe."""
    drift: tuple[DriftTest, ...] = ()
    """By side, measure and matching."""
    overlap: tuple[OverlapNull, ...] = ()
    """By kind."""
    power: tuple[Power, ...] = ()
    """By claim, test and question set."""
    causal: tuple[CausalEffect, ...] = ()
    """By model, factor, kind and outcome; empty where no model was intervened on."""
    claims: tuple[Claim, ...] = field(default=())
    """What may be said, the main claims first."""


def _highest(name: str) -> Callable[[Record], str]:
    """A cell with the higher 95th percentile of random and of layer-matched neuron sets."""

    def cell(record: Record) -> str:
        found = (record[f"{name}_random_p95"], record[f"{name}_layer_matched_p95"])
        return fixed(max((value for value in found if value is not None), default=None))

    return cell


@table(
    "trace_point",
    "Readable at each point",
    row="one checkpoint of a timeline, the floor first",
    query="trace",
    note="AUROC of the last checkpoint’s probe, weights unchanged, on the last checkpoint’s answers as each one reads "
    "them, and on each one’s own answers, with the higher 95th percentile of random and layer-matched neuron sets; n: "
    "own answers, faithful + hallucinated. From each checkpoint to the last: mean stability rank of the H-Neurons (0 = "
    "changed most) against neurons of the same layers, with its one-sided permutation p; mean 1 − cosine of up and "
    "down weights; mean correlation r of activations over the same tokens. H: H-Neurons.",
)
@dataclass(frozen=True)
class TracePoint:
    """One checkpoint of a timeline, seen with the probe of the last one."""

    position: int = column("", "count", "From 0 in the order that was given; the floor is -1.", key=True)
    ref: str = column("checkpoint", "text", "As the user wrote it; `random initialisation` for the floor.")
    digest: str = column("", "text", "Content digest.")
    is_floor: bool = column("", "yes", "Whether it is the randomly initialised model.")
    prompt: Stage = column("prompt", "text", "Prompt format it was asked in.")
    own: Estimate | None = column(
        "own answers",
        "ci2",
        "AUROC of the last checkpoint's probe, weights unchanged, on this one's own answers; None where a class is "
        "missing.",
    )
    own_random_p95: float | None = column("sets p95", _highest("own"), _P95_RANDOM)
    own_layer_matched_p95: float | None = column("", "fixed2", _P95_MATCHED)
    n_faithful: int = column("n (f + h)", "pair", "Own faithful answers scored.", beside="n_hallucinated")
    n_hallucinated: int = column("", "count", "Own hallucinated answers scored.")
    forced: Estimate | None = column(
        "last’s answers",
        "ci2",
        "AUROC on the last checkpoint's answers as this one reads them: the same texts and labels all along.",
        counted=True,
    )
    forced_random_p95: float | None = column("sets p95", _highest("forced"), _P95_RANDOM)
    forced_layer_matched_p95: float | None = column("", "fixed2", _P95_MATCHED)
    mean_stability_rank: float | None = column(
        "mean rank", "fixed3", "Of the H-Neurons' weights from here to the last checkpoint; None for the last one."
    )
    null_mean: float | None = column("null", "fixed3", "Mean over sets of neurons of the same layers.")
    p_value: float | None = column("p", "p", "One-sided permutation p of being more stable than those.")
    change_h: float | None = column(
        "1 − cos, H",
        "compact",
        "1 - cos of weights from here to the last checkpoint (mean of up and down), mean over the H-Neurons.",
    )
    change_all: float | None = column("1 − cos, all", "compact", "Mean over all neurons.")
    correlation_h: float | None = column(
        "r, H",
        "fixed2",
        "Correlation of activations with the last checkpoint's over the same tokens, mean over the H-Neurons.",
    )
    correlation_all: float | None = column("r, all", "fixed2", "Mean over all neurons.")
    reason: str = column("why numbers are missing", "text", _MISSING)
