"""Activity-matched sets are as loud as the H-Neurons, with more neurons where no others are as loud."""

from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_factory import load, make_checkpoint, mlps, modules_of
from transformers import AutoModelForCausalLM

from provenance.analyses.behaviour.compliance_sets import LIKE, disturbances, prompt_activity, scaled_sets

LAYERS, D_M, SETS = 3, 200, 30
OWN = np.array([7, 90, 2 * D_M + 5])
"""Two neurons of the first layer and one of the third."""


def made_up(louder: float) -> tuple[np.ndarray, np.ndarray]:
    """Norms and activities of like size, but for an H-Neuron of the first layer."""
    rng = np.random.default_rng(1)
    norm, activity = rng.uniform(1, 1.2, LAYERS * D_M), rng.uniform(0.01, 0.02, LAYERS * D_M)
    activity[OWN[0]] = 0.02 * louder
    return norm, activity


def matched(activity: np.ndarray, norm: np.ndarray, apart: tuple[int, ...] = ()) -> np.ndarray:
    found = scaled_sets(OWN, LAYERS, D_M, norm, activity, sets=SETS, seed=0, apart=np.array(apart, dtype=np.int64))
    return found["activity_matched"]


def power(members: np.ndarray, activity: np.ndarray, layer: int) -> np.ndarray:
    return np.where(members // D_M == layer, activity[members] ** 2, 0).sum(axis=-1)


@pytest.mark.parametrize("louder", [3.0, 6.0])
def test_sets_get_more_neurons_of_the_layer_in_which_they_are_too_quiet(louder: float) -> None:
    norm, activity = made_up(louder)
    apart = (11, 12, 13)
    found = matched(activity, norm, apart)
    wanted = power(OWN, activity, 0)
    reached = np.median(power(found, activity, 0))
    assert wanted <= reached < wanted + 0.02**2, "no neuron more than it takes"
    assert (np.sort(found, axis=1)[:, 1:] > np.sort(found, axis=1)[:, :-1]).all(), "each neuron once"
    assert np.isin(found, [*OWN, *apart]).sum() == 0
    assert len(found) == SETS
    assert (found // D_M == 1).sum() == 0
    assert ((found // D_M == 2).sum(axis=1) == 1).all(), "no more of the layer where the sets are loud enough"
    assert {members.shape[1] for members in (matched(*reversed(made_up(1.0))),)} == {OWN.size}


def test_at_most_half_of_a_layer_is_added_to_sets() -> None:
    """Sets of all other neurons would be one set."""
    norm, activity = made_up(1000.0)
    found = matched(activity, norm)
    assert found.shape == (SETS, OWN.size + (D_M - 2) // 2)


@pytest.mark.parametrize("loud", [1.0, 12.0])
def test_sets_disturb_a_model_as_far_as_a_neuron_that_is_louder_than_all_others(loud: float, tmp_path: Path) -> None:
    """Measured by what the sets write; random sets are far too quiet."""
    folder = make_checkpoint(tmp_path / "model", seed=4, intermediate_size=D_M)
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        modules_of(mlps(model)[0])["down"].weight[:, OWN[0]] *= loud
    model.save_pretrained(folder)
    loaded = load(folder)
    rng = np.random.default_rng(0)
    prompts = [rng.integers(3, loaded.model.config.vocab_size, 30).tolist() for _ in range(8)]
    norm, activity = prompt_activity(loaded, prompts)
    own = OWN[:1]
    sets = scaled_sets(own, loaded.layout.layers, D_M, norm, activity, sets=SETS, seed=0)
    moved = {kind: float(np.median(disturbances(loaded, prompts, list(members)))) for kind, members in sets.items()}
    ratios = {kind: moved[kind] / moved["h_neurons"] for kind in moved}
    assert LIKE < ratios["activity_matched"] < 1 / LIKE
    assert (ratios["random"] < LIKE) == (loud > 1)
