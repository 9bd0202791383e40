"""Results about answers: questions kept by each stage, and the activity of every neuron on them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from provenance.records import Label, Stage
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
    mean_faithful: Float[np.ndarray, " neurons"] = per_neuron(
        "Mean CETT over faithful responses, dimensionless; NaN without any."
    )
    mean_hallucinated: Float[np.ndarray, " neurons"] = per_neuron(
        "Mean CETT over hallucinated responses, dimensionless; NaN without any."
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
    dropped: dict[str, int] = part("Dropped questions by reason, and by label if known.")
