"""What a timeline of checkpoints shows, as one value.

The one idea: the database learns the shapes of its rows from here without importing torch.
"""

from dataclasses import dataclass

from analyses.evidence_results import TracePoint
from analyses.probe_results import IdentificationResult


@dataclass(frozen=True)
class TraceReport:
    """Ordered checkpoints, each seen with the probe of the last one."""

    points: tuple[TracePoint, ...]
    """In the order of the checkpoints; the randomly initialised model, where there is one, comes first."""
    identification: IdentificationResult
    """H-Neurons of the last checkpoint; their probe has scored every point."""
    dataset: str
    """Question set that they were found and tested on."""
    layers: int
    """MLP layers of every checkpoint."""
    neurons_per_layer: int
    """Neurons in a layer of every checkpoint."""
    target: str
    """The last checkpoint, as the user wrote it."""
