"""One pass over both checkpoints that compares every tensor and looks up sampled neurons.

The one idea: reading is the cost, so each block serves both questions. Missing or moved layers are searched for before
the pass, or after one that did not find them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
from jaxtyping import Bool, Float64

from provenance.analyses.lineage.sampled_neurons import (
    LayerLookup,
    LayerMatch,
    Runs,
    find_layers,
    look_again,
    look_up,
    sample_runs,
)
from provenance.analyses.weights.by_layers import ByLayers, Here
from provenance.analyses.weights.joined_cosines import related_cosine
from provenance.analyses.weights.tensor_census import PairComparison, PairSums, compare_bare
from provenance.analyses.weights.tensor_pairs import Blocks, Pair, Pairing, pair_parts, side_by_side, steps_of
from provenance.analyses.weights.weight_source import WeightSource


@dataclass(frozen=True)
class Drawn:
    """Neurons to look up."""

    base: list[Runs]
    """By layer of the base."""
    instruct: list[Runs]
    """By layer of the instruct checkpoint."""


@dataclass(frozen=True)
class Samples:
    """Neurons to look up, and how more of them are drawn."""

    drawn: Drawn
    size: int
    """Largest number per layer."""
    rng: np.random.Generator
    """Draws the neurons of later look-ups."""


Alive = tuple[Bool[np.ndarray, " base"], Bool[np.ndarray, " instruct"]]
"""Neurons of a base layer and of an instruct layer that are not all zeros."""


@dataclass(frozen=True)
class Survey:
    """Results of one pass."""

    pairing: Pairing
    """Which tensors were paired."""
    comparisons: tuple[PairComparison, ...]
    """Every pair that can be compared number by number."""
    matches: dict[int, LayerMatch]
    """Sampled neurons by layer of the instruct checkpoint; empty if neurons cannot be compared."""
    layer_of: tuple[int | None, ...]
    """For each layer of the instruct checkpoint, the base's layer that holds its neurons; None if none does."""
    moved: tuple[float, ...]
    """For each layer of the instruct checkpoint, the share of its neurons found at another index."""


def look(
    base: WeightSource, instruct: WeightSource, sample: int, rng: np.random.Generator, who: ByLayers | None = None
) -> Survey:
    """Compare all tensors, and look up sampled neurons layer by layer; raises NonFiniteError on NaN or infinity.

    With equal numbers of layers, each layer is compared with the same layer of the base and searched for elsewhere only
    if its neurons are not found there; otherwise all layers are searched for. Layers with only zeros in the sample, or
    with neurons unlike those of their own index, are read once more. `who` reads the layers, by default this process.
    """
    who = who or Here(base, instruct)
    runs = [sample_runs(base.d_m, sample, rng) for _ in range(base.layers)]
    same = (base.layers, base.d_m) == (instruct.layers, instruct.d_m)
    theirs = runs if same else [sample_runs(instruct.d_m, sample, rng) for _ in range(instruct.layers)]
    samples = Samples(Drawn(runs, theirs), sample, rng)
    everywhere = list(range(instruct.layers))
    if base.layers != instruct.layers:
        found = find_layers(base, instruct, everywhere, rng)
        return _pass(base, instruct, [found[layer] for layer in everywhere], samples, who)
    first = _pass(base, instruct, everywhere, samples, who)
    lost = [layer for layer, at in enumerate(first.layer_of) if at is None]
    found = find_layers(base, instruct, lost, rng) if lost else {}
    elsewhere = {layer: at for layer, at in found.items() if at not in (None, layer)}
    if not elsewhere:
        return first
    return _pass(base, instruct, [elsewhere.get(layer, layer) for layer in everywhere], samples, who)


def look_at_tensors(base: WeightSource, instruct: WeightSource, who: ByLayers | None = None) -> Survey:
    """Compare all comparable tensors when neurons cannot be compared."""
    survey = _pass(base, instruct, range(min(base.layers, instruct.layers)), None, who or Here(base, instruct))
    return Survey(survey.pairing, survey.comparisons, {}, (None,) * instruct.layers, (0.0,) * instruct.layers)


@dataclass(frozen=True)
class _Seen:
    """What a look at some layers found."""

    comparisons: list[PairComparison]
    matches: dict[int, LayerMatch]
    alive: dict[int, Alive]


def _pass(
    base: WeightSource, instruct: WeightSource, layer_of: Sequence[int | None], samples: Samples | None, who: ByLayers
) -> Survey:
    """Go through both checkpoints once; without samples no neuron is looked up."""
    pairing = pair_parts(base, instruct, layer_of)
    drawn = None if samples is None else samples.drawn
    comparisons = [compare_bare(pair, base, instruct) for pair in _wanted(pairing, drawn) if not pair.base.rows]
    matches: dict[int, LayerMatch] = {}
    alive: dict[int, Alive] = {}
    # one more than there are layers, for what lies outside of them
    for seen in who.each(partial(_look_at, tuple(layer_of), drawn), range(len(layer_of) + 1), at_once=False):
        comparisons += seen.comparisons
        matches |= seen.matches
        alive |= seen.alive
    for layer, match in matches.items():
        if samples is not None and match.blank:
            matches[layer] = look_again(match, base, instruct, layer, alive[layer], samples.size, samples.rng)
    held = tuple(at if layer in matches and matches[layer].held else None for layer, at in enumerate(layer_of))
    moved = [0.0] * len(held)
    for layer, match in matches.items():
        if match.elsewhere and held[layer] is not None:
            moved[layer] = match.elsewhere / match.own.size
        elif samples is not None and held[layer] == layer and match.found[0] and base.d_m == instruct.d_m:
            cosines = [part.cosine for part in comparisons if part.pair.neurons and part.pair.layer == layer]
            own = np.where(alive[layer][1], np.mean(cosines, axis=0), np.nan)
            moved[layer] = _moved(base, instruct, layer, own, samples)
    return Survey(pairing, tuple(comparisons), matches, held, tuple(moved))


