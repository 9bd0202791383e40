"""Which neuron of the base is which neuron of the instruct checkpoint?

The one idea: tuning keeps indices, so the same flat id is the same neuron, as long as lineage
says so. Where it does not, the ids still go through (numbers can be looked at), but the mapping
says in words that they name other neurons, and every conclusion leads with that.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from analyses.results import LineageResult

ALIGNED = ("same model", "descendant")
"""Lineage verdicts under which index j names the same neuron in both checkpoints."""


@dataclass(frozen=True)
class Mapping:
    """Neurons of the instruct checkpoint as neurons of the base."""

    base_ids: Int[np.ndarray, " k"]
    """Flat ids in the base, in the order of the ids that were mapped."""
    method: Literal["index"]
    """How they were mapped: the same layer and index."""
    reason: str
    """Why the mapping must not be trusted, in words; empty when lineage supports it."""

    @property
    def aligned(self) -> bool:
        """Whether lineage supports the mapping."""
        return not self.reason


def map_by_index(flat_ids: Int[np.ndarray, " k"], lineage: LineageResult) -> Mapping:
    """Map every neuron to the one at its own layer and index.

    Args:
        flat_ids: layer * d_m + index in the instruct checkpoint.
        lineage: How the two checkpoints are related.

    Returns:
        The same ids; `reason` is not empty for permuted and unrelated pairs.
    """
    return Mapping(base_ids=flat_ids.copy(), method="index", reason=misalignment(lineage))


def misalignment(lineage: LineageResult) -> str:
    """Why index j does not name the same neuron in both checkpoints; empty when it does."""
    if lineage.verdict in ALIGNED:
        return ""
    found = "their MLPs have different shapes"
    if lineage.neurons_sampled:
        share = f"{lineage.self_match:.0%} of {lineage.neurons_sampled} sampled neurons"
        found = f"{share} are found at their own index"
    if lineage.verdict == "unrelated":
        return f"the two checkpoints are not related by their weights ({found})"
    return f"the two checkpoints are related, but their neurons are in another order ({found})"
