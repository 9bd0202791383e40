"""Answers, captured vectors and derived arrays of both models.

Models run only here, one after the other; results stay in the workspace, so analyses are pure and nothing runs twice.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from provenance.activations.features import Features
from provenance.analyses.activity.token_correlation import RecordedActivations
from provenance.analyses.asking.answer_texts import Answers, answers_of, captured_responses
from provenance.analyses.asking.collection import Collected, Pool, identity_digest, make_pool, paired_task
from provenance.analyses.asking.subject import Subject
from provenance.analyses.asking.suppression import suppressed_accuracies, suppression_questions
from provenance.analyses.results.lineage import Alignment, LineageResult
from provenance.answers.questions import QuestionSet, check_disjoint, normalise_question, split_questions
from provenance.architectures import Layout
from provenance.defaults import CORRELATION_RESPONSES
from provenance.records import Question, Response, Split, Stage

TEST_POOL = 1  # the first question set's held-out questions
CORRELATION_BATCH = 8


@dataclass(frozen=True)
class Gathered:
    """The models of a comparison, with everything collected from them."""

    subjects: Mapping[Stage, Subject]
    """The models, in the order in which they are asked."""
    alignment: Alignment
    """Which neuron of the base is which."""
    collected: Mapping[Stage, tuple[Collected, ...]]
    """By pool, the training pool first, the first set's test questions second."""
    answers: Mapping[Stage, tuple[Answers, ...]]
    """The same with texts and log-probabilities, in the instruct checkpoint's order of neurons."""

    @property
    def names(self) -> tuple[str, ...]:
        """Question set of each pool."""
        return tuple(pool.questions.name for pool in next(iter(self.subjects.values())).pools)

    def tests(self, stage: Stage) -> dict[str, Answers]:
        """Balanced held-out answers by question set, the first set first."""
        return dict(zip(self.names[1:], self.answers[stage][1:], strict=True))

    def features(self, stage: Stage) -> dict[str, Features]:
        """Features of the held-out answers by question set."""
        return {name: test.features for name, test in self.tests(stage).items()}

    def refusals(self, stage: Stage) -> tuple[tuple[Pool, Features], ...]:
        """Captured refusals by pool, in the instruct checkpoint's order of neurons; of models that were asked."""
        subject = self.subjects[stage]
        if subject.author is not None or subject.held_out.given is not None:
            return ()
        return tuple(
            (pool, in_order(stage, found.refusals, self.alignment))
            for pool, found in zip(subject.pools, self.collected[stage], strict=True)
        )

    def used(self, stage: Stage) -> tuple[Response, ...]:
        """Captured held-out answers to the first question set, in the order of the captures."""
        found = self.collected[stage][TEST_POOL]
        return captured_responses(found.features, found.responses)

    def drop(self) -> None:
        """Free the memory of all models."""
        for subject in self.subjects.values():
            subject.drop()


def gather(
    subjects: Mapping[Stage, Subject], collected: Mapping[Stage, tuple[Collected, ...]], alignment: Alignment
) -> Gathered:
    """Combine the collected answers of the models, in the instruct checkpoint's order of neurons.

    The base's residual stream is left out where its blocks are at other places.
    """
    answers = {
        stage: tuple(_answers(subject, *each, alignment) for each in zip(subject.pools, collected[stage], strict=True))
        for stage, subject in subjects.items()
    }
    if len(subjects) > 1 and not blocks_correspond(subjects["base"].layout, subjects["instruct"].layout, alignment):
        answers["base"] = tuple(_without_stream(each) for each in answers["base"])
    return Gathered(subjects, alignment, collected, answers)


def blocks_correspond(base: Layout, instruct: Layout, alignment: Alignment) -> bool:
    """Whether the neurons of each layer have their counterparts in the same layer of as many."""
    if base.layers != instruct.layers:
        return False
    ids = alignment.base_ids.reshape(instruct.layers, instruct.d_m)
    return bool(((ids < 0) | (ids // base.d_m == np.arange(instruct.layers)[:, None])).all())


def _without_stream(answers: Answers) -> Answers:
    return replace(answers, features=replace(answers.features, residual=None))


def _answers(subject: Subject, pool: Pool, found: Collected, alignment: Alignment) -> Answers:
    features = in_order(subject.stage, found.features, alignment)
    return answers_of(features, found.responses, pool.questions.questions, features.log_probability)


def in_order(stage: Stage, features: Features, alignment: Alignment) -> Features:
    """Features of a model, those of the base in the instruct checkpoint's order of neurons."""
    return features.mapped(alignment.base_ids) if stage == "base" and not alignment.is_identity else features


def correlation_of(gathered: Gathered, related: LineageResult) -> Float[np.ndarray, " neurons"] | None:
    """Per neuron, over the base's own answers; None if token ids differ between the models."""
    base, instruct, alignment = gathered.subjects["base"], gathered.subjects["instruct"], gathered.alignment
    used = kept_responses(gathered.collected["base"][TEST_POOL])
    if not related.same_tokenizer or not used:
        return None
    what, asked = "activation correlation", base.answers_task(base.held_out)
    if not alignment.is_identity:
        what = f"{what}, {identity_digest(alignment.base_ids.tolist())}"
    if base.author is not None:
        what = f"{what}, read by {base.checkpoint.digest}"
    ids = None if alignment.is_identity else alignment.base_ids

    def compute() -> Float[np.ndarray, " neurons"]:
        folder = base.workspace.captures_of(asked)
        with closing(RecordedActivations(base.model(), used, CORRELATION_BATCH, folder)) as recorded:
            return recorded.correlation(instruct.model(), ids)

    task = paired_task(asked, instruct.checkpoint, what)
    return base.remembered(task, compute, used)


def kept_responses(found: Collected) -> tuple[Response, ...]:
    """The first answers that were kept, used for the activation correlation."""
    return tuple(response for response in found.responses if response.is_answer)[:CORRELATION_RESPONSES]


def suppressed(
    subject: Subject, alignment: Alignment, neuron_sets: list[Int[np.ndarray, " _"]]
) -> Float[np.ndarray, " sets"]:
    """Accuracy on validation questions with each set multiplied by 0; sets are of the instruct checkpoint's ids."""
    own = [own_ids(subject.stage, ids, alignment) for ids in neuron_sets]
    return suppressed_accuracies(subject, suppression_questions(subject.training), own)


def own_ids(stage: Stage, ids: Int[np.ndarray, " _"], alignment: Alignment) -> Int[np.ndarray, " _"]:
    """Neurons of the instruct checkpoint by their ids in a model: in the base sorted, without any that it lacks."""
    if stage == "instruct":
        return ids
    mapped = alignment.base_ids[ids]
    return np.sort(mapped[mapped >= 0])


def question_pools(
    question_sets: Sequence[QuestionSet], shares: tuple[float, float, float], seed: int
) -> tuple[Pool, ...]:
    """The training pool and one test pool per question set; the first set is split, the others are only tested on.

    `shares` of the first set are for training, validation and test; `seed` is of split and order.

    Raises:
        SplitError: Later question sets overlap with the training questions.
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
    """Questions whose unit is their normalised text, since groups differ between files."""
    return [replace(question, unit=normalise_question(question.text)) for question in questions]
