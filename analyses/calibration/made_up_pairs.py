"""Simulated pairs with a known truth, small enough to draw by the hundred, to calibrate the verdicts.

Draws have the form of real data (answers with vectors, labels, texts and units, or weight changes), so the functions
that judge real pairs judge them. Nuisances are nulls in which the reported number moves for another reason.
Source: none in Gao et al. 2025; Morris, White and Crowther 2019, doi:10.1002/sim.8086, for simulation as a check.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.activations.features import Features
from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.drift.stability_ranks import combined_delta, stability_rank
from provenance.analyses.results.drift import NeuronDrift

Told = Literal[
    "none", "answer length", "question length", "question text", "every neuron", "confidence", "noise of confidence"
]
"""Features of answers that correlate with the label and that neurons read in its place. Confidence noise is independent
of the label: it weakens the log-probability as a predictor, and a classifier that knows it can subtract it.
"""
TransferNuisance = Literal[
    "none", "answer length", "question text", "every neuron", "answer length, base alone", "question text, base alone",
    "question length, base alone", "confidence", "noise of confidence",
]  # fmt: skip
"""Features that the base's neurons read in place of the label. They correlate with the label in both models, or in the
base only while the instruct model's neurons read the label itself; then no classifier of its answers can know them.
"""
DriftNuisance = Literal["none", "layer", "norm", "activity", "balance"]
"""Variables that correlate with both stability and membership of the set."""

TOLD: Mapping[TransferNuisance, tuple[Told, Told]] = {
    "none": ("none", "none"),
    "answer length": ("answer length", "answer length"),
    "question text": ("question text", "question text"),
    "every neuron": ("every neuron", "every neuron"),
    "answer length, base alone": ("none", "answer length"),
    "question text, base alone": ("none", "question text"),
    "question length, base alone": ("none", "question length"),
    "confidence": ("confidence", "confidence"),
    "noise of confidence": ("none", "noise of confidence"),
}
"""Features in the answers of the instruct model, and of the base."""

INSTRUCT_EFFECT = 1.5  # SD; six carriers then suffice to read held-out answers almost without error
SHARED_EFFECT = 0.8  # SD, in draws for overlap: weak, so that a probe needs many carriers and sets are large
ANSWER_EFFECT = 0.6  # SD, for neurons that fire on answers: many weak ones, so that sets are large as well
MEAN_CETT = 0.01  # of one neuron in tens of thousands, as in captures of real models
SPREAD = 0.5  # of log CETT within a neuron, and of log mean CETT between neurons
WITHIN_UNIT = 0.5  # correlation of a neuron's log CETT between two answers of one unit
NUISANCE_NOISE = 1.0  # SD of single neurons around their nuisance; the mean of six has 0.4
TILT = 0.5  # SD of half the log ratio of up's norm to down's, if it varies
TREND = 1.0  # SD of log change for the nuisance's whole range, in either direction
FILLER = tuple(f"{a}{b}" for a in ("ba", "ke", "lo", "mi", "nu") for b in ("ra", "ste", "vol", "dan", "lim"))
TOPICS = ("where", "when")


@dataclass(frozen=True)
class Shape:
    """Size of a draw."""

    layers: int = 4
    d_m: int = 64
    """Neurons per layer of both models."""
    train: int = 80
    """Training answers of each class."""
    test: int = 60
    """Test answers of each class."""
    per_unit: int = 2
    """Answers of one unit, which share a label, a topic and half of their noise."""
    carriers: int = 6
    """Neurons that carry the label."""

    @property
    def neurons(self) -> int:
        """D."""
        return self.layers * self.d_m


@dataclass(frozen=True)
class AnswerDraw:
    """Two models' training and test answers, for a search and a test of transfer."""

    instruct: Answers
    base: Answers
    instruct_test: Answers
    base_test: Answers
    carriers: Int[np.ndarray, " c"]
    """Flat ids of the neurons that carry the label in the instruct model, ascending."""
    base_carriers: Int[np.ndarray, " c"]
    """The same in the base."""


