"""What a probe has to beat on the same answers: other neurons, lengths, words, and the model's own confidence.

The one idea: 0.5 is the wrong null. A classifier that sees only the question can already tell many
hallucinations, so each of these is fitted on the rows that the probe was fitted on, scores the rows
that the probe scores, and is compared with it on the same resampled questions.

Whose rows they are does not matter here: train and test may be of one checkpoint (identification) or of
two (transfer).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.activations.neuron_rows import NO_NEURONS
from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.baselines.plain_classifiers import fit_columns, fit_text
from provenance.analyses.controls.control_probes import ControlProbe, control_scores
from provenance.analyses.controls.control_sets import CONTROL_KINDS, ControlSetKind
from provenance.analyses.results.probes import Baseline
from provenance.analyses.transfer.probe_transfer import CONTROL_DRAWS, refit_controls
from provenance.probe.sparse_probe import Probe
from provenance.statistics.auroc import aurocs
from provenance.statistics.bootstrap import estimate_of, resampled_aurocs, resampled_means, resampled_weights

BASELINE_KINDS = (*CONTROL_KINDS, "answer_length", "question_text", "answer_text", "answer_log_probability")


@dataclass(frozen=True)
class Decided:
    """What one baseline says about answers, a column per classifier."""

    ranking: Float[np.ndarray, "rows columns"]
    """Higher = more likely hallucinated; what the AUROC is taken of."""
    decisions: Float[np.ndarray, "rows columns"]
    """Above 0 = called hallucinated; what the accuracy is taken of."""


Scorer = Callable[[Answers], Decided | None]
"""None where the answers lack what the baseline reads."""


@dataclass(frozen=True)
class FittedBaselines:
    """A probe and its baselines, fitted on the same training answers."""

    probe: Probe
    """What is to be compared."""
    controls: Mapping[ControlSetKind, tuple[ControlProbe, ...]]
    """Its refitted neuron sets by kind, which a test of transfer uses as well."""
    scorers: Mapping[str, Scorer]
    """By kind, in the order of `BASELINE_KINDS`; kinds that could not be fitted are missing."""


def fit_baselines(
    probe: Probe,
    train: Answers,
    layers: int,
    d_m: int,
    *,
    unmapped: Int[np.ndarray, " u"] = NO_NEURONS,
    draws: int = CONTROL_DRAWS,
    seed: int = 0,
) -> FittedBaselines:
    """Fit all baselines of a probe; they can then score any number of question sets.

    Args:
        probe: What they are compared with. Neuron sets have as many neurons as it has weights.
        train: All rows that it was fitted on: training and validation answers. Nothing else is fitted on.
        layers: Layers of the model.
        d_m: Neurons per layer.
        unmapped: Flat ids of neurons that the scored checkpoint lacks; no neuron set holds one.
        draws: Neuron sets of each kind.
        seed: Of the neuron sets.

    Returns:
        No scorer at all where a class is missing; none of neuron sets for a probe without a weight on a
        mapped neuron; none of the log-probability where `train` has none.

    Source: Gao et al. 2025, arXiv:2512.01797, Table 1, for random neurons. Choice: all the others.
    """
    if not train.both_classes:
        return FittedBaselines(probe, {}, {})
    controls = refit_controls(probe, train.features, layers, d_m, unmapped=unmapped, draws=draws, seed=seed)
    scorers: dict[str, Scorer] = {str(kind): _set_scorer(probes) for kind, probes in controls.items() if probes}
    scorers |= fit_texts(train)
    if train.log_probability is not None:
        scorers["answer_log_probability"] = _improbability(train.log_probability, train.features.hallucinated)
    return FittedBaselines(probe, controls, scorers)


def score_baselines(fitted: FittedBaselines, test: Answers, *, seed: int = 0) -> tuple[Baseline, ...]:
    """What each baseline is worth on answers that nothing was fitted on, and what the probe adds to it.

    Args:
        fitted: From `fit_baselines`.
        test: Balanced answers to held-out questions.
        seed: Of the bootstrap, which the probe and all baselines share.

    Returns:
        In the order of `BASELINE_KINDS`; empty when a class is missing. Intervals are by question, 95 %;
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
    sets = aurocs(said.ranking, positive) if kind in CONTROL_KINDS else np.empty(0)
    return Baseline(
        kind,
        accuracy=estimate_of(resampled_means(right, weights), positive.size),
        auroc=estimate_of(areas, positive.size),
        gain=estimate_of(own - areas, positive.size),
        draws=tuple(sets.tolist()),
    )


def _set_scorer(probes: tuple[ControlProbe, ...]) -> Scorer:
    def score(test: Answers) -> Decided:
        values = control_scores(probes, test.features.answer)
        return Decided(values, values)

    return score


def fit_texts(train: Answers, *, sparse: bool = False) -> dict[str, Scorer]:
    """Length and words: what can be known without a model.

    Args:
        train: What they are fitted on.
        sparse: Whether few words are to have a weight.

    Raises:
        FitError: One class only.
    """
    labels = train.features.hallucinated
    length = fit_columns(lengths(train), labels)
    question, answer = (fit_text(texts, labels, sparse=sparse) for texts in (train.questions, train.answers))
    return {
        "answer_length": lambda test: _one_column(length(lengths(test))),
        "question_text": lambda test: _one_column(question(test.questions)),
        "answer_text": lambda test: _one_column(answer(test.answers)),
    }


def lengths(answers: Answers) -> Float[np.ndarray, "rows 4"]:
    """Tokens and characters of each answer and their squares: short and long ones may both be told. Float64."""
    plain = np.stack([answers.tokens.astype(np.float64), [float(len(text)) for text in answers.answers]], axis=1)
    return np.concatenate([plain, plain**2], axis=1)


def question_lengths(answers: Answers) -> Float[np.ndarray, "rows 2"]:
    """Words and characters of each question: TF-IDF rows have length 1 and do not tell. Float64."""
    return np.array([(len(text.split()), len(text)) for text in answers.questions], dtype=np.float64).reshape(-1, 2)


def _improbability(train: Float[np.ndarray, " rows"], labels: Bool[np.ndarray, " rows"]) -> Scorer:
    """The less probable an answer, the more likely it is hallucinated.

    Choice: the ranking has its direction from the meaning of the number and not from the training answers,
    as in the literature on uncertainty: an AUROC below 0.5 says that the model was surer of its errors. Only
    the decisions are fitted.
    """
    decide = fit_columns(train[:, None].astype(np.float64), labels)

    def score(test: Answers) -> Decided | None:
        if test.log_probability is None:
            return None
        values = test.log_probability.astype(np.float64)[:, None]
        return Decided(-values, decide(values)[:, None])

    return score


def _one_column(values: Float[np.ndarray, " rows"]) -> Decided:
    return Decided(values[:, None], values[:, None])
