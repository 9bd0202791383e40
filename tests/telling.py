"""Answers whose label shows in the neurons, and where it is asked for in one other place."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from planted import whole_rows
from reference import alpha_max, fit_probe

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NeuronRows
from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.search.probe_fit import probe_rows
from provenance.analyses.search.shuffled_labels import shuffled_fits, shuffled_jointly
from provenance.probe.l1_path import Fit
from provenance.probe.sparse_probe import Probe

LAYERS, D_M = 4, 30
WIDTH, TELLING_LAYER = 6, 2
"""Of the residual stream, and the layer whose stream tells labels where `make_answers` is asked for that."""
PLANTED = [3, 40, 47]
ANSWERING = [11, 52, 71, 109]
FILLER = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def make_answers(rows: int = 200, seed: int = 0, *, of: str = "", strength: float = 0.015) -> Answers:
    """Answers whose label shows in the neurons, and in one other place named by `of`; two rows a question.

    `of` is one of the baselines, or `residual`.
    """
    rng = np.random.default_rng(seed)
    label = np.arange(rows) % 4 < 2
    answer, other = (rng.gamma(4.0, 0.0025, (rows, LAYERS * D_M)).astype(np.float32) for _ in range(2))
    answer[np.ix_(label, PLANTED)] += strength

    def told(kind: str) -> np.ndarray:
        return (label if of == kind else rng.random(rows) < 0.5) & (rng.random(rows) < 0.8)

    def texts(kind: str) -> tuple[str, ...]:
        return tuple(" ".join([*rng.choice(FILLER, 4), "Zyx" if word else "ten"]) for word in told(kind))

    units = tuple(f"{seed}-{row // 2:03d}" for row in range(rows))
    ids = tuple(f"{seed}-{row:03d}" for row in range(rows))
    answers = Answers(
        Features.of(answer, other, label, units, ids),
        texts("question_text"),
        texts("answer_text"),
        1 + told("answer_length") + rng.integers(2, size=rows),
        -rng.gamma(2.0, 0.5, rows) - 2.0 * told("answer_log_probability"),
    )
    stream = rng.normal(size=(rows, LAYERS, WIDTH))
    stream[:, TELLING_LAYER, :2] += 1.5 * told("residual")[:, None]
    return with_stream(answers, stream)


def read_length(rows: int = 400, seed: int = 0) -> Answers:
    """Hallucinated answers are longer, and the neurons that told labels in `make_answers` only follow the length."""
    answers = make_answers(rows, seed, of="answer_length", strength=0.0)
    values = answers.features.answer.all()
    values[:, PLANTED] += 0.006 * answers.tokens[:, None].astype(np.float32)
    return replace(answers, features=with_values(answers.features, values))


def read_word(rows: int = 400, seed: int = 0) -> Answers:
    """One word goes with hallucinated answers, and the neurons of `make_answers` only follow this word."""
    answers = make_answers(rows, seed, of="question_text", strength=0.0)
    values = answers.features.answer.all()
    values[:, PLANTED] += 0.02 * np.array([["Zyx" in text] for text in answers.questions], dtype=np.float32)
    return replace(answers, features=with_values(answers.features, values))


def with_answer_neurons(answers: Answers, telling: float = 0.0) -> Answers:
    """Four neurons rise on any answer, as in every real model; the first by `telling` more if it is hallucinated."""
    values = answers.features.answer.all()
    values[:, ANSWERING] += 0.03
    values[answers.features.hallucinated, ANSWERING[0]] += telling
    return replace(answers, features=with_values(answers.features, values))


def with_values(features: Features, values: np.ndarray) -> Features:
    """The same answers with other activations."""
    return replace(features, answer=NeuronRows.of(values))


def with_stream(answers: Answers, stream: np.ndarray) -> Answers:
    """The same answers with another residual stream, (rows, layers, d)."""
    flat = NeuronRows.of(stream.reshape(len(stream), -1).astype(np.float32))
    return replace(answers, features=replace(answers.features, residual=flat))


def make_probe(train: Answers) -> Probe:
    """The L1 probe, as identification fits it."""
    rows, labels = whole_rows(train.features, "3-vs-1")
    return fit_probe(rows, labels, C=3 * alpha_max(rows, labels), design="3-vs-1")


def shuffled_searches(train: Answers, draws: int, seed: int = 0) -> tuple[Fit, ...]:
    """The search of `make_probe` with shuffled labels."""
    [labels] = shuffled_jointly([train.features], draws=draws, seed=seed)
    with probe_rows(train.features, "3-vs-1", Path(tempfile.gettempdir()), intercept_penalised=True) as rows:
        return shuffled_fits(rows, labels, make_probe(train).C)


def take(answers: Answers, rows: range | np.ndarray) -> Answers:
    """The given rows, in the given order."""
    picked = [int(row) for row in rows]
    assert answers.log_probability is not None
    return Answers(
        answers.features.take(picked),
        tuple(answers.questions[row] for row in picked),
        tuple(answers.answers[row] for row in picked),
        answers.tokens[picked],
        answers.log_probability[picked],
    )
