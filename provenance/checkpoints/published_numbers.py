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


@dataclass(frozen=True)
class PublishedSlope:
    """A published change of compliance per unit of the factor on the H-Neurons."""

    source: str
    families: tuple[str, ...]
    """Names of known families that it is about."""
    about: str
    """What it was measured on, in words."""
    slope: float
    """Of the share that yields."""
    kind: str = ""
    """Kind of benchmark; empty if it is over several."""
    interval: tuple[float, float] | None = None
    """95 %, where one was published."""


def published_numbers() -> dict[str, Published]:
    """Published numbers by the name of the family, in the order of the file."""
    data = _data()
    source = data["source"]
    return {name: _parse(name, source, entry) for name, entry in data.items() if isinstance(entry, dict)}


def published_slopes() -> tuple[PublishedSlope, ...]:
    """Published slopes of compliance, in the order of the file."""
    return tuple(map(_slope, _data()["slope"]))


def _slope(entry: Mapping[str, Any]) -> PublishedSlope:
    low, high = entry.get("interval", (None, None))
    own = {**entry, "families": tuple(entry["families"]), "interval": None if low is None else (low, high)}
    return PublishedSlope(**own)


def _data() -> dict[str, Any]:
    return tomllib.loads(resources.files("provenance.checkpoints").joinpath(DATA).read_text("utf-8"))


def _parse(name: str, source: str, entry: Mapping[str, Any]) -> Published:
    accuracy = {dataset: (probe / 100, other / 100) for dataset, (probe, other) in entry["accuracy"].items()}
    return Published(name, source, **{**entry, "accuracy": accuracy})


def of_dataset(numbers: Mapping[str, Any], dataset: str) -> Any:
    """The number of a question set by its name, which may have more words after a dash; None without one."""
    return next((value for name, value in numbers.items() if dataset == name or dataset.startswith(f"{name}-")), None)
