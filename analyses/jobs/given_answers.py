"""A comparison on responses that exist: a file of them as question sets, pools and responses of both models.

All of it is made before any model runs, so that a line that cannot be read fails then. Splits are those of the file, or
drawn from the seed by group, as questions are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from provenance.analyses.asking.collection import Pool, identity_digest, make_pool
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.controls.question_folds import FOLDS, MIN_PER_FOLD
from provenance.answers.questions import SPLITS, QuestionSet, check_disjoint, split_questions
from provenance.answers.quotas import KEPT_LABELS
from provenance.errors import InputError
from provenance.models.chat_template import Variables
from provenance.models.loading import Lexicon, load_lexicon
from provenance.records import Label, Question, Response, Split, Stage
from provenance.responses.placing import Given, placed
from provenance.responses.response_file import ResponseFile, read_responses
from provenance.responses.response_rows import GivenRow
from provenance.words import HALLUCINATION, Concept


@dataclass(frozen=True)
class GivenAnswers:
    """The responses of a file, with the question sets that they respond to."""

    file: ResponseFile
    concept: Concept
    sets: tuple[QuestionSet, ...]
    """What was asked, by question set; a unit is a group."""
    variables: Variables
    """What the user sets in chat templates."""

    @classmethod
    def read(cls, path: Path, concept: str | None, positive: str | None, variables: Variables) -> "GivenAnswers":
        """The responses of a file.

        Raises:
            InputError: See `read_responses` and `concept_of`.
        """
        file = read_responses(path)
        sets = tuple(_question_set(name, rows, path) for name, rows in file.sets.items())
        return cls(file, concept_of(file.labels, positive, concept), sets, variables)

    @property
    def digest(self) -> str:
        """SHA-256 over all rows as they were read, without their places in the file."""
        return identity_digest(
            [
                [r.asked, r.response, r.label, r.group, r.id, r.set, r.split, r.stage, r.span]
                + ([r.checkpoint] if r.checkpoint else [])
                for r in self.file.rows
            ]
        )

    def recorded(self) -> dict[str, Any]:
        """Its part of a run's identity."""
        variables = {"template_args": list(self.variables)} if self.variables else {}
        return {"responses_sha256": self.digest, **variables, **self.told()}

    def told(self) -> dict[str, Any]:
        """Its part of the summary of a run."""
        return {"concept": asdict(self.concept)}

    def limited(self, n: int, seed: int) -> "GivenAnswers":
        """The responses to `n` questions of each set, as `QuestionSet.limited` chooses them."""
        return replace(self, sets=tuple(questions.limited(n, seed) for questions in self.sets))

    def pools(self, sides: Sequence[OpenCheckpoint], shares: tuple[float, float, float], seed: int) -> tuple[Pool, ...]:
        """The training pool and a test pool for each set, with the responses of both models in their tokens.

        Args:
            sides: The checkpoints.
            shares: Of training, validation and test in the first set, where the file names no splits.
            seed: Of split and order.

        Raises:
            InputError: See `placed`; or a model has too few responses of a label.
            SplitError: There are too few groups to split, or the same text or group is trained on and tested.
        """
        pools = self._with_responses(self._asked(shares, seed), sides)
        for side in sides:
            _check_enough(side.stage, pools, self.concept)
        return pools

    def timeline_pools(
        self, sides: Sequence[OpenCheckpoint], shares: tuple[float, float, float], seed: int
    ) -> tuple[tuple[Pool, ...], ...]:
        """The same pools for each checkpoint of a timeline, with its responses; only the last needs enough of them.

        Raises:
            InputError, SplitError: See `pools`.
        """
        asked = self._asked(shares, seed)
        found = tuple(self._with_responses(asked, [side]) for side in sides)
        _check_enough(sides[-1].stage, found[-1], self.concept)
        return found

    def _asked(self, shares: tuple[float, float, float], seed: int) -> tuple[Pool, ...]:
        """The training pool and a test pool for each set, without responses."""
        splits = self._splits(shares, seed)
        first, *others = self.sets
        training: dict[Split, tuple[Question, ...]] = {name: splits[name] for name in SPLITS if name != "test"}
        tests = [(first, splits["test"]), *((later, later.questions) for later in others)]
        return (
            make_pool(first, training, seed, training=True),
            *(make_pool(origin, {"test": members}, seed, training=False) for origin, members in tests),
        )

    def check_checkpoints(self, sides: Sequence[OpenCheckpoint]) -> None:
        """Refuse a file with a line of a checkpoint that nobody would read.

        Raises:
            InputError: The command does not name that checkpoint, or in another stage than the line; it names the line.
        """
        stages: dict[str, list[Stage]] = {}
        for side in sides:
            stages.setdefault(str(side.checkpoint.ref), []).append(side.stage)
        for row in self.file.rows:
            if row.checkpoint and row.checkpoint not in stages:
                raise InputError(
                    f"one of the checkpoints {', '.join(stages)} on {row.where}",
                    found=repr(row.checkpoint),
                    remedy="write it as in the command, or leave the line out",
                )
            if row.checkpoint and row.stage and row.stage not in stages[row.checkpoint]:
                raise InputError(
                    f'"stage": "{stages[row.checkpoint][0]}" with the checkpoint {row.checkpoint} on {row.where}',
                    found=f'"stage": "{row.stage}"',
                    remedy="write the stage that the checkpoint has in the command, or leave `stage` out",
                )

    def _splits(self, shares: tuple[float, float, float], seed: int) -> Mapping[Split, tuple[Question, ...]]:
        """Questions of the first set by split. What either model was asked is nowhere both trained on and tested."""
        first, *later = (self.rows(questions) for questions in self.sets)
        if self.file.names_splits:
            parts = {split: tuple(_asked(row) for row in first if row.split == split) for split in SPLITS}
            check_disjoint(parts)
        else:
            parts = split_questions([_asked(row) for row in first], shares=shares, seed=seed)
        others = [_asked(row) for rows in later for row in rows]
        check_disjoint({"train": (*parts["train"], *parts["validation"]), "test": others})
        split_of = {question.id: split for split, members in parts.items() for question in members}
        return {split: tuple(q for q in self.sets[0].questions if split_of[q.id] == split) for split in SPLITS}

    def rows(self, questions: QuestionSet) -> list[GivenRow]:
        """Rows of a set, which may be limited."""
        kept = {question.id for question in questions.questions}
        return [row for row in self.file.sets[questions.name] if row.id in kept]

    def _with_responses(self, pools: Sequence[Pool], sides: Sequence[OpenCheckpoint]) -> tuple[Pool, ...]:
        lexicons = [(side, load_lexicon(side.tokenizer_folder, side.tokenizer)) for side in sides]
        return tuple(
            replace(pool, given={side.stage: self._given(pool, side, lexicon) for side, lexicon in lexicons})
            for pool in pools
        )

    def _given(self, pool: Pool, side: OpenCheckpoint, lexicon: Lexicon) -> Given:
        stage, ref = side.stage, str(side.checkpoint.ref)
        by_id = {row.id: row for row in self.file.sets[pool.questions.name] if row.is_read_by(stage, ref)}
        chosen = [(by_id[question.id], split) for question, split in pool.entries if question.id in by_id]
        responses = tuple(placed(lexicon, row, self._label(row), split, stage, self.variables) for row, split in chosen)
        return Given(responses, {row.id: row.asked for row, _ in chosen}, self.variables)

    def _label(self, row: GivenRow) -> Label:
        return "hallucinated" if row.label == self.concept.positive else "faithful"


