"""A subject whose model is lent by the test instead of being loaded from its checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from memory_logs import MemoryWorkspace, Silent
from transformers import PreTrainedTokenizerBase

from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.collection import CollectionSettings, Pool
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.asking.subject import Subject
from provenance.checkpoints.names import Checkpoint, CheckpointRef
from provenance.models.loading import LoadedModel
from provenance.records import Stage
from provenance.weights.neuron_weights import MlpWeights

CHECKPOINT = Checkpoint(CheckpointRef("local", "x"), Path("x"), None, "d" * 64, {})


@dataclass(eq=False)
class Lent(Subject):
    """As above; `loads` stands for loading it."""

    loads: Callable[[], LoadedModel] = field(kw_only=True)
    words: PreTrainedTokenizerBase = field(kw_only=True)

    def model(self) -> LoadedModel:
        return self.loads()

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:  # type: ignore[override]
        return self.words


def lent(
    loaded: LoadedModel,
    settings: CollectionSettings,
    workspace: MemoryWorkspace,
    *,
    loads: Callable[[], LoadedModel] | None = None,
    stage: Stage = "base",
    checkpoint: Checkpoint = CHECKPOINT,
    pools: tuple[Pool, ...] = (),
    progress: Silent | None = None,
) -> Lent:
    """A subject that runs a model which is there already; it has no weights to read."""
    side = OpenCheckpoint(stage, checkpoint, loaded.layout, object.__new__(MlpWeights), Path("x"))
    clock = Clock(progress or Silent())
    return Lent(side, settings, pools, workspace, clock, loads=loads or (lambda: loaded), words=loaded.tokenizer)
