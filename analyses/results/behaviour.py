"""Effects of scaling neurons as results."""

from dataclasses import dataclass
from typing import Literal

from provenance.declared import column, table
from provenance.records import Estimate, Stage
from provenance.words import OUTCOMES, SETS

CausalKind = Literal["h_neurons", "random", "layer_matched"]


Outcome = Literal["faithful_log_probability", "hallucinated_log_probability", "selectivity", "correct"]


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
