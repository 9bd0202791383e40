"""Baselines on the probe's own answers: other neurons, other labels, lengths, words, confidence, directions.

0.5 is the wrong null, because the question alone already predicts many hallucinations. Each baseline is fitted and
scored on the probe's rows (of one checkpoint, or of two for transfer) and compared on the same resampled questions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.activations.neuron_rows import NO_NEURONS, NeuronRows
from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.baselines.directions import Direction, Directions, fit_directions
from provenance.analyses.baselines.plain_classifiers import ColumnScorer, TextScorer, fit_columns, fit_text
from provenance.analyses.controls.control_probes import ControlProbe, control_scores
from provenance.analyses.controls.control_sets import SET_KINDS, SHUFFLED_LABELS, ControlSetKind
from provenance.analyses.results.probes import Baseline
from provenance.analyses.transfer.probe_transfer import CONTROL_DRAWS, refit_controls
from provenance.probe.l1_path import Fit
from provenance.probe.sparse_probe import Probe, fit_scores
from provenance.statistics.auroc import aurocs
from provenance.statistics.bootstrap import estimate_of, resampled_aurocs, resampled_means, resampled_weights
from provenance.words import DIRECTIONS

BASELINE_KINDS = (
    *SET_KINDS, "answer_length", "question_text", "answer_text", "answer_log_probability", *DIRECTIONS,
)  # fmt: skip


@dataclass(frozen=True)
class Decided:
    """Predictions of one baseline, one column per classifier."""

    ranking: Float[np.ndarray, "rows columns"]
    """Higher = more likely hallucinated; used for the AUROC."""
    decisions: Float[np.ndarray, "rows columns"]
    """Above 0 = called hallucinated; used for the accuracy."""


Scorer = Callable[[Answers], Decided | None]
"""Returns None if the answers lack the baseline's input."""


@dataclass(frozen=True)
class FittedBaselines:
    """A probe and its baselines, fitted on the same training answers."""

    probe: Probe
    controls: Mapping[ControlSetKind, tuple[ControlProbe, ...]]
    """Its refitted neuron sets by kind, also used by the transfer test."""
    scorers: Mapping[str, Scorer]
    """By kind, in the order of `BASELINE_KINDS`; kinds that could not be fitted are missing."""
    directions: Mapping[str, Directions] = field(default_factory=dict)
    """In the residual stream, by kind; empty where it was not read, or questions are too few."""


def fit_baselines(
    probe: Probe,
    train: Answers,
    layers: int,
    d_m: int,
    shuffled: Sequence[Fit] = (),
    *,
    unmapped: Int[np.ndarray, " u"] = NO_NEURONS,
    draws: int = CONTROL_DRAWS,
    seed: int = 0,
) -> FittedBaselines:
    """Fits all baselines of a probe; they can then score any number of question sets.

    Without a class there are no scorers; none for neuron sets without a weight on a mapped neuron, none for the
    log-probability or directions if `train` has no such numbers.

    Args:
        probe: Neuron sets have as many neurons as it has non-zero weights.
        train: All rows that the probe was fitted on: training and validation answers.
        shuffled: The same search on these rows with shuffled labels, weights as found; without them no such scorer.
        unmapped: Flat ids of neurons that the scored checkpoint lacks, excluded from neuron sets.

    Source: Gao et al. 2025, arXiv:2512.01797, Table 1, for random neurons. Choice: all the others.
    """
    if not train.both_classes:
        return FittedBaselines(probe, {}, {})
    controls = refit_controls(probe, train.features, layers, d_m, unmapped=unmapped, draws=draws, seed=seed)
    scorers = {str(kind): neuron_scorer(partial(control_scores, probes)) for kind, probes in controls.items() if probes}
    if shuffled:
        scorers[SHUFFLED_LABELS] = neuron_scorer(partial(fit_scores, shuffled))
    scorers |= fit_texts(train)
    if train.log_probability is not None:
        scorers["answer_log_probability"] = _improbability(train.log_probability, train.features.hallucinated)
    directions = fit_directions(train.features, layers)
    scorers |= {kind: partial(_by_direction, each.chosen) for kind, each in directions.items()}
    return FittedBaselines(probe, controls, scorers, directions)


