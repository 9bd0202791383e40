"""What is found beside the three main numbers: what each has to beat, what it could have found, and what it shows.

The one idea: a conclusion is a list of conditions that were met or were not, each with its number, so a
reader who doubts one can see which. Everything here is a flat row: a table of the database has the
names of these fields, and an `Estimate` named x becomes x, x_low and x_high.
"""

from dataclasses import dataclass, field
from typing import Literal

from provenance.intervals import Estimate
from provenance.records import Stage, Verdict

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


@dataclass(frozen=True)
class Rung:
    """One thing that transfer has to beat on the base's own answers to one question set."""

    dataset: str
    """Name of the question set."""
    kind: str
    """A kind of `analyses.baselines.BASELINE_KINDS`; or jointly `lengths_and_texts`, or `all_together`, which has the
    log-probability as well."""
    auroc: Estimate | None
    """Of the baseline; the mean over neuron sets; None where a class is missing."""
    gain: Estimate | None
    """The probe's AUROC minus the baseline's, paired by question. For joint kinds, with the probe minus without."""
    p_value: float | None
    """One-sided, by paired bootstrap over questions (and over neuron sets): P(gain <= 0)."""
    p_holm: float | None
    """The same after Holm's correction over the question sets that have power."""
    draws: int
    """Neuron sets; 0 for the others."""
    gain_sd: float | None = None
    """SD of the gain over resamples of questions (and over neuron sets), in units of AUROC."""


@dataclass(frozen=True)
class Cell:
    """The instruct probe on one model's activations while it reads one model's answers in one model's prompt."""

    dataset: str
    """Name of the question set."""
    activations: Stage
    """Whose neurons are read."""
    answers: Stage
    """Whose answers, with their labels, are read."""
    prompt: Stage
    """Whose prompt format they stand in."""
    auroc: Estimate | None
    """AUROC of the instruct probe, weights unchanged; None where a class is missing."""
    n_faithful: int
    """Faithful answers scored."""
    n_hallucinated: int
    """Hallucinated answers scored."""
    n_dropped: int
    """Answers that could not be placed in the other prompt."""
    random_p95: float | None
    """95th percentile of refitted random neuron sets on the same rows."""
    layer_matched_p95: float | None
    """95th percentile of layer-matched ones."""
    reason: str
    """Why there is no number; empty otherwise."""


@dataclass(frozen=True)
class LabelAgreement:
    """Whether both models are right on the same questions, and whose labels the base's neurons follow."""

    dataset: str
    """Name of the question set."""
    n_common: int
    """Questions on which both models' answers have a label."""
    n_agree: int
    """Of these, with the same label."""
    kappa: Estimate | None
    """Cohen's kappa; None without common questions or with one class only on either side."""
    auroc_agree: Estimate | None
    """Instruct probe on the base's own answers with the base's labels, on agreeing questions."""
    auroc_disagree: Estimate | None
    """The same on disagreeing questions: above 0.5 it follows the base's labels, below 0.5 the instruct model's."""
    reason: str
    """Why a number is missing; empty otherwise."""


@dataclass(frozen=True)
class ScaleControl:
    """Transfer with magnitudes put right in one way."""

    dataset: str
    """Name of the question set."""
    kind: ScaleKind
    """How: `raw` weights; `z_score` within a model; `rank` (quantiles of one model onto those of the other); `refit`
    of the probe's neurons on the base's training answers; `forward`: the base's probe on the instruct model's answers;
    `base_probe`: the base's own probe on its own answers, the ceiling."""
    auroc: Estimate | None
    """On held-out answers; None where it is not defined."""
    random_p95: float | None
    """95th percentile of refitted random neuron sets, where there are any."""
    layer_matched_p95: float | None
    """95th percentile of layer-matched ones."""
    reason: str
    """Why there is no number; empty otherwise."""


@dataclass(frozen=True)
class SignAgreement:
    """Whether single neurons point the same way in both models: more active on hallucinated answers, or less."""

    k: int
    """Neurons with a probe weight whose AUROC is not 0.5 exactly in either model."""
    agree: int
    """Of these, on the same side of 0.5 in both."""
    share: float | None
    """agree / k; None without neurons."""
    expected: float | None
    """Mean share in sets of neurons of the same layers."""
    p_value: float | None
    """One-sided, exact over such sets: P(share at least this high)."""
    n_base: int
    """Answers of the base that its AUROCs rest on."""
    n_instruct: int
    """Answers of the instruct model."""


@dataclass(frozen=True)
class DriftTest:
    """One way of asking whether a set of neurons changed less than others like them."""

    side: Side
    """Which neurons."""
    measure: Measure
    """What of them changed."""
    matching: Matching
    """What the others have in common with them."""
    bins: int
    """Quantile bins a layer was cut into by each of norm and activity; 1 for `layer`."""
    k: int
    """Neurons of the set that have a rank."""
    mean_rank: float
    """Mean stability rank by this measure, 0 = changed most, 1 = changed least."""
    null_mean: float
    """Exact mean over matched sets; beyond `layer`, of sets with the set's own norms and activities."""
    null_sd: float
    """Exact SD over matched sets, likewise."""
    effect: Estimate
    """mean_rank - null_mean with a 95 % interval over the neurons (Student's t)."""
    p_more_stable: float
    """One-sided permutation p."""
    p_less_stable: float
    """The other side."""
    smallest_detectable: float | None
    """Mean rank detected with 80 % power at one-sided 5 %; None where no mean rank would be."""
    z_all: float | None
    """Mean over the set of the measure's z-score over all neurons; positive = changed more."""
    z_layer: float | None
    """The same with z-scores within the neuron's layer."""


