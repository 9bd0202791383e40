"""What the analyses return: frozen values of numbers and arrays, without tensors.

Kept apart from the code that computes them so that the database can import the
shapes of its rows without importing torch. Per-neuron arrays have length
D = layers x d_m and are ordered layer by layer: flat id = layer * d_m + index.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from analyses.evidence_results import Claim, DriftTest, Evidence
from analyses.probe_results import IdentificationResult
from provenance.declared import column, part, per_neuron, table
from provenance.intervals import Estimate
from provenance.records import Label, Stage, Verdict
from provenance.words import BASELINES

NOT_JUDGED: Verdict = "no power"
"""Of numbers whose claim is not made yet."""


@table(
    "lineage_tensor",
    "Tensors",
    query="lineage-tensors",
    row="the tensors of one kind in one layer, against their namesakes",
    subject="lineage",
)
@dataclass(frozen=True)
class TensorSimilarity:
    """All tensors of one kind in one layer, compared with their namesakes in the other checkpoint."""

    kind: str = column(
        "kind",
        "text",
        "Name without prefix and layer number: `gate`, `up`, `down`, `self_attn.q_proj`, `embed_tokens`, ...",
    )
    layer: int | None = column("layer", "count", "Layer; None for tensors outside the layers.")
    rows: int = column(
        "rows", "count", "Rows compared; neurons for `gate`, `up` and `down`; 1 for a vector.", sql="n_rows"
    )
    identical_rows: int = column(
        "identical rows", "count", "Rows that hold the same numbers in both.", sql="n_identical_rows"
    )
    cosine_low: float = column(
        "", "fixed5", "5th percentile over rows of the cosine with the same row of the other checkpoint."
    )
    cosine_median: float = column("cosine", "fixed5", "Median over rows.")
    cosine_high: float = column("", "fixed5", "95th percentile over rows.")


@table(
    "lineage_config",
    "Settings that differ",
    query="config-differences",
    row="one setting of config.json that differs",
    subject="lineage",
)
@dataclass(frozen=True)
class ConfigDifference:
    """A setting of config.json that differs."""

    key: str = column("setting", "text", "Its name, with a dot for each level.", key=True)
    base: str | None = column("base", "text", "JSON text of the base's value; None where it has none.")
    instruct: str | None = column(
        "instruct", "text", "JSON text of the instruct checkpoint's value; None where it has none."
    )


@dataclass(frozen=True)
class LineageResult:
    """Whether one checkpoint descends from the other, with the evidence."""

    verdict: str
    """`same model`, `descendant`, `descendant, neurons permuted`, `descendant, pruned or widened` or `unrelated`."""
    reason: str
    """The numbers that decided, in words."""
    share_identical_tensors: float
    """Bit-identical tensors over tensors present in both."""
    tensors_compared: int
    """Tensors present in both with the same shape."""
    only_base: tuple[str, ...]
    """Names of tensors that only the base has, or has in another shape."""
    only_instruct: tuple[str, ...]
    """Names of tensors that only the instruct checkpoint has, or has in another shape."""
    median_cosine: dict[str, float]
    """Median over neurons of the cosine similarity, by kind (gate, up, down); empty where MLP shapes differ."""
    self_match: float
    """Share of sampled neurons whose nearest neighbour in the other model is the neuron itself."""
    nearest_cosine: float
    """Median over sampled neurons of the cosine to the nearest neighbour, whichever neuron that is."""
    found_in_base: float
    """Share of sampled neurons of the instruct checkpoint that have a neighbour in the base, at any index."""
    found_in_instruct: float
    """Share of sampled neurons of the base that have a neighbour in the instruct checkpoint, at any index."""
    neurons_sampled: int
    """Neurons of each checkpoint that these shares rest on."""
    layer_of: tuple[int | None, ...]
    """For each layer of the instruct checkpoint, the layer of the base that holds its neurons; None if none does."""
    moved: tuple[float, ...]
    """For each layer of the instruct checkpoint, the share of its neurons that are found at another index."""
    same_tokenizer: bool
    """Whether both tokenizers give every token the same id."""
    vocabulary_shared: float
    """Tokens with the same id in both, over tokens in either."""
    vocabulary_sizes: tuple[int, int]
    """Tokens of the base's and of the instruct checkpoint's tokenizer; 0 where there is none."""
    config: tuple[ConfigDifference, ...]
    """Settings that differ, by name."""
    tensors: tuple[TensorSimilarity, ...]
    """By kind and layer."""


@dataclass(frozen=True)
class Alignment:
    """Which neuron of the base each neuron of the instruct checkpoint is."""

    method: str
    """`index`: the same layer and index; `assignment`: looked up by similarity, layer by layer."""
    base_ids: Int[np.ndarray, " neurons"]
    """Flat id in the base (layer * the base's d_m + index) of each neuron of the instruct checkpoint; -1: unmapped."""
    reason: str
    """Why ids of the base must not be trusted, in words; empty when lineage supports the method."""

    @property
    def unmapped(self) -> Int[np.ndarray, " unmapped"]:
        """Flat ids in the instruct checkpoint of the neurons without a counterpart, ascending."""
        return np.flatnonzero(self.base_ids < 0)

    @property
    def is_identity(self) -> bool:
        """Whether every neuron has its own flat id in the base as well."""
        return bool((self.base_ids == np.arange(self.base_ids.size)).all())


@dataclass(frozen=True)
class MappedNeurons:
    """Some neurons of the instruct checkpoint, looked up in the base."""

    ids: Int[np.ndarray, " k"]
    """Flat ids in the instruct checkpoint."""
    base_ids: Int[np.ndarray, " k"]
    """Flat ids in the base; -1: unmapped."""
    similarity: Float[np.ndarray, " k"]
    """Cosine of gate, up and down weights, each scaled to length 1, joined; NaN where unmapped."""
    margin: Float[np.ndarray, " k"]
    """Similarity minus that of the best other neuron of the base's layer; negative where another is nearer."""


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
    """Are the H-Neurons' weights more stable than those of comparable neurons?"""

    k: int = column("H-Neurons, k", "count", "Number of H-Neurons.")
    p_t: float | None = column(
        "one-sided p, Welch t-test of ranks against all others (the paper’s)",
        "compact",
        "One-sided Welch t-test of stability ranks, H-Neurons higher than all others (the paper's test).",
    )
    uniform_sd: float | None = column(
        "SD of a mean rank under a uniform null", "fixed3", "1 / sqrt(12 k): SD of a mean rank under a uniform null."
    )
    share_identical: float = column(
        "share of all neurons that are bit-identical", "fixed3", "Share of all neurons whose weights are bit-identical."
    )
    rounding_floor: float = column(
        "1 − cos that storage rounding alone can cause",
        "compact",
        "The 1 - cos that rounding to the coarser storage dtype alone can cause, about (eps / 2)^2 / 6.",
    )
    verdict: Verdict = column("", "text", "Of the claim about drift (`analyses.claims`).", default=NOT_JUDGED)
    reason: str = column("", "text", "The numbers that decided, in words.", default="")


@table(
    "transfer",
    "Backward transfer",
    row="the probe on the base model's own answers to one question set",
    note="AUROC of the instruct checkpoint’s probe, weights unchanged, on the base model’s own responses, with its "
    "interval by question. n: faithful + hallucinated responses. p: the largest against chance, neuron sets, answer "
    "length and texts; Holm: over question sets.",
)
@dataclass(frozen=True)
class TransferResult:
    """The instruct probe, weights unchanged, on the base model's own responses to one question set."""

    dataset: str = column("question set", "text", "Name of the question set.", key=True)
    auroc: Estimate | None = column("AUROC", "ci2", "AUROC over answer rows; None when a class is missing.")
    n_faithful: int = column("n (f + h)", "pair", "Faithful base responses scored.", beside="n_hallucinated")
    n_hallucinated: int = column("", "count", "Hallucinated base responses scored.")
    verdict: Verdict = column(
        "verdict",
        "verdict",
        "Of the claim about transfer to this question set (`analyses.claims`).",
        default=NOT_JUDGED,
    )
    reason: str = column("", "text", "The numbers that decided, in words.", default="")
    p_value: float | None = column(
        "p",
        "p",
        "The largest of the one-sided p-values against chance, neuron sets, length and texts; None without power.",
        default=None,
    )
    p_holm: float | None = column(
        "p (Holm)", "p", "The same after Holm's correction over the question sets that have power.", default=None
    )
    decided_by: str = column(
        "smallest margin over",
        "text",
        "What it beats least clearly: `chance` or a kind of `Rung`.",
        words=BASELINES,
        default="",
    )
    p_chance: float | None = column(
        "", "p", "One-sided, by bootstrap over questions: P(AUROC <= 0.5); None without power.", default=None
    )
    questions: int | None = column(
        "", "count", "Questions with an answer of the rarer label; None where they were not counted.", default=None
    )


@table(
    "overlap",
    "Overlap",
    query="overlap",
    row="H-Neurons of the base against those of the instruct checkpoint",
    single=True,
)
@dataclass(frozen=True)
class OverlapResult:
    """H-Neurons found independently in the base model against those of the instruct model."""

    k_base: int = column("H-Neurons of the base model", "count", "H-Neurons found in the base.")
    k_instruct: int = column(
        "H-Neurons of the instruct checkpoint", "count", "H-Neurons found in the instruct checkpoint."
    )
    shared: int = column("neurons in both", "count", "Neurons in both sets.")
    jaccard: float | None = column("Jaccard index", "fixed3", "shared over the union; None when both sets are empty.")
    expected: float = column(
        "expected by chance", "fixed3", "k_base * k_instruct / D: mean under the hypergeometric null.", unit="neurons"
    )
    p_hypergeometric: float | None = column(
        "p of this overlap or more (hypergeometric)",
        "compact",
        "P(overlap >= shared) under the null; None when a set is empty.",
    )
    p_zero: float | None = column(
        "probability of no overlap by chance",
        "fixed3",
        "P(overlap = 0) under the null; a verdict is refused above 0.5.",
    )
    verdict: Verdict = column("", "text", "Of the claim about overlap (`analyses.claims`).", default=NOT_JUDGED)
    reason: str = column("", "text", "The numbers that decided, in words.", default="")
    ceiling_base: float | None = column(
        "Jaccard index of two halves of the questions, base model",
        "fixed3",
        "Jaccard index of two halves of the base's own questions, mean: a reference with half the data, no bound.",
        default=None,
    )
    ceiling_instruct: float | None = column(
        "Jaccard index of two halves of the questions, instruct model",
        "fixed3",
        "The same for the instruct checkpoint.",
        default=None,
    )
    ratio_base: float | None = column(
        "Jaccard index over that of two halves, base model",
        "fixed3",
        "jaccard over ceiling_base; None where that is 0 or unknown.",
        default=None,
    )
    ratio_instruct: float | None = column(
        "Jaccard index over that of two halves, instruct model",
        "fixed3",
        "jaccard over ceiling_instruct.",
        default=None,
    )
    cluster_jaccard: float | None = column(
        "Jaccard index over clusters of correlated neurons",
        "fixed3",
        "Jaccard index over clusters of correlated neurons in place of neurons; None when both sets are empty.",
        default=None,
    )
    rank_biased: float | None = column(
        "rank-biased overlap, heaviest weight first (0 to 1)",
        "fixed3",
        "Rank-biased overlap of both lists, heaviest probe weight first, in [0, 1]; None when a list is empty.",
        default=None,
    )


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


@dataclass(frozen=True)
class OriginReport:
    """Everything one comparison found."""

    layers: int
    """MLP layers."""
    neurons_per_layer: int
    """d_m."""
    lineage: LineageResult
    """Is the instruct checkpoint a descendant of the base?"""
    alignment: Alignment
    """Which neuron of the base is which; every flat id of this report is one of the instruct checkpoint."""
    mapped: MappedNeurons
    """The instruct checkpoint's H-Neurons, looked up in the base."""
    funnel: tuple[Funnel, ...]
    """One per task."""
    identification: IdentificationResult
    """The instruct checkpoint's probe."""
    base_identification: IdentificationResult
    """The base checkpoint's own probe."""
    transfer: tuple[TransferResult, ...]
    """One per question set."""
    neuron_drift: NeuronDrift
    """Every neuron's weight change."""
    drift: DriftResult
    """The H-Neurons' drift against matched nulls."""
    overlap: OverlapResult
    """Independent identification in both models."""
    activity: tuple[ActivityTable, ...]
    """Per checkpoint and question set."""
    activation_correlation: Float[np.ndarray, " neurons"] | None
    """Per neuron, Pearson r of z between the models on the same tokens; None where the tokenizers differ."""
    verdict_transfer: Verdict
    """Over the question sets that were given."""
    verdict_drift: Verdict
    """From DriftResult."""
    verdict_overlap: Verdict
    """From OverlapResult."""
    overall: str
    """One sentence."""
    evidence: Evidence = field(default_factory=Evidence)
    """What each verdict was held against, and what it could have found."""
    control: str = ""
    """Which negative control this comparison is; empty for a real one."""


@dataclass(frozen=True)
class WeightsReport:
    """What a pair's weights alone say, about a list of neurons or about all of them; no forward pass was run."""

    layers: int
    """MLP layers of the instruct checkpoint."""
    neurons_per_layer: int
    """Its d_m."""
    lineage: LineageResult | None
    """Is the instruct checkpoint a descendant of the base? None where only the MLP weights were read."""
    alignment: Alignment
    """Which neuron of the base is which."""
    mapped: MappedNeurons
    """The listed neurons, looked up in the base."""
    neuron_drift: NeuronDrift
    """Every neuron's weight change."""
    drift: DriftResult
    """The listed neurons' drift against matched nulls; k is 0 without a list."""
    h_neurons: Int[np.ndarray, " k"]
    """Flat ids of the listed neurons in the instruct checkpoint, ascending; empty without a list."""
    weights: Float[np.ndarray, " k"] | None
    """Their probe weights, in the same order; None where the list has none."""
    source: str
    """Where the list comes from, in words; empty without one."""
    verdict_drift: Verdict
    """From DriftResult."""
    overall: str
    """One sentence."""
    drift_tests: tuple[DriftTest, ...] = ()
    """The listed neurons' drift by side, measure and matching."""
    claims: tuple[Claim, ...] = ()
    """What may be said of the listed neurons: their drift; empty without a list."""