def score_baselines(fitted: FittedBaselines, test: Answers, *, seed: int = 0) -> tuple[Baseline, ...]:
    """Accuracy and AUROC of each baseline on balanced held-out answers, and the probe's gain over it.

    In the order of `BASELINE_KINDS`; empty if a class is missing. Intervals are by question, 95 %, from shared samples;
    for neuron sets they are those of the mean over sets.
    """
    if not test.both_classes:
        return ()
    positive = test.features.hallucinated
    weights = resampled_weights(test.features.units, seed=seed)
    own = resampled_aurocs(fitted.probe.scores(test.features.answer)[:, None], positive, weights)
    decided = {kind: scorer(test) for kind, scorer in fitted.scorers.items()}
    return tuple(_baseline(kind, said, positive, weights, own) for kind, said in decided.items() if said is not None)


def _baseline(
    kind: str,
    said: Decided,
    positive: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, "samples rows"],
    own: Float[np.ndarray, " samples"],
) -> Baseline:
    areas = resampled_aurocs(said.ranking, positive, weights)
    right = ((said.decisions > 0) == positive[:, None]).mean(axis=1)
    sets = aurocs(said.ranking, positive) if kind in SET_KINDS else np.empty(0)
    return Baseline(
        kind,
        accuracy=estimate_of(resampled_means(right, weights), positive.size),
        auroc=estimate_of(areas, positive.size),
        gain=estimate_of(own - areas, positive.size),
        draws=tuple(sets.tolist()),
    )


def neuron_scorer(decisions: Callable[[NeuronRows], Float[np.ndarray, "rows probes"]]) -> Scorer:
    """A scorer of many probes on neurons, by their decision values on the rows of answers."""
    return partial(_by_neurons, decisions)


def _by_neurons(decisions: Callable[[NeuronRows], Float[np.ndarray, "rows probes"]], test: Answers) -> Decided:
    values = decisions(test.features.answer)
    return Decided(values, values)


def fit_texts(train: Answers, *, sparse: bool = False) -> dict[str, Scorer]:
    """Classifiers of length and words, which need no model; with `sparse`, only few words have a weight.

    Raises:
        FitError: One class only.
    """
    labels = train.features.hallucinated
    length = fit_columns(lengths(train), labels)
    question, answer = (fit_text(texts, labels, sparse=sparse) for texts in (train.questions, train.answers))
    return {
        "answer_length": partial(_by_length, length),
        "question_text": partial(_by_question, question),
        "answer_text": partial(_by_answer, answer),
    }


def _by_length(decide: ColumnScorer, test: Answers) -> Decided:
    return _one_column(decide(lengths(test)))


def _by_question(decide: TextScorer, test: Answers) -> Decided:
    return _one_column(decide(test.questions))


def _by_answer(decide: TextScorer, test: Answers) -> Decided:
    return _one_column(decide(test.answers))


def lengths(answers: Answers) -> Float[np.ndarray, "rows 4"]:
    """Tokens and characters of each answer and their squares, so that short and long ones can stand out. Float64."""
    plain = np.stack([answers.tokens.astype(np.float64), [float(len(text)) for text in answers.answers]], axis=1)
    return np.concatenate([plain, plain**2], axis=1)


def question_lengths(answers: Answers) -> Float[np.ndarray, "rows 2"]:
    """Words and characters of each question, which TF-IDF rows of length 1 do not contain. Float64."""
    return np.array([(len(text.split()), len(text)) for text in answers.questions], dtype=np.float64).reshape(-1, 2)


def _improbability(train: Float[np.ndarray, " rows"], labels: Bool[np.ndarray, " rows"]) -> Scorer:
    """Ranks answers by improbability: an AUROC below 0.5 says that the model was surer of its errors."""
    # Choice: the direction follows from the meaning of the number, as in the literature on uncertainty. Only the
    # decisions are fitted on training answers.
    return partial(_by_improbability, fit_columns(train[:, None].astype(np.float64), labels))


def _by_improbability(decide: ColumnScorer, test: Answers) -> Decided | None:
    if test.log_probability is None:
        return None
    values = test.log_probability.astype(np.float64)[:, None]
    return Decided(-values, decide(values)[:, None])


def _by_direction(direction: Direction, test: Answers) -> Decided | None:
    stream = test.features.residual
    return None if stream is None else _one_column(direction.scores(stream))


def _one_column(values: Float[np.ndarray, " rows"]) -> Decided:
    return Decided(values[:, None], values[:, None])
