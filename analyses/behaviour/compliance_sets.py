"""Neuron sets to scale beside the H-Neurons, and how far scaling a set moves the residual stream.

Ten loud neurons move everything thirty times as far as ten others, so sets are also matched on activity, and the
disturbance of every set is reported beside its effect.
"""

from collections.abc import Iterator, Mapping, Sequence

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


@torch.inference_mode()
def disturbances(
    loaded: LoadedModel, prompts: Sequence[Sequence[int]], sets: Sequence[Int[np.ndarray, " _"]]
) -> Float64[np.ndarray, " sets"]:
    """How far scaling each set by alpha moves the MLPs' outputs, per unit of |alpha - 1|; dimensionless.

        mean over tokens of sqrt(sum_l ||sum_{j in S_l} z_j w_j||^2 / sum_l ||h_l||^2)

    l are the layers, S_l the set's neurons in one, w_j their down columns, h_l the MLP's output; all of the unscaled
    model. Choice: first order, without what later layers make of it.

    Raises:
        CaptureError: See `provenance.activations.capture.hooked`.
    """
    d_m, modules = loaded.layout.d_m, down_projections(loaded)
    by_layer: dict[int, list[tuple[int, torch.Tensor]]] = {}
    for number, members in enumerate(sets):
        for layer in np.unique(members // d_m).tolist():
            own = torch.from_numpy(members[members // d_m == layer] % d_m)
            by_layer.setdefault(layer, []).append((number, own))
    moved: list[torch.Tensor] = []
    total: list[torch.Tensor] = []

    def reduce(layer: int, z: torch.Tensor, h: torch.Tensor) -> None:
        total[-1] += h[0].float().square().sum(dim=-1).cpu()
        if layer in by_layer:
            with down_weight(loaded, modules[layer]) as weight:
                for number, own in by_layer[layer]:
                    change = z[0, :, own].float() @ weight[:, own].float().T
                    moved[-1][number] += change.square().sum(dim=-1).cpu()

    shares = np.zeros(len(sets))
    for ids in _each(loaded, prompts):
        moved.append(torch.zeros((len(sets), ids.shape[1])))
        total.append(torch.zeros(ids.shape[1]))
        with hooked(loaded, reduce):
            forward(loaded, ids, torch.ones_like(ids))
        shares += (moved.pop() / total.pop()).sqrt().mean(dim=1).numpy()
    return shares / len(prompts)


def _each(loaded: LoadedModel, prompts: Sequence[Sequence[int]]) -> Iterator[torch.Tensor]:
    """Prompts one by one, so that no token is padding."""
    for prompt in prompts:
        loaded.require_known(prompt)
        yield torch.tensor([list(prompt)], device=loaded.device)
