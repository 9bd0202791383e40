"""Effects of a set of neurons on a model's answers, measured with the neurons silenced and amplified.

Effects are compared with those of control sets of equal size on the same data. These are not matched on activity, and
quiet neurons change little, so a larger effect is evidence only if it differs between labels (`selectivity`).
The claim rests on the log-probability of the model's own held-out answers, teacher-forced. Greedy answers to validation
questions, on which no neuron was fitted, are reported without a verdict: the paper's rule for C uses them, which
favours sets that do no harm when silenced. Results are stored set by set, so a killed run loses one set at most.
Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.2 (scaling) and 6.3 (the models' own answers). Choice: factors,
outcomes and control sets, since the paper intervenes on no base model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from provenance.activations.neuron_rows import NO_NEURONS
from provenance.activations.reading import answer_log_probability
from provenance.activations.scaling import scaled
from provenance.analyses.asking.both_models import Gathered, own_ids
from provenance.analyses.asking.collection import Pool, identity_digest
from provenance.analyses.asking.subject import Subject
from provenance.analyses.asking.suppression import right_answers, scaled_task, suppression_questions
from provenance.analyses.controls.control_sets import CONTROL_KINDS, excluded_from_controls, neuron_sets, permutation_p
from provenance.analyses.results.behaviour import CausalEffect, CausalKind, Outcome
from provenance.answers.quotas import KEPT_LABELS
from provenance.records import Response, Stage
from provenance.statistics.bootstrap import estimate_of, over_sets, resampled_shares, resampled_weights

ALPHAS = (0.0, 2.0)  # silenced, and equally far from 1 on the other side
SETS = 40  # per kind; the smallest p is 1/41, still below 0.05 when doubled by Holm for two models
SETS_ASKED = 20  # per kind; greedy answers cost a pass per token, and p = 1/21 is below 0.05 too
ANSWERS_PER_CLASS = 50  # the SE of a mean is a seventh of the SD of answers, at 162 passes over each
QUESTIONS = 100  # standard error of a share at most 5 points, smaller for a change on the same questions

EXPECTED_SILENT: dict[Outcome, int] = {
    "hallucinated_log_probability": -1,
    "faithful_log_probability": 1,
    "selectivity": -1,
    "correct": 1,
}
"""Sign of the change expected of silenced H-Neurons; amplified ones should do the reverse.

