"""What the stages of a run took: wall time, how much was processed, and memory.

They measure a machine and not a pair, so they are no results: no digest covers them, and a run that was interrupted
adds up the times of all its parts.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from provenance.cells import NOTHING, Record
from provenance.table_declaration import column, table


def _amount(record: Record) -> str:
    return f"{record['processed']:,} {record['items']}" if record["processed"] else NOTHING


@table(
    "run_stage",
    "Time by stage",
    row="one stage of the work of a run, all its parts together",
    query="stages",
    note="Wall time over all parts of a run that was interrupted. Searches in both models and partitions of answers "
    "with their words are made at once: their times overlap, and are sums over their pieces. Peaks are those of the "
    "process up to the end of the stage, or of one that worked beside it: a stage that raised one shows more than the "
    "stage before.",
)
@dataclass(frozen=True)
class StageTime:
    """Time, amount and memory of one stage."""

    name: str = column("stage", "text", "Name of the stage, as its progress is shown.", key=True)
    seconds: float = column("seconds", "fixed1", "Wall time; of stages at once, the sum over their pieces.", unit="s")
    processed: int | None = column("processed", _amount, "Tokens or rows processed; NULL where they are not counted.")
    items: str = column("", "text", "Kind of what was processed: tokens (read or sampled), rows; empty if not counted.")
    per_second: float | None = column("per second", "fixed0", "Processed per second of wall time.", unit="1/s")
    peak_memory_gb: float | None = column(
        "peak memory (GB)", "fixed2", "Largest resident memory of the process up to the end of the stage.", unit="GB"
    )
    peak_gpu_gb: float | None = column(
        "peak GPU memory (GB)",
        "fixed2",
        "Largest memory allocated on one GPU up to the end of the stage; NULL where none was used.",
        unit="GB",
    )

    @classmethod
    def of(
        cls,
        name: str,
        seconds: float,
        processed: int | None = None,
        items: str = "",
        peak_memory_gb: float | None = None,
        peak_gpu_gb: float | None = None,
    ) -> "StageTime":
        """A stage, with the rate that follows from its amount and time."""
        rate = processed / seconds if processed and seconds > 0 else None
        return cls(name, seconds, processed, items, rate, peak_memory_gb, peak_gpu_gb)

    def plus(self, other: "StageTime") -> "StageTime":
        """Both parts of one stage together."""
        amounts = [part.processed for part in (self, other) if part.processed is not None]
        return StageTime.of(
            self.name,
            self.seconds + other.seconds,
            sum(amounts) if amounts else None,
            self.items or other.items,
            _larger(self.peak_memory_gb, other.peak_memory_gb),
            _larger(self.peak_gpu_gb, other.peak_gpu_gb),
        )


@dataclass(frozen=True)
class Left:
    """What a step has before it."""

    units: int
    """Questions, rows or bytes, as the step counts them."""
    at_most: bool = False
    """Whether the step may end earlier, and nothing says when."""


def _larger(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)


def together(stages: Iterable[StageTime]) -> list[StageTime]:
    """Stages in the order in which each was first begun, the parts of one added up."""
    found: dict[str, StageTime] = {}
    for stage in stages:
        found[stage.name] = found[stage.name].plus(stage) if stage.name in found else stage
    return list(found.values())
