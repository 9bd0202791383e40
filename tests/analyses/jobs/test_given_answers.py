"""Responses of a file as pools of two models: splits, labels, and what is refused before any model runs."""

from pathlib import Path
from typing import Any

import pytest
from checkpoint_factory import local_checkpoint
from comparison import Pair
from exported import written

from provenance.analyses.asking.collection import Pool
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.jobs.given_answers import GivenAnswers, concept_of
from provenance.errors import InputError
from provenance.words import HALLUCINATION, Concept

Rows = list[dict[str, Any]]
SHARES = (0.48, 0.12, 0.40)
LABELS = ("hallucinated", "faithful")


@pytest.fixture(scope="module")
def sides(pair: Pair) -> tuple[OpenCheckpoint, OpenCheckpoint]:
    """Both checkpoints, opened once."""
    base, instruct = local_checkpoint(pair.base), local_checkpoint(pair.instruct)
    return OpenCheckpoint.open("base", base), OpenCheckpoint.open("instruct", instruct)


def rows(count: int = 60, **more: Any) -> Rows:
    """Rows of both models, half of each label."""
    return [
        {"prompt": f"Is {n} a number?", "response": f" Yes, {n}.", "label": LABELS[n % 2], "group": str(n), **more}
        for n in range(count)
    ]


def pools_of(
    folder: Path, given: Rows, sides: tuple[OpenCheckpoint, ...], *, seed: int = 0, limit: int | None = None
) -> tuple[Pool, ...]:
    """The pools of a file with these rows."""
    found = GivenAnswers.read(written(folder / "given.jsonl", given), None, None, ())
    return (found if limit is None else found.limited(limit, seed)).pools(sides, SHARES, seed)


def splits_of(pools: tuple[Pool, ...]) -> dict[str, str]:
    """Split of each question of the first set."""
    return {question.id: split for pool in pools[:2] for question, split in pool.entries}


def test_splits_follow_from_the_seed_and_the_groups_and_not_from_the_order(
    tmp_path: Path, sides: tuple[OpenCheckpoint, ...]
) -> None:
    found = splits_of(pools_of(tmp_path, rows(), sides))
    assert sorted(found.values()).count("test") == 24
    assert found == splits_of(pools_of(tmp_path, rows()[::-1], sides))
    assert found != splits_of(pools_of(tmp_path, rows(), sides, seed=1))


