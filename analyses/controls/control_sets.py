"""Control sets of neurons, random or layer-matched, and the p-value of a statistic over them."""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from provenance.errors import InputError, PairError

ControlSetKind = Literal["random", "layer_matched"]
CONTROL_KINDS: tuple[ControlSetKind, ...] = ("random", "layer_matched")
SHUFFLED_LABELS = "shuffled_labels"
SET_KINDS = (*CONTROL_KINDS, SHUFFLED_LABELS)
"""Baselines of many probes each: on control sets of neurons, and of the same search with shuffled labels."""

# Floyd's sampling compares each pick with those before it, k^2/2 per draw; random keys
# cost n per draw. Around 64 picks the two meet for the layer widths of real models.
FLOYD_LIMIT = 64
KEYS_PER_BLOCK = 2**22  # 32 MB of float64 keys at a time

# Sums of the same ranks in another order differ in the last bits; a draw that equals the observed set
# must still count as "at least as high".
TIE_TOLERANCE = 1e-12


def layer_counts(flat_ids: Int[np.ndarray, " k"], layers: int, d_m: int) -> Int[np.ndarray, " layers"]:
    """Number of the neurons in each layer.

    Raises:
        PairError: An id outside the model or given twice; a neuron set of another model is the usual cause.
    """
    if flat_ids.size and (flat_ids.min() < 0 or flat_ids.max() >= layers * d_m):
        raise PairError(
            f"neuron ids from 0 to {layers * d_m - 1} ({layers} layers of {d_m})",
            found=f"ids from {flat_ids.min()} to {flat_ids.max()}",
            remedy="use a neuron set that was found in this pair of checkpoints",
        )
    if np.unique(flat_ids).size != flat_ids.size:
        raise PairError(
            "each neuron once",
            found=f"{flat_ids.size} ids of which {np.unique(flat_ids).size} differ",
            remedy="remove the repeated ids from the neuron set",
        )
    return np.bincount(flat_ids // d_m, minlength=layers)


def distinct_draws(n: int, k: int, draws: int, rng: np.random.Generator) -> Int[np.ndarray, "draws k"]:
    """Many uniform samples of k distinct numbers below n, one per row; order in a row has no meaning.

    Source: Floyd, in Bentley and Floyd 1987, doi:10.1145/30401.315746, for few picks; random keys for many.
    """
    if k > FLOYD_LIMIT:
        return _draws_by_keys(n, k, draws, rng)
    picked = np.empty((draws, k), dtype=np.int64)
    for i in range(k):
        last = n - k + i
        pick = rng.integers(last + 1, size=draws)
        taken = (picked[:, :i] == pick[:, None]).any(axis=1)
        picked[:, i] = np.where(taken, last, pick)
    return picked


def _draws_by_keys(n: int, k: int, draws: int, rng: np.random.Generator) -> Int[np.ndarray, "draws k"]:
    if k == n:
        return np.tile(np.arange(n), (draws, 1))
    picked = np.empty((draws, k), dtype=np.int64)
    rows = max(1, KEYS_PER_BLOCK // n)
    for start in range(0, draws, rows):
        stop = min(start + rows, draws)
        keys = rng.random((stop - start, n))
        picked[start:stop] = np.argpartition(keys, k - 1, axis=1)[:, :k]
    return picked


def neuron_sets(
    kind: ControlSetKind,
    reference: Int[np.ndarray, " k"],
    layers: int,
    d_m: int,
    *,
    K: int,
    rng: np.random.Generator,
    excluded: Int[np.ndarray, " x"],
) -> Int[np.ndarray, "K k"]:
    """K control sets of the size of a reference set: flat ids, one set per row, distinct and ascending within a row.

    `random` draws from all neurons, `layer_matched` as many per layer as the reference has, never those in `excluded`.

    Raises:
        InputError: Fewer neurons are left to draw from than a set needs.
    """
    counts = layer_counts(reference, layers, d_m)
    pool_size = layers * d_m if kind == "random" else d_m
    groups = [(0, reference.size)] if kind == "random" else list(enumerate(counts.tolist()))
    parts = [np.empty((K, 0), dtype=np.int64)]
    for group, count in groups:
        pool = np.arange(group * pool_size, (group + 1) * pool_size)
        pool = np.setdiff1d(pool, excluded, assume_unique=True)
        if pool.size < count:
            raise InputError(
                f"{count} control neurons beside the {reference.size} of the reference",
                found=f"{pool.size} left to draw from",
                remedy="exclude fewer neurons from the control sets, or use a smaller reference",
            )
        parts.append(pool[distinct_draws(pool.size, count, K, rng)])
    return np.sort(np.concatenate(parts, axis=1), axis=1)


def excluded_from_controls(
    reference: Int[np.ndarray, " k"], unmapped: Int[np.ndarray, " u"], layers: int, d_m: int
) -> Int[np.ndarray, " x"]:
    """Neurons excluded from control sets: those without a counterpart, and, if there is room, the reference.

    There is room if every layer has at least as many other neurons as reference neurons. In a small model chance would
    otherwise put some of the reference into every tenth set.
    """
    left = d_m - layer_counts(unmapped, layers, d_m)
    roomy = (2 * layer_counts(reference, layers, d_m) <= left).all()
    return np.union1d(unmapped, reference) if roomy else unmapped


def permutation_p(draws: Float[np.ndarray, " draws"], observed: float) -> float:
    """One-sided p-value of an observed statistic, high values extreme; in (0, 1].

        p = (1 + #{draws >= observed}) / (1 + #draws)

    Never 0, since the observed set is a possible draw. Source: Phipson and Smyth 2010, doi:10.2202/1544-6115.1585.
    """
    at_least = int((draws >= observed - TIE_TOLERANCE).sum())
    return (1 + at_least) / (1 + draws.size)
