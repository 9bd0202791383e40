"""What is kept of every H-Neuron for its card: tokens that it writes in both models, and its strongest answers.

Computed while the checkpoints are open and stored with the run, so that cards and report need the database alone: a
checkpoint may be gone, or take hours to fetch, when somebody asks for one neuron.
"""

import json
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from transformers import PreTrainedTokenizerBase

from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.overlap.shared_neurons import heaviest_first
from provenance.analyses.results.cards import NeuronAnswer, NeuronVocabulary
from provenance.analyses.weights.vocabulary_products import VocabularyProducts, layer_shares, vocabulary_products
from provenance.errors import ProvenanceError
from provenance.models.token_text import token_texts
from provenance.records import Label, Stage
from provenance.weights.unembedding import Unembedding

MOST_CARDS = 500  # rows of the width of a 70B model for more would not fit beside its near-null space
TOP_TOKENS = 10
TOP_ANSWERS = 3
_LABELS: tuple[Label, Label] = ("faithful", "hallucinated")
NO_COUNTERPART = "no counterpart in this model"


def carded(
    h_neurons: Int[np.ndarray, " k"], weights: Float[np.ndarray, " neurons"] | None
) -> Int[np.ndarray, " cards"]:
    """The H-Neurons that get a card: of largest weight first, `MOST_CARDS` at most; by number without weights."""
    return (h_neurons if weights is None else heaviest_first(h_neurons, weights))[:MOST_CARDS]


def vocabulary_of(
    side: OpenCheckpoint,
    tokenizer: PreTrainedTokenizerBase,
    ids: Int[np.ndarray, " k"],
    places: Int[np.ndarray, " k"],
    per_layer: int,
) -> tuple[NeuronVocabulary, ...]:
    """What neurons promote and suppress among the tokens of one model.

    A checkpoint without a readable unembedding gives rows with the reason, since everything else of a comparison is
    known by then.

    Args:
        side: Model.
        tokenizer: Of the model, which takes some hundred MB for a large vocabulary and is in memory already.
        ids: Flat ids in the instruct checkpoint.
        places: Flat ids of the same neurons in this model, -1 for none.
        per_layer: Neurons per layer of the instruct checkpoint.
    """
    known = np.flatnonzero(places >= 0)
    found: Mapping[int, NeuronVocabulary] = {}
    reason = NO_COUNTERPART
    try:
        found = _rows(side, tokenizer, ids[known], places[known], per_layer) if known.size else {}
    except ProvenanceError as error:
        reason = f"wanted {error.wanted}, found {error.found}"
    return tuple(
        found.get(neuron) or _without(side.stage, _place(neuron, per_layer), reason) for neuron in ids.tolist()
    )


def _without(stage: Stage, place: tuple[int, int], reason: str) -> NeuronVocabulary:
    return NeuronVocabulary(stage, *place, "[]", "[]", None, None, None, None, reason)


def _rows(
    side: OpenCheckpoint,
    tokenizer: PreTrainedTokenizerBase,
    ids: Int[np.ndarray, " k"],
    places: Int[np.ndarray, " k"],
    per_layer: int,
) -> dict[int, NeuronVocabulary]:
    unembedding = Unembedding.of(side.weights, side.checkpoint.config)
    layers, index = np.divmod(places, side.layout.d_m)
    written = torch.empty(places.size, side.layout.d)
    for layer in np.unique(layers).tolist():
        here = np.flatnonzero(layers == layer)
        written[torch.from_numpy(here)] = unembedding.written(layer, index[here].tolist())
    # rows beyond the tokenizer's are there for alignment of memory only
    found = vocabulary_products(unembedding, written, min(unembedding.tokens, len(tokenizer)), TOP_TOKENS)
    ranks = _ranks(unembedding, layers, index, found)
    listed = np.union1d(found.highest, found.lowest).tolist()
    texts = dict(zip(listed, token_texts(tokenizer, listed), strict=True))
    return {
        neuron: _row(side, _place(neuron, per_layer), found, row, texts, ranks[row])
        for row, neuron in enumerate(ids.tolist())
    }


def _ranks(
    unembedding: Unembedding, layers: Int[np.ndarray, " k"], index: Int[np.ndarray, " k"], found: VocabularyProducts
) -> list[float | None]:
    """Fraction of the neurons of each one's layer with a smaller share of the near-null space; None without a share."""
    ranks: list[float | None] = [None] * layers.size
    for layer in np.unique(layers).tolist() if found.null.shape[1] else []:
        shares = layer_shares(unembedding, layer, found.null)
        for row in np.flatnonzero((layers == layer) & ~np.isnan(found.null_share)).tolist():
            ranks[row] = float(np.mean(shares < shares[index[row]]))
    return ranks


def _row(
    side: OpenCheckpoint,
    place: tuple[int, int],
    found: VocabularyProducts,
    row: int,
    texts: Mapping[int, str],
    rank: float | None,
) -> NeuronVocabulary:
    def listed(ids: Int[np.ndarray, "k top"], values: Float[np.ndarray, "k top"]) -> str:
        pairs = zip(ids[row].tolist(), values[row].tolist(), strict=True)
        return json.dumps([[texts[token], token, round(value, 3)] for token, value in pairs])

    share, directions = float(found.null_share[row]), found.null.shape[1]
    return NeuronVocabulary(
        side.stage,
        *place,
        promotes=listed(found.highest, found.highest_z),
        suppresses=listed(found.lowest, found.lowest_z),
        logit_sd=float(found.sd[row]),
        null_share=None if np.isnan(share) else share,
        null_rank=rank,
        null_random=(directions / side.layout.d) ** 0.5 if directions else None,
        reason="",
    )


def top_answers(
    stage: Stage, tests: Mapping[str, Answers], ids: Int[np.ndarray, " k"], per_layer: int
) -> tuple[NeuronAnswer, ...]:
    """The held-out answers with the highest mean CETT of each neuron, over all question sets.

    `tests` are in the instruct checkpoint's order of neurons, as `ids` are.
    """
    rows = [
        (answers.answers[row], dataset, question_id, _LABELS[bool(answers.features.hallucinated[row])])
        for dataset, answers in tests.items()
        for row, question_id in enumerate(answers.features.question_ids)
    ]
    values = [answers.features.answer.columns(ids) for answers in tests.values() if len(answers.features)]
    if not values or not ids.size:
        return ()
    cett = np.concatenate(values)
    best = np.argsort(-cett, axis=0, kind="stable")[:TOP_ANSWERS]
    return tuple(
        _answer(stage, _place(neuron, per_layer), place, rows[row], float(cett[row, column]))
        for column, neuron in enumerate(ids.tolist())
        for place, row in enumerate(best[:, column].tolist(), 1)
    )


def _answer(
    stage: Stage, neuron: tuple[int, int], place: int, said: tuple[str, str, str, Label], cett: float
) -> NeuronAnswer:
    answer, dataset, question_id, label = said
    return NeuronAnswer(stage, *neuron, place, dataset, question_id, label, cett, answer)


def _place(neuron: int, per_layer: int) -> tuple[int, int]:
    layer, index = divmod(neuron, per_layer)
    return layer, index
