"""One point of a timeline: planted neurons are read where they are, and only there, and a gap has its reason."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checkpoint_factory import local_checkpoint, make_checkpoint, tuned_copy

from provenance.activations.features import Features
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.drift.drift_tests import finite_mean
from provenance.analyses.drift.weight_drift import measure_drift
from provenance.analyses.timeline.points import alike, joined_reason, moved, score
from provenance.analyses.transfer.probe_transfer import refit_controls
from provenance.probe.sparse_probe import Probe
from provenance.records import Stage
from provenance.statistics.auroc import auroc
from provenance.statistics.bootstrap import estimate_of, resampled_aurocs, resampled_weights

Make = Callable[..., Features]
LAYERS, D_M = 4, 50
PLANTED = [12, 60, 61, 130, 170]
H = np.array([3, 30], dtype=np.int64)


@pytest.fixture(scope="module")
def probe() -> Probe:
    """Reads the planted neurons."""
    weights = np.zeros(LAYERS * D_M)
    weights[PLANTED] = 300.0
    return Probe(weights, -15.0, 1.0, "3-vs-1", True)


def test_a_planted_signal_is_scored_as_defined_and_beats_other_neurons(probe: Probe, features: Make) -> None:
    train, answers = (features(LAYERS * D_M, PLANTED, strength=1.0, seed=seed) for seed in (1, 2))
    controls = refit_controls(probe, train, LAYERS, D_M, draws=20)
    found = score(probe, controls, answers, seed=4)
    scores = probe.scores(answers.answer)
    weights = resampled_weights(answers.units, seed=4)
    assert found.auroc == estimate_of(resampled_aurocs(scores[:, None], answers.hallucinated, weights), len(answers))
    assert found.auroc is not None
    assert found.auroc.estimate == auroc(scores, answers.hallucinated)
    slow = [
        auroc(each.probe.scores(answers.answer.all()[:, each.columns]), answers.hallucinated)
        for each in controls["random"]
    ]
    assert found.random_p95 == pytest.approx(np.percentile(slow, 95), abs=1e-6)
    assert found.layer_matched_p95 is not None
    assert max(found.random_p95, found.layer_matched_p95) < found.auroc.low
    assert (found.n_faithful, found.n_hallucinated, found.reason) == (150, 150, "")


def test_without_a_signal_the_probe_reads_nothing(probe: Probe, features: Make) -> None:
    """The same check fails where nothing is planted."""
    train = features(LAYERS * D_M, PLANTED, strength=1.0, seed=1)
    controls = refit_controls(probe, train, LAYERS, D_M, draws=20)
    found = score(probe, controls, features(LAYERS * D_M, PLANTED, strength=0, seed=3), seed=4)
    assert found.auroc is not None
    assert found.random_p95 is not None
    assert found.auroc.low < 0.5 < found.auroc.high
    assert found.auroc.low < found.random_p95


@pytest.mark.parametrize(("faithful", "hallucinated"), [(9, 40), (40, 9), (0, 40), (40, 0), (0, 0)])
def test_fewer_than_ten_questions_of_a_class_give_no_number_but_a_reason(
    probe: Probe, features: Make, faithful: int, hallucinated: int
) -> None:
    answers = features(LAYERS * D_M, PLANTED, strength=1, faithful=faithful, hallucinated=hallucinated)
    found = score(probe, {}, answers, seed=0, note="2 of 51 answers could not be placed")
    assert (found.auroc, found.random_p95, found.layer_matched_p95) == (None, None, None)
    assert (found.n_faithful, found.n_hallucinated) == (faithful, hallucinated)
    assert f"{faithful} faithful + {hallucinated} hallucinated questions" in found.reason
    assert found.reason.endswith("could not be placed")


def test_a_probe_that_scores_every_answer_alike_gives_no_number(probe: Probe, features: Make) -> None:
    silent = replace(probe, weights=np.zeros_like(probe.weights))
    found = score(silent, {}, features(LAYERS * D_M, PLANTED, strength=1), seed=0)
    assert found.auroc is None
    assert "same score" in found.reason


def test_ten_questions_are_counted_and_not_ten_rows(probe: Probe, features: Make) -> None:
    """Rows of one question are one piece of evidence; with a unit of its own for each row there is a number."""
    answers = features(LAYERS * D_M, PLANTED, strength=1, faithful=40, hallucinated=40)
    units = tuple(f"u{i // 5}" for i in range(len(answers)))
    few = Features(answers.answer, answers.other, answers.hallucinated, units, answers.question_ids)
    assert score(probe, {}, few, seed=0).auroc is None
    assert score(probe, {}, answers, seed=0).auroc is not None


def test_change_is_the_mean_of_up_and_down_and_the_rank_is_that_of_the_drift_analysis(tmp_path: Path) -> None:
    """Against cosines of rows and columns taken one by one; a child that moved little, H-Neurons not at all."""
    base = make_checkpoint(tmp_path / "base")
    first, last = side("base", base), side("instruct", tuned_copy(base, tmp_path / "child", scale=0.1))
    drift = measure_drift(first.weights, last.weights)
    drift.delta_up[H], drift.delta_down[H] = 0.0, 0.0
    found = moved(drift, H, last.layout, draws=500, seed=0)
    slow = []
    for layer in range(last.layout.layers):
        pairs = [[each.weights.neurons(kind, layer).double() for each in (first, last)] for kind in ("up", "down")]
        for j in range(last.layout.d_m):
            cosines = [float(a[j] @ b[j] / (a[j].norm() * b[j].norm())) for a, b in pairs]
            slow.append(1 - np.mean(cosines))
    slow_all = np.array(slow)
    slow_all[H] = 0
    assert found.change_h == 0
    assert found.change_all == pytest.approx(slow_all.mean(), rel=1e-9)
    assert found.mean_stability_rank == pytest.approx(drift.stability_rank[H].mean())
    assert found.null_mean is not None
    assert found.p_value is not None
    assert found.reason == ""


def test_strangers_are_compared_by_position_and_the_reason_says_so(tmp_path: Path) -> None:
    first, last = (side("base", make_checkpoint(tmp_path / str(seed), seed=seed, hidden_size=64)) for seed in (1, 2))
    found = moved(measure_drift(first.weights, last.weights), H, last.layout, draws=100, seed=0)
    assert found.reason.startswith("100.0% of neurons are no more alike than chance")
    assert found.change_all == pytest.approx(1, abs=0.1)
    assert found.mean_stability_rank is not None
    assert found.p_value is None  # a rank among neurons that have all become others is no stability


def test_without_h_neurons_there_is_change_of_all_and_nothing_of_them(tmp_path: Path) -> None:
    base = make_checkpoint(tmp_path / "base")
    last = side("instruct", tuned_copy(base, tmp_path / "child"))
    drift = measure_drift(side("base", base).weights, last.weights)
    found = moved(drift, H[:0], last.layout, draws=100, seed=0)
    assert (found.mean_stability_rank, found.null_mean, found.p_value, found.change_h) == (None,) * 4
    assert found.change_all is not None


def test_neurons_without_a_correlation_are_left_out_of_its_mean() -> None:
    correlation = np.array([0.5, np.nan, 1.0, -0.5])
    found = alike(correlation, np.array([0, 1]))
    assert (found.correlation_h, found.correlation_all, found.reason) == (0.5, pytest.approx(1 / 3), "")
    assert alike(correlation, np.array([1])).correlation_h is None
    nothing = alike(np.full(4, np.nan), np.array([0]))
    assert (nothing.correlation_h, nothing.correlation_all) == (None, None)
    assert nothing.reason


def test_means_and_reasons_of_nothing_are_none_and_empty() -> None:
    assert finite_mean(np.array([])) is None
    assert joined_reason({"weights": "", "activations": ""}) == ""
    assert joined_reason({"weights": "a", "own": "", "activations": "b"}) == "weights: a; activations: b"


def side(stage: Stage, folder: Path) -> OpenCheckpoint:
    return OpenCheckpoint.open(stage, local_checkpoint(folder))
