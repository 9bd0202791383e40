"""What needs models is computed once and remembered, and the base speaks in the instruct checkpoint's order."""

from dataclasses import replace

import numpy as np
import pytest
from pairing import Pairing, used

from provenance.activations.reading import Reader, answer_log_probability
from provenance.analyses.asking import both_models as module
from provenance.analyses.asking.collection import Pool
from provenance.analyses.asking.subject import Subject
from provenance.records import Stage


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    return Pairing(tmp_path_factory.mktemp("pairing"))


def test_the_base_is_put_into_the_order_of_the_instruct_checkpoints_neurons(pairing: Pairing) -> None:
    """Column by column as captured, at the place of its counterpart; the instruct checkpoint is left alone."""
    assert not pairing.alignment.is_identity  # so that there is something to put in order
    ids = pairing.alignment.base_ids
    for stage in ("base", "instruct"):
        for own, found in zip(pairing.gathered.answers[stage], pairing.gathered.collected[stage], strict=True):
            for region in ("answer", "other"):
                captured, ordered = getattr(found.features, region), getattr(own.features, region)
                if captured is None:
                    assert (region, ordered, found.splits[0]) == ("other", None, "test")
                    continue
                expected = captured.all()[:, ids] if stage == "base" else captured.all()
                np.testing.assert_array_equal(ordered.all(), expected)
                if stage == "base":
                    assert not np.array_equal(expected, captured.all())


def test_neurons_that_the_base_lacks_are_silent(pairing: Pairing) -> None:
    ids = pairing.alignment.base_ids.copy()
    ids[[3, 17]] = -1
    found = pairing.gather(pairing.asked_anew(), replace(pairing.alignment, base_ids=ids))
    values = found.answers["base"][0].features.answer.all()
    assert not values[:, [3, 17]].any()
    assert values.any(axis=0).sum() > 30


def test_log_probabilities_are_those_of_the_answers_and_are_not_computed_twice(pairing: Pairing) -> None:
    """A second run with the same workspace needs no model at all."""
    stages: tuple[Stage, ...] = ("base", "instruct")
    for stage in stages:
        for own, found in zip(pairing.gathered.answers[stage], pairing.gathered.collected[stage], strict=True):
            kept = {response.question_id: response for response in found.responses}
            rows = [kept[question] for question in own.features.question_ids]
            loaded = pairing.subjects[stage].model()
            slow = np.concatenate([answer_log_probability(loaded, [row]) for row in rows])
            np.testing.assert_allclose(own.log_probability, slow, rtol=1e-4)  # padding changes the last digits
    subjects = pairing.asked_anew()
    again = pairing.gather(subjects)
    assert used(subjects) == 0
    for stage in stages:
        for a, b in zip(again.answers[stage], pairing.gathered.answers[stage], strict=True):
            np.testing.assert_array_equal(a.log_probability, b.log_probability)
    pairing.workspace.capture_logs.clear()  # and where it is forgotten, it is computed again
    pairing.gather(subjects)
    assert used(subjects) == 4


def test_the_residual_stream_is_left_out_where_blocks_are_at_other_places(pairing: Pairing) -> None:
    """A base whose layers are one further on, or more: its blocks would be read as others. Its neurons are compared."""
    layout = pairing.subjects["instruct"].layout
    one_on = np.roll(pairing.alignment.base_ids.reshape(layout.layers, -1), 1, axis=0).ravel()
    moved = replace(pairing.alignment, base_ids=one_on)
    found = pairing.gather(pairing.asked_anew(), moved)
    assert all(each.features.residual is None for each in found.answers["base"])
    assert all(each.features.residual is not None for each in found.answers["instruct"])
    assert found.answers["base"][0].features.answer.all().any()
    deeper = replace(layout, layers=layout.layers + 1)
    assert module.blocks_correspond(layout, layout, pairing.alignment)
    assert not module.blocks_correspond(deeper, layout, pairing.alignment)


def test_the_residual_stream_is_that_of_the_answers_whatever_the_order_of_neurons(pairing: Pairing) -> None:
    """In both models, and where the base has other neurons than the instruct checkpoint."""
    ids = pairing.alignment.base_ids.copy()
    ids[[3, 17]] = -1
    turned = pairing.gather(pairing.asked_anew(), replace(pairing.alignment, base_ids=ids))
    stages: tuple[Stage, ...] = ("base", "instruct")
    for stage in stages:
        found = zip(turned.answers[stage], pairing.gathered.answers[stage], turned.collected[stage], strict=True)
        for permuted, own, asked in found:
            kept = {response.question_id: response for response in asked.responses}
            reader = Reader(pairing.subjects[stage].model(), ["residual"])
            slow = np.concatenate([reader.read([kept[each]])["residual"] for each in own.features.question_ids])
            for read in (permuted, own):
                assert read.features.residual is not None
                np.testing.assert_allclose(read.features.residual.all(), slow, rtol=1e-4, atol=1e-4)  # padding
            assert not np.allclose(own.features.residual.all(), np.roll(slow, 1, axis=0), rtol=1e-2)


def test_the_correlation_is_remembered_and_needs_the_same_tokens(pairing: Pairing) -> None:
    first = module.correlation_of(pairing.gathered, pairing.related)
    again, subjects = pairing.gathered_anew()
    second = module.correlation_of(again, pairing.related)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first, second)
    assert used(subjects) == 0
    other_words = replace(pairing.related, same_tokenizer=False)
    assert module.correlation_of(again, other_words) is None


def test_neuron_sets_of_the_base_are_silenced_where_they_sit_in_it(
    pairing: Pairing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sets have the instruct checkpoint's ids; the base is asked about its own, without those that it lacks."""
    asked: dict[str, list[list[int]]] = {}

    def noted(subject: Subject, pool: Pool, sets: list[np.ndarray]) -> np.ndarray:
        assert {split for _, split in pool.entries} == {"validation"}
        asked[subject.stage] = [ids.tolist() for ids in sets]
        return np.zeros(len(sets))

    monkeypatch.setattr(module, "suppressed_accuracies", noted)
    ids = pairing.alignment.base_ids.copy()
    ids[5] = -1
    partial = replace(pairing.alignment, base_ids=ids)
    sets = [np.array([2, 5, 30]), np.array([], dtype=np.int64)]
    for stage in ("base", "instruct"):
        module.suppressed(pairing.subjects[stage], partial, sets)  # type: ignore[index]
    assert asked == {"base": [sorted([ids[2], ids[30]]), []], "instruct": [[2, 5, 30], []]}


def test_tests_are_named_by_their_question_set_the_first_one_first(pairing: Pairing) -> None:
    assert list(pairing.gathered.tests("base")) == ["cities"]
    assert pairing.gathered.features("base")["cities"] is pairing.gathered.answers["base"][1].features
