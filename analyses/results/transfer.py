"""Results about transfer to the base: the probe on every question set, its baselines and controls."""

from dataclasses import dataclass
from typing import Literal

from provenance.analyses.results.claims import NOT_JUDGED
from provenance.cells import NOTHING, Record, interval
from provenance.records import MARKS, Estimate, Stage, Verdict
from provenance.table_declaration import column, part, table
from provenance.words import BASELINES, SCALES, beats_sets


@table(
    "transfer",
    "Backward transfer",
    row="the probe on the base model's own answers to one question set",
    note="AUROC of the instruct checkpoint’s probe, weights unchanged, on the base model’s own responses, with its "
    "interval over test questions and training sets, and beside it over test questions alone. n: faithful + "
    "hallucinated responses. p: the largest against chance, neuron sets, searches with shuffled labels, answer length "
    "and texts; Holm: over question sets.",
)
@dataclass(frozen=True)
class TransferResult:
    """The instruct probe, weights unchanged, on the base model's own responses to one question set."""

    dataset: str = column("question set", "text", "Question set.", key=True)
    auroc: Estimate | None = column(
        "AUROC",
        "ci2",
        "AUROC over answer rows, with its interval over test questions and training sets; None if a class is missing.",
    )
    n_faithful: int = column("n (f + h)", "pair", "Faithful base responses scored.", beside="n_hallucinated")
    n_hallucinated: int = column("", "count", "Hallucinated base responses scored.")
    verdict: Verdict = column(
        "verdict",
        "verdict",
        "Verdict of the claim `transfer` for this question set.",
        default=NOT_JUDGED,
    )
    reason: str = column("", "text", "The numbers that decided, in words.", default="")
    p_value: float | None = column(
        "p",
        "p",
        "Largest one-sided p against chance, neuron sets, shuffled labels, length and texts; None without power.",
        default=None,
    )
    p_holm: float | None = column(
        "p (Holm)", "p", "p after Holm's correction over the question sets with power.", default=None
    )
    decided_by: str | None = column(
        "smallest margin over",
        "text",
        "Smallest margin: `chance` or a kind of `Rung`.",
        words=BASELINES,
        default=None,
    )
    p_chance: float | None = column(
        "", "p", "One-sided p of AUROC <= 0.5, by bootstrap over questions; None without power.", default=None
    )
    questions: int | None = column(
        "",
        "count",
        "Independent groups of questions with an answer of the rarer label; None if not counted.",
        default=None,
    )
    given_probe: Estimate | None = column(
        "probe as given",
        "ci2",
        "The same AUROC with its interval over test questions alone; None if a class is missing.",
        default=None,
    )
    training_sd: float | None = column(
        "SD over training sets",
        "fixed3",
        "Standard deviation of the AUROC over training sets, from the probes of half-samples; None without any.",
        default=None,
    )


_P95_RANDOM = "95th percentile of refitted random neuron sets on the same rows."


_P95_MATCHED = "95th percentile of refitted layer-matched neuron sets on the same rows."


_NAMED = "Question set."


_MISSING = "Why a number is missing; empty otherwise."