def test_rows_of_one_group_or_with_one_prompt_are_in_one_split(
    tmp_path: Path, sides: tuple[OpenCheckpoint, ...]
) -> None:
    given = rows(120)
    for n, row in enumerate(given):
        row |= {"id": str(n), "group": str(n // 3)}
    given[1]["prompt"] = given[119]["prompt"]
    found = splits_of(pools_of(tmp_path, given, sides))
    assert all(found[str(n)] == found[str(3 * (n // 3))] for n in range(120))
    assert found["1"] == found["119"]
    assert {*found.values()} == {"train", "validation", "test"}


def test_splits_of_the_file_are_kept_and_both_models_have_their_own_rows(
    tmp_path: Path, sides: tuple[OpenCheckpoint, ...]
) -> None:
    named = [row | {"split": "train" if n < 40 else "test"} for n, row in enumerate(rows())]
    own = [row | {"stage": stage, "response": f" {stage}"} for row in named for stage in ("base", "instruct")]
    train, test = pools_of(tmp_path, own, sides)
    assert {split for _, split in train.entries} == {"train"}
    assert {int(question.id) for question, _ in test.entries} == set(range(40, 60))
    assert train.given is not None
    for stage, given in train.given.items():
        assert {each.text for each in given.responses} == {f" {stage}"}
        assert [each.question_id for each in given.responses] == [question.id for question, _ in train.entries]


def test_later_sets_are_tested_only(tmp_path: Path, sides: tuple[OpenCheckpoint, ...]) -> None:
    later = [row | {"set": "later", "group": f"l{row['group']}", "prompt": "L" + row["prompt"]} for row in rows(4)]
    pools = pools_of(tmp_path, [*rows(), *later], sides)
    assert [pool.name for pool in pools] == ["given train", "given test", "later test"]
    assert len(pools[2].entries) == 4


def test_a_limit_takes_so_many_questions_of_each_set(tmp_path: Path, sides: tuple[OpenCheckpoint, ...]) -> None:
    pools = pools_of(tmp_path, rows(200), sides, limit=100)
    assert sum(len(pool.entries) for pool in pools) == 100


def test_a_line_that_no_checkpoint_would_read_is_refused(tmp_path: Path, sides: tuple[OpenCheckpoint, ...]) -> None:
    """One of another checkpoint, or of a checkpoint that has another stage in the command."""
    base, instruct = (str(side.checkpoint.ref) for side in sides)

    def checked(**more: Any) -> None:
        given = [*rows(2), rows(1)[0] | {"group": "z", "prompt": "Last?"} | more]
        GivenAnswers.read(written(tmp_path / "given.jsonl", given), None, None, ()).check_checkpoints(sides)

    for read in ({"checkpoint": base}, {"checkpoint": instruct, "stage": "instruct"}, {"stage": "base"}):
        checked(**read)
    with pytest.raises(InputError, match=r"on line 3 of given.jsonl") as refused:
        checked(checkpoint="org/other")
    assert refused.value.found == "'org/other'"
    with pytest.raises(InputError, match=r"on line 3 of given.jsonl") as refused:
        checked(checkpoint=base, stage="instruct")
    assert (base in refused.value.wanted, refused.value.found) == (True, '"stage": "instruct"')


def test_the_positive_label_is_the_one_that_is_searched_for() -> None:
    assert concept_of(("faithful", "hallucinated"), None, None) == HALLUCINATION
    assert concept_of(("answer", "refusal"), "refusal", None) == Concept("refusal", "refusal", "answer")
    assert concept_of(("answer", "refusal"), "answer", "compliance") == Concept("compliance", "answer", "refusal")
    assert concept_of(("faithful", "hallucinated"), "faithful", None) == Concept("faithful", "faithful", "hallucinated")
    for positive, found in ((None, "none"), ("maybe", "'maybe'")):
        with pytest.raises(InputError, match=found):
            concept_of(("answer", "refusal"), positive, None)
    for name in ("a\nb", "“a”", " ", "a" * 41):
        with pytest.raises(InputError, match="printable"):
            concept_of(("answer", "refusal"), "refusal", name)


def test_what_cannot_be_compared_is_refused_before_a_model_runs(
    tmp_path: Path, sides: tuple[OpenCheckpoint, ...]
) -> None:
    last = {"group": "new", "id": "new"}
    talk = {"messages": [{"role": "user", "content": "Why?"}], "response": "No.", "label": "faithful", "stage": "base"}
    named = [row | {"split": "train" if n < 40 else "test"} for n, row in enumerate(rows())]
    cases: dict[str, Rows] = {
        "responses of the base model with label": rows(stage="instruct"),
        "from at least 10 groups to train on": rows(20),
        "from at least 1 groups to test on": [
            row | {"split": "test" if row["label"] == "faithful" and n > 40 else "train"}
            for n, row in enumerate(rows())
        ],
        "a chat template of the base model, for line 61": [*rows(), talk | last],
        "on line 61": [*rows(), rows(1)[0] | last | {"prompt": "Why? " * 100}],
        "without overlap": [*named, named[-1] | last | {"split": "train"}],
    }
    for words, given in cases.items():
        with pytest.raises(InputError, match=words):
            pools_of(tmp_path, given, sides)


def test_a_later_set_with_a_question_that_is_trained_on_is_refused(
    tmp_path: Path, sides: tuple[OpenCheckpoint, ...]
) -> None:
    trained = next(name for name, split in splits_of(pools_of(tmp_path, rows(), sides)).items() if split == "train")
    for leak in ({"group": trained}, {"prompt": f"Is {trained} a number?"}):
        later = rows(1)[0] | {"group": "new", "prompt": "New?", "set": "later"} | leak
        with pytest.raises(InputError, match="without overlap"):
            pools_of(tmp_path, [*rows(), later], sides)


def test_the_identity_is_that_of_the_rows_and_not_of_their_file(tmp_path: Path) -> None:
    def digest(given: Rows, name: str = "given.jsonl") -> str:
        return GivenAnswers.read(written(tmp_path / name, given), None, None, ()).digest

    first = digest(rows(set="s"))
    thinks = GivenAnswers.read(tmp_path / "given.jsonl", None, None, (("thinking", True),))
    assert thinks.recorded()["template_args"] == [("thinking", True)]
    assert digest(rows(set="s"), "other.jsonl") == first
    assert digest([*rows(59, set="s"), rows(60, set="s")[59] | {"response": " No."}]) != first