def _wanted(pairing: Pairing, drawn: Drawn | None) -> list[Pair]:
    return [pair for pair in pairing.pairs if pair.comparable or drawn]


def _look_at(
    layer_of: Sequence[int | None],
    drawn: Drawn | None,
    base: WeightSource,
    instruct: WeightSource,
    layers: Sequence[int],
) -> _Seen:
    """Some layers; the number after the last one stands for tensors outside of them.

    Layers beyond the last one hold tensors that only serve training, and no neurons.
    """
    last, wanted = len(layer_of), set(layers)
    pairs = [
        pair
        for pair in _wanted(pair_parts(base, instruct, layer_of), drawn)
        if min(last if pair.layer is None else pair.layer, last) in wanted
    ]
    steps = [step for pair in pairs for step in steps_of(pair, *_runs(pair, layer_of, drawn))]
    seen = _Seen([], {}, {})
    for layer, of_layer in groupby(side_by_side(base, instruct, steps), key=lambda item: item[0].pair.layer):
        at = layer_of[layer] if drawn and layer is not None and layer < last else None
        lookup = None
        if drawn and layer is not None and at is not None:
            lookup = LayerLookup(at, base, instruct, drawn.base[at], drawn.instruct[layer])
        for pair, of_pair in groupby(of_layer, key=lambda item: item[0].pair):
            sums = _sum_up(pair, of_pair, lookup if pair.neurons else None)
            seen.comparisons.extend([sums.comparison()] if pair.comparable else [])
        if lookup is not None and layer is not None:
            seen.matches[layer], seen.alive[layer] = lookup.match(), lookup.alive
    return seen


def _moved(
    base: WeightSource, instruct: WeightSource, layer: int, own: Float64[np.ndarray, " d_m"], samples: Samples
) -> float:
    """Share of a layer's neurons found at another index, if no sampled one is; `own`: cosines with the same index."""
    threshold = related_cosine(len(base.kinds), base.d, base.d_m)
    astray = np.flatnonzero(own < threshold)
    ids = np.sort(samples.rng.permutation(astray)[: samples.size])
    _, nearest = look_up(base, layer, instruct, layer, ids)
    return float((nearest >= threshold).sum() / max(1, ids.size) * astray.size / own.size)


def _runs(pair: Pair, layer_of: Sequence[int | None], drawn: Drawn | None) -> tuple[Runs, Runs]:
    """Sampled neurons of both sides of a pair; none if the pair holds no neurons."""
    if drawn is None or not pair.neurons or pair.layer is None:
        return (), ()
    at = layer_of[pair.layer]
    return ((), ()) if at is None else (drawn.base[at], drawn.instruct[pair.layer])


def _sum_up(pair: Pair, blocks: Iterable[Blocks], lookup: LayerLookup | None) -> PairSums:
    sums = PairSums(pair)
    for step, base, instruct in blocks:
        if not step.sample:
            sums.add(step, base, instruct)
        if lookup is not None:
            lookup.add(step, base, instruct, sums)
    if lookup is not None:
        lookup.end_kind(pair, sums)
    return sums


@dataclass(frozen=True)
class Shares:
    """Sampled neurons of all layers, counted together."""

    sampled: int
    """Looked-up neurons of the instruct checkpoint, including layers without a counterpart."""
    at_own_index: float
    """Share of these whose nearest neighbour in the base has the same index."""
    in_base: float
    """Share of these found in the base, at any index."""
    in_instruct: float
    """Share of the base's sampled neurons found in the instruct checkpoint."""
    nearest_cosine: float
    """Median cosine to the nearest neighbour in the base; 0 if no layer has a counterpart."""


def found_shares(survey: Survey, base_layers: int) -> Shares:
    """Count the matches; neurons of zeros are not counted, layers without a counterpart count as not found."""
    matches = survey.matches.values()
    by_base = {match.base_layer: match for match in sorted(matches, key=lambda match: match.found[1])}
    sampled = _spread([match.own.size for match in matches], len(survey.layer_of))
    sampled_base = _spread([match.nearest_of_base.size for match in by_base.values()], base_layers)
    nearest = np.concatenate([match.nearest for match in matches]) if matches else np.zeros(0)
    return Shares(
        sampled=sampled,
        at_own_index=sum(match.at_own_index for match in matches) / max(1, sampled),
        in_base=sum(match.found[0] for match in matches) / max(1, sampled),
        in_instruct=sum(match.found[1] for match in by_base.values()) / max(1, sampled_base),
        nearest_cosine=float(np.median(nearest)) if nearest.size else 0.0,
    )


def _spread(counts: list[int], layers: int) -> int:
    """Neurons of all layers, if layers without a counterpart have the average number."""
    return round(sum(counts) / len(counts) * layers) if counts else 0
