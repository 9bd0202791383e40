"""Question sets: loaded by name, file or lab reference, limited, and split without leaks.

Questions are split by unit (the normalised text, or a file's group), never by row or id: published training and test
sets share questions (107 of 2,000 ids for Gemma-3-27B). Choices hash seed and content, so the order does not matter.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path

from provenance.answers.question_readers import QuestionFile, check_ids, normalise_question, read_file, read_questions
from provenance.errors import QuestionError, SplitError
from provenance.records import Question, Split

__all__ = [
    "HUB_SETS",
    "SPLITS",
    "QuestionSet",
    "check_disjoint",
    "digest_questions",
    "is_on_hub",
    "limit",
    "load_questions",
    "normalise_question",
    "read_questions",
    "split_questions",
]

logger = logging.getLogger(__name__)
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class HubSet:
    """A question set on the hub."""

    repo: str
    pattern: str
    """Pattern of its file names."""
    revision: str | None = None
    """Commit; None: the current one of the default branch, recorded in the set's source."""


HUB_SETS = {
    "triviaqa": HubSet("mandarjoshi/trivia_qa", "rc.nocontext/validation-*.parquet"),
    "triviaqa-train": HubSet("mandarjoshi/trivia_qa", "rc.nocontext/train-*.parquet"),
    "nq-open": HubSet("google-research-datasets/nq_open", "nq_open/validation-*.parquet"),
    # BioASQ itself needs a registration; this is the part that MRQA 2019 published, factoid questions only
    "bioasq": HubSet("lucadiliello/bioasqqa", "data/test-*.parquet", "6023919a617cdb7566894338012e9bde4b9a8a14"),
}
"""Known names. Choice: `triviaqa` is the validation split, which tuning data contain less often."""


@dataclass(frozen=True)
class QuestionSet:
    """Named set of questions with the digest of its content."""

    name: str
    """Short name: the stem of a file, the last part of a lab reference, or the name of a hub set."""
    digest: str
    """SHA-256 over its questions, in order."""
    source: str
    """Origin: a path, a lab reference, or a data set with its commit; and how many of its questions were left out."""
    questions: tuple[Question, ...]
    """In the order of the file."""

    @classmethod
    def read(cls, name: str, source: str, files: Sequence[QuestionFile]) -> "QuestionSet":
        """The set of some files; the source says how many of their questions were left out, and why."""
        questions = [question for file in files for question in file.questions]
        left_out = sum(file.unanswered for file in files)
        if left_out:
            source = f"{source} ({left_out:,} of {left_out + len(questions):,} questions left out: no answer)"
            logger.warning("%s", source)
        return cls.of(name, source, questions)

    @classmethod
    def of(cls, name: str, source: str, questions: Sequence[Question]) -> "QuestionSet":
        """A set of these questions, with their digest."""
        return cls(name, digest_questions(questions), source, tuple(questions))

    def limited(self, n: int, seed: int) -> "QuestionSet":
        """The set of `limit(questions, n, seed)`, with its own digest."""
        return QuestionSet.of(self.name, self.source, limit(self.questions, n, seed))


def digest_questions(questions: Iterable[Question]) -> str:
    """SHA-256 over ids, texts, answers and units, in order."""
    rows = [[question.id, question.text, list(question.answers), question.unit] for question in questions]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def load_questions(spec: str) -> QuestionSet:
    """Load a question set: a file, `lab/family/set`, or a name of `HUB_SETS` (fetched from the hub).

    An existing file wins over a name; `lab/…` is always the lab (`./lab/…` is a file).

    Raises:
        QuestionError: There is no such set, or its file is malformed.
        CheckpointError: The hub or the lab does not provide it.
    """
    if spec.startswith("lab/"):
        return _from_lab(spec)
    path = Path(spec).expanduser()
    if is_on_hub(spec):
        return _from_hub(spec, HUB_SETS[spec])
    if path.is_dir() or not path.exists():
        raise QuestionError(
            "a question file or a known set of questions",
            found=f"{spec!r}, a folder" if path.is_dir() else f"{spec!r}, which does not exist",
            remedy=f"name a file, lab/family/set, or one of {', '.join(HUB_SETS)}",
        )
    return QuestionSet.read(_stem(path), str(path), [read_file(path)])


def is_on_hub(spec: str) -> bool:
    """Whether a question set is fetched by name; an existing file wins."""
    return spec in HUB_SETS and not Path(spec).expanduser().exists()


def _stem(path: Path) -> str:
    """Name of a file without its ending, `.gz` apart."""
    return Path(path.stem).stem if path.suffix == ".gz" else path.stem


