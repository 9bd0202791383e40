"""A job whose checkpoints are open: what a run of it is, and how it is run.

The one idea: two commands with the same key are the same run. The key is a digest of the checkpoints' contents, the
questions and every setting that changes a number; where the database lies or what is shown on the way does not.
"""

import platform
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from provenance import __version__
from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.collection import Workspace
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.results.lineage import LineageResult
from provenance.analyses.results.reports import OriginReport, TraceReport, WeightsReport
from provenance.answers.questions import QuestionSet

LIBRARIES = ("torch", "transformers", "scikit-learn", "numpy", "scipy", "safetensors", "tokenizers")
Report = OriginReport | TraceReport | WeightsReport | LineageResult


@dataclass(frozen=True)
class OpenedJob:
    """All that a run needs to begin, to do its work and to be told apart from others."""

    command: str
    """What the database calls the run."""
    key: str
    """Digest of contents and settings: the identity of the run."""
    settings: Mapping[str, Any]
    """Every setting that changes a number, for the record."""
    seed: int
    """Of everything random."""
    sides: tuple[OpenCheckpoint, ...]
    """The checkpoints, the base first, the tuned one last."""
    run: Callable[[Workspace, Clock], Report]
    """Does the work."""
    questions: tuple[QuestionSet, ...] = ()
    """The question sets that are asked."""
    about: Callable[[], dict[str, Any]] = dict
    """What the summary says of the run beside its results, once it is over."""


@runtime_checkable
class AnyJob(Protocol):
    """What a user asked for: a comparison, a timeline, or a question about weights."""

    def opened(self, clock: Clock, folder: Path) -> AbstractContextManager[OpenedJob]:
        """Find the checkpoints and look everything over before long work begins.

        Args:
            clock: Measures the stages.
            folder: Where a model may lie that is made for this run and removed afterwards.
        """


def versions() -> dict[str, str]:
    """Versions of everything that may change a number in its last digits."""
    libraries = {name: version(name) for name in LIBRARIES}
    return {"provenance": __version__, "python": platform.python_version()} | libraries
