"""Tokens and answers of single neurons for the report made by hand."""

import json

import numpy as np

from provenance.analyses.results.cards import NeuronAnswer, NeuronVocabulary

STAGES = ("base", "instruct")
PROMOTED = [[" <b>Paris</b>", 7, 9.125], ["\x1b[2J", 8, 8.5], *([f"word{i}", 10 + i, 8.0 - i / 8] for i in range(8))]
SUPPRESSED = [["Rome", 30, -6.0]]
REASON = "no counterpart in this model"


def vocabulary_of(h_neurons: np.ndarray, per_layer: int) -> tuple[NeuronVocabulary, ...]:
    """The first neuron has no counterpart in the base, the last one is nearly all null space."""
    listed = json.dumps(PROMOTED), json.dumps(SUPPRESSED)
    return tuple(
        NeuronVocabulary(stage, *divmod(neuron, per_layer), "[]", "[]", *[None] * 4, REASON)
        if stage == "base" and neuron == h_neurons[0]
        else NeuronVocabulary(
            stage, *divmod(neuron, per_layer), *listed, 0.25, 0.97 if neuron == h_neurons[-1] else 0.05, 0.75, 0.1, ""
        )
        for stage in STAGES
        for neuron in h_neurons.tolist()
    )


def answers_of(h_neurons: np.ndarray, per_layer: int, dataset: str) -> tuple[NeuronAnswer, ...]:
    """Three of each model and neuron; the third is to a question that the database does not hold."""
    return tuple(
        NeuronAnswer(
            stage,
            *divmod(neuron, per_layer),
            place,
            dataset,
            f"q{place}" if place < 3 else "q99",
            "hallucinated",
            0.5 / place,
            f"answer {place}",
        )
        for stage in STAGES
        for neuron in h_neurons.tolist()
        for place in (1, 2, 3)
    )
