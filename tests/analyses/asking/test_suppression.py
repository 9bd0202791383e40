"""Accuracy with neurons silent: the definition question by question, and what is asked, kept and asked again."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_factory import load, mlps, modules_of
from memory_logs import MemoryWorkspace, Silent
from subjects import CHECKPOINT, lent
from transformers import GenerationConfig

from provenance.activations.scaling import scaled
from provenance.analyses.asking import suppression
from provenance.analyses.asking.collection import CollectionSettings, Pool, identity_digest, make_pool
from provenance.analyses.asking.suppression import (
    SUPPRESSION_QUESTIONS,
    right_answers,
    scaled_task,
    suppressed_accuracies,
    suppression_questions,
)
from provenance.answers import sampling as module
from provenance.answers.judging import judge
from provenance.answers.prompts import INSTRUCT_PROMPT, Prompt, PromptFormat
from provenance.answers.questions import QuestionSet, load_questions, split_questions
from provenance.answers.sampling import Decoding
from provenance.answers.spans import answer_span
from provenance.checkpoints.names import Checkpoint
from provenance.errors import InputError, QuestionError, SplitError
from provenance.lab.manifest import locate
from provenance.models.loading import LoadedModel
from provenance.models.token_text import decode_response
from provenance.records import Question, Split, Task

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

NONE = np.empty(0, dtype=np.int64)
SETTINGS = CollectionSettings(
    prompt=PromptFormat(INSTRUCT_PROMPT, chat=True), stop_at_newline=False, decoding=Decoding(max_new_tokens=16),
    samples=10, train_quota=5, test_quota=5, batch_size=64, seed=0, dtype="float32", device="cpu",
    attn_implementation=None,
)  # fmt: skip
SCRIPT = ["Paris", "in Paris.", "Rome", "I don't know", "", "Rome\nParis", "Paris\nRome", "Parisian"]
RIGHT = [True, True, False, False, False, False, True, False]


@pytest.fixture(scope="module")
def lab() -> LoadedModel:
    """The tuned checkpoint of the inherited family."""
    return load(locate("inherited", "instruct"))


@pytest.fixture(scope="module")
def lab_pool() -> Pool:
    """Its training and validation questions."""
    questions = load_questions("lab/inherited/in-domain")
    parts = split_questions(questions.questions, shares=(0.48, 0.12, 0.40), seed=0)
    chosen: dict[Split, Sequence[Question]] = {name: parts[name] for name in ("train", "validation")}
    return make_pool(questions, chosen, 0, training=True)


def make_questions(**counts: int) -> Pool:
    """A pool with questions of some splits, all about Paris."""
    chosen: dict[Split, Sequence[Question]] = {
        split: [Question(f"{split}{i}", f"{split} {i}?", ("Paris",), f"{split} {i}") for i in range(count)]
        for split, count in counts.items()
    }  # type: ignore[assignment]
    everything = [question for members in chosen.values() for question in members]
    return make_pool(QuestionSet.of("set", "test", everything), chosen, 0, training=True)


class Asked:
    """Counts how often the model was wanted; breaks off at the given call, as a kill would."""

    def __init__(self, loaded: LoadedModel, break_at: int | None = None) -> None:
        self.loaded = loaded
        self.break_at = break_at
        self.count = 0

    def __call__(self) -> LoadedModel:
        if self.count == self.break_at:
            raise KeyboardInterrupt
        self.count += 1
        return self.loaded


@contextmanager
def _nothing_scaled(_loaded: LoadedModel, _ids: np.ndarray, _alpha: float) -> Iterator[None]:
    """Stands in for `scaled` around a scripted model, which makes no forward pass for hooks to see."""
    yield


def accuracies(
    wanted: Asked,
    pool: Pool,
    sets: Sequence[np.ndarray],
    workspace: MemoryWorkspace,
    *,
    settings: CollectionSettings = SETTINGS,
    checkpoint: Checkpoint = CHECKPOINT,
    progress: Silent | None = None,
) -> list[float]:
    subject = lent(
        wanted.loaded, settings, workspace, loads=wanted, stage="instruct", checkpoint=checkpoint, progress=progress
    )
    found = suppressed_accuracies(subject, pool, sets)
    return [float(value) for value in found]


def slowly(loaded: LoadedModel, pool: Pool, ids: np.ndarray, alpha: float = 0.0) -> list[bool]:
    """Scaled columns of W_down, one question at a time, the library's own greedy generation."""
    changed = copy.deepcopy(loaded.model)
    with torch.no_grad():
        for layer, index in (divmod(flat, loaded.layout.d_m) for flat in ids.tolist()):
            modules_of(mlps(changed)[layer])["down"].get_parameter("weight")[:, index] *= alpha
    config = GenerationConfig(max_new_tokens=16, eos_token_id=sorted(loaded.stop_ids), pad_token_id=0)
    right: list[bool] = []
    for question, _ in pool.entries:
        prompt = SETTINGS.prompt.render(loaded.tokenizer, question.text)
        ids_in = torch.tensor([prompt.ids])
        out = changed.generate(input_ids=ids_in, attention_mask=torch.ones_like(ids_in), generation_config=config)
        said = [token for token in out[0, len(prompt.ids) :].tolist() if token not in loaded.stop_ids]
        text = decode_response(loaded.tokenizer, prompt.ids, said)
        start, end = answer_span(text)
        right.append(judge(text[start:end], question.answers, question.text) == "right")
    return right


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[Decoding]:
    """`PromptBatch` says question `validation i` the i-th text of the script; returns the decodings it was given."""
    seen: list[Decoding] = []

    class Scripted:
        def __init__(self, loaded: LoadedModel, prompts: Sequence[Prompt], decoding: Decoding, _stops: object) -> None:
            self.loaded, self.prompts = loaded, prompts
            seen.append(decoding)

        def draw(self, rows: Sequence[int], samples: range, seed: int) -> list[list[list[int]]]:
            assert samples == range(1)
            texts = [SCRIPT[int(self.prompts[row].text.split("validation ")[1].split("?")[0])] for row in rows]
            return [[self.loaded.tokenizer(text, add_special_tokens=False)["input_ids"]] for text in texts]

    monkeypatch.setattr(module, "PromptBatch", Scripted)
    monkeypatch.setattr(suppression, "scaled", _nothing_scaled)
    return seen


