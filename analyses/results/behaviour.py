"""Results about the effects of scaling neurons."""

from dataclasses import dataclass
from typing import Literal

from provenance.records import Estimate, Stage
from provenance.table_declaration import column, table
from provenance.words import OUTCOMES, SETS

CausalKind = Literal["h_neurons", "random", "layer_matched"]


Outcome = Literal["faithful_log_probability", "hallucinated_log_probability", "selectivity", "correct"]


@table(
    "intervention",
    "Intervention",
    row="one factor, neuron set and outcome of scaling",
    query="interventions",
    note="z of the neurons times α in the forward pass; change against the model as it is. Log-probabilities: mean "
    "over the model’s own answers, nats per token. H-Neurons: 95 % interval by question; control sets of as "
    "many neurons: mean and middle 95 % of sets. p: share of sets, the H-Neurons among them, with an effect at "
    "least as far in the expected direction.",
)
@dataclass(frozen=True)
class CausalEffect:
    """Effect of scaling a set of neurons in the forward pass on one model's answers."""

    stage: Stage = column("model", "text", "Model.")
    alpha: float = column("α", "g", "Factor on z of the set; 1 = unchanged.")
    kind: CausalKind = column("neurons scaled", "text", "The H-Neurons, or control sets of the same size.", words=SETS)
    outcome: Outcome = column(
        "change of",
        "text",
        "Change against the unchanged model of: the mean log-probability (nats per token) of the model's own "
        "faithful or hallucinated answers, the second minus the first (`selectivity`), or the share of right "
        "greedy answers.",
        words=OUTCOMES,
    )
    k: int = column("k", "count", "Neurons of a set.")
    effect: Estimate = column(
        "effect",
        "ci3",
        "H-Neurons: interval by question, n = questions. Control sets: their mean, 2.5th and 97.5th "
        "percentile, n = sets.",
        counted=True,
    )
    draws: tuple[float, ...] = column("sets", "some", "Effect of each control set; empty for the H-Neurons.")
    p_value: float | None = column(
        "p of the H-Neurons",
        "p",
        "Share of control sets (counting the H-Neurons as one) with an effect at least as far in the expected "
        "direction: less of what is suppressed, more of what is amplified. None for the H-Neurons.",
    )