@dataclass(frozen=True)
class OverlapNull:
    """How many neurons two sets of these sizes share under one null."""

    kind: OverlapNullKind
    """`hypergeometric`: any neurons; `layer...`: neurons matched as for drift; `shuffled_labels`: what the same search
    finds in both models when the labels of its training answers are shuffled."""
    expected: float
    """Mean number shared."""
    sd: float
    """SD of it."""
    p_value: float
    """P(at least as many shared)."""
    p_zero: float
    """P(none shared)."""
    smallest_detectable: float | None
    """Shared neurons expected of two searches so that 80 % of such pairs reach p < 0.05; None: never."""
    draws: int
    """Pairs of shuffled searches; 0 where the null is exact."""


@dataclass(frozen=True)
class Power:
    """What one test could have found."""

    claim: str
    """`transfer`, `drift` or `overlap`."""
    test: str
    """What it is tested against."""
    dataset: str
    """Question set; empty where the test has none."""
    k: int
    """Neurons in the set that is tested."""
    n: int
    """Answers; 0 where the test has none."""
    sd: float
    """Standard deviation of the statistic under the null, in its own unit."""
    smallest_detectable: float | None
    """Value of the statistic found with 80 % power at one-sided 5 %; None where none would be, or it is not known."""
    unit: str
    """`AUROC`, `mean stability rank` or `shared neurons`."""


@dataclass(frozen=True)
class CausalEffect:
    """What scaling a set of neurons in the forward pass did to one model's answers."""

    stage: Stage
    """Which model."""
    alpha: float
    """Factor on z of the set; 1 would change nothing."""
    kind: CausalKind
    """The H-Neurons, or control sets of as many neurons."""
    outcome: Outcome
    """Change, scaled minus as it is, of: mean log-probability (nats per token) of the model's own faithful or of its
    hallucinated answers, the second minus the first (`selectivity`), or the share of right greedy answers."""
    k: int
    """Neurons of a set."""
    effect: Estimate
    """By question for the H-Neurons, n: questions; over sets for control sets (their mean, 2.5th and 97.5th
    percentile), n: sets."""
    draws: tuple[float, ...]
    """Effect of each control set; empty for the H-Neurons."""
    p_value: float | None
    """For a kind of control sets: share of them, counting the H-Neurons as one, with an effect at least as far in the
    expected direction (less of what is suppressed, more of what is amplified); None for the H-Neurons."""


@dataclass(frozen=True)
class Reason:
    """One condition of a claim."""

    code: str
    """Stable name, such as `transfer.p.question_text`."""
    dataset: str
    """Question set; empty where it has none."""
    value: float | None
    """What was measured; None where it could not be."""
    relation: Relation
    """How the value has to stand to the bar."""
    bar: float
    """What it was held against."""
    holds: bool | None
    """Whether it does; None where it could not be measured."""
    role: Role
    """What the verdict makes of it (`analyses.conditions.verdict_of`)."""


@dataclass(frozen=True)
class Claim:
    """One thing that may be said of the pair, how well it stands, and why."""

    name: str
    """`transfer`, `beyond_confidence`, `own_labels`, `drift`, `overlap`, `function_base` or `function_instruct`."""
    verdict: Verdict
    """How well it stands."""
    dataset: str
    """Question set it rests on; empty where it has none."""
    words: str
    """What is claimed, or why it is not."""
    reasons: tuple[Reason, ...]
    """Conditions, in order."""


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


@dataclass(frozen=True)
class TracePoint:
    """One checkpoint of a timeline, seen with the probe of the last one."""

    position: int
    """From 0 in the order that was given; the floor is -1."""
    ref: str
    """As the user wrote it; `random initialisation` for the floor."""
    digest: str
    """Content digest."""
    is_floor: bool
    """Whether it is the randomly initialised model."""
    prompt: Stage
    """Which prompt format it was asked in."""
    own: Estimate | None
    """AUROC of the last checkpoint's probe, weights unchanged, on this one's own answers; None where a class is
    missing."""
    own_random_p95: float | None
    """95th percentile of refitted random neuron sets on the same answers."""
    own_layer_matched_p95: float | None
    """95th percentile of layer-matched ones."""
    n_faithful: int
    """Own faithful answers scored."""
    n_hallucinated: int
    """Own hallucinated answers scored."""
    forced: Estimate | None
    """AUROC on the last checkpoint's answers, which this one reads: the same texts and labels all along."""
    forced_random_p95: float | None
    """95th percentile of refitted random neuron sets on the same rows."""
    forced_layer_matched_p95: float | None
    """95th percentile of layer-matched ones."""
    mean_stability_rank: float | None
    """Of the H-Neurons' weights from here to the last checkpoint; None for the last one itself."""
    null_mean: float | None
    """Mean over sets of neurons of the same layers."""
    p_value: float | None
    """One-sided permutation p: more stable than those."""
    change_h: float | None
    """1 - cos of weights from here to the last checkpoint (mean of up and down), mean over the H-Neurons."""
    change_all: float | None
    """Mean over all neurons."""
    correlation_h: float | None
    """Correlation of activations with the last checkpoint's over the same tokens, mean over the H-Neurons."""
    correlation_all: float | None
    """Mean over all neurons."""
    reason: str
    """Why numbers are missing; empty otherwise."""
