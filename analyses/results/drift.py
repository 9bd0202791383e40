"""Results about weight changes: of every neuron, and of H-Neurons against matched neurons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.analyses.results.claims import NOT_JUDGED
from provenance.records import Estimate, Verdict
from provenance.table_declaration import LABELS, column, table
from provenance.words import MATCHINGS, MEASURES, SIDES


@dataclass(frozen=True)
class NeuronDrift:
    """Raw and ranked weight changes of every neuron, float64, length D."""

    delta_gate: Float[np.ndarray, " neurons"] | None
    """1 - cos of the gate row; None for ungated layouts."""
    delta_up: Float[np.ndarray, " neurons"]
    """1 - cos of the up row."""
    delta_down: Float[np.ndarray, " neurons"]
    """1 - cos of the down column."""
    delta: Float[np.ndarray, " neurons"]
    """(z(delta_up) + z(delta_down)) / 2, z over all neurons."""
    stability_rank: Float[np.ndarray, " neurons"]
    """Normalised midrank of -delta: 0 = changed most, 1 = changed least."""
    norm_up_base: Float[np.ndarray, " neurons"]
    """L2 norm of the base's up row."""
    norm_up_instruct: Float[np.ndarray, " neurons"]
    """L2 norm of the instruct checkpoint's up row."""
    norm_down_base: Float[np.ndarray, " neurons"]
    """L2 norm of the base's down column."""
    norm_down_instruct: Float[np.ndarray, " neurons"]
    """L2 norm of the instruct checkpoint's down column."""
    identical: Bool[np.ndarray, " neurons"]
    """Gate, up and down weights bit-identical."""
    rounding_floor: float = 0.0
    """The 1 - cos that rounding to the coarser storage dtype can cause, about (eps / 2)^2 / 6; 0 = not known."""


@table(
    "layer_spread",
    "Spread of weight changes",
    row="one kind of weights in one layer: 1 - cosine over its neurons",
    query="drift-by-layer",
    subject="drift",
)
@dataclass(frozen=True)
class LayerSpread:
    """Percentiles of one kind of weights in one layer, by rank: each is the value of a neuron."""

    kind: str = column("weights", "text", "gate, up or down.", key=True)
    layer: int = column("layer", "count", "Layer of the instruct checkpoint, from 0.", key=True)
    neurons: int = column("neurons", "count", "Neurons with a counterpart in the base.")
    cosine_distance_low: float = column("5 %", "compact", "5th percentile of 1 - cosine.")
    cosine_distance_median: float = column("median", "compact", "Median of 1 - cosine.")
    cosine_distance_high: float = column("95 %", "compact", "95th percentile of 1 - cosine.")


