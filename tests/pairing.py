"""Two speaking checkpoints whose neurons have different orders, asked and captured once."""

from pathlib import Path

from checkpoint_factory import local_checkpoint, make_speaker, permuted_copy, tuned_copy, write_questions
from memory_logs import MemoryWorkspace, Silent

from analyses.clock import Clock
from analyses.gathered import Asking, Gathered, question_pools
from analyses.job import Job
from analyses.measured import measure_pair
from analyses.results import Alignment, LineageResult
from analyses.sides import Models, Side
from provenance.models import LoadedModel
from provenance.questions import load_questions
from provenance.records import Stage

JOB = Job("b", "i", samples=2, max_new_tokens=4, batch_size=16)


class Counted(Models):
    """Models that say how often one was asked for."""

    used = 0

    def get(self, stage: Stage) -> LoadedModel:
        self.used += 1
        return super().get(stage)


class Pairing:
    """Two speakers whose neurons have different orders, and one workspace for all that is asked of them."""

    def __init__(self, folder: Path) -> None:
        base = make_speaker(folder / "base", chat=False)
        child, shuffled = tuned_copy(base, folder / "child"), permuted_copy(base, folder / "shuffled")
        opened = {"instruct": child, "base": shuffled}
        self.sides: dict[Stage, Side] = {
            stage: Side.open(stage, local_checkpoint(path))  # type: ignore[arg-type, misc]
            for stage, path in opened.items()
        }
        related, measured = measure_pair(self.sides["base"], self.sides["instruct"], 0, Clock(Silent()))
        self.related: LineageResult = related
        self.alignment: Alignment = measured.alignment
        questions = load_questions(str(write_questions(folder / "cities.jsonl", known=20, unknown=20)))
        self.pools = question_pools([questions], JOB.settings().shares, 0)
        self.workspace = MemoryWorkspace(folder / "captures")
        self.asking, self.models = self.asked_anew()
        self.gathered: Gathered = self.asking.gather(self.alignment)

    def asked_anew(self) -> tuple[Asking, Counted]:
        """As a run that goes on after this one would ask."""
        settings = JOB.settings().collection
        models = Counted(self.sides, settings)
        return Asking(self.sides, self.pools, settings, models, self.workspace, Clock(Silent())), models
