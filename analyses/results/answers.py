"""Answers as results: how many questions each stage kept, and how active every neuron is on them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from provenance.declared import column, part, per_neuron, table
from provenance.records import Label, Stage


@table(
    "activity_set",
    "Activity",
    row="the responses behind the activity of one checkpoint on one question set",
    bulk="activity",
)
@dataclass(frozen=True)
class ActivityTable:
    """Mean CETT on answer tokens of every neuron, for one checkpoint and question set."""

    stage: Stage = column("model", "text", "Which checkpoint.", key=True)
    dataset: str = column("question set", "text", "Name of the question set.", key=True)
    n_faithful: int = column("n (f + h)", "pair", "Faithful responses.", beside="n_hallucinated")
    n_hallucinated: int = column("", "count", "Hallucinated responses.")
    mean_faithful: Float[np.ndarray, " neurons"] = per_neuron("Mean CETT over faithful responses; NaN without any.")
    mean_hallucinated: Float[np.ndarray, " neurons"] = per_neuron(
        "Mean CETT over hallucinated responses; NaN without any."
    )
    standardised_difference: Float[np.ndarray, " neurons"] = per_neuron(
        "(hallucinated - faithful) / pooled SD; NaN where not defined."
    )
    auroc: Float[np.ndarray, " neurons"] = per_neuron("AUROC of the single neuron; NaN with one class.")


@table(
    "funnel",
    "Funnel",
    row="how many questions each stage kept, by label",
    query="funnel",
    note="Questions asked and answered; then responses kept by each stage, faithful + hallucinated.",
)
@dataclass(frozen=True)
class Funnel:
    """How many questions and responses each stage kept, for one task."""

    stage: Stage = column("model", "text", "Which checkpoint.", key=True)
    dataset: str = column("question set", "text", "Name of the question set.", key=True)
    split: str = column("split", "text", "`train` (validation included) or `test`.", key=True)
    asked: int = column(
        "asked", "count", "Questions asked; fewer than the pool has when both classes were full before its end."
    )
    answered: int = column("answered", "count", "Questions that got at least one non-empty sample.")
    consistent: dict[Label, int] = column("consistent", "pair", "Kept, by label.")
    span_found: dict[Label, int] = column("span found", "pair", "Of these, with an answer span.")
    captured: dict[Label, int] = column("captured", "pair", "Of these, with captured vectors.")
    fitted: dict[Label, int] = column("fitted", "pair", "Of these, used to fit or to score (after balancing).")
    dropped: dict[str, int] = part("Questions dropped, by reason, with the label where there was one.")
