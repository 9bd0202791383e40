"""vLLM in process, by a stand-in over the model that is loaded here, and where it is installed by itself."""

import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from checkpoint_factory import load, make_speaker
from vllm_stand_in import StandIn

from provenance.analyses.asking.opening import open_each
from provenance.answers.collect_responses import LONGEST_PROMPT
from provenance.answers.prompts import Prompt, PromptFormat
from provenance.answers.questions import load_questions
from provenance.answers.sampling import Decoding, LocalSampler
from provenance.engines import vllm_model
from provenance.engines.vllm_model import VllmModel, check_installed, gpus_sharing
from provenance.errors import InputError, JobError
from provenance.models.loading import LoadedModel, load_model

GREEDY = Decoding(top_k=1, max_new_tokens=6)
RANDOM = Decoding(max_new_tokens=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_speaker(tmp_path_factory.mktemp("vllm") / "speaker", chat=False)


@pytest.fixture(scope="module")
def here(folder: Path) -> LoadedModel:
    return load(folder)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return StandIn().install(monkeypatch)


def model(folder: Path, here: LoadedModel, decoding: Decoding = GREEDY) -> VllmModel:
    return VllmModel(folder, folder, "d" * 64, "float32", 4, here.lexicon, decoding.max_new_tokens)


def prompts(here: LoadedModel, count: int = 5) -> list[Prompt]:
    form = PromptFormat("{question}\nAnswer:", chat=False)
    return [form.render(here.tokenizer, f"What is the capital of Peru {number}?") for number in range(count)]


def test_greedy_answers_are_those_of_the_model_here(folder: Path, here: LoadedModel, stand_in: StandIn) -> None:
    asked, stops = prompts(here), here.lexicon.stop_ids
    own = LocalSampler(here).prompted(asked, GREEDY, stops)([0, 2, 3], range(1), 7)
    found = model(folder, here).start().prompted(asked, GREEDY, stops)([0, 2, 3], range(1), 7)
    assert found == own
    assert {len(sample) for [sample] in found} != {GREEDY.max_new_tokens}  # some ended with a stop token


def test_samples_are_as_many_as_asked_and_repeat_with_their_seed(
    folder: Path, here: LoadedModel, stand_in: StandIn
) -> None:
    draw = model(folder, here).start().prompted(prompts(here), RANDOM, here.lexicon.stop_ids)
    found = draw([4, 1], range(2, 5), 0)
    assert [len(samples) for samples in found] == [3, 3]
    assert draw([4, 1], range(2, 5), 0) == found
    assert draw([1], range(2, 5), 0) == found[1:]
    assert draw([4, 1], range(2, 5), 1) != found


def test_it_starts_with_nothing_but_the_checkpoint_and_neutral_settings(
    folder: Path, here: LoadedModel, stand_in: StandIn
) -> None:
    long = replace(here.lexicon, context=100_000)
    replace(model(folder, here), lexicon=long).start()
    how = stand_in.starts_with
    assert (how["load_format"], how["generation_config"], how["dtype"]) == ("safetensors", "vllm", "float32")
    assert how["max_model_len"] == LONGEST_PROMPT + GREEDY.max_new_tokens <= how["max_num_batched_tokens"]
    assert "trust_remote_code" not in how
    model(folder, here).start()
    assert stand_in.starts_with["max_model_len"] == here.lexicon.context
    assert os.environ["VLLM_LOGGING_STREAM"] == ""  # what the user has set stays


def test_an_engine_that_does_not_start_is_one_error_with_its_reason(
    folder: Path, here: LoadedModel, stand_in: StandIn
) -> None:
    stand_in.refuses = "No available memory\n for the cache blocks"
    with pytest.raises(JobError, match="No available memory for the cache blocks"):
        model(folder, here).start()


def test_an_engine_that_ends_at_work_is_one_error(folder: Path, here: LoadedModel, stand_in: StandIn) -> None:
    stand_in.dies_at = 2
    draw = model(folder, here).start().prompted(prompts(here), GREEDY, here.lexicon.stop_ids)
    draw([0], range(1), 0)
    with pytest.raises(JobError, match="finished batches are kept"):
        draw([1], range(1), 0)


def test_a_response_that_is_cut_off_early_is_refused(folder: Path, here: LoadedModel, stand_in: StandIn) -> None:
    stand_in.shortens = True
    draw = model(folder, here).start().prompted(prompts(here), GREEDY, here.lexicon.stop_ids)
    with pytest.raises(JobError, match="cut off after"):
        draw([0], range(1), 0)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_model, "find_spec", lambda _: None)
    with pytest.raises(InputError) as refused:
        check_installed()
    assert "checkpoint-provenance[vllm]" in refused.value.remedy


def test_the_version_of_the_installed_package_is_part_of_the_identity(
    folder: Path, here: LoadedModel, stand_in: StandIn
) -> None:
    served = model(folder, here).served
    assert (served.model, served.version) == ("d" * 64, "vllm-other 1.0 of vllm-other in process")


@pytest.mark.parametrize(
    ("heads", "gpus", "used"), [(32, 0, 1), (32, 1, 1), (32, 3, 2), (32, 8, 8), (12, 8, 6), (5, 4, 1)]
)
def test_heads_are_shared_evenly_among_as_many_gpus_as_possible(heads: int, gpus: int, used: int) -> None:
    assert gpus_sharing(heads, gpus) == used


@pytest.mark.vllm
@pytest.mark.skipif(find_spec("vllm") is None, reason="needs the extra `vllm`")
def test_greedy_answers_of_the_real_engine_are_those_of_the_model_here() -> None:
    """64 questions of the lab, token for token."""
    [side] = open_each([("base", "lab/inherited/base")])
    folder = side.checkpoint.folder
    lab = load_model(folder, side.layout)
    form = PromptFormat("{question}\nAnswer:", chat=False)
    questions = load_questions("lab/inherited/in-domain").questions[:64]
    asked, stops = [form.render(lab.tokenizer, question.text) for question in questions], lab.lexicon.stop_ids
    engine = model(folder, lab).start()
    try:
        own = LocalSampler(lab).prompted(asked, GREEDY, stops)(range(64), range(1), 0)
        assert engine.prompted(asked, GREEDY, stops)(range(64), range(1), 0) == own
        draw = engine.prompted(asked, RANDOM, stops)
        assert draw([3, 5], range(4), 0) == draw([3, 5], range(4), 0)
    finally:
        engine.stop()
