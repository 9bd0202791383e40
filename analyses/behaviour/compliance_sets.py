"""Neuron sets to scale beside the H-Neurons, and how far scaling a set moves the residual stream.

Ten loud neurons move everything thirty times as far as ten others, so sets are also matched on activity, and the
disturbance of every set is reported beside its effect.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float64, Int

from provenance.activations.capture import down_norms, down_projections, down_weight, forward, hooked
from provenance.activations.cett import cett_means
from provenance.activations.neuron_rows import NO_NEURONS
from provenance.analyses.behaviour.scaled_answers import control_arms
from provenance.analyses.controls.control_sets import CONTROL_KINDS, distinct_draws
from provenance.analyses.drift.drift_nulls import finest_strata
from provenance.analyses.results.behaviour import ScaledKind
from provenance.models.loading import LoadedModel

ACTIVITY_MATCHED: ScaledKind = "activity_matched"
NEGATIVE: ScaledKind = "negative_weight"
"""Neurons that speak for a faithful answer: one set, of another size than the H-Neurons."""
Sets = Mapping[ScaledKind, Int[np.ndarray, "_ k"]]


@torch.inference_mode()
def prompt_activity(
    loaded: LoadedModel, prompts: Sequence[Sequence[int]]
) -> tuple[Float64[np.ndarray, " neurons"], Float64[np.ndarray, " neurons"]]:
    """Norm of every neuron's down column, and its mean CETT over all tokens of some prompts (dimensionless).

    Raises:
        CaptureError, ZeroOutputError: See `provenance.activations.capture`.
    """
    layers, d_m = loaded.layout.layers, loaded.layout.d_m
    norms = down_norms(loaded)
    total = np.zeros(layers * d_m)

    def reduce(layer: int, z: torch.Tensor, h: torch.Tensor) -> None:
        every = torch.ones((1, 1, z.shape[1]), dtype=torch.bool, device=z.device)
        total[layer * d_m : (layer + 1) * d_m] += cett_means(z, h, norms[layer], every)[0, 0].cpu().numpy()

    for ids in _each(loaded, prompts):
        with hooked(loaded, reduce):
            forward(loaded, ids, torch.ones_like(ids))
    return np.concatenate([norm.cpu().numpy().astype(np.float64) for norm in norms]), total / len(prompts)


def scaled_sets(
    ids: Int[np.ndarray, " k"],
    layers: int,
    d_m: int,
    norm: Float64[np.ndarray, " neurons"],
    activity: Float64[np.ndarray, " neurons"],
    *,
    sets: int,
    seed: int,
    apart: Int[np.ndarray, " a"] = NO_NEURONS,
) -> Sets:
    """The H-Neurons as a single set, then control sets of equal size by kind: flat ids, one set a row.

    Sets that were drawn twice count once. `random` and `layer_matched` as everywhere; `activity_matched` draws
    from the same layers' neurons of similar column norm and mean CETT. The H-Neurons are left out where there is room,
    and those in `apart` always.

    Raises:
        InputError, PairError: See `provenance.analyses.controls.control_sets.neuron_sets`.
    """
    plain = control_arms(ids, layers, d_m, apart, sets, seed)
    found: dict[ScaledKind, np.ndarray] = {kind: np.unique(members, axis=0) for kind, members in plain.items()}
    rng = np.random.default_rng([seed, len(CONTROL_KINDS)])
    strata = finest_strata(norm, activity, d_m).of.copy()
    strata[apart] = -1
    alike = np.sort(np.concatenate(list(_alike(ids, strata, sets, rng)), axis=1), axis=1)
    found[ACTIVITY_MATCHED] = np.unique(alike, axis=0)
    return found


def _alike(
    ids: Int[np.ndarray, " k"], strata: Int[np.ndarray, " neurons"], sets: int, rng: np.random.Generator
) -> Iterator[Int[np.ndarray, "sets count"]]:
    """Draws from each stratum of the H-Neurons, without them where enough others are left."""
    for stratum, count in zip(*np.unique(strata[ids], return_counts=True), strict=True):
        members = np.flatnonzero(strata == stratum)
        others = np.setdiff1d(members, ids)
        pool = others if others.size >= count else members
        yield pool[distinct_draws(pool.size, int(count), sets, rng)]


Instead = Callable[[int, Int[np.ndarray, " k"]], torch.Tensor]
"""What stands in place of z, tokens by neurons: of a prompt by its number, and neurons by their flat ids."""


@torch.inference_mode()
def disturbances(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    sets: Sequence[Int[np.ndarray, " _"]],
    instead: Instead | None = None,
) -> Float64[np.ndarray, " sets"]:
    """How far changing the activations of each set moves the MLPs' outputs; dimensionless.

        mean over tokens of sqrt(sum_l ||sum_{j in S_l} dz_j w_j||^2 / sum_l ||h_l||^2)

    l are the layers, S_l the set's neurons in one, w_j their down columns, h_l the MLP's output; all of the unchanged
    model. dz_j is what stands in place of z_j, less z_j; without it z_j itself: scaling by alpha then moves as far per
    unit of |alpha - 1|. Choice: first order, without what later layers make of it.

    Raises:
        CaptureError: See `provenance.activations.capture.hooked`.
    """
    d_m, by_layer = loaded.layout.d_m, dict[int, list[tuple[int, np.ndarray]]]()
    for number, members in enumerate(sets):
        for layer in np.unique(members // d_m).tolist():
            by_layer.setdefault(layer, []).append((number, members[members // d_m == layer]))
    shares = np.zeros(len(sets))
    for prompt, ids in enumerate(_each(loaded, prompts)):
        theirs = None if instead is None else partial(instead, prompt)
        shares += _moved(loaded, ids, by_layer, shares.size, theirs)
    return shares / len(prompts)


def _moved(
    loaded: LoadedModel,
    ids: Int[torch.Tensor, "1 tokens"],
    by_layer: Mapping[int, Sequence[tuple[int, np.ndarray]]],
    sets: int,
    theirs: Callable[[np.ndarray], torch.Tensor] | None,
) -> Float64[np.ndarray, " sets"]:
    """Of one prompt, by number of the set; see `disturbances`."""
    d_m, modules = loaded.layout.d_m, down_projections(loaded)
    moved, total = torch.zeros((sets, ids.shape[1])), torch.zeros(ids.shape[1])

    def reduce(layer: int, z: torch.Tensor, h: torch.Tensor) -> None:
        total.add_(h[0].float().square().sum(dim=-1).cpu())
        if layer not in by_layer:
            return
        with down_weight(loaded, modules[layer]) as weight:
            for number, members in by_layer[layer]:
                own = torch.from_numpy(members % d_m)
                change = z[0, :, own].float()
                if theirs is not None:
                    change = theirs(members).to(change) - change
                moved[number] += (change @ weight[:, own].float().T).square().sum(dim=-1).cpu()

    with hooked(loaded, reduce):
        forward(loaded, ids, torch.ones_like(ids))
    found: np.ndarray = (moved / total).sqrt().mean(dim=1).double().numpy()
    return found


def _each(loaded: LoadedModel, prompts: Sequence[Sequence[int]]) -> Iterator[torch.Tensor]:
    """Prompts one by one, so that no token is padding."""
    for prompt in prompts:
        loaded.require_known(prompt)
        yield torch.tensor([list(prompt)], device=loaded.device)
