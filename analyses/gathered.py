"""Everything that both checkpoints say and show: answers, vectors, and what models compute from them.

The one idea: whatever needs a model happens here, one checkpoint after the other, and is remembered by the
workspace, so that the analyses behind it are pure functions, and nothing is asked or captured twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from analyses.answers import Answers, answers_of, captured_responses
from analyses.clock import Clock
from analyses.collection import (
    Collected,
    CollectionSettings,
    Pool,
    Workspace,
    collect_pool,
    identity_digest,
    make_pool,
    make_task,
    paired_task,
)
from analyses.correlation import activation_correlation
from analyses.results import Alignment, LineageResult
from analyses.sides import Models, Side
from analyses.suppression import suppressed_accuracies, suppression_questions
from provenance.checkpoints import Checkpoint
from provenance.features import Features, remembered
from provenance.log_probability import answer_log_probability
from provenance.questions import QuestionSet, check_disjoint, normalise_question, split_questions
from provenance.records import Question, Split, Stage

CORRELATION_RESPONSES = 128  # some thousand tokens: a correlation of 0.05 is then told from zero
CORRELATION_BATCH = 8
LOG_PROBABILITY_BATCH = 16  # with a vocabulary of 262,144 the logits of 16 short answers take 100 MB


@dataclass(frozen=True)
class Gathered:
    """Everything collected from both checkpoints."""

    collected: dict[Stage, tuple[Collected, ...]]
    """By pool, the training pool first, the first set's test questions second."""
    answers: dict[Stage, tuple[Answers, ...]]
    """The same with texts and log-probabilities, in the order of the instruct checkpoint's neurons."""
    names: tuple[str, ...]
    """Question set of each pool."""

    def tests(self, stage: Stage) -> dict[str, Answers]:
        """Balanced held-out answers by question set, the first set first."""
        return dict(zip(self.names[1:], self.answers[stage][1:], strict=True))

    def features(self, stage: Stage) -> dict[str, Features]:
        """Their features."""
        return {name: test.features for name, test in self.tests(stage).items()}


