"""Results about answers: questions kept by each stage, activity of every neuron on them, and refusals beside them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from provenance.records import Estimate, Label, Stage
from provenance.table_declaration import column, part, per_neuron, table


@table(
    "activity_set",
    "Activity",
    row="the responses behind the activity of one checkpoint on one question set",
    bulk="activity",
)
@dataclass(frozen=True)
class ActivityTable:
    """Mean CETT on answer tokens of every neuron, for one checkpoint and question set."""

    stage: Stage = column("model", "text", "Model.", key=True)
    dataset: str = column("question set", "text", "Question set.", key=True)
    n_faithful: int = column("n (f + h)", "pair", "Faithful responses.", beside="n_hallucinated")
    n_hallucinated: int = column("", "count", "Hallucinated responses.")
    n_refusal: int = column("refusals", "some", "Refusals.")
    mean_faithful: Float[np.ndarray, " neurons"] = per_neuron(
        "Mean CETT over faithful responses; NaN without any.", unit="CETT"
    )
    mean_hallucinated: Float[np.ndarray, " neurons"] = per_neuron(
        "Mean CETT over hallucinated responses; NaN without any.", unit="CETT"
    )
    standardised_difference: Float[np.ndarray, " neurons"] = per_neuron(
        "(hallucinated - faithful) / pooled SD; NaN where not defined."
    )
    auroc: Float[np.ndarray, " neurons"] = per_neuron("AUROC of the single neuron; NaN with one class.")
    mean_refusal: Float[np.ndarray, " neurons"] = per_neuron("Mean CETT over refusals; NaN without any.", unit="CETT")
    auroc_refusal: Float[np.ndarray, " neurons"] = per_neuron(
        "AUROC of the single neuron, hallucinated responses above refusals; NaN without either."
    )


@table(
    "judge_agreement",
    "Two judges of the same answers",
    row="the labels that a judging model and the rule give to one model's answers to one question set",
    query="judges",
    note="A question’s label by the judging model, which the run uses, and by the rule, from the same samples: "
    "faithful, hallucinated, refusal, or mixed where samples disagree. Kappa: Cohen’s, over these four.",
)
@dataclass(frozen=True)
class JudgeAgreement:
    """Agreement of a judging model with the rule on one pool of questions."""

    stage: Stage = column("model", "text", "Model whose answers are judged.", key=True)
    dataset: str = column("question set", "text", "Question set.", key=True)
    split: str = column("split", "text", "`train` (validation included) or `test`.", key=True)
    judge: str = column("judge", "text", "Name of the judging model.")
    n: int = column("", "count", "Questions with two labels.")
    n_agree: int = column("same label", "of", "Questions with the same label by both.", beside="n")
    kappa: Estimate | None = column("kappa", "ci2", "Cohen's kappa over four labels; None with one label only.")
    model_faithful: int = column(
        "right by the model alone", "count", "Faithful by the model, hallucinated by the rule."
    )
    rule_faithful: int = column("right by the rule alone", "count", "Hallucinated by the model, faithful by the rule.")
    refusal_differs: int = column("refusal by one", "count", "A refusal by one of the two and not by the other.")
    n_unjudged: int = column("no judgement", "some", "Questions dropped since the model's reply was no judgement.")
    reason: str = column("why a number is missing", "text", "Why a number is missing; empty otherwise.")


@table(
    "refusal",
    "Refusals",
    row="the refusals of one model to questions of one set, scored by the instruct checkpoint's probe",
    query="refusals",
    note="“I don’t know” is the control of a hallucination: the model lacks the answer in both. Refusals are scored by "
    "the instruct checkpoint’s probe, which was fitted without any, beside answers to the test questions. AUROC: "
    "hallucinated above refusals; refusals above faithful. A probe that only sees that no fact is stated gives 0.5 "
    "for the second, one that sees missing knowledge 0.5 for the first.",
)
@dataclass(frozen=True)
class RefusalContrast:
    """The instruct probe on refusals, beside test answers of the same model to the same question set."""

    stage: Stage = column("model", "text", "Model.", key=True)
    dataset: str = column("question set", "text", "Question set.", key=True)
    split: str = column("refused", "text", "Questions that were refused: `train` (validation too) or `test`.", key=True)
    n_refusal: int = column("refusals", "count", "Captured refusals.")
    n_faithful: int = column("n (f + h)", "pair", "Faithful test answers.", beside="n_hallucinated")
    n_hallucinated: int = column("", "count", "Hallucinated test answers.")
    from_hallucinated: Estimate | None = column(
        "hallucinated above", "ci2", "AUROC of the probe, hallucinated answers above refusals; 0.5 = not told apart."
    )
    from_faithful: Estimate | None = column(
        "above faithful", "ci2", "AUROC of the probe, refusals above faithful answers; 0.5 = not told apart."
    )
    detected: Estimate | None = column(
        "taken for hallucinated", "ci2", "Share of refusals with a score above 0, which is probability 0.5."
    )
    finding: str = column("hard to tell from", "text", "Answers from which the interval does not tell refusals apart.")
    reason: str = column("why a number is missing", "text", "Why a number is missing; empty otherwise.")


@table(
    "funnel",
    "Funnel",
    row="how many questions each stage kept, by label",
    query="funnel",
    note="Questions asked and answered; then responses kept by each stage, faithful + hallucinated.",
)
@dataclass(frozen=True)
class Funnel:
    """Questions and responses kept by each stage of one task."""

    stage: Stage = column("model", "text", "Model.", key=True)
    dataset: str = column("question set", "text", "Question set.", key=True)
    split: str = column("split", "text", "`train` (validation included) or `test`.", key=True)
    asked: int = column("asked", "count", "Questions asked; asking ends early once both classes are full.")
    answered: int = column("answered", "count", "Questions with at least one non-empty sample.")
    consistent: dict[Label, int] = column("consistent", "pair", "Responses with agreeing samples, by label.")
    span_found: dict[Label, int] = column("span found", "pair", "Consistent responses with an answer span, by label.")
    captured: dict[Label, int] = column("captured", "pair", "Responses with captured vectors, by label.")
    fitted: dict[Label, int] = column(
        "fitted", "pair", "Captured responses used to fit or to score (after balancing), by label."
    )
    cut_off: int = column(
        "cut off", "count", "Consistent responses that the token limit ended; in training they are dropped."
    )
    refusals: int = column(
        "refusals", "some", "Questions that all samples refuse to answer, captured apart and never fitted to or scored."
    )
    dropped: dict[str, int] = part("Dropped questions by reason, and by label if known.")
