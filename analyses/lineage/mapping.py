"""Looks up listed neurons of the instruct checkpoint in the base, with similarity and margin as evidence."""

import numpy as np
from jaxtyping import Int

from provenance.analyses.results.lineage import Alignment, MappedNeurons
from provenance.analyses.weights.joined_cosines import layer_cosines, related_cosine
from provenance.analyses.weights.weight_source import WeightSource


def map_neurons(
    ids: Int[np.ndarray, " k"], alignment: Alignment, base: WeightSource, instruct: WeightSource
) -> MappedNeurons:
    """The counterparts of some neurons (flat ids, layer * d_m + index), each compared with its whole layer in the base.

    A neuron whose counterpart by index is below the similarity threshold (a cosine of 0.5 in real models) is unmapped
    if another neuron of that layer is above it. Margins near 0: another neuron of the base fits as well; negative:
    another fits better; NaN: the layer has no other neuron. A counterpart of zeros has cosine 0.
    """
    threshold = related_cosine(len(base.kinds), base.d, base.d_m)
    base_ids = alignment.base_ids[ids]
    similarity, margin = np.full(ids.size, np.nan), np.full(ids.size, np.nan)
    places = np.stack([ids // instruct.d_m, base_ids // base.d_m], axis=1)
    for layer, base_layer in np.unique(places[base_ids >= 0], axis=0):
        here = np.flatnonzero((base_ids >= 0) & (places == (layer, base_layer)).all(axis=1))
        own, others = base_ids[here] % base.d_m, ids[here] % instruct.d_m
        for part, table in layer_cosines(base, int(base_layer), instruct, int(layer), others):
            rows = np.arange(table.shape[0])
            similarity[here[part]] = table[rows, own[part]]
            table[rows, own[part]] = -np.inf
            best_other = table.max(axis=1).astype(np.float64)
            margin[here[part]] = np.where(np.isfinite(best_other), similarity[here[part]] - best_other, np.nan)
            wrong = here[part][(similarity[here[part]] < threshold) & (best_other >= threshold)]
            base_ids[wrong], similarity[wrong], margin[wrong] = -1, np.nan, np.nan
    return MappedNeurons(ids.copy(), base_ids, similarity, margin)
