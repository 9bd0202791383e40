"""Published numbers of known families as data, and whether they are possible.

A mean rank of k neurons has SD 1 / sqrt(12 k) when ranks are uniform. A printed mean rank with a printed number of
neurons therefore has a p of its own, which can be set beside the printed one.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from scipy.stats import norm

DATA = "published.toml"
HALF_UNIT = 0.005  # of thousandths printed with two decimals


@dataclass(frozen=True)
class Published:
    """Published numbers of one family."""

    family: str
    """Name of a known family."""
    source: str
    neurons: int
    """D of the tuned checkpoint."""
    per_mille: float
    """H-Neurons in thousandths of D, as printed."""
    accuracy: Mapping[str, tuple[float, float]]
    """Accuracy of the probe and of random neurons, 0 to 1, by question set."""
    transfer: Mapping[str, float]
    """AUROC on the base model by question set."""
    mean_rank: float
    """Mean stability rank of the H-Neurons."""
    p: str
    """p of that rank as printed."""

    @property
    def k(self) -> tuple[int, int]:
        """Fewest and most H-Neurons that round to the printed share."""
        fewest = math.ceil((self.per_mille - HALF_UNIT) * self.neurons / 1000)
        return max(1, fewest), math.floor((self.per_mille + HALF_UNIT) * self.neurons / 1000)

    @property
    def p_uniform(self) -> tuple[float, float]:
        """Smallest and largest one-sided p of the printed mean rank under uniform ranks, over the possible k."""
        most, fewest = (float(norm.sf((self.mean_rank - 0.5) * math.sqrt(12 * k))) for k in reversed(self.k))
        return min(most, fewest), max(most, fewest)


def published_numbers() -> dict[str, Published]:
    """Published numbers by the name of the family, in the order of the file."""
    data = tomllib.loads(resources.files("provenance.checkpoints").joinpath(DATA).read_text("utf-8"))
    source = data.pop("source")
    return {name: _parse(name, source, entry) for name, entry in data.items()}


def _parse(name: str, source: str, entry: Mapping[str, Any]) -> Published:
    accuracy = {dataset: (probe / 100, other / 100) for dataset, (probe, other) in entry["accuracy"].items()}
    return Published(name, source, **{**entry, "accuracy": accuracy})


def of_dataset(numbers: Mapping[str, Any], dataset: str) -> Any:
    """The number of a question set by its name, which may have more words after a dash; None without one."""
    return next((value for name, value in numbers.items() if dataset == name or dataset.startswith(f"{name}-")), None)