def test_the_first_validation_questions_are_taken_in_the_order_of_the_pool() -> None:
    """And no training question; a larger limit only adds to a smaller one."""
    pool = make_questions(train=30, validation=20)
    everything = [entry for entry in pool.entries if entry[1] == "validation"]
    assert suppression_questions(pool, 8).entries == tuple(everything[:8])
    assert suppression_questions(pool, 9).entries == tuple(everything[:9])
    assert suppression_questions(pool).entries == tuple(everything)
    assert len(everything) < SUPPRESSION_QUESTIONS
    assert [question.id for question, _ in everything] != sorted(question.id for question, _ in everything)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_leaves_nothing_is_refused(limit: int) -> None:
    with pytest.raises(QuestionError, match="at least one question"):
        suppression_questions(make_questions(validation=3), limit)


def test_a_pool_without_validation_questions_is_refused(tmp_path: Path, loaded_llama: LoadedModel) -> None:
    """An accuracy over no question is no number."""
    with pytest.raises(QuestionError, match="validation questions of set"):
        suppression_questions(make_questions(train=3))
    empty = replace(make_questions(validation=1), entries=())
    with pytest.raises(QuestionError, match="validation questions of set"):
        accuracies(Asked(loaded_llama), empty, [NONE], MemoryWorkspace(tmp_path))