@dataclass(frozen=True)
class DriftDraw:
    """Weight changes of every neuron, and a set of neurons, for tests of drift."""

    drift: NeuronDrift
    h_neurons: Int[np.ndarray, " h"]
    """Flat ids of the set, ascending."""
    activity: Float[np.ndarray, " neurons"]
    """Mean CETT of every neuron in the base."""


@dataclass(frozen=True)
class _Reading:
    """Responses of one model's neurons; vectors over neurons, in SD of their log CETT."""

    label: Float[np.ndarray, " neurons"]
    """Difference between hallucinated and faithful answers."""
    nuisance: Float[np.ndarray, " neurons"]
    """Change per SD of the nuisance."""
    answer: Float[np.ndarray, " neurons"]
    """Difference between answer tokens and others, for any label."""
    scale: Float[np.ndarray, " neurons"]
    """Typical mean CETT."""


def transfer_draw(shape: Shape, effect: float, nuisance: TransferNuisance, rng: np.random.Generator) -> AnswerDraw:
    """A pair in which the base's neurons carry the label with a given strength, or carry a nuisance.

    Args:
        effect: Difference between the base's hallucinated and faithful answers, in SD of log CETT, on each neuron that
            carries the label in the instruct model. 0: nothing transfers.
        nuisance: Replaces `effect`: it correlates with the base's label, and the base's carriers respond to it alone,
            so that AUROC is above 0.5 for a reason that baselines read as well.
    """
    carriers = np.sort(rng.choice(shape.neurons, shape.carriers, replace=False))
    told = TOLD[nuisance]
    scale = _scales(shape.neurons, rng)
    readings = [
        _reading(shape, carriers, strength, of, np.zeros(shape.neurons), scale * _shift(shape.neurons, rng))
        for strength, of in zip((INSTRUCT_EFFECT, effect), told, strict=True)
    ]
    return _answer_draw(shape, (readings[0], readings[1]), (carriers, carriers), told, rng)


def overlap_draw(
    shape: Shape, share: float, answer_neurons: int, rng: np.random.Generator, *, alike: float = 0.0
) -> AnswerDraw:
    """A pair in which both models carry the label, on neurons of which a given share is the same.

    Args:
        share: Of the instruct model's carriers that are carriers in the base too. The base's other carriers are drawn
            from all neurons, so 0 gives chance overlap.
        answer_neurons: Neurons, the same in both, that are more active on answer tokens than on others for any label: a
            3-vs-1 probe finds them in either model.
        alike: Above 0, both models answer the same questions with the same labels, and the rest of their activity has
            this correlation, so both searches find the same chance associations with the labels.
    """
    carriers = np.sort(rng.choice(shape.neurons, shape.carriers, replace=False))
    kept = rng.permutation(carriers)[: round(share * shape.carriers)]
    others = rng.permutation(np.setdiff1d(np.arange(shape.neurons), kept))[: shape.carriers - kept.size]
    base_carriers = np.union1d(kept, others)
    answer = np.zeros(shape.neurons)
    answer[rng.choice(shape.neurons, answer_neurons, replace=False)] = ANSWER_EFFECT
    scale = _scales(shape.neurons, rng)
    readings = [
        _reading(shape, ids, SHARED_EFFECT, "none", answer, scale * _shift(shape.neurons, rng))
        for ids in (carriers, base_carriers)
    ]
    told: tuple[Told, Told] = ("none", "none")
    return _answer_draw(shape, (readings[0], readings[1]), (carriers, base_carriers), told, rng, alike)


