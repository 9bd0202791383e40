"""Shuffled labels keep questions whole, and the searches with them find what does not depend on labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import D_M, LAYERS, PLANTED, planted, whole_rows
from reference import fit_probe

from provenance.activations.features import Features
from provenance.analyses.claims.claim_conditions import judged_overlap
from provenance.analyses.overlap.overlap_nulls import overlap_nulls
from provenance.analyses.overlap.shared_neurons import overlap
from provenance.analyses.search.probe_fit import probe_rows
from provenance.analyses.search.shuffled_labels import found_in, shuffled_fits, shuffled_jointly

C = 4.0
BUSY = 30.0  # a C at which shuffled answers alone select neurons
ANSWERING = (40, 140, 240, 340)  # active on any answer
SHUFFLES = 25


def answering(rows: int, seed: int, strength: float = 0.03, neurons: tuple[int, ...] = PLANTED) -> Features:
    """Planted neurons that follow the labels, and others that fire on every answer whatever its label."""
    features = planted(rows, seed, strength, neurons=neurons)
    answer = features.answer.all()
    answer[:, ANSWERING] += 0.03
    return Features.of(answer, features.other.all(), features.hallucinated, features.units, features.question_ids)


def searched(
    folder: Path, features: Features, *, design: str = "3-vs-1", seed: int = 0, draws: int = SHUFFLES, at: float = C
) -> tuple[np.ndarray, ...]:
    [labels] = shuffled_jointly([features], draws=draws, seed=seed)
    with probe_rows(features, design, folder, intercept_penalised=True) as rows:
        return tuple(map(found_in, shuffled_fits(rows, labels, at)))


def own(features: Features) -> np.ndarray:
    return fit_probe(*whole_rows(features, "3-vs-1"), C=C, design="3-vs-1").h_neurons


@pytest.mark.parametrize("design", ["3-vs-1", "1-vs-1"])
def test_each_set_is_that_of_a_fit_to_the_shuffled_labels(tmp_path: Path, design: str) -> None:
    """Slow: one fit after the other, to features whose labels were changed."""
    features = answering(120, 0)
    [shuffled] = shuffled_jointly([features], draws=3, seed=3)
    for found, labels in zip(
        searched(tmp_path, features, design=design, seed=3, draws=3, at=BUSY), shuffled, strict=True
    ):
        probe = fit_probe(*whole_rows(replace(features, hallucinated=labels), design), C=BUSY, design=design)
        assert sorted(found.tolist()) == probe.h_neurons.tolist()
        assert (np.diff(probe.weights[found]) <= 0).all()  # the heaviest first
        assert found.size


def test_shuffling_leaves_what_fires_on_any_answer_and_loses_what_follows_the_labels(tmp_path: Path) -> None:
    features = answering(240, 0)
    sets = searched(tmp_path, features)
    assert set(PLANTED) <= set(own(features).tolist())
    assert np.mean([np.isin(ANSWERING, found).mean() for found in sets]) > 0.9
    assert np.mean([np.isin(PLANTED, found).mean() for found in sets]) < 0.5


def test_two_models_that_share_only_what_fires_on_answers_are_not_supported(tmp_path: Path) -> None:
    """Their label neurons differ: the hypergeometric null alone is fooled. With the same label neurons they are."""
    instruct, other = answering(240, 0), answering(240, 1, neurons=(20, 120, 320))
    same = answering(240, 2)
    shuffled = {name: searched(tmp_path, f) for name, f in (("instruct", instruct), ("other", other), ("same", same))}
    results = {}
    for name, base in (("other", other), ("same", same)):
        nulls = overlap_nulls(own(base), own(instruct), D_M * LAYERS, (), (shuffled[name], shuffled["instruct"]))
        numbers = overlap(own(base), own(instruct), D_M * LAYERS, nulls=nulls)
        results[name] = judged_overlap(numbers, nulls, (), "")[0], nulls
        assert nulls[0].p_value < 0.05
    assert results["other"][0].shared >= 3
    assert results["other"][1][-1].p_value > 0.2
    assert results["other"][0].verdict != "supported"
    assert results["same"][1][-1].p_value < results["other"][1][-1].p_value


def named(units: str, labels: str) -> Features:
    """Answers to questions with names of one letter; T: hallucinated."""
    nothing = np.ones((len(units), 1), dtype=np.float32)
    ids = tuple(f"{unit}{units[:place].count(unit)}" for place, unit in enumerate(units))
    return Features.of(nothing, nothing, np.array([label == "T" for label in labels], dtype=bool), tuple(units), ids)


def test_two_models_get_the_labels_of_the_same_questions() -> None:
    """Twenty questions, on nineteen of which they agree: after every shuffle they agree on nineteen, as before."""
    units, labels = "abcdefghijklmnopqrst", "TTTTTTTTTTFFFFFFFFFF"
    order = np.random.default_rng(0).permutation(20)
    other = "".join("F" if unit == "a" else label for unit, label in zip(units, labels, strict=True))
    here = named(units, labels)
    there = named("".join(units[i] for i in order), "".join(other[i] for i in order))
    ours, theirs = shuffled_jointly([here, there], draws=50, seed=1)
    back = np.argsort(order)
    for one, two in zip(ours, theirs, strict=True):
        assert one.sum() == 10
        assert (one == two[back]).sum() == 19
    assert len({tuple(one.tolist()) for one in ours}) == 50
    alone = [shuffled_jointly([features], draws=50, seed=seed)[0] for seed, features in ((1, here), (2, there))]
    agree = [(one == two[back]).sum() for one, two in zip(*alone, strict=True)]
    assert np.mean(agree) < 13  # the check can fail: shuffled in each by itself they agree on half


def test_questions_of_one_model_only_are_shuffled_among_themselves() -> None:
    """All of its own are hallucinated, all shared ones faithful: nothing may move from one kind to the other."""
    here, there = named("abcdefgh", "FFFFTTTT"), named("abcdwxyz", "FFFFTTFF")
    ours, theirs = shuffled_jointly([here, there], draws=30)
    assert all(found.tolist() == here.hallucinated.tolist() for found in ours)
    assert all(found[:4].sum() == 0 and found[4:].sum() == 2 for found in theirs)
    assert len({tuple(found.tolist()) for found in theirs}) == 6


def test_groups_of_different_sizes_keep_the_number_of_each_label_and_the_agreement_of_models() -> None:
    """Labels are laid end to end, group by group and by question id within one, wherever the rows stand."""
    features = named("aaabbcdddd", "TFFTTFTTTT")
    assert {found.sum() for found in shuffled_jointly([features], draws=40)[0]} == {7}
    assert len({tuple(found.tolist()) for found in shuffled_jointly([features], draws=40)[0]}) > 10
    other = replace(features, hallucinated=~features.hallucinated)
    turned = Features.of(
        other.answer.all(), other.other.all(), other.hallucinated[::-1].copy(), other.units[::-1],
        other.question_ids[::-1],
    )  # fmt: skip
    for one, two in zip(*shuffled_jointly([features, turned], draws=9), strict=True):
        assert one.tolist() == (~two[::-1]).tolist()
    assert shuffled_jointly([features, named("", "")], draws=2)[1][0].size == 0
    assert shuffled_jointly([named("", "")], draws=2)[0][0].size == 0


def in_groups(labels: np.ndarray, units: tuple[str, ...], order: np.ndarray | None = None) -> Features:
    """Answers to as many questions, in groups, of one model."""
    order = np.arange(len(units)) if order is None else order
    nothing = np.ones((len(units), 1), dtype=np.float32)
    ids = tuple(f"{units[row]}/{row:03d}" for row in order)
    return Features.of(nothing, nothing, labels[order], tuple(units[row] for row in order), ids)


def test_labels_are_shuffled_by_whole_groups() -> None:
    """Three answers of each group, all with one label: after shuffling they still have one, and as many of each."""
    units = tuple(f"q{i // 3:02d}" for i in range(90))
    labels = np.repeat(np.arange(30) < 10, 3)
    [drawn] = shuffled_jointly([in_groups(labels, units)], draws=200)
    for found in drawn:
        by_question = found.reshape(30, 3)
        assert (by_question == by_question[:, :1]).all()
        assert found.sum() == labels.sum()
    share = np.mean(drawn, axis=0)  # every group is as likely to be hallucinated: 1/3, SE 0.033
    assert np.abs(share - 1 / 3).max() < 0.15
    by_row = np.random.default_rng(0).permutation(labels).reshape(30, 3)
    assert not (by_row == by_row[:, :1]).all()  # the check can fail


def test_shuffled_labels_follow_the_questions_wherever_their_rows_stand() -> None:
    """Also within a group whose answers have both labels."""
    units = tuple(f"q{i // 2:02d}" for i in range(40))
    labels, order = np.random.default_rng(1).random(40) < 0.5, np.random.default_rng(2).permutation(40)
    assert (labels[::2] != labels[1::2]).sum() > 5
    [here], [there] = (shuffled_jointly([in_groups(labels, units, at)], draws=9) for at in (None, order))
    for one, two in zip(here, there, strict=True):
        assert one[order].tolist() == two.tolist()


def test_labels_that_go_with_who_answered_stay_where_they_are() -> None:
    """Nothing is left to shuffle, and a search on such labels finds its own neurons: never too few."""
    here, there = named("abcdefgh", "TTTTFFFF"), named("abcd", "TTTT")
    assert {tuple(found.tolist()) for found in shuffled_jointly([here, there], draws=9)[0]} == {
        tuple(here.hallucinated.tolist())
    }


def test_the_same_seed_gives_the_same_sets_and_another_one_does_not(tmp_path: Path) -> None:
    features = answering(120, 0, 0.01)
    first, again, other = (searched(tmp_path, features, seed=seed, draws=4) for seed in (1, 1, 2))
    assert [found.tolist() for found in first] == [found.tolist() for found in again]
    assert [found.tolist() for found in first] != [found.tolist() for found in other]


def test_a_search_below_every_path_finds_nothing_each_time(tmp_path: Path) -> None:
    assert [found.size for found in searched(tmp_path, answering(120, 0), at=1e-3, draws=3)] == [0, 0, 0]
    assert searched(tmp_path, answering(120, 0), draws=0) == ()