@pytest.mark.parametrize("split", ["test", "train"])
def test_c_is_never_chosen_by_questions_of_another_split(
    tmp_path: Path, loaded_llama: LoadedModel, split: Split
) -> None:
    """One test or training question among many is refused, before the model is wanted."""
    pool = make_questions(**{"validation": 8, split: 1})
    asked = Asked(loaded_llama)
    with pytest.raises(SplitError, match=f"1 of 9 of other splits, such as '{split}0' of {split}"):
        accuracies(asked, pool, [NONE], MemoryWorkspace(tmp_path))
    assert asked.count == 0


def test_only_right_answers_count(tmp_path: Path, loaded_llama: LoadedModel, scripted: list[Decoding]) -> None:
    """Wrong ones, refusals, empty ones and what comes after the first line are not right; one greedy answer each."""
    pool = suppression_questions(make_questions(validation=len(SCRIPT)))
    found = accuracies(Asked(loaded_llama), pool, [NONE], MemoryWorkspace(tmp_path))
    assert found == [np.mean(RIGHT)]
    assert scripted == [Decoding(temperature=1.0, top_k=1, top_p=1.0, max_new_tokens=16)]


def test_a_class_that_is_full_takes_more_here(
    tmp_path: Path, loaded_llama: LoadedModel, scripted: list[Decoding]
) -> None:
    """All questions are asked, whatever the quotas of the comparison, batch after batch."""
    pool = suppression_questions(make_questions(validation=len(SCRIPT)))
    few = replace(SETTINGS, train_quota=1, test_quota=1, batch_size=3)
    assert accuracies(Asked(loaded_llama), pool, [NONE], MemoryWorkspace(tmp_path), settings=few) == [np.mean(RIGHT)]
    assert len(scripted) == 3


def test_equal_sets_are_asked_once_and_each_has_its_place(tmp_path: Path, lab: LoadedModel, lab_pool: Pool) -> None:
    """In whatever order their neurons come; the number of a set does not depend on the sets beside it."""
    pool = suppression_questions(lab_pool, 24)
    many = np.arange(lab.layout.d_m)
    asked, progress = Asked(lab), Silent()
    sets = [NONE, many, many[::-1].copy(), NONE, many.astype(np.int32)]
    found = accuracies(asked, pool, sets, MemoryWorkspace(tmp_path / "all"), progress=progress)
    assert asked.count == 2
    assert found == [found[0], found[1], found[1], found[0], found[1]]
    assert found[0] != found[1]
    assert accuracies(Asked(lab), pool, [many], MemoryWorkspace(tmp_path / "alone")) == [found[1]]
    assert progress.steps[-1] == ("suppress instruct in-domain", 48, 48, "set 2 of 2, 640 neurons silent")
    assert accuracies(asked, pool, [], MemoryWorkspace(tmp_path / "none")) == []


def test_a_broken_off_run_loses_one_set_at_most(
    tmp_path: Path, loaded_llama: LoadedModel, scripted: list[Decoding]
) -> None:
    """What was finished is not asked again, the rest is, and the end is the same."""
    pool = suppression_questions(make_questions(validation=len(SCRIPT)))
    sets = [NONE, np.array([3]), np.array([4, 40])]
    workspace = MemoryWorkspace(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        accuracies(Asked(loaded_llama, break_at=2), pool, sets, workspace)
    again = Asked(loaded_llama)
    found = accuracies(again, pool, sets, workspace)
    assert again.count == 1
    assert found == [np.mean(RIGHT)] * 3
    assert accuracies(Asked(loaded_llama, break_at=0), pool, sets[::-1], workspace) == found


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": PromptFormat("{question}", chat=True)},
        {"decoding": Decoding(max_new_tokens=8)},
        {"stop_at_newline": True},
        {"dtype": "bfloat16"},
    ],
)
def test_what_changes_an_answer_has_it_asked_again(
    tmp_path: Path, loaded_llama: LoadedModel, scripted: list[Decoding], change: dict[str, object]
) -> None:
    pool = suppression_questions(make_questions(validation=4))
    workspace = MemoryWorkspace(tmp_path)
    accuracies(Asked(loaded_llama), pool, [NONE], workspace)
    again = Asked(loaded_llama)
    accuracies(again, pool, [NONE], workspace, settings=replace(SETTINGS, **change))  # type: ignore[arg-type]
    assert again.count == 1


