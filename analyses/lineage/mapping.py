"""Given neurons of the instruct checkpoint, looked up in the base.

The one idea: a mapped neuron carries the evidence for its mapping, its cosine with its counterpart and by
how much that is ahead of every other neuron of the layer; one without a counterpart is listed, not guessed. Nor
is an index believed where it is not the neuron and another one is.
"""

import numpy as np
from jaxtyping import Int

from provenance.analyses.results.lineage import Alignment, MappedNeurons
from provenance.analyses.weights.joined_cosines import layer_cosines, related_cosine
from provenance.analyses.weights.weight_source import WeightSource


def map_neurons(
    ids: Int[np.ndarray, " k"], alignment: Alignment, base: WeightSource, instruct: WeightSource
) -> MappedNeurons:
    """The counterparts of some neurons, compared with all neurons of the base's layer.

    Args:
        ids: Flat ids in the instruct checkpoint, layer * d_m + index.
        alignment: Which neuron is which.
        base: The checkpoint said to be the ancestor.
        instruct: The other one.

    Returns:
        In the order of `ids`. A margin near 0 means that another neuron of the base fits as well, a negative one that
        another fits better; NaN where the layer has no other neuron. A counterpart of zeros has cosine 0. Unmapped
        as well are neurons whose counterpart by index falls short of what is taken for the same neuron (a cosine
        of 0.5 in real models) while another neuron of that layer does not.
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