If they cause guesses, silencing makes hallucinated answers less probable, also relative to faithful ones; faithful
answers become more probable, and right ones more frequent, if they change at all.
"""


@dataclass(frozen=True)
class Trial:
    """A model to intervene on, with the answers and questions to measure."""

    subject: Subject
    answers: tuple[Response, ...]
    """Its own labelled held-out answers in a fixed order; a class may be empty."""
    questions: Pool
    """Validation questions, from `provenance.analyses.asking.suppression.suppression_questions`."""


def direction(outcome: Outcome, alpha: float) -> int:
    """Expected sign of the change if H-Neurons have a part in hallucination; see `EXPECTED_SILENT`."""
    return EXPECTED_SILENT[outcome] if alpha < 1 else -EXPECTED_SILENT[outcome]


def intervened(
    gathered: Gathered,
    stage: Stage,
    h_neurons: Int[np.ndarray, " k"],
    *,
    seed: int,
    sets: int = SETS,
    sets_asked: int = SETS_ASKED,
) -> tuple[CausalEffect, ...]:
    """Scales the instruct checkpoint's H-Neurons in one model of a comparison, on its in-domain held-out answers.

    Choice: in the base the aligned neurons are scaled; those that it lacks are left out, which lowers `k`, and control
    sets are drawn only from base neurons with a counterpart.

    Args:
        stage: The model to intervene on; it is loaded if a set is not cached, and stays loaded.
        h_neurons: Flat ids in the instruct checkpoint, distinct.
        sets_asked: Sets of each kind that also answer questions; at most `sets`.

    Returns:
        See `causal_effects`. Empty without neurons to scale: no H-Neurons, none that the base has, or ids that name
        other neurons in the base (`alignment.reason`).

    Raises:
        QuestionError: There are no validation questions.
        InputError, CaptureError, NonFiniteError, StoreError: See `causal_effects`.
    """
    subject, alignment = gathered.subjects[stage], gathered.alignment
    ids, apart = h_neurons, NO_NEURONS
    if stage == "base":
        ids = own_ids(stage, h_neurons, alignment) if not alignment.reason else apart
        apart = np.setdiff1d(np.arange(subject.layout.layers * subject.layout.d_m), alignment.base_ids)
    trial = Trial(subject, gathered.used(stage), suppression_questions(subject.training, QUESTIONS))
    work = partial(causal_effects, trial, ids, apart, seed=seed, sets=sets, sets_asked=sets_asked)
    return subject.clock.timed(f"causal {stage}", work)


def causal_effects(
    trial: Trial,
    ids: Int[np.ndarray, " k"],
    apart: Int[np.ndarray, " a"],
    *,
    seed: int,
    sets: int = SETS,
    sets_asked: int = SETS_ASKED,
) -> tuple[CausalEffect, ...]:
    """Effects on a model's answers of scaling H-Neurons, and control sets, by 0 and by 2.

    By factor, outcome and kind, same control sets for both factors; no outcomes without answers, empty without neurons.

    Args:
        ids: Flat ids (layer * d_m + index) of the H-Neurons in the model's own order, distinct.
        apart: Neurons excluded from control sets, beside the H-Neurons if the model has room for that.
        sets_asked: Sets of each kind that also answer questions; at most `sets`.

    Raises:
        InputError: Too few neurons are left to draw control sets from.
        PairError: An id outside the model or given twice, or token ids that the model does not have.
        SplitError, QuestionError: See `provenance.analyses.asking.suppression.right_answers`.
        CaptureError: The neurons of some layer, or the logits, could not be reached.
        NonFiniteError: An answer has no finite log-probability, usually because the dtype overflows.
        StoreError: Results of a set cannot be written.
    """
    if not ids.size:
        return ()
    subject = trial.subject
    arms = control_arms(ids, subject.layout.layers, subject.layout.d_m, apart, sets, seed)
    few = {kind: members[:sets_asked] for kind, members in arms.items()}
    chosen = first_of_each_class(trial.answers)
    hallucinated = np.array([response.label == "hallucinated" for response in chosen], dtype=bool)
    units = [response.unit for response in chosen]
    asked_units = [question.unit for question, _ in trial.questions.entries]
    read = contrasts(hallucinated, resampled_weights(units, seed=seed))
    asked: dict[Outcome, np.ndarray] = {"correct": resampled_shares(asked_units, seed=seed)}
    effects: list[CausalEffect] = []
    for alpha in ALPHAS:
        if chosen:
            changes = changes_of(partial(scaled_log_probabilities, subject, chosen, alpha), arms)
            effects += _effects(subject.stage, alpha, ids.size, read, units, changes)
        right = changes_of(partial(_right, trial, alpha), few)
        effects += _effects(subject.stage, alpha, ids.size, asked, asked_units, right)
    return tuple(effects)


def control_arms(
    ids: Int[np.ndarray, " k"], layers: int, d_m: int, apart: Int[np.ndarray, " a"], sets: int, seed: int
) -> dict[CausalKind, Int[np.ndarray, "_ k"]]:
    """The H-Neurons as a single set, then control sets of equal size by kind.

    Raises:
        InputError, PairError: See `causal_effects`.
    """
    excluded = excluded_from_controls(ids, apart, layers, d_m)
    arms: dict[CausalKind, np.ndarray] = {"h_neurons": np.sort(ids)[None]}
    for number, kind in enumerate(CONTROL_KINDS):
        rng = np.random.default_rng([seed, number])  # sets of one kind do not depend on the number of the other kind
        arms[kind] = neuron_sets(kind, ids, layers, d_m, K=sets, rng=rng, excluded=excluded)
    return arms


def first_of_each_class(answers: Sequence[Response], limit: int = ANSWERS_PER_CLASS) -> tuple[Response, ...]:
    """The first `limit` answers of each class, in order; all of a smaller class."""
    kept = {id(row) for label in KEPT_LABELS for row in [r for r in answers if r.label == label][:limit]}
    return tuple(response for response in answers if id(response) in kept)


def contrasts(
    hallucinated: Bool[np.ndarray, " rows"], weights: Float[np.ndarray, "samples rows"]
) -> dict[Outcome, Float[np.ndarray, "samples rows"]]:
    """Weights of each row in each outcome; an outcome of a sample is their product with the rows' values.

        w_i / sum_C w   for a row of class C;   selectivity = hallucinated - faithful

    Empty classes have no outcome; a sample that lacks a class is NaN. w are the multiplicities of `resampled_weights`.
    """
    found: dict[Outcome, np.ndarray] = {}
    classes: dict[Outcome, np.ndarray] = {
        "faithful_log_probability": ~hallucinated,
        "hallucinated_log_probability": hallucinated,
    }
    for outcome, members in classes.items():
        if members.any():
            own = weights * members
            total = own.sum(axis=1, keepdims=True)
            found[outcome] = np.divide(own, total, out=np.full_like(own, np.nan), where=total > 0)
    if len(found) == len(classes):
        found["selectivity"] = found["hallucinated_log_probability"] - found["faithful_log_probability"]
    return found


def changes_of(
    measure: Callable[[Sequence[Int[np.ndarray, " _"]]], Float64[np.ndarray, "sets rows"]],
    arms: Mapping[CausalKind, Int[np.ndarray, "_ k"]],
) -> dict[CausalKind, Float64[np.ndarray, "_ rows"]]:
    """Change of each row by each set, relative to the unchanged model."""
    everything = [ids for members in arms.values() for ids in members]
    values = measure([NO_NEURONS, *everything])
    ends = np.cumsum([len(members) for members in arms.values()])
    return dict(zip(arms, np.split(values[1:] - values[0], ends[:-1]), strict=True))


def scaled_log_probabilities(
    subject: Subject, chosen: Sequence[Response], alpha: float, sets: Sequence[Int[np.ndarray, " _"]]
) -> Float64[np.ndarray, "sets answers"]:
    """Mean log-probability (nats per token, <= 0) of each chosen answer with a set's neurons multiplied by alpha >= 0.

    See `provenance.activations.reading.answer_log_probability`. Flat ids ascend; the empty set changes nothing.

    Raises:
        InputError, PairError, CaptureError, NonFiniteError, StoreError: See `causal_effects`.
    """
    task = subject.task(subject.held_out)
    read = identity_digest([[r.prompt_ids, r.response_ids, [asdict(region) for region in r.regions]] for r in chosen])
    task = replace(task, settings={**task.settings, "answers_sha256": read})
    values = np.empty((len(sets), len(chosen)))
    for number, ids in enumerate(sets):
        one = scaled_task(task, ids, alpha, "answer log-probability with neurons scaled")
        compute = partial(_log_probability, subject, chosen, alpha, ids)
        values[number] = subject.remembered(one, compute, chosen)
        note = f"{ids.size} neurons scaled by {alpha:g}"
        subject.clock.progress.step(f"scale {subject.stage} log-probability", number + 1, len(sets), note)
    return values


def _log_probability(
    subject: Subject, chosen: Sequence[Response], alpha: float, ids: Int[np.ndarray, " k"]
) -> Float64[np.ndarray, " answers"]:
    loaded = subject.model()
    with scaled(loaded, ids, alpha):
        return answer_log_probability(loaded, chosen)


def _right(trial: Trial, alpha: float, sets: Sequence[Int[np.ndarray, " _"]]) -> Float64[np.ndarray, "sets questions"]:
    return right_answers(trial.subject, trial.questions, sets, alpha).astype(np.float64)


def _effects(
    stage: Stage,
    alpha: float,
    k: int,
    outcomes: Mapping[Outcome, Float[np.ndarray, "samples rows"]],
    units: Sequence[str],
    changes: Mapping[CausalKind, Float64[np.ndarray, "_ rows"]],
) -> list[CausalEffect]:
    effects: list[CausalEffect] = []
    for outcome, counted in outcomes.items():
        questions = {units[row] for row in np.flatnonzero(counted[0]).tolist()}
        own = estimate_of(counted @ changes["h_neurons"][0], len(questions))
        effects.append(CausalEffect(stage, alpha, "h_neurons", outcome, k, own, (), None))
        sign = direction(outcome, alpha)
        for kind in CONTROL_KINDS:
            draws = changes[kind] @ counted[0]
            p_value = permutation_p(sign * draws, sign * own.estimate)
            found = tuple(draws.tolist())
            effects.append(CausalEffect(stage, alpha, kind, outcome, k, over_sets(draws), found, p_value))
    return effects