def test_other_questions_neurons_or_weights_are_asked_again(
    tmp_path: Path, loaded_llama: LoadedModel, scripted: list[Decoding]
) -> None:
    pool = make_questions(validation=6)
    workspace = MemoryWorkspace(tmp_path)
    first = suppression_questions(pool, 4)
    asked = Asked(loaded_llama)
    accuracies(asked, first, [NONE, np.array([3])], workspace)
    accuracies(asked, first, [np.array([4])], workspace)
    accuracies(asked, suppression_questions(pool, 5), [NONE], workspace)
    accuracies(asked, first, [NONE], workspace, checkpoint=replace(CHECKPOINT, digest="e" * 64))
    assert asked.count == 5
    accuracies(asked, first, [NONE, np.array([3]), np.array([4])], workspace)
    assert asked.count == 5


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"samples": 2},
        {"train_quota": 9},
        {"test_quota": 9},
        {"batch_size": 8},
        {"decoding": Decoding(0.5, 9, 0.5, 16)},
    ],
)
def test_what_has_no_part_in_a_greedy_answer_does_not_have_it_asked_again(
    tmp_path: Path, loaded_llama: LoadedModel, scripted: list[Decoding], change: dict[str, object]
) -> None:
    pool = suppression_questions(make_questions(validation=4))
    workspace = MemoryWorkspace(tmp_path)
    found = accuracies(Asked(loaded_llama), pool, [NONE], workspace)
    same = replace(SETTINGS, **change)  # type: ignore[arg-type]
    assert accuracies(Asked(loaded_llama, break_at=0), pool, [NONE], workspace, settings=same) == found


@pytest.mark.parametrize("ids", [[7, 7], [-1], [48]])
def test_neurons_of_another_model_are_refused_and_nothing_is_kept(
    tmp_path: Path, loaded_llama: LoadedModel, ids: list[int]
) -> None:
    workspace = MemoryWorkspace(tmp_path)
    pool = suppression_questions(make_questions(validation=4))
    with pytest.raises(InputError, match="neuron"):
        accuracies(Asked(loaded_llama), pool, [np.array(ids)], workspace)
    assert not list(tmp_path.iterdir())


@pytest.mark.costly
def test_the_number_is_that_of_the_definition(tmp_path: Path, lab: LoadedModel, lab_pool: Pool) -> None:
    """Question by question with zeroed weights and plain generation, without neurons, with a few, and with a layer."""
    pool = suppression_questions(lab_pool, 16)
    neurons = lab.layout.layers * lab.layout.d_m
    few = np.random.default_rng(0).choice(neurons, 300, replace=False)
    sets = [NONE, few, np.arange(lab.layout.d_m)]
    found = accuracies(Asked(lab), pool, sets, MemoryWorkspace(tmp_path))
    assert found == [np.mean(slowly(lab, pool, ids)) for ids in sets]
    assert len(set(found)) > 1


@pytest.mark.costly
def test_the_lab_model_needs_its_neurons_to_answer(tmp_path: Path, lab: LoadedModel, lab_pool: Pool) -> None:
    """Silent layers cost it its answers, alone or together; ten random neurons cost next to nothing."""
    pool = suppression_questions(lab_pool)
    d_m = lab.layout.d_m
    few = np.random.default_rng(1).choice(lab.layout.layers * d_m, 10, replace=False)
    sets = [NONE, few, np.arange(d_m), np.arange(lab.layout.layers * d_m)]
    plain, ten, first_layer, everything = accuracies(Asked(lab), pool, sets, MemoryWorkspace(tmp_path))
    assert plain > 0.3
    assert abs(ten - plain) < 0.1
    assert first_layer < plain / 2
    assert everything < plain / 10


