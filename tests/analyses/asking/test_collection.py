"""Collections: identity of a task, order of a pool, balance, funnel."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory_logs import MemoryWorkspace
from subjects import lent

from provenance.activations.features import Wanted
from provenance.analyses.asking.collection import (
    CollectionSettings,
    Pool,
    balanced,
    funnel,
    make_pool,
    make_task,
    reading_task,
)
from provenance.answers.prompts import PromptFormat
from provenance.answers.questions import QuestionSet
from provenance.answers.sampling import Decoding
from provenance.checkpoints.names import Checkpoint, CheckpointRef
from provenance.engines.served_model import Served
from provenance.models.chat_template import Frame
from provenance.models.loading import LoadedModel
from provenance.records import Question, Response

SETTINGS = CollectionSettings(
    prompt=PromptFormat("{question}\nAnswer:", chat=False), stop_at_newline=True, decoding=Decoding(), samples=10,
    train_quota=5, test_quota=5, batch_size=4, seed=0, dtype="float32", device="cpu", attn_implementation=None,
)  # fmt: skip
SERVED = Served("org/x", "0.1", "as sampled", None)
CHECKPOINT = Checkpoint(CheckpointRef("local", "x"), Path("x"), None, "d" * 64, {})


def make_set(count: int = 9) -> QuestionSet:
    return QuestionSet.of("set", "test", [Question(f"q{i}", f"Q {i}?", ("a",), f"q {i}") for i in range(count)])


def pool(seed: int = 0, *, training: bool = True) -> Pool:
    questions = make_set()
    return make_pool(questions, {"train": questions.questions}, seed, training=training)


def response(label: str, reason: str = "", n_right: int = 0) -> Response:
    text = "" if reason == "empty" else "words"
    judged = label if label != "dropped" else "faithful" if n_right else "hallucinated"
    if reason in ("empty", "refusal", "disagreement"):
        judged = "dropped"
    return Response("q", "q", "train", label, reason, 1, n_right, text, "rule", judged_label=judged)  # type: ignore[arg-type]


def test_the_order_of_asking_depends_on_the_seed_and_not_on_the_file() -> None:
    questions = make_set()
    backwards = QuestionSet.of("set", "test", questions.questions[::-1])
    first = [q.id for q, _ in pool().entries]
    assert first == [q.id for q, _ in make_pool(backwards, {"train": backwards.questions}, 0, training=True).entries]
    assert first != [q.id for q, _ in pool(seed=1).entries]
    assert sorted(first) == [f"q{i}" for i in range(9)]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"dtype": "bfloat16"},
        {"samples": 4},
        {"decoding": Decoding(temperature=0.5)},
        {"prompt": PromptFormat("Question: {question}\nAnswer:", chat=False)},
        {"prompt": replace(SETTINGS.prompt, variables=(("enable_thinking", True),))},
        {"prompt": replace(SETTINGS.prompt, frame=Frame("It is May. ", "", "", ()))},
        {"stop_at_newline": False},
        {"judge_model": "judge-1"},
        {"agreeing_only": True},
        {"served": SERVED},
    ],
)
def test_every_setting_that_changes_an_answer_changes_the_task(change: dict[str, object]) -> None:
    one = make_task("base", CHECKPOINT, pool(), SETTINGS)
    assert one == make_task("base", CHECKPOINT, pool(), SETTINGS)
    assert one.key != make_task("base", CHECKPOINT, pool(), replace(SETTINGS, **change)).key  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 8},
        {"train_quota": 6},
        {"test_quota": 6},
        {"device": "cuda:1"},
        {"attn_implementation": "eager"},
        {"capture_dtype": "float16"},
        {"other_tokens": None},
    ],
)
def test_what_changes_no_answer_leaves_the_task_as_it_is(change: dict[str, Any]) -> None:
    """Also where a server answers, whose answers do not depend on the dtype of forward passes here."""
    one = make_task("base", CHECKPOINT, pool(), SETTINGS)
    assert one == make_task("base", CHECKPOINT, pool(), replace(SETTINGS, **change))
    assert not set(change) & set(one.settings)
    at_server = replace(SETTINGS, served=SERVED)
    there = make_task("base", CHECKPOINT, pool(), at_server)
    assert there == make_task("base", CHECKPOINT, pool(), replace(at_server, **change, dtype="bfloat16"))
    assert reading_task(there, CHECKPOINT, "float32") != reading_task(there, CHECKPOINT, "bfloat16")


@pytest.mark.parametrize(
    "change", [{"model": "org/y"}, {"version": "0.2"}, {"tokens": "tokenised again"}, {"context": 512}]
)
def test_what_a_server_says_of_itself_names_the_task_in_place_of_the_noise(change: dict[str, Any]) -> None:
    one, other = (replace(SETTINGS, served=each) for each in (SERVED, replace(SERVED, **change)))
    tasks = [make_task("base", CHECKPOINT, pool(), settings) for settings in (one, other)]
    assert tasks[0].key != tasks[1].key
    assert {task.settings["noise"] for task in tasks} == {"the server's"}


def test_what_is_captured_of_the_answers_is_no_part_of_their_task() -> None:
    """It is of the task of reading them, where the dtype on disk and the other tokens are parts of a file's name."""
    one = make_task("base", CHECKPOINT, pool(), SETTINGS)
    other = replace(SETTINGS, capture_dtype="float16", other_tokens="content")
    assert make_task("base", CHECKPOINT, pool(), other) == one
    reads = [
        one,
        reading_task(one, CHECKPOINT, "float32"),
        reading_task(one, CHECKPOINT, "bfloat16"),
        reading_task(one, replace(CHECKPOINT, digest="e" * 64), "float32"),
        reading_task(one, CHECKPOINT, "float32", {"reading": "elsewhere"}),
    ]
    assert len({task.key for task in reads}) == 5
    names = {
        array.path.name
        for wanted in (Wanted("all"), Wanted("no-special"), Wanted("all", log_probability=True, dtype="float16"))
        for array in wanted.arrays(Path(), "k").values()
    }
    assert names == {
        "k.answer.npy", "k.answer.float16.npy", "k.other.npy", "k.other.float16.npy", "k.other.no-special.npy",
        "k.log-probability.npy",
    }  # fmt: skip


