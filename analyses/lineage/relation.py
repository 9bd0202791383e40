"""Is one checkpoint a descendant of the other, so that neuron j means the same neuron in both?

Sampled neurons are looked up in the other model, layer by layer, since only some layers may be permuted. The evidence
is symmetric: it does not say which checkpoint came first.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from provenance.analyses.lineage.config_differences import config_differences, shared_vocabulary
from provenance.analyses.lineage.sampled_neurons import HALF
from provenance.analyses.lineage.survey import Shares, Survey, found_shares, look, look_at_tensors
from provenance.analyses.results.lineage import LineageResult
from provenance.analyses.weights.by_layers import ByLayers
from provenance.analyses.weights.joined_cosines import related_cosine
from provenance.analyses.weights.tensor_census import same_bits
from provenance.analyses.weights.tensor_pairs import blocks
from provenance.analyses.weights.weight_source import WeightSource, mlp_shape
from provenance.weights.tensors import Rows

NEURONS_PER_LAYER = 64  # 18 layers then give 1,152 neurons: a share is known to 1.5 points
SHOWN = 6  # layers named in a reason
MOVED = 0.05  # a checkpoint with a larger share of neurons at other indices is called permuted


def lineage(
    base: WeightSource,
    instruct: WeightSource,
    vocabularies: tuple[Mapping[str, int] | None, Mapping[str, int] | None],
    configs: tuple[Mapping[str, Any], Mapping[str, Any]],
    *,
    sample: int = NEURONS_PER_LAYER,
    seed: int = 0,
    who: ByLayers | None = None,
) -> LineageResult:
    """Evidence that two checkpoints are related, tensor by tensor and neuron by neuron.

    Reads every shared tensor once, in blocks, and the rows of sampled neurons twice. If layers are not at their own
    place, gate and up weights of the base are read once more.

    Args:
        vocabularies: Token to id, of the base's and of the other tokenizer; None if there is none.
        configs: The base's config.json and the other one.
        sample: Neurons looked up per layer.
        who: Reads the layers, by default this process.

    Returns:
        `same model`: all tensors are bit-identical. `descendant`: most sampled neurons are nearest to their own index;
        `..., neurons permuted`: most are found, and more than one in 20, or most of a layer, at other indices of their
        layer; `..., pruned or widened`: numbers of neurons or layers differ, or layers are in other places, and most of
        one side's neurons are found on the other. `unrelated`: none of these, or hidden size or kinds of weights
        differ.

    Raises:
        NonFiniteError: A shared tensor, named in the message, holds NaN, infinity, or weights out of range: squares
            must fit float64 (1e-162 to 1e154), norms of neurons float32 arithmetic (1e18).
    """
    problem = incomparable(base, instruct)
    if problem:
        survey = look_at_tensors(base, instruct, who)
    else:
        survey = look(base, instruct, sample, np.random.default_rng(seed), who)
    shares = found_shares(survey, base.layers)
    verdict, reason = ("unrelated", problem) if problem else _verdict(base, instruct, survey, shares)
    if verdict == "unrelated":
        reason += _though(survey)
    return _result((verdict, reason), survey, shares, instruct.kinds, vocabularies, configs)


def _result(
    judged: tuple[str, str],
    survey: Survey,
    shares: Shares,
    kinds: tuple[str, ...],
    vocabularies: tuple[Mapping[str, int] | None, Mapping[str, int] | None],
    configs: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> LineageResult:
    """The evidence with its verdict and reason."""
    whole = [part for part in survey.comparisons if part.pair.whole]
    vocabulary = shared_vocabulary(*vocabularies)
    return LineageResult(
        verdict=judged[0],
        reason=judged[1],
        share_identical_tensors=sum(part.identical for part in whole) / len(whole) if whole else 0.0,
        tensors_compared=len(whole),
        only_base=survey.pairing.only_base,
        only_instruct=survey.pairing.only_instruct,
        median_cosine=_median_cosine(survey, kinds),
        self_match=shares.at_own_index,
        nearest_cosine=shares.nearest_cosine,
        found_in_base=shares.in_base,
        found_in_instruct=shares.in_instruct,
        neurons_sampled=shares.sampled,
        layer_of=survey.layer_of,
        moved=survey.moved,
        same_tokenizer=vocabulary == 1.0,
        vocabulary_shared=vocabulary,
        vocabulary_sizes=(len(vocabularies[0] or ()), len(vocabularies[1] or ())),
        config=config_differences(*configs),
        tensors=tuple(part.similarity() for part in survey.comparisons),
    )


def incomparable(base: WeightSource, instruct: WeightSource) -> str:
    """Why the neurons of two checkpoints cannot be compared; empty if they can."""
    found = []
    if base.d != instruct.d:
        found.append(f"hidden size {base.d} against {instruct.d}")
    if base.kinds != instruct.kinds:
        found.append(f"weights {', '.join(base.kinds)} against {', '.join(instruct.kinds)}")
    elif [base.slice(kind, 0).neurons for kind in base.kinds] != [
        instruct.slice(kind, 0).neurons for kind in base.kinds
    ]:
        found.append("neurons stored as rows against columns")
    return f"their neurons cannot be compared: {'; '.join(found)}" if found else ""


def _verdict(base: WeightSource, instruct: WeightSource, survey: Survey, shares: Shares) -> tuple[str, str]:
    """The relation of two checkpoints whose neurons can be compared, and the numbers that decided."""
    in_place = mlp_shape(base) == mlp_shape(instruct) and all(
        at in (None, layer) for layer, at in enumerate(survey.layer_of)
    )
    if in_place and _same_tensors(base, instruct, survey):
        return "same model", f"all {len(survey.comparisons)} tensors are bit-identical"
    own = f"{shares.at_own_index:.1%} of {shares.sampled:,} sampled neurons are nearest to their own index"
    either = f"{shares.in_base:.1%} are found in the base and {shares.in_instruct:.1%} of the base's are found here"
    at = f"median cosine to the nearest {shares.nearest_cosine:.4f}"
    lost = _moved_layers(survey) + _lost_layers(survey)
    found = max(shares.in_base, shares.in_instruct) >= HALF
    # If many neurons of the base are zeros, the share at their own index is taken of those that are found.
    at_home = shares.at_own_index >= HALF * ((found and shares.in_base) or 1)
    permuted = max(survey.moved) >= HALF or float(np.mean(survey.moved)) > MOVED
    related = in_place and (found or at_home)
    if related and not permuted:
        return "descendant", f"{own}, {at}{lost}"
    if related:
        return "descendant, neurons permuted", f"{own}, yet {either}, {at}{lost}"
    if found:
        moved = "" if mlp_shape(base) != mlp_shape(instruct) else " in other places"
        sizes = f"{base.layers} layers of {base.d_m} neurons became {instruct.layers} of {instruct.d_m}{moved}"
        return "descendant, pruned or widened", f"{sizes}; of {shares.sampled:,} sampled neurons {either}, {at}{lost}"
    return "unrelated", f"{own}, {either}, {at}, {_recognised(base)}"


def _recognised(base: WeightSource) -> str:
    threshold = related_cosine(len(base.kinds), base.d, base.d_m)
    return f"where {threshold:.2f} is taken for the same neuron"


def _lost_layers(survey: Survey) -> str:
    """Names layers whose neurons are not in the base; empty if all are."""
    lost = [str(layer) for layer, at in enumerate(survey.layer_of) if at is None]
    return f"; no neurons of the base in layer {_first(lost)}" if lost else ""


def _moved_layers(survey: Survey) -> str:
    """Names layers with neurons found at other indices, with their share; empty if none."""
    moved = [f"{layer} ({share:.2g})" for layer, share in enumerate(survey.moved) if share]
    return f"; found at another index in layer (share): {_first(moved)}" if moved else ""


def _though(survey: Survey) -> str:
    """What unrelated checkpoints still have in common; empty if nothing."""
    whole = [part for part in survey.comparisons if part.pair.whole]
    same = sum(part.identical for part in whole)
    words = f"; yet {same} of {len(whole)} tensors of the same shape are bit-identical" if same else ""
    held = [
        str(layer) for layer, at in enumerate(survey.layer_of) if at is not None and not survey.matches[layer].blank
    ]
    return words + (f"; yet neurons of the base are found in layer {_first(held)}" if held else "")


def _first(names: list[str]) -> str:
    """The first few names, and the number of the others."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _median_cosine(survey: Survey, kinds: tuple[str, ...]) -> dict[str, float]:
    """Median over the neurons of all layers, by kind."""
    cosines = {kind: [c.cosine for c in survey.comparisons if c.pair.neurons and c.pair.kind == kind] for kind in kinds}
    return {kind: float(np.median(np.concatenate(parts))) for kind, parts in cosines.items() if parts}


def _same_tensors(base: WeightSource, instruct: WeightSource, survey: Survey) -> bool:
    """Whether all tensors are bit-identical; a tied tensor stored twice on one side does not count."""
    if not survey.comparisons or not all(part.identical for part in survey.comparisons):
        return False
    sides = ((base, survey.pairing.only_base), (instruct, survey.pairing.only_instruct))
    return all(stored_twice(source, name) for source, names in sides for name in names)


def stored_twice(source: WeightSource, name: str) -> bool:
    """Whether another tensor of the checkpoint has the same bits, such as a tied output embedding."""
    alike = [
        other
        for other in source.tensor_names()
        if other != name
        and (source.shape(other), source.dtype_of(other)) == (source.shape(name), source.dtype_of(name))
    ]
    return any(_same_tensor(source, name, other) for other in alike)


def _same_tensor(source: WeightSource, name: str, other: str) -> bool:
    shape = source.shape(name)
    spans = list(blocks(shape[0], prod(shape[1:]))) if shape else []
    streams = [source.stream([Rows(n, start, stop) for start, stop in spans]) for n in (name, other)]
    return bool(spans) and all(same_bits(a, b) for a, b in zip(*streams, strict=True))
