"""Accuracy of a model with a set of its neurons silent or amplified: the paper's second criterion for C.

Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.1.3: C maximises the probe's held-out accuracy plus the model's
TriviaQA accuracy with the H-Neurons suppressed. Choice (number of questions and decoding are not in the paper):
validation questions only, one greedy answer each, so that they repeat. A killed run loses one set at most.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64, Int

from provenance.activations.scaling import scaled
from provenance.analyses.asking.collection import CollectionSettings, Pool, identity_digest, make_task, protocol_of
from provenance.analyses.asking.subject import Subject
from provenance.answers.collect_responses import collect
from provenance.answers.sampling import Respondent
from provenance.errors import QuestionError, SplitError
from provenance.records import Response, Task

SUPPRESSED = 0.0  # Gao et al. 2025, Sec. 6.1.3: alpha = 0

# The standard error of an accuracy over 200 questions is at most 3.5 points, and smaller between sets with the same
# questions. A path of ten sets then costs as many answers as 200 training questions of ten samples.
SUPPRESSION_QUESTIONS = 200


def suppression_questions(pool: Pool, limit: int = SUPPRESSION_QUESTIONS) -> Pool:
    """The first validation questions of a training pool, in its seeded order, so that limits give nested pools.

    Raises:
        QuestionError: The limit is not positive, or the pool has no validation question.
    """
    if limit < 1:
        raise QuestionError("a limit of at least one question", found=str(limit), remedy="leave the limit out")
    entries = [entry for entry in pool.entries if entry[1] == "validation"]
    chosen = replace(pool, entries=tuple(entries[:limit]), training=False)
    _check_questions(chosen)
    return chosen


def suppressed_accuracies(
    subject: Subject, pool: Pool, neuron_sets: Sequence[Int[np.ndarray, " _"]]
) -> Float64[np.ndarray, " sets"]:
    """Share of right answers to validation questions, in [0, 1], with each set of neurons multiplied by 0.

    Arguments and errors are those of `right_answers`. Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.1.3.
    """
    found = right_answers(subject, pool, neuron_sets, SUPPRESSED)
    return np.asarray(found.mean(axis=1), dtype=np.float64)


def right_answers(
    subject: Subject, pool: Pool, neuron_sets: Sequence[Int[np.ndarray, " _"]], alpha: float
) -> Bool[np.ndarray, "sets questions"]:
    """Which validation questions a model answers right with all neurons of a set multiplied by alpha, set by set.

    Wrong and empty answers and refusals count as not right. Rows are the sets in the given order, columns the questions
    in the order of the pool (from `suppression_questions`).

    Args:
        subject: Not loaded if every set is kept already; its sampling is replaced by greedy decoding.
        neuron_sets: Flat ids (layer * d_m + index), distinct within a set. Equal sets are asked once; the empty set
            gives the unchanged model, whatever alpha.
        alpha: Factor, dimensionless, >= 0.

    Raises:
        SplitError: The pool has a training or test question.
        QuestionError: The pool is empty.
        InputError: A set has a repeated or unknown neuron; or alpha is no factor.
        CaptureError: The neurons of some layer could not be reached.
        StoreError: A result cannot be written.
    """
    _check_questions(pool)
    greedy = _greedy(subject.settings, len(pool.entries))
    plain = make_task(subject.stage, subject.checkpoint, pool, greedy)
    ordered = [np.sort(ids).astype(np.int64) for ids in neuron_sets]
    distinct = {ids.tobytes(): ids for ids in ordered}
    doing, done_to = ("suppress", "silent") if alpha == SUPPRESSED else ("scale", f"scaled by {alpha:g}")

    def judged(number: int, ids: np.ndarray) -> np.ndarray:
        def asked(done: int) -> None:
            all_done, total = (count * len(pool.entries) for count in (number, len(distinct)))
            note = f"set {number + 1} of {len(distinct)}, {ids.size} neurons {done_to}"
            subject.clock.progress.step(f"{doing} {subject.stage} {pool.questions.name}", all_done + done, total, note)

        # one name for all factors, so that results from before the choice of factor stay valid
        task = scaled_task(plain, ids, alpha, "answers with neurons suppressed")
        # kept without responses, since the key covers the questions
        right = subject.remembered(task, partial(_answered_right, subject, pool, greedy, ids, alpha, asked))
        asked(len(pool.entries))
        return right

    found = {name: judged(number, ids) for number, (name, ids) in enumerate(distinct.items())}
    rows = [found[ids.tobytes()] for ids in ordered]
    return np.array(rows, dtype=bool).reshape(len(rows), len(pool.entries))


def _answered_right(
    subject: Subject,
    pool: Pool,
    greedy: CollectionSettings,
    ids: Int[np.ndarray, " k"],
    alpha: float,
    asked: Callable[[int], None],
) -> Bool[np.ndarray, " questions"]:
    loaded, protocol = subject.model(), protocol_of(pool, greedy, subject.judge)
    with scaled(loaded, ids, alpha):
        answers = collect(
            lambda: Respondent.of(loaded), pool.entries, protocol, _Answers(), lambda done, *_: asked(done)
        )
    return np.array([answer.n_right == 1 for answer in answers], dtype=bool)


@dataclass
class _Answers:
    """A `ResponseLog` in memory, since only judgements are kept."""

    written: dict[int, Response] = field(default_factory=dict)

    def put(self, responses: Mapping[int, Response]) -> None:
        self.written.update(responses)

    def responses(self) -> list[Response]:
        return list(self.written.values())


def _greedy(settings: CollectionSettings, questions: int) -> CollectionSettings:
    """Greedy settings with the same prompt and forward pass; unused settings get one value, to share tasks.

    Neurons are scaled in the model that is loaded here, wherever the model answers otherwise.
    """
    decoding = replace(settings.decoding, temperature=1.0, top_k=1, top_p=1.0)
    no_end = questions + 1  # no class can fill this quota, so every question is asked
    return replace(
        settings, decoding=decoding, samples=1, train_quota=no_end, test_quota=no_end, seed=0, agreeing_only=False,
        served=None,
    )  # fmt: skip


def scaled_task(task: Task, ids: Int[np.ndarray, " k"], alpha: float, what: str) -> Task:
    """The identity of an array computed with some neurons scaled, given the task of the unchanged model.

    `ids` are flat, in one fixed order; without any, alpha is ignored. `what` describes the array.
    """
    how = {"computed": what, "neurons": ids.size, "alpha": float(alpha) if ids.size else SUPPRESSED}
    settings = {**task.settings, **how, "neurons_sha256": identity_digest(ids.tolist())}
    return replace(task, key=identity_digest([task.key, settings]), settings=settings)


def _check_questions(pool: Pool) -> None:
    if not pool.entries:
        raise QuestionError(
            f"validation questions of {pool.questions.name}",
            found="none",
            remedy="give the validation split a share, or raise the limit",
        )
    others = [(question, split) for question, split in pool.entries if split != "validation"]
    if others:
        question, split = others[0]
        raise SplitError(
            "validation questions only, since what is chosen by their answers must not be tested on them",
            found=f"{len(others)} of {len(pool.entries)} of other splits, such as {question.id!r} of {split}",
            remedy="take the questions from suppression_questions",
        )