def concept_of(labels: tuple[str, str], positive: str | None, name: str | None) -> Concept:
    """The concept of a file with these labels; its name is the positive label unless it is given.

    Raises:
        InputError: `--positive` is missing, or is no label of the file; or see `Concept`.
    """
    usual = {HALLUCINATION.positive, HALLUCINATION.negative} == set(labels)
    if positive is None and usual:
        positive = HALLUCINATION.positive
    if positive not in labels:
        raise InputError(
            "--positive LABEL, the label of responses with what the neurons are searched for",
            found="none" if positive is None else repr(positive),
            remedy=f"give --positive {labels[0]!r} or --positive {labels[1]!r}",
        )
    negative = labels[1] if positive == labels[0] else labels[0]
    if usual and positive == HALLUCINATION.positive and name is None:
        return HALLUCINATION
    return Concept(name or positive, positive, negative)


def _question_set(name: str, rows: Sequence[GivenRow], path: Path) -> QuestionSet:
    """What was asked, once for both models: where the prompts differ, the one of the base, without a chat template."""
    found: dict[str, Question] = {}
    for row in sorted(rows, key=lambda row: row.stage != "base"):
        found.setdefault(row.id, _asked(row))
    order = dict.fromkeys(row.id for row in rows)
    return QuestionSet.of(name, str(path), [found[question_id] for question_id in order])


def _asked(row: GivenRow) -> Question:
    return Question(row.id, row.text, (), row.group)


def _check_enough(stage: Stage, pools: Sequence[Pool], concept: Concept) -> None:
    """Refuse a model with too few responses of a label to fit a probe to, or to test it on."""
    words = {"hallucinated": concept.positive, "faithful": concept.negative}
    for pool, least in ((pools[0], FOLDS * MIN_PER_FOLD), (pools[1], 1)):
        for label in KEPT_LABELS:
            units = {each.unit for each in _responses(pool, stage) if each.label == label}
            if len(units) < least:
                raise InputError(
                    f"responses of the {stage} model with label {words[label]!r} from at least {least} groups to "
                    f"{'train' if pool.training else 'test'} on",
                    found=f"{len(units)} in set {pool.questions.name!r}{_dropped(_responses(pool, stage))}",
                    remedy="give more of them; a line without a stage counts for both models",
                )


def _responses(pool: Pool, stage: Stage) -> tuple[Response, ...]:
    return () if pool.given is None else pool.given[stage].responses


def _dropped(responses: Sequence[Response]) -> str:
    reasons = [each.reason for each in responses if each.label == "dropped"]
    return f"; {len(reasons)} have no use, the first since: {reasons[0]}" if reasons else ""
