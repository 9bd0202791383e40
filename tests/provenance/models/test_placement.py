"""A model of which a part is on disk gives the same numbers, to the last bit, as one that is in memory."""

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_factory import load, make_checkpoint, make_response

from provenance.activations.reading import QUANTITIES, Reader
from provenance.activations.scaling import scaled
from provenance.analyses.activity.token_correlation import RecordedActivations
from provenance.analyses.behaviour.compliance_sets import disturbances, prompt_activity
from provenance.answers.prompts import Prompt, PromptFormat
from provenance.answers.sampling import Decoding, PromptBatch
from provenance.benchmarks.option_scores import OptionPrompt, option_scores
from provenance.errors import InputError, JobError
from provenance.models import loading, placement
from provenance.models.loading import LoadedModel
from provenance.models.placement import check_placed, places_of

QUESTIONS = ["Who?", "What is the capital of France, and since when?", "a b c"]
NEURONS = np.array([1, 5, 40])


@pytest.fixture(params=["llama", "gpt2"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """GPT-2 stores its projections the other way round, with biases, and ties its head to the embedding."""
    return make_checkpoint(tmp_path / request.param, request.param)


def little_room(monkeypatch: pytest.MonkeyPatch, share: float = 0.6) -> None:
    """The device has room for a share of the weights that are asked for."""
    plain = placement.placement

    def placed(device: str, weight_bytes: int, scratch: Path, *, offload: bool) -> dict[str, object]:
        monkeypatch.setattr(placement, "room_of", lambda _device: {"cpu": int(share * weight_bytes)})
        return plain(device, weight_bytes, scratch, offload=offload)

    monkeypatch.setattr(loading, "placement", placed)


@pytest.fixture
def pair(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[LoadedModel, LoadedModel]:
    """The model in memory, and with a part on disk."""
    whole = load(folder)
    little_room(monkeypatch)
    spread = load(folder, offload=True)
    assert "disk" in places_of(spread.model).values()
    assert spread.device == torch.device("cpu")
    assert any(parameter.device.type == "meta" for parameter in spread.model.parameters())
    return whole, spread


def prompts(loaded: LoadedModel) -> list[Prompt]:
    return [PromptFormat("{question}\nA:", chat=False).render(loaded.tokenizer, text) for text in QUESTIONS]


def read(loaded: LoadedModel) -> list[np.ndarray]:
    responses = [make_response(loaded, text, " Paris is a") for text in QUESTIONS]
    return list(Reader(loaded, QUANTITIES).read(responses).values())


def answered(loaded: LoadedModel) -> list[np.ndarray]:
    drawn = PromptBatch(loaded, prompts(loaded), Decoding(max_new_tokens=9), frozenset({2}))
    return [np.array(ids) for row in drawn.draw(range(3), range(2), seed=0) for ids in row]


def scaled_answers(loaded: LoadedModel) -> list[np.ndarray]:
    with scaled(loaded, NEURONS, 3.0):
        return answered(loaded) + read(loaded)


def disturbed(loaded: LoadedModel) -> list[np.ndarray]:
    ids = [prompt.ids for prompt in prompts(loaded)]
    return [disturbances(loaded, ids, [NEURONS, NEURONS[:1]]), *prompt_activity(loaded, ids)]


def chosen(loaded: LoadedModel) -> list[np.ndarray]:
    options = tuple(frozenset(range(start, start + 100)) for start in (0, 100, 200))
    asked = [OptionPrompt(prompt.ids, options, frozenset({0})) for prompt in prompts(loaded)]
    found = option_scores(loaded, asked)
    return [found.chosen, found.log_odds.round(5)]  # the head's products are summed in another order


@pytest.mark.parametrize("work", [read, answered, scaled_answers, disturbed, chosen])
def test_it_reads_answers_and_is_scaled_alike(
    pair: tuple[LoadedModel, LoadedModel], work: Callable[[LoadedModel], list[np.ndarray]]
) -> None:
    whole, spread = (work(loaded) for loaded in pair)
    assert len(whole) == len(spread)
    for ours, theirs in zip(whole, spread, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_its_activations_are_the_same(pair: tuple[LoadedModel, LoadedModel], tmp_path: Path) -> None:
    responses = [make_response(pair[0], text, " Paris is a") for text in QUESTIONS]
    recorded = RecordedActivations(pair[1], responses, 2, tmp_path / "scratch")
    np.testing.assert_allclose(recorded.correlation(pair[0]), 1, atol=1e-9)
    recorded.close()


def test_files_that_a_model_is_read_from_are_there_as_long_as_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in another dtype than the stored one."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    little_room(monkeypatch)
    loaded = load(folder, "bfloat16", offload=True)
    assert list(temporary.iterdir())
    whole = load(folder, "bfloat16")
    for ours, theirs in zip(read(whole), read(loaded), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    del loaded
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_a_model_that_fits_is_not_spread(folder: Path) -> None:
    assert places_of(load(folder, offload=True).model) == {}


@pytest.mark.parametrize(
    ("room", "offload", "device_map"),
    [
        ({0: 100}, False, False),  # an error of the device says what to lower
        ({0: 200, 1: 200}, False, False),
        ({0: 100, 1: 100}, False, True),
        ({0: 100}, True, True),
    ],
)
def test_only_what_does_not_fit_one_device_is_spread(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, room: dict[int | str, int], *, offload: bool, device_map: bool
) -> None:
    monkeypatch.setattr(placement, "room_of", lambda _device: dict(room))
    options = placement.placement("cuda", 150, tmp_path, offload=offload)
    assert bool(options) == device_map
    if device_map:
        assert ("cpu" in options["max_memory"]) == offload
        assert all(options["max_memory"][number] == size for number, size in room.items())


def test_what_all_gpus_have_no_room_for_is_refused_before_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(placement, "room_of", lambda _device: {0: 70, 1: 70})
    with pytest.raises(JobError, match="room for 150 bytes"):
        placement.placement("cuda", 150, tmp_path, offload=False)
    assert placement.placement("cuda", 150, tmp_path, offload=True)["max_memory"].keys() == {0, 1, "cpu"}


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(placement, "room_of", lambda _device: {"cpu": 10})
    monkeypatch.setattr(placement, "find_spec", lambda _name: None)
    with pytest.raises(InputError) as refused:
        placement.placement("cpu", 100, tmp_path, offload=True)
    assert "multi-gpu" in refused.value.remedy


def test_parts_beside_the_gpus_are_refused_unless_wanted() -> None:
    model = torch.nn.Linear(2, 2)
    model.hf_device_map = {"model.layers.0": 0, "model.layers.1": "disk"}  # type: ignore[assignment]
    check_placed(model, "somewhere", offload=True)
    with pytest.raises(JobError, match=r"model\.layers\.1") as refused:
        check_placed(model, "somewhere", offload=False)
    assert "--offload" in refused.value.remedy
    assert placement.computing_device(model) == torch.device("cuda:0")
