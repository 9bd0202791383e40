"""Two speaking checkpoints whose neurons have different orders, asked and captured once."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from checkpoint_factory import local_checkpoint, make_speaker, permuted_copy, tuned_copy, write_questions
from memory_logs import MemoryWorkspace, Silent

from provenance.analyses.asking.both_models import Gathered, gather, question_pools
from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.asking.subject import Subject
from provenance.analyses.drift.pair import measure_pair
from provenance.analyses.jobs.compare_job import Job
from provenance.analyses.jobs.effort import QUICK
from provenance.analyses.results.lineage import Alignment, LineageResult
from provenance.answers.questions import load_questions
from provenance.models.loading import LoadedModel
from provenance.records import Stage

JOB = Job("b", "i", samples=2, max_new_tokens=4, batch_size=16, effort=QUICK)


class Counted(Subject):
    """A model that says how often it was asked for."""

    used = 0

    def model(self) -> LoadedModel:
        self.used += 1
        return super().model()


class Pairing:
    """Two speakers whose neurons have different orders, and one workspace for all that is asked of them."""

    def __init__(self, folder: Path) -> None:
        base = make_speaker(folder / "base", chat=False)
        child, shuffled = tuned_copy(base, folder / "child"), permuted_copy(base, folder / "shuffled")
        opened = {"instruct": child, "base": shuffled}
        self.sides: dict[Stage, OpenCheckpoint] = {
            stage: OpenCheckpoint.open(stage, local_checkpoint(path))  # type: ignore[arg-type, misc]
            for stage, path in opened.items()
        }
        related, measured = measure_pair(self.sides["base"], self.sides["instruct"], 0, Clock(Silent()))
        self.related: LineageResult = related
        self.alignment: Alignment = measured.alignment
        questions = load_questions(str(write_questions(folder / "cities.jsonl", known=20, unknown=20)))
        self.pools = question_pools([questions], JOB.settings().shares, 0)
        self.workspace = MemoryWorkspace(folder / "captures")
        self.subjects = self.asked_anew()
        self.gathered = self.gather(self.subjects)

    def asked_anew(self) -> dict[Stage, Counted]:
        """Both models, as a run that goes on after this one would ask them."""
        settings = JOB.settings().collection
        return {
            stage: Counted(side, settings[stage], self.pools, self.workspace, Clock(Silent()))
            for stage, side in self.sides.items()
        }

    def gather(self, subjects: Mapping[Stage, Subject], alignment: Alignment | None = None) -> Gathered:
        """What these models say and show; by the pair's own alignment where none is given."""
        collected = {stage: tuple(subject.collect(pool) for pool in self.pools) for stage, subject in subjects.items()}
        return gather(subjects, collected, alignment or self.alignment)

    def gathered_anew(self) -> tuple[Gathered, dict[Stage, Counted]]:
        """The same as `gathered`, with models that were not asked for yet."""
        subjects = self.asked_anew()
        return replace(self.gathered, subjects=subjects), subjects


def used(subjects: Mapping[Stage, Counted]) -> int:
    """How often models were asked for."""
    return sum(subject.used for subject in subjects.values())
