"""Passes that begin above shared layers give what whole passes give, bit for bit, in every model family."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from checkpoint_factory import DENSE

from provenance.activations.scaling import scaled
from provenance.activations.shared_layers import NOTHING, LowerLayers, kept_below, resumed
from provenance.answers.sampling import padded_left, positions_of
from provenance.errors import CaptureError
from provenance.models.loading import LoadedModel

ROWS = ((1, 40, 50, 60, 61, 62, 63, 64, 65, 66, 67), (1, 7, 8, 9, 10, 11, 12), (1, 99))
UPPER = np.array([24, 31, 47])
"""Neurons of the second layer."""


@torch.inference_mode()
def logits(loaded: LoadedModel, rows: tuple[tuple[int, ...], ...] = ROWS) -> torch.Tensor:
    ids, mask = padded_left(rows, loaded.pad_id, loaded.device)
    found: torch.Tensor = loaded.model(input_ids=ids, attention_mask=mask, position_ids=positions_of(mask)).logits
    return found


def lower_layers(loaded: LoadedModel) -> LowerLayers:
    with kept_below(loaded, 1) as found:
        logits(loaded)
    return found[0]


@pytest.mark.parametrize("model_type", DENSE)
def test_a_pass_above_shared_layers_is_the_whole_pass(loaded_of: Callable[[str], LoadedModel], model_type: str) -> None:
    """Unchanged, and with neurons of the upper layer scaled; the blocks below are not called."""
    loaded = loaded_of(model_type)
    plain = logits(loaded)
    with scaled(loaded, UPPER, 3.0):
        changed = logits(loaded)
    lower = lower_layers(loaded)
    with resumed(loaded, lower):
        assert logits(loaded).equal(plain)
    with resumed(loaded, lower), scaled(loaded, UPPER, 3.0):
        assert logits(loaded).equal(changed)
    assert not changed.equal(plain)
    assert logits(loaded).equal(plain)  # nothing is left behind
    with resumed(loaded, LowerLayers(1, lower.rows(torch.tensor([1, 1, 1])).output)):
        assert not logits(loaded).equal(plain)


def test_rows_can_be_picked_and_repeated(loaded_llama: LoadedModel) -> None:
    """A row computes the same wherever it stands in a batch of one shape."""
    lower, order = lower_layers(loaded_llama), [2, 0, 0, 1]
    with resumed(loaded_llama, lower.rows(torch.tensor(order))):
        found = logits(loaded_llama, tuple(ROWS[row] for row in order))
    torch.testing.assert_close(found, logits(loaded_llama)[order], rtol=1e-5, atol=1e-5)


def test_nothing_shared_is_a_whole_pass(loaded_llama: LoadedModel) -> None:
    with kept_below(loaded_llama, 0) as found:
        plain = logits(loaded_llama)
    assert found == [NOTHING]
    assert found[0].rows(torch.tensor([0])) is NOTHING
    with resumed(loaded_llama, NOTHING):
        assert logits(loaded_llama).equal(plain)


def test_blocks_that_do_not_run_once_are_refused(loaded_llama: LoadedModel) -> None:
    lower = lower_layers(loaded_llama)
    with pytest.raises(CaptureError, match="one call of each"), resumed(loaded_llama, lower):
        pass

    def keep(passes: int) -> None:
        with kept_below(loaded_llama, 1):
            for _ in range(passes):
                logits(loaded_llama)

    for passes in (0, 2):
        with pytest.raises(CaptureError, match="one forward pass"):
            keep(passes)
