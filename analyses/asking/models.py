"""Opened checkpoints: identity, MLP layout and weights, from a folder, the hub, or a base with a merged adapter."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from provenance.analyses.asking.collection import Progress
from provenance.analyses.lineage.relation import lineage
from provenance.analyses.results.lineage import LineageResult
from provenance.analyses.weights.by_layers import ByLayers
from provenance.analyses.weights.weight_source import shape_words
from provenance.architectures import Layout, layout_of
from provenance.checkpoints.names import Checkpoint
from provenance.errors import PairError
from provenance.models.loading import load_tokenizer, vocabulary
from provenance.records import CheckpointInfo, Stage
from provenance.weights.counting_reader import WatchedReader
from provenance.weights.neuron_weights import MlpWeights
from provenance.weights.shards import Shards
from provenance.weights.tensors import TensorReader


@dataclass(frozen=True)
class OpenCheckpoint:
    """One checkpoint of the pair, without a model."""

    stage: Stage
    checkpoint: Checkpoint
    layout: Layout
    weights: MlpWeights
    tokenizer_folder: Path
    _tokenizers: list[PreTrainedTokenizerBase] = field(default_factory=list, repr=False, compare=False)
    """Its tokenizer once it was read, which takes seconds where the vocabulary is large; copies share it."""

    @classmethod
    def open(
        cls,
        stage: Stage,
        checkpoint: Checkpoint,
        reader: TensorReader | None = None,
        tokenizer_folder: Path | None = None,
    ) -> "OpenCheckpoint":
        """Read the headers of a checkpoint; reader and tokenizer come from its folder by default.

        Raises:
            ArchitectureError: Its layout is unknown, or a mixture of experts.
            CheckpointError: Its files are incomplete.
        """
        reader = reader or Shards(checkpoint.folder)
        layout = layout_of(checkpoint.config, reader.names())
        return cls(stage, checkpoint, layout, MlpWeights(reader, layout), tokenizer_folder or checkpoint.folder)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer; raises CheckpointError where there is none that is of use."""
        if not self._tokenizers:
            self._tokenizers.append(load_tokenizer(self.tokenizer_folder))
        return self._tokenizers[0]

    def forget_tokenizer(self) -> None:
        """Free its memory; it is read again when it is asked for."""
        self._tokenizers.clear()

    def vocabulary(self) -> Mapping[str, int] | None:
        """Id of every token of its tokenizer, fast or slow; None without a tokenizer."""
        return self._tokenizers[0].get_vocab() if self._tokenizers else vocabulary(self.tokenizer_folder)

    @property
    def info(self) -> CheckpointInfo:
        """The checkpoint's description for the database."""
        return CheckpointInfo(
            ref=self.checkpoint.pinned,
            digest=self.checkpoint.digest,
            model_type=self.layout.model_type,
            layers=self.layout.layers,
            neurons_per_layer=self.layout.d_m,
            hidden_size=self.layout.d,
            dtype=self.weights.dtype,
            commit=self.checkpoint.commit,
        )


def watched(side: OpenCheckpoint, total: int, progress: Progress) -> OpenCheckpoint:
    """The same checkpoint, reporting how many of its bytes have been read."""

    def report(done: int, everything: int) -> None:
        progress.step(f"read {side.stage}", done, everything, "MB")

    reader = WatchedReader(side.weights.reader, total, report)
    return replace(side, weights=MlpWeights(reader, side.layout))


def check_pair(base: OpenCheckpoint, instruct: OpenCheckpoint) -> None:
    """Raise PairError if hidden size or kinds of projections differ, so that neurons cannot be compared."""
    if (base.layout.d, base.layout.kinds) != (instruct.layout.d, instruct.layout.kinds):
        raise unlike(base, instruct)


def unlike(base: OpenCheckpoint, instruct: OpenCheckpoint, reason: str = "") -> PairError:
    """The error for two checkpoints that cannot be compared."""
    return PairError(
        f"a checkpoint that descends from the base, or is at least shaped like it ({shape_words(base.weights)})",
        found=f"{shape_words(instruct.weights)}{'; ' if reason else ''}{reason}",
        remedy="name the base that this checkpoint was tuned from (its model card says which)",
    )


def relate(base: OpenCheckpoint, instruct: OpenCheckpoint, seed: int, who: ByLayers | None = None) -> LineageResult:
    """Lineage of the pair, by weights, configs and tokenizers; `who` reads the layers, by default this process."""
    sides = (base, instruct)
    words: list[Mapping[str, int] | None] = [side.vocabulary() for side in sides]
    return lineage(
        base.weights,
        instruct.weights,
        (words[0], words[1]),
        (base.checkpoint.config, instruct.checkpoint.config),
        seed=seed,
        who=who,
    )
