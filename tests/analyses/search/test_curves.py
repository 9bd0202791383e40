"""Every point of the curve is one fit by itself, scored plainly."""

import numpy as np
import pytest
from planted import PLANTED, planted, whole_rows
from reference import accuracy, bootstrap_by_unit, fit_probe

from provenance.activations.features import Features
from provenance.analyses.results.probes import CurvePoint
from provenance.analyses.search.curves import curve
from provenance.analyses.search.probe_fit import probe_rows
from provenance.probe.l1_path import Fit
from provenance.probe.sparse_probe import Probe
from provenance.statistics.auroc import auroc

CS = (1.0, 2.0, 5.0)
TRAIN = planted(200, 0, 0.02)


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Fit, Probe]]:
    with probe_rows(TRAIN, "3-vs-1", tmp_path_factory.mktemp("scratch"), intercept_penalised=True) as rows:
        path = rows.path([rows.problem(np.ones(len(TRAIN), dtype=bool))])
        fits = [path.fit([C])[0] for C in CS]
        return [(fit, rows.probe(fit)) for fit in fits]


def test_each_point_is_the_probe_at_that_c_scored_by_itself(probes: list[tuple[Fit, Probe]]) -> None:
    """A fit of its own on all training rows; accuracy and AUROC of tests and of the base's answers as they are."""
    tests = {"first": planted(80, 1, 0.02), "second": planted(60, 2, 0.01)}
    transfers = {name: planted(60, 3 + i, 0.015, neurons=PLANTED[:2]) for i, name in enumerate(tests)}
    points = curve(probes, tests, transfers)
    assert [(p.C, p.dataset) for p in points] == [(C, name) for C in CS for name in tests]
    rows, labels = whole_rows(TRAIN, "3-vs-1")
    for found in points:
        slow = fit_probe(rows, labels, C=found.C, design="3-vs-1")
        assert (found.positive, found.nonzero) == (slow.h_neurons.size, slow.nonzero.size)
        own, base = tests[found.dataset], transfers[found.dataset]
        assert found.accuracy is not None
        assert found.auroc is not None
        assert found.transfer is not None
        # two solutions within the solver's tolerance can order two nearly tied answers differently: 1 of 900 pairs
        scores = slow.scores(own.answer)
        assert found.accuracy.estimate == pytest.approx(accuracy(scores, own.hallucinated), abs=1e-9)
        assert found.auroc.estimate == pytest.approx(auroc(scores, own.hallucinated), abs=2e-3)
        assert found.transfer.estimate == pytest.approx(auroc(slow.scores(base.answer), base.hallucinated), abs=2e-3)
        assert (found.auroc.n, found.transfer.n) == (len(own), len(base))
    assert len({p.auroc.estimate for p in points if p.auroc and p.dataset == "first"}) > 1  # C makes a difference


def test_intervals_are_by_question(probes: list[tuple[Fit, Probe]]) -> None:
    """Two rows of one question are drawn together, which makes the interval wider."""
    rows = planted(80, 1, 0.02)
    grouped = Features(
        rows.answer, rows.other, rows.hallucinated, tuple(f"q{i // 8:02d}" for i in range(80)), rows.question_ids
    )
    (found,) = curve(probes[-1:], {"set": grouped}, {}, seed=4)
    scores, positive = probes[-1][1].scores(rows.answer), rows.hallucinated
    slow = bootstrap_by_unit(lambda r: auroc(scores[r], positive[r]), list(grouped.units), seed=4)
    assert found.auroc == slow
    assert found.auroc != curve(probes[-1:], {"set": rows}, {}, seed=4)[0].auroc


def test_a_missing_class_has_no_number_and_a_missing_base_no_transfer(probes: list[tuple[Fit, Probe]]) -> None:
    tests = {"both": planted(40, 1), "one": planted(40, 2, one_class=True), "none": planted(4, 3).take([])}
    transfers = {"both": planted(40, 4, one_class=True), "one": planted(40, 5)}
    points = {(p.C, p.dataset): p for p in curve(probes, tests, transfers)}
    for C in CS:
        assert points[C, "both"].auroc is not None
        assert points[C, "both"].transfer is None
        assert (points[C, "one"].accuracy, points[C, "one"].auroc) == (None, None)
        assert points[C, "one"].transfer is not None
        assert [points[C, "none"].auroc, points[C, "none"].transfer] == [None, None]
    assert {p.transfer for p in curve(probes, tests, {})} == {None}


def test_no_probes_or_no_sets_are_no_points(probes: list[tuple[Fit, Probe]]) -> None:
    none: tuple[CurvePoint, ...] = ()
    assert curve([], {"set": planted(40, 1)}, {}) == none
    assert curve(probes, {}, {"set": planted(40, 1)}) == none