def _from_lab(spec: str) -> QuestionSet:
    from provenance.lab.manifest import question_sets  # imported only for lab references

    parts = spec.split("/")
    sets = question_sets(parts[1])
    if len(parts) != 3 or parts[2] not in sets:
        raise QuestionError(
            f"a question set of lab/{parts[1]}",
            found=repr(spec),
            remedy=f"use one of {', '.join(f'lab/{parts[1]}/{name}' for name in sets)}",
        )
    return QuestionSet.read(parts[2], spec, [read_file(sets[parts[2]])])


def _from_hub(name: str, hub_set: HubSet) -> QuestionSet:
    from provenance.hub.fetch import fetch_dataset  # importing the hub client takes most of a second

    paths, commit = fetch_dataset(hub_set.repo, hub_set.revision, hub_set.pattern)
    found = QuestionSet.read(name, f"{hub_set.repo}@{commit}", [read_file(path) for path in paths])
    check_ids(found.questions, hub_set.repo)
    return found


def limit(questions: Sequence[Question], n: int, seed: int) -> tuple[Question, ...]:
    """A random `n` of the questions, in their old order; a larger `n` keeps those of a smaller one.

    Raises:
        QuestionError: `n` is not positive.
    """
    if n < 1:
        raise QuestionError("a limit of at least one question", found=str(n), remedy="leave the limit out to ask all")
    ranked = sorted(questions, key=lambda question: _rank(seed, question.id))
    chosen = {question.id for question in ranked[:n]}
    return tuple(question for question in questions if question.id in chosen)


def split_questions(
    questions: Sequence[Question], *, shares: tuple[float, float, float], seed: int
) -> dict[Split, tuple[Question, ...]]:
    """Split by unit into training, validation and test questions, each part in a seeded random order.

    Units that share a normalised question stay together as well. The outcome depends on seed and content, not on the
    order of the questions. `shares` are fractions of the units for train, validation and test.

    Raises:
        SplitError: The shares are not fractions that add up to 1, or there are too few units.
    """
    if min(shares) < 0 or not isclose(sum(shares), 1.0, abs_tol=1e-9):
        raise SplitError(
            "shares of train, validation and test that add up to 1",
            found=str(shares),
            remedy="for example 0.5, 0.2, 0.3",
        )
    units = _connected_units(questions)
    ranked = sorted(units, key=lambda unit: _rank(seed, unit))
    cuts = [0, round(shares[0] * len(ranked)), round((shares[0] + shares[1]) * len(ranked)), len(ranked)]
    parts: dict[Split, tuple[Question, ...]] = {
        split: tuple(question for unit in ranked[start:stop] for question in units[unit])
        for split, start, stop in zip(SPLITS, cuts, cuts[1:], strict=False)
    }
    empty = [split for split, share in zip(SPLITS, shares, strict=True) if share > 0 and not parts[split]]
    if empty:
        raise SplitError(
            f"questions for {' and '.join(empty)}",
            found=f"only {len(ranked)} different questions to split",
            remedy="add questions, or raise the limit",
        )
    check_disjoint(parts)
    return parts


def _connected_units(questions: Sequence[Question]) -> dict[str, list[Question]]:
    """Questions by unit, with units that share a normalised question joined (named by the smallest)."""
    parent = {question.unit: question.unit for question in questions}

    def root(unit: str) -> str:
        while parent[unit] != unit:
            unit = parent[unit] = parent[parent[unit]]
        return unit

    unit_of_text: dict[str, str] = {}
    for question in questions:
        first = root(unit_of_text.setdefault(normalise_question(question.text), question.unit))
        second = root(question.unit)
        parent[max(first, second)] = min(first, second)
    members: dict[str, list[Question]] = {}
    for question in sorted(questions, key=lambda question: question.id):
        members.setdefault(root(question.unit), []).append(question)
    return members


def _rank(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed}\0{text}".encode()).hexdigest()


def check_disjoint(splits: Mapping[Split, Sequence[Question]]) -> None:
    """Refuse splits that share a question, by its normalised text or its unit.

    Raises:
        SplitError: They share one; the message names the first.
    """
    owner: dict[tuple[str, str], tuple[Split, Question]] = {}
    for split, questions in splits.items():
        for question in questions:
            for key in (("text", normalise_question(question.text)), ("unit", question.unit)):
                first_split, first = owner.setdefault(key, (split, question))
                if first_split != split:
                    raise SplitError(
                        "training, validation and test questions without overlap",
                        found=f"{question.text!r} ({question.id}) in {split} and {first.text!r} ({first.id}) "
                        f"in {first_split}",
                        remedy="split by normalised question text (`split_questions`), not by id or row",
                    )
