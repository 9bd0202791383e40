"""Checkpoints' answers with planted neurons, as identification takes them."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32
from reference import joined

from provenance.activations.features import Features
from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.search.identification import Material
from provenance.probe.sparse_probe import training_rows
from provenance.records import Split, Stage

LAYERS, D_M = 4, 100
PLANTED = (13, 261, 305)
FILLER = ("one", "two", "three", "four", "five", "six")


def whole_rows(features: Features, design: str) -> tuple[Float32[np.ndarray, "rows k"], Bool[np.ndarray, " rows"]]:
    """Rows of the design with all neurons, and labels."""
    return training_rows(features, design, np.arange(features.answer.shape[1]))


def answers_of(features: Features, seed: int = 0) -> Answers:
    """The same with words, lengths and log-probabilities that say nothing."""
    rng = np.random.default_rng(seed)
    words = [tuple(" ".join(rng.choice(FILLER, 3)) for _ in features.units) for _ in range(2)]
    return Answers(features, words[0], words[1], rng.integers(1, 4, len(features)), -rng.gamma(2.0, 0.5, len(features)))


def planted(
    rows: int, seed: int, strength: float = 0.04, *, one_class: bool = False, neurons: tuple[int, ...] = PLANTED
) -> Features:
    """CETT-like features, every second row hallucinated, with neurons that are more active on those rows' answers."""
    rng = np.random.default_rng(seed)
    answer, other = (rng.gamma(2.0, 0.01, (rows, LAYERS * D_M)).astype(np.float32) for _ in range(2))
    hallucinated = np.zeros(rows, dtype=bool) if one_class else np.arange(rows) % 2 == 0
    answer[np.ix_(hallucinated, neurons)] += strength
    names = tuple(f"{seed}-{i}" for i in range(rows))
    return Features.of(answer, other, hallucinated, names, names)


def material_of(
    folder: Path,
    train: Features,
    validation: Features,
    tests: dict[str, Features],
    *,
    transfers: dict[str, Features] | None = None,
    stage: Stage = "instruct",
) -> Material:
    """What one checkpoint's probe is found in and tested on."""
    splits: tuple[Split, ...] = (*["train"] * len(train), *["validation"] * len(validation))
    return Material(
        stage=stage,
        train=answers_of(joined(train, validation)),
        splits=splits,
        tests={name: answers_of(features, 1) for name, features in tests.items()},
        transfers=transfers or {},
        layers=LAYERS,
        d_m=D_M,
        unmapped=np.empty(0, dtype=np.int64),
        folder=folder,
    )
