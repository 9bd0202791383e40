"""Activations of one model put into another: bit for bit what a hook does that replaces them by hand."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_factory import load, make_checkpoint, mlps, modules_of, permuted_copy, tuned_copy

from provenance.activations.patching import KeptActivations, replacing
from provenance.activations.scaling import edited
from provenance.answers.sampling import padded_left, positions_of
from provenance.errors import CaptureError, InputError
from provenance.models.loading import LoadedModel

D_M = 24
ROWS = ((1, 40, 50, 60), (1, 7, 8, 9, 10, 11, 12), (1, 99))
OWN = np.array([3, 20, D_M + 5, D_M + 6])
Keep = Callable[..., KeptActivations]
ORDER = [2, 0, 1]
"""Rows of the batch, which is not in the order of the file."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedModel, LoadedModel]:
    """A base, and its child."""
    folder = tmp_path_factory.mktemp("pair")
    base = make_checkpoint(folder / "base")
    return load(base), load(tuned_copy(base, folder / "child", scale=0.5))


def batch(loaded: LoadedModel, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    return padded_left([ROWS[row] for row in rows], loaded.pad_id, loaded.device)


@torch.inference_mode()
def logits(loaded: LoadedModel, rows: list[int]) -> torch.Tensor:
    ids, mask = batch(loaded, rows)
    found: torch.Tensor = loaded.model(input_ids=ids, attention_mask=mask, position_ids=positions_of(mask)).logits
    return found[mask.bool()]


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Callable[[np.ndarray], KeptActivations]]:
    """Makes files for activations, and closes them at the end."""
    with ExitStack() as opened:
        yield lambda ids: opened.enter_context(closing(KeptActivations(ids, tmp_path / "kept")))


@pytest.fixture
def kept_of(empty: Callable[[np.ndarray], KeptActivations]) -> Keep:
    def keep(donor: LoadedModel, ids: np.ndarray, *batches: list[int]) -> KeptActivations:
        kept = empty(ids)
        for rows in batches:
            with kept.reading(donor, rows, batch(donor, rows)[1].bool()):
                logits(donor, rows)
        return kept

    return keep


@contextmanager
def by_hand(receiver: LoadedModel, donor: LoadedModel, own: np.ndarray, theirs: np.ndarray) -> Iterator[None]:
    """Of each neuron alone: the receiver's z is what the donor's hook saw in the same batch."""
    seen: dict[int, torch.Tensor] = {}

    def see(layer: int) -> Any:
        def hook(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            seen[layer] = inputs[0].clone()

        return hook

    downs = [modules_of(mlp)["down"] for mlp in mlps(donor.model)]
    handles = [down.register_forward_pre_hook(see(layer)) for layer, down in enumerate(downs)]
    mask = batch(donor, ORDER)[1].bool()
    logits(donor, ORDER)
    for handle in handles:
        handle.remove()

    def replace_one(neuron: int, other: int) -> Any:
        def hook(_module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            z = inputs[0].clone()
            z[..., neuron % D_M][mask] = seen[other // D_M][..., other % D_M][mask]
            return (z,)

        return hook

    handles = [
        modules_of(mlps(receiver.model)[neuron // D_M])["down"].register_forward_pre_hook(replace_one(neuron, other))
        for neuron, other in zip(own.tolist(), theirs.tolist(), strict=True)
    ]
    yield
    for handle in handles:
        handle.remove()


def test_replaced_activations_are_those_of_a_hook_that_puts_them_in_by_hand(
    pair: tuple[LoadedModel, LoadedModel], kept_of: Keep
) -> None:
    """Bit for bit, where the other model read the same batch; counterparts are at other places. Others differ."""
    donor, receiver = pair
    theirs = np.array([7, 30, D_M + 1, 2])
    kept = kept_of(donor, theirs, ORDER)
    mask = batch(receiver, ORDER)[1].bool()
    with by_hand(receiver, donor, OWN, theirs):
        expected = logits(receiver, ORDER)
    with edited(receiver, replacing(kept, theirs, OWN, ORDER, mask, D_M)):
        found = logits(receiver, ORDER)
    assert found.equal(expected)
    assert not torch.allclose(found, logits(receiver, ORDER), rtol=1e-3)
    with edited(receiver, replacing(kept, theirs[::-1].copy(), OWN, ORDER, mask, D_M)):
        assert not torch.allclose(logits(receiver, ORDER), expected, rtol=1e-3)


def test_its_own_activations_change_nothing(pair: tuple[LoadedModel, LoadedModel], kept_of: Keep) -> None:
    """Some of the kept neurons, read in other batches: equal but for the rounding of other shapes."""
    model, _ = pair
    kept = kept_of(model, np.arange(2 * D_M), [0, 1], [2])
    mask = batch(model, ORDER)[1].bool()
    with edited(model, replacing(kept, OWN, OWN, ORDER, mask, D_M)):
        torch.testing.assert_close(logits(model, ORDER), logits(model, ORDER), rtol=1e-5, atol=1e-5)


def test_all_neurons_of_a_permuted_copy_change_nothing_at_their_places(
    pair: tuple[LoadedModel, LoadedModel], kept_of: Keep, tmp_path: Path
) -> None:
    """A model with its neurons in another order computes the same; at the same numbers they are others."""
    base, _ = pair
    other = load(permuted_copy(make_checkpoint(tmp_path / "base"), tmp_path / "permuted"))
    ups = [[modules_of(mlp)["up"].weight for mlp in mlps(loaded.model)] for loaded in (base, other)]
    there = np.concatenate([
        layer * D_M + torch.cdist(own, theirs).argmin(dim=1).numpy()
        for layer, (own, theirs) in enumerate(zip(*ups, strict=True))
    ])  # fmt: skip
    kept, every = kept_of(other, np.arange(2 * D_M), ORDER), np.arange(2 * D_M)
    mask = batch(base, ORDER)[1].bool()
    plain = logits(base, ORDER)
    with edited(base, replacing(kept, there, every, ORDER, mask, D_M)):
        torch.testing.assert_close(logits(base, ORDER), plain, rtol=1e-4, atol=1e-4)
    with edited(base, replacing(kept, every, every, ORDER, mask, D_M)):
        assert not torch.allclose(logits(base, ORDER), plain, rtol=1e-2)


def test_activations_keep_the_dtype_of_their_model(kept_of: Keep, tmp_path: Path) -> None:
    donor = load(make_checkpoint(tmp_path / "base"), dtype="bfloat16")
    kept = kept_of(donor, OWN, ORDER)
    assert kept.of(1, OWN).dtype == torch.bfloat16
    assert kept.of(1, OWN).shape == (7, 4)
    assert kept.of(1, OWN[2:3])[:, 0].equal(kept.of(1, OWN)[:, 2])


def test_what_cannot_be_kept_is_refused(
    pair: tuple[LoadedModel, LoadedModel], empty: Callable[[np.ndarray], KeptActivations], tmp_path: Path
) -> None:
    """No pass, several of them, and a neuron that the model does not have; the file is no file of the folder."""
    model, _ = pair
    mask = batch(model, ORDER)[1].bool()

    def read(ids: np.ndarray, passes: int) -> None:
        with empty(ids).reading(model, ORDER, mask):
            for _ in range(passes):
                logits(model, ORDER)

    for ids, passes, error, found in (
        (OWN, 0, CaptureError, "fires once"),
        (OWN, 2, CaptureError, "one forward pass"),
        (np.array([2 * D_M]), 1, InputError, "outside"),
    ):
        with pytest.raises(error, match=found):
            read(ids, passes)
    assert not list((tmp_path / "kept").iterdir())
