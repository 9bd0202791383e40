"""Tokens and answers that a comparison keeps of its H-Neurons."""

import json
from pathlib import Path

import numpy as np
import pytest
from checkpoint_factory import local_checkpoint, make_checkpoint, make_tokenizer
from safetensors.torch import load_file, save_file

from provenance.activations.features import Features
from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.jobs import neuron_cards as module
from provenance.analyses.jobs.neuron_cards import NO_COUNTERPART, carded, top_answers, vocabulary_of
from provenance.analyses.weights.vocabulary_products import vocabulary_products
from provenance.records import Stage
from provenance.weights.unembedding import Unembedding

PER_LAYER = 24
IDS = np.array([3, 30, 5])
TOKENIZER = make_tokenizer()
PARIS = TOKENIZER.convert_tokens_to_ids("ĠParis")


def opened(folder: Path, stage: Stage = "instruct") -> OpenCheckpoint:
    return OpenCheckpoint.open(stage, local_checkpoint(folder))


def planted(folder: Path, token: int, extra_rows: int = 0) -> OpenCheckpoint:
    """A checkpoint whose neuron 1:6 writes a token; rows beyond the tokenizer's are much larger than the others."""
    words = len(TOKENIZER)
    make_checkpoint(folder, vocab_size=words + extra_rows, tie_word_embeddings=False)
    tensors = load_file(folder / "model.safetensors")
    rows = tensors["lm_head.weight"]
    rows[words:] *= 100
    rows[token] *= 4  # with so few directions the row of another token could be as near and longer
    down = tensors["model.layers.1.mlp.down_proj.weight"]
    down[:, 6] = rows[token] - rows[:words].mean(dim=0)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return opened(folder)


def test_the_token_that_a_neuron_writes_is_named_first_whatever_the_size_of_the_vocabulary(tmp_path: Path) -> None:
    """Rows of no token are named by nobody, though their products are larger; the base may have fewer rows."""
    for extra in (0, 40):
        side = planted(tmp_path / str(extra), PARIS, extra)
        [row] = vocabulary_of(side, TOKENIZER, np.array([PER_LAYER + 6]), np.array([PER_LAYER + 6]), PER_LAYER)
        promoted = json.loads(row.promotes)
        assert promoted[0][:2] == [" Paris", PARIS]
        assert len(promoted) == 10
        assert (row.stage, row.layer, row.neuron_index, row.reason) == ("instruct", 1, 6, "")
        listed = [*promoted, *json.loads(row.suppresses)]
        assert max(token for _, token, _ in listed) < len(TOKENIZER)


def test_a_row_is_of_the_neuron_whose_counterpart_was_read(tiny_llama: Path) -> None:
    """Under the instruct checkpoint's numbers, with the products of the base's place; -1 has the reason."""
    side = opened(tiny_llama, "base")
    rows = vocabulary_of(side, TOKENIZER, IDS, np.array([40, -1, 2]), PER_LAYER)
    assert [(row.layer, row.neuron_index) for row in rows] == [(0, 3), (1, 6), (0, 5)]
    assert (rows[1].reason, rows[1].promotes, rows[1].null_share) == (NO_COUNTERPART, "[]", None)
    unembedding = Unembedding.of(side.weights, side.checkpoint.config)
    for row, (layer, index) in ((rows[0], (1, 16)), (rows[2], (0, 2))):
        truth = vocabulary_products(unembedding, unembedding.written(layer, [index]), unembedding.tokens, 10)
        assert [token for _, token, _ in json.loads(row.promotes)] == truth.highest[0].tolist()
        assert row.null_share == pytest.approx(truth.null_share[0])
        others = vocabulary_products(
            unembedding, unembedding.written(layer, range(PER_LAYER)), unembedding.tokens, 1
        ).null_share
        assert row.null_rank == np.mean(others < others[index])


def test_a_checkpoint_without_an_unembedding_gives_rows_with_the_reason(tmp_path: Path) -> None:
    """Everything else of the comparison is known by then, and is kept."""
    folder = make_checkpoint(tmp_path / "model", tie_word_embeddings=True)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    rows = vocabulary_of(opened(folder), TOKENIZER, IDS, IDS, PER_LAYER)
    assert len(rows) == 3
    assert all("model.norm.weight" in row.reason and row.promotes == "[]" for row in rows)


def answers_of(values: np.ndarray, name: str) -> Answers:
    count = len(values)
    ids = tuple(f"{name}{row}" for row in range(count))
    label = np.arange(count) % 2 == 1
    features = Features.of(values, values, label, ids, ids)
    return Answers(features, ids, tuple(f"answer to {each}" for each in ids), np.ones(count, dtype=np.int64))


def test_top_answers_are_those_of_highest_mean_cett_over_all_sets() -> None:
    rng = np.random.default_rng(0)
    parts = {name: rng.random((rows, 2 * PER_LAYER), dtype=np.float32) for name, rows in (("a", 20), ("b", 15))}
    tests = {name: answers_of(values, name) for name, values in parts.items()}
    found = top_answers("base", tests, IDS, PER_LAYER)
    for neuron in IDS.tolist():
        truth = sorted(
            (
                (float(values[row, neuron]), f"{name}{row}")
                for name, values in parts.items()
                for row in range(len(values))
            ),
            reverse=True,
        )[:3]
        rows = [row for row in found if row.layer * PER_LAYER + row.neuron_index == neuron]
        assert [(row.cett, row.question_id) for row in rows] == truth
        assert [row.place for row in rows] == [1, 2, 3]
        assert all(row.answer == f"answer to {row.question_id}" and row.dataset == row.question_id[0] for row in rows)
        labels = ["hallucinated" if int(row.question_id[1:]) % 2 else "faithful" for row in rows]
        assert [row.label for row in rows] == labels


def test_without_answers_or_neurons_there_are_none() -> None:
    none = np.empty((0, 0), dtype=np.float32)
    assert top_answers("base", {"a": answers_of(none, "a")}, IDS, PER_LAYER) == ()
    full = np.ones((2, 2 * PER_LAYER), dtype=np.float32)
    assert top_answers("base", {"a": answers_of(full, "a")}, IDS[:0], PER_LAYER) == ()
    assert len(top_answers("base", {"a": answers_of(full, "a")}, IDS, PER_LAYER)) == 6


def test_cards_are_of_the_largest_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the first ones by number where a list has no weights."""
    monkeypatch.setattr(module, "MOST_CARDS", 2)
    weights = np.zeros(48)
    weights[[3, 5, 30]] = (0.5, 2.0, 1.0)
    assert carded(np.array([3, 5, 30]), weights).tolist() == [5, 30]
    assert carded(np.array([3, 5, 30]), None).tolist() == [3, 5]