def test_a_task_records_the_frame_of_its_questions(loaded_llama: LoadedModel, tmp_path: Path) -> None:
    """Prefix, suffix and template variables, as the subject's own tokenizer renders them."""
    settings = replace(SETTINGS, prompt=PromptFormat("{question}!", chat=True))
    task = lent(loaded_llama, settings, MemoryWorkspace(tmp_path)).task(pool())
    frame = {"prefix": "<bos><user>", "suffix": "!<end><model>", "closing": "<end>", "variables": ()}
    assert task.settings["prompt"] == {"template": "{question}!", "chat": True, "variables": (), "frame": frame}


def test_checkpoint_and_questions_are_part_of_the_task() -> None:
    keys = {
        make_task("base", CHECKPOINT, pool(), SETTINGS).key,
        make_task("base", replace(CHECKPOINT, digest="e" * 64), pool(), SETTINGS).key,
        make_task("base", CHECKPOINT, pool(training=False), SETTINGS).key,
        make_task("base", CHECKPOINT, pool(seed=1), SETTINGS).key,
    }
    assert len(keys) == 4


def test_balance_takes_the_first_of_each_class() -> None:
    labels = ["hallucinated", "hallucinated", "faithful", "hallucinated", "faithful", "hallucinated"]
    rows = [replace(response(label), question_id=str(i)) for i, label in enumerate(labels)]
    assert [r.question_id for r in balanced(rows)] == ["0", "1", "2", "4"]


def test_one_class_is_kept_as_it_is() -> None:
    assert len(balanced([response("hallucinated")] * 3)) == 3


def test_training_and_validation_are_balanced_each_by_itself() -> None:
    rows = [
        replace(response(label), split=split, question_id=f"{split} {label} {number}")
        for split, sizes in {"train": (5, 2), "validation": (1, 3), "test": (0, 4)}.items()
        for label, size in zip(("faithful", "hallucinated"), sizes, strict=True)
        for number in range(size)
    ]
    kept = Counter((row.split, row.label) for row in balanced(rows))
    assert kept == {
        ("train", "faithful"): 2, ("train", "hallucinated"): 2, ("validation", "faithful"): 1,
        ("validation", "hallucinated"): 1, ("test", "hallucinated"): 4,
    }  # fmt: skip


def test_the_funnel_counts_every_stage_by_label() -> None:
    rows = [
        response("faithful", n_right=1),
        response("hallucinated"),
        response("hallucinated"),
        response("dropped", "empty"),
        response("dropped", "refusal"),
        response("dropped", "disagreement", n_right=1),
        response("dropped", "no answer span"),
        response("dropped", "no answer span", n_right=1),
        replace(response("dropped", "cut off", n_right=1), cut_off=True),
        replace(response("dropped", "refusal"), cut_off=True),
        replace(response("refusal"), cut_off=True),
        replace(response("dropped", "quota full"), judged_label="refusal"),
    ]
    rows[1] = replace(rows[1], cut_off=True)  # as in a test set
    counted = funnel("base", pool(), rows, rows[:2])
    assert (counted.asked, counted.answered, counted.refusals) == (12, 11, 1)
    assert counted.consistent == {"faithful": 3, "hallucinated": 3}
    assert counted.span_found == {"faithful": 2, "hallucinated": 2}
    assert counted.captured == {"faithful": 1, "hallucinated": 1}
    assert counted.cut_off == 2  # one of them kept; a refusal is not counted
    assert counted.dropped == {
        "cut off (faithful)": 1,
        "disagreement": 1,
        "empty": 1,
        "no answer span (faithful)": 1,
        "no answer span (hallucinated)": 1,
        "not needed for balance (hallucinated)": 1,
        "quota full (refusal)": 1,
        "refusal": 2,
    }
