"""Results about lineage and the mapping of neurons."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from provenance.table_declaration import column, table


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
        "rows", "count", "Rows compared: neurons for `gate`, `up` and `down`; 1 for a vector.", sql="n_rows"
    )
    identical_rows: int = column(
        "identical rows", "count", "Rows with the same numbers in both.", sql="n_identical_rows"
    )
    cosine_low: float = column(
        "", "fixed5", "5th percentile over rows of the cosine with the same row of the other checkpoint."
    )
    cosine_median: float = column("cosine", "fixed5", "Median over rows of the cosine.")
    cosine_high: float = column("", "fixed5", "95th percentile over rows of the cosine.")


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

    key: str = column("setting", "text", "Dotted path of the setting.", key=True)
    base: str | None = column("base", "text", "JSON text of the base's value; None if absent.")
    instruct: str | None = column("instruct", "text", "JSON text of the instruct checkpoint's value; None if absent.")


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
    """Tensors that only the base has, or has in another shape."""
    only_instruct: tuple[str, ...]
    """Tensors that only the instruct checkpoint has, or has in another shape."""
    median_cosine: dict[str, float]
    """Median over neurons of the cosine, by kind (gate, up, down); empty if MLP shapes differ."""
    self_match: float
    """Share of sampled neurons whose nearest neighbour in the base has the same index."""
    nearest_cosine: float
    """Median over sampled neurons of the cosine to the nearest neighbour."""
    found_in_base: float
    """Share of the instruct checkpoint's sampled neurons found in the base, at any index."""
    found_in_instruct: float
    """Share of the base's sampled neurons found in the instruct checkpoint, at any index."""
    neurons_sampled: int
    """Sampled neurons of each checkpoint."""
    layer_of: tuple[int | None, ...]
    """For each layer of the instruct checkpoint, the base's layer that holds its neurons; None if none does."""
    moved: tuple[float, ...]
    """For each layer of the instruct checkpoint, the share of its neurons found at another index."""
    same_tokenizer: bool
    """Whether both tokenizers give every token the same id."""
    vocabulary_shared: float
    """Tokens with the same id in both, over tokens in either."""
    vocabulary_sizes: tuple[int, int]
    """Tokens of the base's and of the instruct checkpoint's tokenizer; 0 if there is none."""
    config: tuple[ConfigDifference, ...]
    """Settings that differ, by name."""
    tensors: tuple[TensorSimilarity, ...]
    """By kind and layer."""

    @property
    def overall(self) -> str:
        """The verdict in one sentence."""
        return f"{self.verdict[:1].upper()}{self.verdict[1:]}: {self.reason}"


@dataclass(frozen=True)
class Alignment:
    """Counterpart in the base of each neuron of the instruct checkpoint."""

    method: str
    """`index`: the same layer and index; `assignment`: looked up by similarity, layer by layer."""
    base_ids: Int[np.ndarray, " neurons"]
    """Flat id in the base (layer * base d_m + index) of each neuron of the instruct checkpoint; -1: unmapped."""
    reason: str
    """Why the mapping must not be trusted; empty if lineage supports it."""

    @property
    def unmapped(self) -> Int[np.ndarray, " unmapped"]:
        """Flat instruct ids of the neurons without a counterpart, ascending."""
        return np.flatnonzero(self.base_ids < 0)

    @property
    def is_identity(self) -> bool:
        """Whether every neuron has the same flat id in both."""
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
    """Similarity minus that of the best other neuron of the base's layer; negative if another is nearer."""