@table(
    "ladder",
    "What transfer has to beat",
    row="one baseline of transfer on one question set",
    query="ladder",
    note="On the base model’s own answers: AUROC of the probe, weights unchanged, and of each baseline; gain: the "
    "probe’s AUROC minus the baseline’s, paired by question. Neuron sets are refitted on the same rows and transferred "
    "the same way: means over sets; so are the probes of searches with shuffled labels. Length, texts "
    "and log-probability together, and both directions together: a logistic regression, cross-fitted by question; its "
    "gain is what adding the probe to it brings. p: one-sided; Holm: over question sets with power. "
    "The probe’s own p is the largest over its baselines; log-probability and directions are not among those.",
)
@dataclass(frozen=True)
class Rung:
    """One baseline of the probe on the base's own answers to one question set."""

    dataset: str = column("question set", "text", _NAMED, key=True)
    kind: str = column(
        "predictor",
        "text",
        "; ".join(f"`{kind}`: {words}" for kind, words in BASELINES.items() if kind not in ("chance", "probe")) + ".",
        key=True,
        words=BASELINES,
    )
    auroc: Estimate | None = column(
        "AUROC", "ci2", "AUROC of the baseline; the mean over sets or searches.", counted=True
    )
    gain: Estimate | None = column(
        "gain of the probe",
        "ci3",
        "The probe's AUROC minus the baseline's, paired by question; for joint kinds, with the probe minus without.",
        counted=True,
    )
    p_value: float | None = column(
        "p", "p", "One-sided p of gain <= 0, by paired bootstrap over questions (and over neuron sets)."
    )
    p_holm: float | None = column("p (Holm)", "p", "p after Holm's correction over the question sets with power.")
    draws: int = column("sets", "some", "Neuron sets, or searches with shuffled labels; 0 for other baselines.")
    sets_low: float | None = column("", "fixed2", "2.5th percentile of AUROC over neuron sets.", default=None)
    sets_high: float | None = column("", "fixed2", "97.5th percentile of AUROC over neuron sets.", default=None)
    sets_p95: float | None = column("sets p95", "fixed2", "95th percentile of AUROC over neuron sets.", default=None)
    set_aurocs: tuple[float, ...] = part("AUROC of each neuron set.", default=())
    gain_sd: float | None = column(
        "", "compact", "SD of the gain over resamples of questions (and of neuron sets).", unit="AUROC", default=None
    )


_FITTED = "Model whose training answers the direction was fitted on."


@table(
    "direction",
    "Directions in the residual stream",
    row="one direction in the residual stream, carried over to the other model's answers to one question set",
    query="directions",
    note="Fitted on the training answers of one model, at the layer (and penalty) that tells left-out training "
    "questions best, and carried over to the other model’s own held-out answers as the probe is, weights unchanged. "
    "Gain: AUROC of the probe of the same model on the same answers minus the direction’s, paired by question. Added: "
    "what the probe adds to the direction in a logistic regression, cross-fitted by question. Both p are one-sided and "
    "not corrected; no verdict rests on them.",
)
@dataclass(frozen=True)
class DirectionTransfer:
    """A direction in the residual stream of one model on the other model's own answers to one question set."""

    dataset: str = column("question set", "text", _NAMED, key=True)
    fitted_on: Stage = column("fitted on", "text", _FITTED, key=True)
    answers: Stage = column("answers of", "text", "Model that gave the answers and is read; the other one.")
    kind: str = column("predictor", "text", "`mean_difference` or `residual_regression`.", key=True, words=BASELINES)
    layer: int = column("layer", "count", "Block behind which it is read, from 0.")
    C: float | None = column("C", "compact", "Chosen inverse strength of the penalty; NULL without one.", sql="c")
    left_out: float = column(
        "AUROC, cross-validated", "fixed2", "AUROC on left-out training questions, which chose layer and C."
    )
    auroc: Estimate = column("AUROC", "ci2", "AUROC on the other model's answers.", counted=True)
    gain: Estimate = column(
        "gain of the probe", "ci3", "The probe's AUROC minus the direction's, paired by question.", counted=True
    )
    p_value: float | None = column("p", "p", "One-sided p of gain <= 0, by paired bootstrap over questions.")
    added: Estimate | None = column(
        "added by the probe",
        "ci3",
        "AUROC of direction and probe together minus the direction's, cross-fitted by question; None if questions are "
        "too few.",
        counted=True,
    )
    p_added: float | None = column("p (added)", "p", "One-sided p of added <= 0.")


@table(
    "direction_layer",
    "Directions by layer",
    row="one direction in the residual stream behind one block, on one model's answers to one question set",
    query="directions-by-layer",
)
@dataclass(frozen=True)
class DirectionLayer:
    """A direction behind one block, on the held-out answers of either model to one question set."""

    dataset: str = column("question set", "text", _NAMED, key=True)
    fitted_on: Stage = column("fitted on", "text", _FITTED, key=True)
    answers: Stage = column("answers of", "text", "Model that gave the answers and is read.", key=True)
    kind: str = column("predictor", "text", "`mean_difference` or `residual_regression`.", key=True, words=BASELINES)
    layer: int = column("layer", "count", "Block behind which it is read, from 0.", key=True)
    left_out: float = column(
        "AUROC, cross-validated", "fixed2", "AUROC on left-out training questions of the model it was fitted on."
    )
    auroc: Estimate = column("AUROC", "ci2", "AUROC on held-out answers, with its interval by question.", counted=True)


