"""Numbers of draws for the chance levels of a comparison, in one value.

Defaults are those of the modules that justify them. With fewer draws every test stays valid but coarser: p-values
cannot be as small, and averages over draws are noisier.
"""

from dataclasses import dataclass

from provenance.analyses.baselines.cross_fit import FOLDINGS
from provenance.analyses.drift.weight_drift import PERMUTATIONS
from provenance.analyses.search.cross_validation import REPEATS
from provenance.analyses.search.shuffled_labels import SHUFFLED_SEARCHES
from provenance.analyses.search.stability import PAIRS
from provenance.analyses.transfer.probe_transfer import CONTROL_DRAWS


@dataclass(frozen=True)
class Effort:
    """Draws of each kind."""

    repeats: int = REPEATS
    """Repetitions of the cross-validation that C is chosen by."""
    pairs: int = PAIRS
    """Complementary pairs of half-samples for stability."""
    control_sets: int = CONTROL_DRAWS
    """Minimum of random and layer-matched neuron sets of each kind; many question sets need more."""
    shuffles: int = SHUFFLED_SEARCHES
    """Minimum of searches with shuffled labels in each model; many question sets need more."""
    foldings: int = FOLDINGS
    """Partitions of the scored answers, for nested models."""
    permutations: int = PERMUTATIONS
    """Of the tests of drift."""


FULL = Effort()
QUICK = Effort(repeats=2, pairs=10, control_sets=40, shuffles=20, foldings=2, permutations=1000)
"""For a first look: p-values below 0.05 are still possible in every test, but not far below."""