@dataclass(frozen=True)
class Asking:
    """Who is asked what, how, and where it is remembered."""

    sides: Mapping[Stage, Side]
    """Both checkpoints, in the order in which they are asked."""
    pools: tuple[Pool, ...]
    """The training pool, then one test pool per question set."""
    settings: Mapping[Stage, CollectionSettings]
    """How each side is asked and captured."""
    models: Models
    """Their models."""
    workspace: Workspace
    """Where finished work is remembered."""
    clock: Clock
    """Measures the stages."""
    author: Checkpoint | None = None
    """Who gave the base's answers, where another model reads them in its place."""

    def speaker(self, stage: Stage) -> Checkpoint:
        """The checkpoint that gave a side's answers; for all but a negative control the one that reads them."""
        return self.author if self.author is not None and stage == "base" else self.sides[stage].checkpoint

    def gather(self, alignment: Alignment) -> Gathered:
        """Ask and capture both checkpoints, one after the other.

        The base's vectors are put into the order of the instruct checkpoint's neurons, so that everything after
        this knows one order only.
        """
        collected: dict[Stage, tuple[Collected, ...]] = {}
        answers: dict[Stage, tuple[Answers, ...]] = {}
        for stage in self.sides:
            collected[stage] = tuple(self._collected(stage, pool) for pool in self.pools)
            answers[stage] = tuple(
                self._answers(stage, pool, found, alignment)
                for pool, found in zip(self.pools, collected[stage], strict=True)
            )
        return Gathered(collected, answers, tuple(pool.questions.name for pool in self.pools))

    def _collected(self, stage: Stage, pool: Pool) -> Collected:
        work = partial(
            collect_pool, stage, self.sides[stage].checkpoint, partial(self.models.get, stage), pool,
            self.settings[stage], self.workspace, self.clock.progress,
        )  # fmt: skip
        return self.clock.timed(f"{stage} {pool.questions.name} {pool.split}", work)

    def _answers(self, stage: Stage, pool: Pool, found: Collected, alignment: Alignment) -> Answers:
        """Texts, log-probabilities, and features in the instruct checkpoint's order."""
        features = found.features
        if stage == "base" and not alignment.is_identity:
            features = features.mapped(alignment.base_ids)
        used = captured_responses(features, found.responses)
        checkpoint = self.sides[stage].checkpoint
        task = paired_task(
            make_task(stage, checkpoint, pool, self.settings[stage]), checkpoint, "answer log-probability"
        )

        def compute() -> Float[np.ndarray, " responses"]:
            return answer_log_probability(self.models.get(stage), used, LOG_PROBABILITY_BATCH)

        log = self.workspace.capture_log(task)
        probability = self.clock.timed(
            f"{stage} log-probability", partial(remembered, compute, used, self.workspace.captures, task.key, log)
        )
        return answers_of(features, found.responses, pool.questions.questions, probability)

    def correlation(
        self, gathered: Gathered, related: LineageResult, alignment: Alignment
    ) -> Float[np.ndarray, " neurons"] | None:
        """Neuron by neuron over the base's own answers; None where token ids mean different tokens."""
        pool, found = self.pools[1], gathered.collected["base"][1]
        used = [response for response in found.responses if response.label != "dropped"][:CORRELATION_RESPONSES]
        if not related.same_tokenizer or not used:
            return None
        ids = None if alignment.is_identity else alignment.base_ids
        base, instruct = (partial(self.models.get, stage) for stage in ("base", "instruct"))

        def compute() -> Float[np.ndarray, " neurons"]:
            return activation_correlation(base(), instruct(), used, CORRELATION_BATCH, ids)

        asked = make_task("base", self.speaker("base"), pool, self.settings["base"])
        what = "activation correlation" if ids is None else f"activation correlation, {identity_digest(ids.tolist())}"
        if self.author is not None:
            what = f"{what}, read by {self.sides['base'].checkpoint.digest}"
        task = paired_task(asked, self.sides["instruct"].checkpoint, what)
        return remembered(compute, used, self.workspace.captures, task.key, self.workspace.capture_log(task))

    def suppressed(
        self, stage: Stage, alignment: Alignment, neuron_sets: list[Int[np.ndarray, " _"]]
    ) -> Float[np.ndarray, " sets"]:
        """Accuracy on validation questions with each set silent; sets are of the instruct checkpoint's ids."""
        own = neuron_sets
        if stage == "base":
            mapped = [alignment.base_ids[ids] for ids in neuron_sets]
            own = [np.sort(ids[ids >= 0]) for ids in mapped]
        return suppressed_accuracies(
            stage, self.sides[stage].checkpoint, partial(self.models.get, stage), suppression_questions(self.pools[0]),
            self.settings[stage], own, self.workspace, self.clock.progress,
        )  # fmt: skip


def question_pools(
    question_sets: Sequence[QuestionSet], shares: tuple[float, float, float], seed: int
) -> tuple[Pool, ...]:
    """The training pool and one test pool per question set.

    Questions of further sets that also occur among the training questions are an error, not dropped.

    Args:
        question_sets: The first is split; the others are only tested on.
        shares: Of the first set: training, validation, test.
        seed: Of split and order.

    Raises:
        SplitError: Question sets overlap with the training questions.
    """
    first = question_sets[0]
    splits = split_questions(first.questions, shares=shares, seed=seed)
    others = [question for later in question_sets[1:] for question in later.questions]
    trained_on = (*splits["train"], *splits["validation"])
    check_disjoint({"train": _by_text(trained_on), "test": _by_text(others)})
    training: dict[Split, Sequence[Question]] = {name: splits[name] for name in ("train", "validation")}
    tests = [(first, splits["test"]), *((later, later.questions) for later in question_sets[1:])]
    return (
        make_pool(first, training, seed, training=True),
        *(make_pool(origin, {"test": members}, seed, training=False) for origin, members in tests),
    )


def _by_text(questions: Sequence[Question]) -> list[Question]:
    """Questions whose unit is their normalised text: the groups of one file mean nothing in another."""
    return [replace(question, unit=normalise_question(question.text)) for question in questions]