def _marked_auroc(record: Record) -> str:
    if record["auroc"] is None:
        return NOTHING
    return f"{MARKS['supported' if beats_sets(record) else 'not distinguishable']} {interval(record, 'auroc')}"


@table(
    "cell",
    "Whose labels, whose text, whose prompt",
    row="the probe on one model's activations, answers and prompt",
    query="cells",
    note="The instruct checkpoint’s probe, weights unchanged, on one model’s neurons while it reads one model’s "
    "answers with that model’s labels, in one model’s prompt; intervals by question alone. p95: 95th percentile of "
    "refitted neuron sets on the same rows. ●: the interval lies above 0.5 and both p95. Not placed: answers that "
    "could not be put in that prompt.",
)
@dataclass(frozen=True)
class TransferCell:
    """The instruct probe on one model's activations while it reads one model's answers in one model's prompt."""

    dataset: str = column("question set", "text", _NAMED, key=True)
    activations: Stage = column("neurons", "text", "Model whose neurons are read.", key=True)
    answers: Stage = column("answers", "text", "Model of the answers and labels.", key=True)
    prompt: Stage = column("prompt", "text", "Model of the prompt format.", key=True)
    auroc: Estimate | None = column(
        "AUROC", _marked_auroc, "AUROC of the instruct probe, weights unchanged; None if a class is missing."
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
    """Agreement of both models' labels, and whose labels the base's neurons follow."""

    dataset: str = column("question set", "text", _NAMED, key=True)
    n_common: int = column("", "count", "Questions with a labelled answer of both models.")
    n_agree: int = column("same label", "of", "Common questions with the same label.", beside="n_common")
    kappa: Estimate | None = column(
        "kappa", "ci2", "Cohen's kappa; None without common questions or with one class only in either model."
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


ScaleKind = Literal["raw", "z_score", "rank", "refit", "forward", "base_probe"]


@table(
    "scale_control",
    "Magnitudes",
    row="transfer with one correction of magnitudes",
    query="scales",
    note="CETT values of a neuron differ in size between the models. AUROC on held-out answers with the weights as "
    "they are, with values put on the instruct model’s scale, and with the weights fitted anew: an upper bound. "
    "The base’s own probe on its own answers is the ceiling.",
)
@dataclass(frozen=True)
class ScaleControl:
    """Transfer with one correction of magnitudes."""

    dataset: str = column("question set", "text", _NAMED, key=True)
    kind: ScaleKind = column(
        "scale",
        "text",
        "`raw` weights; `z_score` within a model; `rank`: quantiles of one model mapped to the other's; "
        "`refit` of the probe's neurons on the base's training answers; `forward`: the base's probe on the "
        "instruct model's answers; `base_probe`: the base's own probe on its own answers, the ceiling.",
        key=True,
        words=SCALES,
    )
    auroc: Estimate | None = column("AUROC", "ci2", "AUROC on held-out answers; None if not defined.", counted=True)
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

    k: int = column("k", "count", "Neurons with a probe weight and an AUROC other than 0.5 in both models.")
    agree: int = column("agree", "count", "Neurons on the same side of 0.5 in both.")
    share: float | None = column("share", "fixed2", "agree / k; None without neurons.")
    expected: float | None = column("expected", "fixed2", "Mean share in sets of neurons of the same layers.")
    p_value: float | None = column("p", "p", "One-sided p, exact over such sets: P(share at least this high).")
    n_base: int = column("n, base", "count", "Answers of the base behind its AUROCs.")
    n_instruct: int = column("n, instruct", "count", "Answers of the instruct model behind its AUROCs.")