def drift_draw(
    layers: int, d_m: int, k: int, effect: float, nuisance: DriftNuisance, rng: np.random.Generator
) -> DriftDraw:
    """Weight changes (up, down) of a pair in which `k` neurons changed less, or are of a kind that changes less.

    The logarithms of up and down changes are normal and correlate 0.5. `effect` lowers the neurons' change, in SD of
    the log change within a layer; `nuisance` has a trend of change over all neurons and makes membership likelier.
    """
    neurons = layers * d_m
    layer = np.repeat(np.linspace(0, 1, layers), d_m)
    norm, activity = rng.random(neurons), rng.random(neurons)  # places among the neurons of a layer
    tilt = TILT * rng.normal(size=neurons) * (nuisance == "balance")  # half the log ratio of the norms of up and down
    balance = 1 - (np.argsort(np.argsort(np.abs(tilt))) + 0.5) / neurons
    places = {"none": np.full(neurons, 0.5), "layer": layer, "norm": norm, "activity": activity, "balance": balance}
    place = places[nuisance]
    liking = (0.1 + place) ** 2  # the most stable neuron is a hundred times likelier than the least stable one
    h_neurons = np.sort(rng.choice(neurons, k, replace=False, p=liking / liking.sum()))
    level = rng.normal(size=neurons) * np.sqrt(0.5) - 2 * TREND * (place - 0.5) * (nuisance != "balance")
    level[h_neurons] -= effect
    # an update of the same length turns a shorter vector more: 1 - cos is proportional to 1 / norm^2
    up, down = (1e-4 * np.exp(level + rng.normal(size=neurons) * np.sqrt(0.5) - 2 * lean) for lean in (tilt, -tilt))
    delta = combined_delta(up, down)
    norms = [np.exp(0.3 * norm + lean + 0.02 * rng.normal(size=neurons)) for lean in (tilt, -tilt)]
    grown = [each * np.exp(0.01 * rng.normal(size=neurons)) for each in norms]
    same = np.zeros(neurons, dtype=bool)
    drift = NeuronDrift(None, up, down, delta, stability_rank(delta), norms[0], grown[0], norms[1], grown[1], same)
    return DriftDraw(drift, h_neurons, MEAN_CETT * np.exp(activity))


def _scales(neurons: int, rng: np.random.Generator) -> Float[np.ndarray, " neurons"]:
    return np.asarray(MEAN_CETT * np.exp(SPREAD * rng.normal(size=neurons)))


def _shift(neurons: int, rng: np.random.Generator) -> Float[np.ndarray, " neurons"]:
    return np.asarray(np.exp(0.15 * rng.normal(size=neurons)))


def _reading(
    shape: Shape,
    carriers: Int[np.ndarray, " c"],
    effect: float,
    told: Told,
    answer: Float[np.ndarray, " neurons"],
    scale: Float[np.ndarray, " neurons"],
) -> _Reading:
    label, reads = np.zeros(shape.neurons), np.zeros(shape.neurons)
    if told == "none":
        label[carriers] = effect
    else:
        reads[slice(None) if told == "every neuron" else carriers] = 1 / NUISANCE_NOISE
    return _Reading(label, reads, answer, scale)


def _answer_draw(
    shape: Shape,
    readings: tuple[_Reading, _Reading],
    carriers: tuple[Int[np.ndarray, " c"], Int[np.ndarray, " c"]],
    told: tuple[Told, Told],
    rng: np.random.Generator,
    alike: float = 0.0,
) -> AnswerDraw:
    seed = int(rng.integers(2**31))
    instruct, base = (
        [
            _answers(shape, n, reading, of, "both" if alike else name, rng, (alike, np.random.default_rng([seed, n])))
            for n in (shape.train, shape.test)
        ]
        for name, reading, of in zip(("instruct", "base"), readings, told, strict=True)
    )
    return AnswerDraw(instruct[0], base[0], instruct[1], base[1], *carriers)


