"""How often a comparison asks what chance would give, in one value.

The defaults are those of the modules that justify them. Fewer draws leave every test valid and make it coarser:
p-values cannot be as small, and what is averaged over draws is noisier.
"""

from dataclasses import dataclass

from provenance.analyses.baselines.cross_fit import FOLDINGS
from provenance.analyses.drift.weight_drift import PERMUTATIONS
from provenance.analyses.search.shuffled_labels import SHUFFLED_SEARCHES
from provenance.analyses.search.stability import PAIRS
from provenance.analyses.transfer.probe_transfer import CONTROL_DRAWS


@dataclass(frozen=True)
class Effort:
    """Draws of each kind."""

    pairs: int = PAIRS
    """Complementary pairs of half-samples in which neurons are selected again."""
    control_sets: int = CONTROL_DRAWS
    """Random and layer-matched neuron sets of each kind, at least; many question sets need more."""
    shuffles: int = SHUFFLED_SEARCHES
    """Searches with shuffled labels in each model."""
    foldings: int = FOLDINGS
    """Foldings of the scored answers, where models are nested."""
    permutations: int = PERMUTATIONS
    """Of the tests of drift."""


FULL = Effort()
QUICK = Effort(pairs=10, control_sets=40, shuffles=20, foldings=2, permutations=1000)
"""For a first look: p-values can still be below 0.05 in every test, but not far below it."""