def test_factor_one_leaves_the_lab_model_alone(lab: LoadedModel, lab_pool: Pool) -> None:
    """Bit for bit in the logits after a question, where suppressing the same neurons moves them."""
    question, _ = lab_pool.entries[0]
    ids = torch.tensor([SETTINGS.prompt.render(lab.tokenizer, question.text).ids])
    chosen = np.random.default_rng(2).choice(lab.layout.layers * lab.layout.d_m, 50, replace=False)

    def logits(alpha: float) -> torch.Tensor:
        with torch.inference_mode(), scaled(lab, chosen, alpha):
            found: torch.Tensor = lab.model(input_ids=ids).logits
        return found

    with torch.inference_mode():
        plain = lab.model(input_ids=ids).logits
    assert logits(1.0).equal(plain)
    assert not torch.allclose(logits(0.0), plain)


def test_amplified_neurons_are_those_of_doubled_columns(tmp_path: Path, lab: LoadedModel, lab_pool: Pool) -> None:
    """Question by question, not only on the whole; and twice is not the same as silent."""
    pool = suppression_questions(lab_pool, 16)
    sets = [NONE, np.arange(lab.layout.d_m)]
    progress = Silent()

    def answered(alpha: float) -> np.ndarray:
        workspace = MemoryWorkspace(tmp_path)
        subject = lent(lab, SETTINGS, workspace, stage="instruct", progress=progress)
        return right_answers(subject, pool, sets, alpha)

    found = answered(2.0)
    assert found.tolist() == [slowly(lab, pool, ids, 2.0) for ids in sets]
    assert progress.steps[-1] == ("scale instruct in-domain", 32, 32, "set 2 of 2, 640 neurons scaled by 2")
    assert found.tolist() != answered(0.0).tolist()


def test_each_factor_is_asked_by_itself_but_for_no_neurons(
    tmp_path: Path, loaded_llama: LoadedModel, scripted: list[Decoding]
) -> None:
    """The model as it is has one name whatever the factor; the same neurons have one for each."""
    pool = suppression_questions(make_questions(validation=len(SCRIPT)))
    asked = Asked(loaded_llama)
    subject = lent(loaded_llama, SETTINGS, MemoryWorkspace(tmp_path), loads=asked)
    for alpha, models in ((0.0, 2), (2.0, 3), (1.5, 4), (2.0, 4)):
        right_answers(subject, pool, [NONE, np.array([3])], alpha)
        assert asked.count == models
    none = right_answers(subject, pool, [], 2.0)
    assert none.shape == (0, len(SCRIPT))


def test_what_was_kept_before_factors_could_be_chosen_is_found_again() -> None:
    """The name of a suppressed set is the digest that it has always been."""
    task = Task("k" * 64, "base", "set", "c", "d", {"seed": 0})
    everything = {
        "seed": 0,
        "computed": "answers with neurons suppressed",
        "neurons": 2,
        "alpha": 0.0,
        "neurons_sha256": identity_digest([3, 9]),
    }
    named = scaled_task(task, np.array([3, 9]), 0.0, "answers with neurons suppressed")
    assert named.key == identity_digest([task.key, everything])
    assert scaled_task(task, np.array([3, 9]), 2.0, "answers with neurons suppressed").key != named.key


@pytest.mark.parametrize("alpha", [-1.0, float("nan"), float("inf")])
def test_what_is_no_factor_is_refused(tmp_path: Path, loaded_llama: LoadedModel, alpha: float) -> None:
    pool = suppression_questions(make_questions(validation=4))
    with pytest.raises(InputError, match="factor of at least 0"):
        right_answers(lent(loaded_llama, SETTINGS, MemoryWorkspace(tmp_path)), pool, [np.array([3])], alpha)
