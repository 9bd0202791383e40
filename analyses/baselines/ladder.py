"""The probe compared with every baseline, and with all together, on the base's own answers and resampled questions.

A probe better than chance may only have found long answers or hard questions. Baselines are fitted on the same rows.
Source: Gao et al. 2025, arXiv:2512.01797, Table 1, for random neurons. Choice: all the others.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.baselines.answer_baselines import (
    BASELINE_KINDS,
    FittedBaselines,
    Scorer,
    fit_texts,
    lengths,
    question_lengths,
)
from provenance.analyses.baselines.cross_fit import FOLDINGS, Folding, dealings, without_and_with
from provenance.analyses.controls.control_sets import SET_KINDS, SHUFFLED_LABELS
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.analyses.transfer.training_variance import half_deviations, over_training_sets
from provenance.probe.l1_path import Fit
from provenance.processes.blas_threads import blas_threads
from provenance.processes.fork_join import fork_join
from provenance.statistics.bootstrap import (
    BOOTSTRAP_DRAWS,
    estimate_of,
    p_not_above,
    resampled_aurocs,
    resampled_column_aurocs,
    resampled_weights,
)
from provenance.statistics.holm import holm
from provenance.words import DIRECTIONS, JOINT_BASELINES

ALL_TOGETHER = "all_together"
DIRECTIONS_TOGETHER = "directions_together"
RUNG_KINDS = (*BASELINE_KINDS, *JOINT_BASELINES)
TEXT_KINDS = ("question_text", "answer_text")


def ladder(
    fitted: FittedBaselines,
    tests: Mapping[str, Answers],
    own: Answers,
    dealt: Mapping[str, Sequence[Folding]],
    halves: Sequence[Fit] = (),
    *,
    resamples: int = BOOTSTRAP_DRAWS,
    seed: int = 0,
) -> tuple[Rung, ...]:
    """AUROC of every baseline on a model's own answers, and the probe's gain over it.

        p = (1 + #{b : gain_b <= 0}) / (1 + B);   over sets of neurons also the share of sets that reach the probe

    `lengths_and_texts` is a logistic regression on lengths of answer and question and on text scores, cross-fitted by
    question on the scored answers (`provenance.analyses.baselines.cross_fit`), without and with the probe's score. The
    single baselines were fitted on the instruct checkpoint's answers and miss lengths or words that go with the label
    in the base only. So texts are scored three times: by those baselines, by sparse classifiers of the base's training
    answers, and by cross-fitted classifiers of the scored answers, for question sets with their own words. None of them
    sees a signal spread over many words that hardly recur. `all_together` adds the log-probability (mean, its square,
    and the sum over tokens), and has no number without it. Both leave neuron sets out: a hundred of them together form
    a probe on thousands of neurons, not a control. `directions_together` is the same regression on both directions in
    the residual stream alone, carried over from the instruct checkpoint: what the probe adds to a direction.

    Args:
        fitted: From the instruct checkpoint's training answers.
        tests: Balanced answers of any model by question set, with neurons in the order of the probe's.
        own: Training answers of the model that gave `tests`; with one label only they give no classifiers.
        dealt: Partitions of `tests` by question set, from `words_dealt`; values are averaged over them.
        halves: The probe on halves of its training questions. Gains over single baselines and neuron sets then vary
            with the probe's training set, too; baselines count as given. Gains of joint kinds do not, nor those over
            `shuffled_labels`: a permutation test on the same training answers, whose shuffles are the other draws.

    Returns:
        By question set, every kind present, in the order of `RUNG_KINDS`. No number if a class is missing, a baseline
        could not be fitted or lacks its input, or questions are too few for folds. Intervals: 95 %, by question, on the
        samples of `provenance.analyses.transfer.probe_transfer.transfer` with this seed. `corrected` adds `p_holm`.

    Raises:
        FitError: A log-probability that is not finite.
    """
    with blas_threads(1):
        again = fit_texts(own, sparse=True) if own.both_classes else {}

    def of(name: str, answers: Answers) -> list[Rung]:
        if not answers.both_classes:
            return [_unknown(name, kind) for kind in RUNG_KINDS]
        with blas_threads(1):
            weights = resampled_weights(answers.features.units, draws=resamples, seed=seed)
            deviations = half_deviations(halves, answers.features)
            plain = _plain(fitted, name, answers, weights, deviations, seed)
            return [*plain, *_nested(fitted, again, name, answers, weights, dealt[name])]

    return tuple(
        rung for rungs in fork_join([partial(of, name, answers) for name, answers in tests.items()]) for rung in rungs
    )


def word_dealings(
    tests: Mapping[str, Answers], *, foldings: int = FOLDINGS, seed: int = 0
) -> dict[str, list[Callable[[], Folding]]]:
    """Partitions of the answers to each question set of two classes with the words of both texts, a piece of work each.

    None where questions are too few for folds.
    """
    return {
        name: dealings(
            (test.questions, test.answers), test.features.hallucinated, test.features.units, count=foldings, seed=seed
        )
        for name, test in tests.items()
        if test.both_classes
    }


def words_dealt(tests: Mapping[str, Answers], *, foldings: int = FOLDINGS, seed: int = 0) -> dict[str, list[Folding]]:
    """All partitions of `word_dealings`, by question set."""
    return {name: fork_join(pieces) for name, pieces in word_dealings(tests, foldings=foldings, seed=seed).items()}


def corrected(rungs: Sequence[Rung], results: Sequence[TransferResult]) -> tuple[Rung, ...]:
    """Adds `p_holm` of each kind, by Holm's correction over the question sets with power: those with p in `results`."""
    powered = {result.dataset for result in results if result.p_holm is not None}
    adjusted: dict[tuple[str, str], float] = {}
    for kind in RUNG_KINDS:
        tested = {
            rung.dataset: rung.p_value
            for rung in rungs
            if rung.kind == kind and rung.dataset in powered and rung.p_value is not None
        }
        after = holm(np.array(list(tested.values()), dtype=np.float64))
        adjusted |= {(name, kind): p for name, p in zip(tested, after.tolist(), strict=True)}
    return tuple(replace(rung, p_holm=adjusted.get((rung.dataset, rung.kind))) for rung in rungs)


def _own(fitted: FittedBaselines, answers: Answers) -> Float[np.ndarray, " rows"]:
    return fitted.probe.scores(answers.features.answer)


def _plain(
    fitted: FittedBaselines,
    name: str,
    answers: Answers,
    weights: Float[np.ndarray, "samples rows"],
    deviations: Float[np.ndarray, " halves"],
    seed: int,
) -> Iterator[Rung]:
    positive = answers.features.hallucinated
    given = resampled_aurocs(_own(fitted, answers)[:, None], positive, weights)
    own = over_training_sets(given, deviations, seed)
    for kind in BASELINE_KINDS:
        said = fitted.scorers[kind](answers) if kind in fitted.scorers else None
        if said is None:
            yield _unknown(name, kind)
        else:
            areas = resampled_column_aurocs(said.ranking, positive, weights)
            yield _rung(name, kind, given if kind == SHUFFLED_LABELS else own, areas, positive.size)


def _nested(
    fitted: FittedBaselines,
    again: Mapping[str, Scorer],
    name: str,
    answers: Answers,
    weights: Float[np.ndarray, "samples rows"],
    dealt: Sequence[Folding],
) -> Iterator[Rung]:
    positive, units = answers.features.hallucinated, answers.features.units
    plain: Sequence[Folding] = [folding.without_words() for folding in dealt]
    for kind in JOINT_BASELINES:
        if kind == DIRECTIONS_TOGETHER:
            others, parts = _directions(fitted, answers), plain
        else:
            others, parts = _others(fitted, again, answers, confidence=kind == ALL_TOGETHER), dealt
        if others is None or not parts:
            yield _unknown(name, kind)
        else:
            values = without_and_with(others, _own(fitted, answers), positive, units, parts)
            areas = resampled_column_aurocs(np.stack(values, axis=1), positive, weights)
            yield _rung(name, kind, areas[:, 1], areas[:, :1], positive.size)


def _rung(
    name: str,
    kind: str,
    own: Float[np.ndarray, " samples"],
    areas: Float[np.ndarray, "samples columns"],
    n: int,
) -> Rung:
    gains = own[:, None] - areas
    sets = areas.shape[1] if kind in SET_KINDS else 0
    spread = gains[1:][np.isfinite(gains[1:])]
    return Rung(
        dataset=name,
        kind=kind,
        auroc=estimate_of(areas.mean(axis=1), n),
        gain=estimate_of(own - areas.mean(axis=1), n),
        p_value=p_not_above(gains if sets else gains[:, 0]),
        p_holm=None,
        draws=sets,
        gain_sd=float(spread.std()) if spread.size else None,
        **_over_sets(areas[0]) if sets else {},
    )


def _over_sets(aurocs: Float[np.ndarray, " sets"]) -> dict[str, Any]:
    low, high, p95 = np.quantile(aurocs, [0.025, 0.975, 0.95]).tolist()
    return {"sets_low": low, "sets_high": high, "sets_p95": p95, "set_aurocs": tuple(aurocs.tolist())}


def _unknown(name: str, kind: str) -> Rung:
    return Rung(name, kind, auroc=None, gain=None, p_value=None, p_holm=None, draws=0)


def _directions(fitted: FittedBaselines, answers: Answers) -> Float[np.ndarray, "rows columns"] | None:
    said = [fitted.scorers[kind](answers) for kind in DIRECTIONS if kind in fitted.scorers]
    columns = [each.decisions for each in said if each is not None]
    return np.concatenate(columns, axis=1) if columns else None


def _others(
    fitted: FittedBaselines, again: Mapping[str, Scorer], answers: Answers, *, confidence: bool
) -> Float[np.ndarray, "rows columns"] | None:
    if not set(TEXT_KINDS) <= set(fitted.scorers):
        return None
    texts = [scorers[kind](answers) for scorers in (fitted.scorers, again) for kind in TEXT_KINDS if kind in scorers]
    columns = [lengths(answers), question_lengths(answers), *(said.decisions for said in texts if said is not None)]
    if confidence:
        if answers.log_probability is None:
            return None
        mean = answers.log_probability.astype(np.float64)
        columns.append(np.stack([mean, mean**2, mean * answers.tokens], axis=1))
    return np.concatenate(columns, axis=1)
