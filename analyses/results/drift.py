"""Results about weight changes: of every neuron, and of H-Neurons against matched neurons."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from provenance.analyses.results.claims import NOT_JUDGED
from provenance.records import Estimate, Verdict
from provenance.table_declaration import column, table
from provenance.words import MATCHINGS, MEASURES, SIDES


@dataclass(frozen=True)
class NeuronDrift:
    """Raw and ranked weight changes of every neuron, float64, length D."""

    delta_gate: Float[np.ndarray, " neurons"] | None
    """1 - cos of the gate row; None for ungated layouts."""
    delta_up: Float[np.ndarray, " neurons"]
    """1 - cos of the up row."""
    delta_down: Float[np.ndarray, " neurons"]
    """1 - cos of the down column."""
    delta: Float[np.ndarray, " neurons"]
    """(z(delta_up) + z(delta_down)) / 2, z over all neurons."""
    stability_rank: Float[np.ndarray, " neurons"]
    """Normalised midrank of -delta: 0 = changed most, 1 = changed least."""
    norm_up_base: Float[np.ndarray, " neurons"]
    """L2 norm of the base's up row."""
    norm_up_instruct: Float[np.ndarray, " neurons"]
    """L2 norm of the instruct checkpoint's up row."""
    norm_down_base: Float[np.ndarray, " neurons"]
    """L2 norm of the base's down column."""
    norm_down_instruct: Float[np.ndarray, " neurons"]
    """L2 norm of the instruct checkpoint's down column."""
    identical: Bool[np.ndarray, " neurons"]
    """Gate, up and down weights bit-identical."""
    rounding_floor: float = 0.0
    """The 1 - cos that rounding to the coarser storage dtype can cause, about (eps / 2)^2 / 6; 0 = not known."""


@table("drift", "Parameter evolution", row="the paper's test of the H-Neurons' stability ranks", single=True)
@dataclass(frozen=True)
class DriftResult:
    """The paper's test: are the H-Neurons' weights more stable than those of all other neurons?"""

    k: int = column("H-Neurons, k", "count", "Number of H-Neurons.")
    p_t: float | None = column(
        "one-sided p, Welch t-test of ranks against all others (the paper’s)",
        "compact",
        "One-sided p of a Welch t-test: stability ranks of H-Neurons are higher than those of all others (the "
        "paper's test).",
    )
    uniform_sd: float | None = column(
        "SD of a mean rank under a uniform null", "fixed3", "1 / sqrt(12 k): SD of a mean rank under a uniform null."
    )
    share_identical: float = column(
        "share of all neurons that are bit-identical", "fixed3", "Share of all neurons with bit-identical weights."
    )
    rounding_floor: float = column(
        "1 − cos that storage rounding alone can cause",
        "compact",
        "The 1 - cos that rounding to the coarser storage dtype can cause, about (eps / 2)^2 / 6.",
    )
    verdict: Verdict = column(
        "", "text", "Verdict of the drift claim (`provenance.analyses.claims.claim_conditions`).", default=NOT_JUDGED
    )
    reason: str = column("", "text", "The numbers that decided, in words.", default="")


ProbeSide = Literal["hallucinated", "faithful"]
"""Neurons with positive probe weights (the H-Neurons), or with negative ones."""


Measure = Literal["delta", "gate", "norm", "functional"]
"""The paper's Delta; 1 - cos of the gate row; change of norms; 1 - correlation of activations over the same tokens."""


Matching = Literal["layer", "layer_norm", "layer_norm_activity"]
"""Matching criteria: layer, and within it quantiles of weight norm and of mean CETT, both of the base."""


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

    side: ProbeSide = column("neurons", "text", "Neuron set.", key=True, words=SIDES)
    measure: Measure = column("measure", "text", "Kind of change.", key=True, words=MEASURES)
    matching: Matching = column("matched on", "text", "Properties shared with matched sets.", key=True, words=MATCHINGS)
    bins: int = column("", "count", "Quantile bins of a layer by norm, and by activity within them; 1 for `layer`.")
    k: int = column("k", "count", "Neurons of the set with a rank.")
    mean_rank: float = column(
        "mean rank", "fixed3", "Mean stability rank by this measure, 0 = changed most, 1 = changed least."
    )
    null_mean: float = column(
        "null",
        "fixed3",
        "Exact mean over matched sets; beyond `layer`, of sets with the set's own norms and activities.",
    )
    null_sd: float = column("SD", "fixed3", "Exact SD over matched sets.")
    effect: Estimate = column(
        "effect", "ci3", "mean_rank - null_mean with a 95 % interval over the neurons (Student's t)."
    )
    p_more_stable: float = column("p more", "p", "One-sided permutation p of being more stable.")
    p_less_stable: float = column("p less", "p", "One-sided permutation p of being less stable.")
    smallest_detectable: float | None = column(
        "least", "fixed3", "Smallest mean rank found with 80 % power at one-sided 5 %; None if no mean rank is."
    )
    z_all: float | None = column(
        "z, all",
        "fixed2",
        "Mean z-score of the measure over all neurons; positive = changed more.",
    )
    z_layer: float | None = column(
        "z, layer", "fixed2", "Mean z-score within the neuron's layer; positive = changed more."
    )
