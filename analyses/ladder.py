"""What transfer has to beat on the base's own answers, rung by rung.

The one idea: a probe that is better than chance may only have found long answers, or hard questions. So its
AUROC is put beside that of everything cheaper, fitted on the same rows, on the same resampled questions;
and at last beside all of them together, since what no single one explains their sum may.

Source: Gao et al. 2025, arXiv:2512.01797, Table 1, for random neurons. Choice: all the others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from analyses.answers import Answers
from analyses.baselines import BASELINE_KINDS, FittedBaselines, lengths
from analyses.controls import CONTROL_KINDS
from analyses.cross_fit import without_and_with
from analyses.evidence_results import Rung
from analyses.multiple import holm
from analyses.transfer import LENGTHS_AND_TEXTS, obstacle
from provenance.intervals import BOOTSTRAP_DRAWS
from provenance.resampling import (
    estimate_of,
    p_not_above,
    resampled_aurocs,
    resampled_column_aurocs,
    resampled_weights,
)

ALL_TOGETHER = "all_together"
NESTED_KINDS = (LENGTHS_AND_TEXTS, ALL_TOGETHER)
RUNG_KINDS = (*BASELINE_KINDS, *NESTED_KINDS)
TEXT_KINDS = ("question_text", "answer_text")


def ladder(
    fitted: FittedBaselines, tests: Mapping[str, Answers], *, resamples: int = BOOTSTRAP_DRAWS, seed: int = 0
) -> tuple[Rung, ...]:
    """Every baseline's AUROC on a model's own answers, and what the probe gains over it.

        p = (1 + #{b : gain_b <= 0}) / (1 + B);   over sets of neurons also the share of sets that reach the probe

    `lengths_and_texts` is a logistic regression on both lengths and both texts' scores, cross-fitted by question on
    the scored answers (`analyses.cross_fit`), without and with the probe's score. The classifiers themselves were
    fitted on the instruct checkpoint's answers; what lengths say in the base's alone, they cannot know, but this does.
    `all_together` has the log-probability as well, and no number where there is none. Sets of neurons are in
    neither: a hundred of them together are no control but a probe on thousands of neurons.

    Args:
        fitted: A probe and its baselines, fitted on the instruct checkpoint's training answers.
        tests: Balanced answers by question set: the base's own, or any model's, whose neurons are in the order of
            the probe's.
        resamples: Of questions; those of `analyses.transfer.transfer` with the same seed.
        seed: Of resamples and folds.

    Returns:
        By question set, kinds in the order of `RUNG_KINDS`, every kind present. No number where a class is missing, a
        baseline could not be fitted or lacks what it reads, or questions are too few for folds. Intervals are
        by question, 95 %. `p_holm` is per kind, over the question sets that have power.

    Raises:
        FitError: A log-probability that is not finite.
    """
    with threadpool_limits(limits=1, user_api="blas"):  # products this small only wait for one another on several
        rungs = [rung for name, answers in tests.items() for rung in _rungs(fitted, name, answers, resamples, seed)]
    powered = {name for name, answers in tests.items() if not obstacle(_own(fitted, answers), answers.features)}
    return tuple(_corrected(rungs, powered))


def _own(fitted: FittedBaselines, answers: Answers) -> Float[np.ndarray, " rows"]:
    return fitted.probe.scores(answers.features.answer)


def _rungs(fitted: FittedBaselines, name: str, answers: Answers, resamples: int, seed: int) -> list[Rung]:
    """All rungs of one question set, not yet corrected for the others."""
    if not answers.both_classes:
        return [_unknown(name, kind) for kind in RUNG_KINDS]
    positive = answers.features.hallucinated
    weights = resampled_weights(answers.features.units, draws=resamples, seed=seed)
    own = resampled_aurocs(_own(fitted, answers)[:, None], positive, weights)
    rungs: list[Rung] = []
    for kind in BASELINE_KINDS:
        said = fitted.scorers[kind](answers) if kind in fitted.scorers else None
        if said is None:
            rungs.append(_unknown(name, kind))
        else:
            areas = resampled_column_aurocs(said.ranking, positive, weights)
            rungs.append(_rung(name, kind, own, areas, positive.size))
    for kind in NESTED_KINDS:
        nested = _nested(fitted, answers, seed, confidence=kind == ALL_TOGETHER)
        if nested is None:
            rungs.append(_unknown(name, kind))
        else:
            areas = resampled_column_aurocs(nested, positive, weights)
            rungs.append(_rung(name, kind, areas[:, 1], areas[:, :1], positive.size))
    return rungs


def _rung(
    name: str,
    kind: str,
    own: Float[np.ndarray, " samples"],
    areas: Float[np.ndarray, "samples columns"],
    n: int,
) -> Rung:
    """One baseline with a column for each of its classifiers, the probe's areas on the same samples beside it."""
    gains = own[:, None] - areas
    sets = areas.shape[1] if kind in CONTROL_KINDS else 0
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
    )


def _unknown(name: str, kind: str) -> Rung:
    """A rung that could not be computed."""
    return Rung(name, kind, auroc=None, gain=None, p_value=None, p_holm=None, draws=0)


def _nested(
    fitted: FittedBaselines, answers: Answers, seed: int, *, confidence: bool
) -> Float[np.ndarray, "rows 2"] | None:
    """Out-of-fold values of what is known from outside, and of the model's confidence, without and with the probe."""
    texts = [fitted.scorers[kind](answers) for kind in TEXT_KINDS if kind in fitted.scorers]
    columns = [lengths(answers), *(said.decisions for said in texts if said is not None)]
    if len(columns) <= len(TEXT_KINDS):
        return None
    if confidence:
        if answers.log_probability is None:
            return None
        columns.append(-answers.log_probability.astype(np.float64)[:, None])
    features = answers.features
    values = without_and_with(
        np.concatenate(columns, axis=1), _own(fitted, answers), features.hallucinated, features.units, seed=seed
    )
    return None if values is None else np.stack(values, axis=1)


def _corrected(rungs: Sequence[Rung], powered: set[str]) -> Iterable[Rung]:
    """The same rungs with Holm's correction of each kind over the question sets that have power."""
    adjusted: dict[tuple[str, str], float] = {}
    for kind in RUNG_KINDS:
        tested = {
            rung.dataset: rung.p_value
            for rung in rungs
            if rung.kind == kind and rung.dataset in powered and rung.p_value is not None
        }
        after = holm(np.array(list(tested.values()), dtype=np.float64))
        adjusted |= {(name, kind): p for name, p in zip(tested, after.tolist(), strict=True)}
    return (replace(rung, p_holm=adjusted.get((rung.dataset, rung.kind))) for rung in rungs)