def layer_spreads(drift: NeuronDrift, neurons_per_layer: int) -> list[LayerSpread]:
    """The spread of each kind of weights in each layer, without neurons that have no counterpart."""
    found: list[LayerSpread] = []
    for kind, deltas in (("gate", drift.delta_gate), ("up", drift.delta_up), ("down", drift.delta_down)):
        for start in range(0, 0 if deltas is None else deltas.size, neurons_per_layer):
            part = deltas[start : start + neurons_per_layer]  # type: ignore[index]  # of no kind that is None
            compared = np.sort(part[~np.isnan(part)])
            if compared.size:
                values = (float(compared[(percent * compared.size + 99) // 100 - 1]) for percent in (5, 50, 95))
                found.append(LayerSpread(kind, start // neurons_per_layer, int(compared.size), *values))
    return found


@table(
    "layer_drift",
    "Drift by layer",
    row="one layer: how much its neurons changed",
    subject="drift",
    note="Mean 1 − cosine of the neurons’ up, gate and down weights, and their mean stability rank among all neurons; "
    "neurons compared are those with a counterpart in the base.",
)
@dataclass(frozen=True)
class LayerDrift:
    """Means over the neurons of one layer, of those with a counterpart."""

    layer: int = column("layer", "count", "Layer of the instruct checkpoint, from 0.", key=True)
    neurons: int = column("", "count", "Neurons of the layer.")
    compared: int = column("compared", "of", "Neurons with a counterpart in the base.", beside="neurons")
    mean_stability_rank: float | None = column("mean rank", "fixed3", "Mean stability rank.")
    mean_cosine_distance_up: float | None = column("Δ up", "compact", "Mean of 1 - cosine of up rows.")
    mean_cosine_distance_gate: float | None = column(
        "Δ gate", "compact", "Mean of 1 - cosine of gate rows; NULL without gates."
    )
    mean_cosine_distance_down: float | None = column("Δ down", "compact", "Mean of 1 - cosine of down columns.")
    identical: int = column("bit-identical", "count", "Neurons whose weights are bit-identical.")
    h_neurons: int = column("H-Neurons", "count", "H-Neurons of the layer.")


def layer_drifts(drift: NeuronDrift, h_neurons: Int[np.ndarray, " k"], neurons_per_layer: int) -> list[LayerDrift]:
    """The means of every layer; `h_neurons` are flat ids."""
    is_h = np.isin(np.arange(drift.delta.size), h_neurons)
    found: list[LayerDrift] = []
    for start in range(0, drift.delta.size, neurons_per_layer):
        part = slice(start, start + neurons_per_layer)
        ranks = drift.stability_rank[part]
        found.append(
            LayerDrift(
                layer=start // neurons_per_layer,
                neurons=ranks.size,
                compared=int(np.isfinite(ranks).sum()),
                mean_stability_rank=_mean(ranks),
                mean_cosine_distance_up=_mean(drift.delta_up[part]),
                mean_cosine_distance_gate=None if drift.delta_gate is None else _mean(drift.delta_gate[part]),
                mean_cosine_distance_down=_mean(drift.delta_down[part]),
                identical=int(drift.identical[part].sum()),
                h_neurons=int(is_h[part].sum()),
            )
        )
    return found


def _mean(values: Float[np.ndarray, " neurons"]) -> float | None:
    """Mean of the values that there are; None without any."""
    known = values[~np.isnan(values)]
    return float(known.mean(dtype=np.float64)) if known.size else None


CETT_OF_GROUPS = tuple(f"{stage}_cett_{label}" for stage in ("base", "instruct") for label in LABELS)
"""Activity of a group of neurons, by model and label."""
Group = Literal["H-Neurons", "all others"]
_CETT = "Mean, over the neurons, of the mean CETT on the run's first question set, of"
RANK_BINS = 600
"""Ranges that stability ranks are counted in when they are stored; bins of a figure are made of whole ones."""


DRIFT_PLACES = 1000
"""Neurons that have a place in the order of change. An index over millions of ranks would take half as long as their
rows."""


@table("rank_bin", "Stability ranks", row=f"how many neurons have a stability rank in one of {RANK_BINS} equal ranges",
       subject="drift")  # fmt: skip
@dataclass(frozen=True)
class RankBin:
    """How many of all neurons have a stability rank in one range."""

    bin: int = column("", "count", f"Ranks from bin / {RANK_BINS} to (bin + 1) / {RANK_BINS}.", key=True)
    neurons: int = column("", "count", "Neurons with such a rank; those with rank 1 are in the last range.")


def drift_places(ranks: Float[np.ndarray, " neurons"]) -> Int[np.ndarray, " neurons"]:
    """Places of the neurons that changed most, by stability rank and then by id, from 0; -1 for all others."""
    places = np.full(ranks.size, -1)
    first = np.argsort(ranks, kind="stable")[:DRIFT_PLACES]  # NaN is sorted to the end
    first = first[~np.isnan(ranks[first])]
    places[first] = np.arange(first.size)
    return places


def rank_bins(ranks: Float[np.ndarray, " neurons"]) -> list[RankBin]:
    """Counts in all ranges, of neurons with a rank."""
    lower = np.arange(RANK_BINS) / RANK_BINS
    places = np.searchsorted(lower, ranks[~np.isnan(ranks)], side="right") - 1
    counts = np.bincount(places, minlength=RANK_BINS)
    return [RankBin(place, int(count)) for place, count in enumerate(counts.tolist())]


@table(
    "neuron_group",
    "H-Neurons and all others",
    row="the H-Neurons, or all other neurons: in which layers, how far they moved, how active they are in both models",
    subject="drift",
)
@dataclass(frozen=True)
class NeuronGroup:
    """Means over the H-Neurons, or over all other neurons."""

    kind: Group = column("neurons", "text", "Which neurons.", key=True)
    neurons: int = column("number", "count", "Number of neurons.")
    layers: int = column("layers", "count", "Layers that have some.")
    first_layer: int = column("first", "count", "First of these, from 0.")
    last_layer: int = column("last", "count", "Last of these.")
    mean_stability_rank: float | None = column("mean rank", "fixed3", "Mean stability rank.")
    mean_cosine_distance_up: float | None = column("Δ up", "compact", "Mean of 1 - cosine of up rows.")
    mean_cosine_distance_gate: float | None = column(
        "Δ gate", "compact", "Mean of 1 - cosine of gate rows; NULL without gates."
    )
    mean_cosine_distance_down: float | None = column("Δ down", "compact", "Mean of 1 - cosine of down columns.")
    identical: int = column("bit-identical", "count", "Neurons whose weights are bit-identical.")
    base_cett_faithful: float | None = column("CETT in the base, f", "compact", f"{_CETT} faithful responses.")
    base_cett_hallucinated: float | None = column("h", "compact", f"{_CETT} hallucinated responses.")
    instruct_cett_faithful: float | None = column("in the instruct model, f", "compact", f"{_CETT} faithful responses.")
    instruct_cett_hallucinated: float | None = column("h", "compact", f"{_CETT} hallucinated responses.")


def neuron_groups(
    drift: NeuronDrift,
    h_neurons: Int[np.ndarray, " k"],
    neurons_per_layer: int,
    activity: Mapping[str, Float[np.ndarray, " neurons"]],
) -> list[NeuronGroup]:
    """The H-Neurons and all others, as far as there are any.

    Args:
        drift: Every neuron's weight change.
        h_neurons: Flat ids.
        neurons_per_layer: d_m.
        activity: Mean CETT of every neuron by its name in `CETT_OF_GROUPS`; empty where no model ran.
    """
    is_h = np.zeros(drift.delta.size, dtype=bool)
    is_h[h_neurons] = True
    kinds: dict[Group, np.ndarray] = {"H-Neurons": np.flatnonzero(is_h), "all others": np.flatnonzero(~is_h)}
    return [_group(kind, ids, drift, neurons_per_layer, activity) for kind, ids in kinds.items() if ids.size]


def _group(
    kind: Group,
    ids: Int[np.ndarray, " some"],
    drift: NeuronDrift,
    neurons_per_layer: int,
    activity: Mapping[str, Float[np.ndarray, " neurons"]],
) -> NeuronGroup:
    layers = np.unique(ids // neurons_per_layer)
    cett = {name: None if name not in activity else _mean(activity[name][ids]) for name in CETT_OF_GROUPS}
    return NeuronGroup(
        kind=kind,
        neurons=ids.size,
        layers=layers.size,
        first_layer=int(layers[0]),
        last_layer=int(layers[-1]),
        mean_stability_rank=_mean(drift.stability_rank[ids]),
        mean_cosine_distance_up=_mean(drift.delta_up[ids]),
        mean_cosine_distance_gate=None if drift.delta_gate is None else _mean(drift.delta_gate[ids]),
        mean_cosine_distance_down=_mean(drift.delta_down[ids]),
        identical=int(drift.identical[ids].sum()),
        **cett,
    )


@table(
    "drift",
    "Parameter evolution",
    row="the paper's tests of the H-Neurons' similarity and stability ranks",
    single=True,
)
@dataclass(frozen=True)
class DriftResult:
    """The paper's tests: are the H-Neurons' weights more stable than those of all other neurons?"""

    k: int = column("H-Neurons, k", "count", "Number of H-Neurons.")
    mean_rank: float | None = column(
        "mean stability rank", "fixed3", "Mean stability rank of the H-Neurons: 0 = changed most, 1 = changed least."
    )
    null_mean: float | None = column(
        "mean rank of as many neurons of the same layers", "fixed3", "Exact mean over such sets."
    )
    null_sd: float | None = column("SD of their mean rank", "fixed3", "Exact SD over such sets.")
    effect: Estimate | None = column(
        "mean rank minus that of their layers", "ci3", "With a 95 % interval over the neurons (Student's t)."
    )
    p_rank: float | None = column(
        "one-sided p, permutation of ranks within layers",
        "compact",
        "One-sided permutation p: stability ranks of H-Neurons are higher than those of their layers.",
    )
    p_t_similarity: float | None = column(
        "one-sided p, Welch t-test of cosine similarities against all others (the paper’s)",
        "compact",
        "One-sided p of a Welch t-test: the mean cosine similarity of up row and down column is higher for H-Neurons "
        "than for all others (the paper's test).",
    )
    p_t: float | None = column(
        "one-sided p, Welch t-test of stability ranks against all others",
        "compact",
        "One-sided p of a Welch t-test: stability ranks of H-Neurons are higher than those of all others.",
    )
    uniform_sd: float | None = column(
        "SD of a mean rank under a uniform null", "fixed3", "1 / sqrt(12 k): SD of a mean rank under a uniform null."
    )
    share_identical: float = column(
        "share of all neurons that are bit-identical", "fixed3", "Share of all neurons with bit-identical weights."
    )
    rounding_floor: float = column(
        "1 − cos that storage rounding alone can cause",
        "compact",
        "The 1 - cos that rounding to the coarser storage dtype can cause, about (eps / 2)^2 / 6.",
    )
    verdict: Verdict = column("", "text", "Verdict of the claim `drift`.", default=NOT_JUDGED)
    reason: str = column("", "text", "The numbers that decided, in words.", default="")


ProbeSide = Literal["hallucinated", "faithful"]
"""Neurons with positive probe weights (the H-Neurons), or with negative ones."""


Measure = Literal["delta", "gate", "norm", "functional"]
"""The paper's Delta; 1 - cos of the gate row; change of norms; 1 - correlation of activations over the same tokens."""


Matching = Literal["layer", "layer_norm", "layer_norm_activity"]
"""Properties that like neurons share: layer, and within it weight norms and mean CETT, both of the base."""


@table(
    "drift_test",
    "Drift against matched nulls",
    row="one drift measure of one side against one matched null",
    query="drift-tests",
    note="Change beside that of like neurons: geometric mean over the set of the neuron's change over the change that "
    "its layer, and then weight norms and activity as well, lead one to expect; below 1 = changed less; 95 % interval "
    "over the neurons (Student's t). SD: of its logarithm over permutations within layers. p: one-sided permutation, "
    "of having changed less and of having changed more. Found from: the largest factor found with 80 % power. Mean "
    "rank: stability rank by this measure, 0 = changed most, 1 = changed least. z: mean z-score of the measure over "
    "all neurons and within the layer, positive = changed more.",
)
@dataclass(frozen=True)
class DriftTest:
    """One test of whether a set of neurons changed less than like neurons."""

    side: ProbeSide = column("neurons", "text", "Neuron set.", key=True, words=SIDES)
    measure: Measure = column("measure", "text", "Kind of change.", key=True, words=MEASURES)
    matching: Matching = column("matched on", "text", "Properties accounted for.", key=True, words=MATCHINGS)
    k: int = column("k", "count", "Neurons of the set with a change and these properties.")
    ratio: Estimate = column(
        "× like neurons",
        "ci2",
        "Geometric mean of the set's change over the change expected from the properties; below 1 = changed less; with "
        "a 95 % interval over the neurons (Student's t).",
    )
    p_more_stable: float = column("p less", "p", "One-sided permutation p of having changed less.")
    p_less_stable: float = column("p more", "p", "One-sided permutation p of having changed more.")
    smallest_detectable: float | None = column(
        "found from", "fixed2", "Largest ratio found with 80 % power at one-sided 5 %; None if none is."
    )
    sd: float = column("SD of log", "fixed3", "SD of the logarithm of the ratio over permutations within layers.")
    mean_rank: float = column(
        "mean rank", "fixed3", "Mean stability rank by this measure, 0 = changed most, 1 = changed least."
    )
    z_all: float | None = column(
        "z, all",
        "fixed2",
        "Mean z-score of the measure over all neurons; positive = changed more.",
    )
    z_layer: float | None = column(
        "z, layer", "fixed2", "Mean z-score within the neuron's layer; positive = changed more."
    )
