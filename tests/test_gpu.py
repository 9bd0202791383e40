"""The same numbers on a GPU as on the CPU; `make gpu` runs these where there is one."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_factory import local_checkpoint, make_response

from provenance.activations.reading import QUANTITIES, Reader
from provenance.activations.scaling import scaled
from provenance.analyses.activity.token_correlation import RecordedActivations
from provenance.answers.prompts import PromptFormat
from provenance.answers.sampling import Decoding, PromptBatch
from provenance.architectures import layout_of
from provenance.errors import JobError
from provenance.models.devices import enough_memory
from provenance.models.loading import LoadedModel, load_model
from provenance.records import Response
from provenance.weights.shards import Shards

DEVICE = os.environ.get("PROVENANCE_TEST_DEVICE", "cuda")
"""Another one tries the tests themselves."""
QUESTIONS = ["Who?", "What is the capital of France, and since when?", "a b c", "Where does the river begin?"] * 8

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="there is no GPU"),
]


def loaded_on(device: str, dtype: str = "float32") -> LoadedModel:
    checkpoint = local_checkpoint("lab/inherited/instruct")
    layout = layout_of(checkpoint.config, Shards(checkpoint.folder).names())
    return load_model(checkpoint.folder, layout, dtype=dtype, device=device)


@pytest.fixture(scope="module")
def here() -> LoadedModel:
    return loaded_on("cpu")


@pytest.fixture(scope="module")
def there() -> LoadedModel:
    return loaded_on(DEVICE)


def responses_of(loaded: LoadedModel) -> list[Response]:
    return [make_response(loaded, text, " Paris is a") for text in QUESTIONS]


def test_readings_agree_to_rounding(here: LoadedModel, there: LoadedModel) -> None:
    ours, theirs = (Reader(loaded, QUANTITIES).read(responses_of(loaded)) for loaded in (here, there))
    for quantity, values in ours.items():
        np.testing.assert_allclose(theirs[quantity], values, rtol=2e-3, atol=1e-5, err_msg=quantity)


def test_answers_are_the_same_tokens(here: LoadedModel, there: LoadedModel) -> None:
    """Noise belongs to prompt, sample, position and token; at most one sample in fifty may turn at a near tie."""
    drawn = [drawn_by(loaded) for loaded in (here, there)]
    different = sum(ours != theirs for ours, theirs in zip(*drawn, strict=True))
    assert different <= len(drawn[0]) / 50


def drawn_by(loaded: LoadedModel) -> list[list[int]]:
    form = PromptFormat("{question}\nAnswer:", chat=False)
    batch = PromptBatch(
        loaded, [form.render(loaded.tokenizer, text) for text in QUESTIONS], Decoding(), loaded.stop_ids
    )
    return [ids for row in batch.draw(range(len(QUESTIONS)), range(4), seed=0) for ids in row]


def test_scaled_neurons_act_alike(here: LoadedModel, there: LoadedModel) -> None:
    ids = np.array([1, 5, 700])
    found = []
    for loaded in (here, there):
        with scaled(loaded, ids, 3.0):
            found.append(Reader(loaded, ("log_probability",)).read(responses_of(loaded))["log_probability"])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3)
    plain = Reader(here, ("log_probability",)).read(responses_of(here))["log_probability"]
    assert not np.allclose(found[0], plain, rtol=1e-3)


def test_activations_correlate_with_themselves(here: LoadedModel, there: LoadedModel, tmp_path: Path) -> None:
    recorded = RecordedActivations(here, responses_of(here), 8, tmp_path)
    correlation = recorded.correlation(there)
    recorded.close()
    assert np.nanmin(correlation) > 0.999


def test_two_bytes_change_answers_little(there: LoadedModel) -> None:
    exact, rounded = drawn_by(there), drawn_by(loaded_on(DEVICE, "bfloat16"))
    assert sum(a != b for a, b in zip(exact, rounded, strict=True)) <= 0.1 * len(exact)


@pytest.mark.skipif(DEVICE != "cuda", reason="the limit is one of CUDA")
def test_memory_that_ends_is_an_error_and_leaves_the_device_usable(there: LoadedModel) -> None:
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + 2**20) / total)
    try:
        with pytest.raises(JobError, match="memory for"), enough_memory("answers"):
            drawn_by(there)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert drawn_by(there)