def _answers(
    shape: Shape,
    per_class: int,
    reading: _Reading,
    told: Told,
    name: str,
    rng: np.random.Generator,
    common: tuple[float, np.random.Generator],
) -> Answers:
    units = 2 * per_class // shape.per_unit
    unit = np.repeat(np.arange(units), shape.per_unit)
    hallucinated = (np.arange(units) % 2 == 0)[unit]
    length = _lengths(hallucinated, rng, with_label=told == "answer length")
    topic = _topics(hallucinated[:: shape.per_unit], rng, with_label=told == "question text")[unit]
    hidden = {"answer length": (length - 5) / 2, "question text": 2 * topic - 1.0}.get(told, np.zeros(unit.size))
    if told == "every neuron":
        hidden = np.where(hallucinated, 1.0, -1.0) + rng.normal(size=unit.size)
    log_probability = -rng.gamma(2.0, 0.5, unit.size)
    if told in ("confidence", "noise of confidence"):
        label, noise = np.where(hallucinated, 0.75, -0.75), rng.normal(size=unit.size)
        log_probability = -5 - (label + noise)
        hidden = label + noise if told == "confidence" else -noise
    asked = np.full(units, 2)
    if told == "question length":
        asked = _lengths(hallucinated[:: shape.per_unit], rng, with_label=True)
        hidden = ((asked - 5) / 2)[unit]
    answer, other = _vectors(reading, hallucinated, hidden, unit, rng, common)
    ids = tuple(f"{name}{per_class}-{row:03d}" for row in range(unit.size))
    of_unit = tuple(f"{name}{per_class}-unit-{each}" for each in unit)
    features = Features.of(answer, other, hallucinated, of_unit, ids)
    questions = tuple(
        f"{TOPICS[each]} {_words(count, rng)}" for each, count in zip(topic, asked[unit].tolist(), strict=True)
    )
    texts = tuple(_words(count, rng) for count in length.tolist())
    return Answers(features, questions, texts, length, log_probability)


def _vectors(
    reading: _Reading,
    hallucinated: Bool[np.ndarray, " rows"],
    hidden: Float[np.ndarray, " rows"],
    unit: Int[np.ndarray, " rows"],
    rng: np.random.Generator,
    common: tuple[float, np.random.Generator],
) -> tuple[Float[np.ndarray, "rows neurons"], Float[np.ndarray, "rows neurons"]]:
    """Mean CETT over answer tokens and over others, float32."""
    neurons, units = reading.scale.size, int(unit.max()) + 1
    alike, of_both = common

    def normal(rows: int) -> Float[np.ndarray, "rows neurons"]:
        own = rng.normal(size=(rows, neurons))
        return np.asarray(np.sqrt(alike) * of_both.normal(size=own.shape) + np.sqrt(1 - alike) * own)

    shared = np.sqrt(WITHIN_UNIT) * normal(units)[unit]

    def noise() -> Float[np.ndarray, "rows neurons"]:
        return np.asarray(shared + np.sqrt(1 - WITHIN_UNIT) * normal(unit.size))

    signal = np.outer(hallucinated - 0.5, reading.label) + np.outer(hidden, reading.nuisance) + reading.answer
    return tuple((reading.scale * np.exp(SPREAD * values)).astype(np.float32) for values in (noise() + signal, noise()))  # type: ignore[return-value]


def _lengths(
    hallucinated: Bool[np.ndarray, " rows"], rng: np.random.Generator, *, with_label: bool
) -> Int[np.ndarray, " rows"]:
    """Words of an answer, from 1 to 9; with `with_label`, hallucinated ones are longer by 1.5 SD."""
    mean = 5 + 1.5 * np.where(hallucinated, 1, -1) * with_label
    return np.clip(np.rint(mean + 2 * rng.normal(size=hallucinated.size)), 1, 9).astype(np.int64)


def _topics(
    hallucinated: Bool[np.ndarray, " units"], rng: np.random.Generator, *, with_label: bool
) -> Int[np.ndarray, " units"]:
    """Index of a question's first word, of two; with `with_label`, it matches the label in four of five units."""
    share = np.where(hallucinated, 0.8, 0.2) if with_label else np.full(hallucinated.size, 0.5)
    return (rng.random(hallucinated.size) < share).astype(np.int64)


def _words(count: int, rng: np.random.Generator) -> str:
    return " ".join(rng.choice(FILLER, count))
