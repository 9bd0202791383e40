"""Cells follow whoever was planted to be followed; agreement is Cohen's; one class only is no power and no crash."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from provenance.activations.features import Features
from provenance.analyses.asking.cross_reading import FORCED_CELLS, Forced, ForcedAnswers
from provenance.analyses.controls.control_probes import ControlProbe, control_scores
from provenance.analyses.controls.control_sets import ControlSetKind
from provenance.analyses.transfer.probe_transfer import refit_controls
from provenance.analyses.transfer.two_by_two import (
    CELLS,
    NO_PROBE,
    SAME_SCORE,
    cells,
    label_agreement,
)
from provenance.probe.sparse_probe import Probe
from provenance.records import QUOTA_FULL, Label, Response, Stage
from provenance.statistics.auroc import auroc
from provenance.statistics.bootstrap import resampled_weights
from provenance.statistics.kappa import resampled_kappas

Make = Callable[..., Features]
LAYERS, D_M = 4, 50
PLANTED = [12, 60, 130]
Controls = dict[ControlSetKind, tuple[ControlProbe, ...]]


@pytest.fixture(scope="module")
def probe() -> Probe:
    """A probe that reads the planted neurons."""
    weights = np.zeros(LAYERS * D_M)
    weights[PLANTED] = 300.0
    return Probe(weights, -9.0, 1.0, "3-vs-1", True)


@pytest.fixture
def controls(probe: Probe, features: Make) -> Controls:
    return refit_controls(probe, features(LAYERS * D_M, PLANTED, strength=1.5, seed=9), LAYERS, D_M, draws=20)


def planted(labels: Sequence[bool], signal: Sequence[bool], seed: int = 0, strength: float = 0.015) -> Features:
    """Answers with given labels whose planted neurons follow another signal."""
    rng = np.random.default_rng(seed)
    answer = rng.gamma(4.0, 0.0025, (len(labels), LAYERS * D_M)).astype(np.float32)
    answer[np.ix_(np.asarray(signal, dtype=bool), PLANTED)] += strength
    names = tuple(f"q{i:03}" for i in range(len(labels)))
    return Features.of(answer, answer, np.asarray(labels, dtype=bool), names, names)


def said(labels: Sequence[Label]) -> list[Response]:
    """Responses with these labels."""
    names = [f"q{i:03}" for i in range(len(labels))]
    return [
        Response(name, name, "test", label, "", 1, 0, "x", "rule", judged_label=label)
        for name, label in zip(names, labels, strict=True)
    ]


def as_labels(hallucinated: Sequence[bool]) -> list[Label]:
    return ["hallucinated" if y else "faithful" for y in hallucinated]


def labels_of(seed: int, rows: int = 120) -> np.ndarray:
    """Half of each, in some order."""
    return np.random.default_rng(seed).permutation(np.arange(rows) % 2 == 0)


@pytest.fixture
def following_text() -> tuple[dict[Stage, Features], Forced]:
    """Both models tell the base's hallucinations in the base's text, and nothing in the instruct model's."""
    labels: dict[Stage, np.ndarray] = {"base": labels_of(1), "instruct": labels_of(2)}
    theirs = labels["instruct"]
    unrelated = np.where(theirs, np.cumsum(theirs), np.cumsum(~theirs)) % 2 == 0  # half of each class
    signals: dict[Stage, np.ndarray] = {"base": labels["base"], "instruct": unrelated}
    rows = {name: planted(labels[name[1]], signals[name[1]], seed) for seed, name in enumerate(CELLS)}
    forced = {name: ForcedAnswers(rows[name], number) for number, name in enumerate(FORCED_CELLS)}
    return {stage: rows[stage, stage, stage] for stage in ("base", "instruct")}, Forced("trivia", forced)


def test_cells_in_which_the_signal_is_in_the_text_follow_the_text(
    probe: Probe, controls: Controls, following_text: tuple[dict[Stage, Features], Forced]
) -> None:
    own, forced = following_text
    found = cells("trivia", probe, controls, own, forced, seed=3)
    assert tuple((c.activations, c.answers, c.prompt) for c in found) == CELLS
    for cell in found:
        assert cell.auroc is not None
        assert (cell.dataset, cell.reason, cell.n_faithful, cell.n_hallucinated) == ("trivia", "", 60, 60)
        if cell.answers == "base":
            assert cell.auroc.low > 0.8
        else:
            assert cell.auroc.low < 0.5 < cell.auroc.high  # what says nothing about the labels shows nothing
    assert [cell.n_dropped for cell in found] == [0, 0, 1, 0, 2, 3]


def test_numbers_of_a_cell_are_those_of_its_own_rows(
    probe: Probe, controls: Controls, following_text: tuple[dict[Stage, Features], Forced]
) -> None:
    own, forced = following_text
    for cell in cells("trivia", probe, controls, own, forced):
        name = (cell.activations, cell.answers, cell.prompt)
        rows = forced.cells[name].features if name in forced.cells else own[cell.activations]
        assert cell.auroc is not None
        assert cell.auroc.estimate == pytest.approx(auroc(probe.scores(rows.answer), rows.hallucinated), abs=1e-12)
        for kind, bar in (("random", cell.random_p95), ("layer_matched", cell.layer_matched_p95)):
            scores = control_scores(controls[kind], rows.answer)  # type: ignore[index]
            areas = [auroc(column, rows.hallucinated) for column in scores.T]
            assert bar == pytest.approx(np.quantile(areas, 0.95), abs=1e-12)


def test_cells_without_a_number_say_why(
    probe: Probe, controls: Controls, following_text: tuple[dict[Stage, Features], Forced]
) -> None:
    """No probe, one class, nothing at all, no weight, no control sets."""
    own, forced = following_text
    assert {cell.reason for cell in cells("t", None, {}, own, forced)} == {NO_PROBE}
    silent = replace(probe, weights=np.zeros(LAYERS * D_M))
    assert {cell.reason for cell in cells("t", silent, controls, own, forced)} == {SAME_SCORE}
    one = own["base"].take(own["base"].hallucinated)
    nothing = Features.of(
        np.empty((0, 0), dtype=np.float32), np.empty((0, 0), dtype=np.float32), np.zeros(0, bool), (), ()
    )
    broken = Forced("t", {**forced.cells, FORCED_CELLS[0]: ForcedAnswers(nothing, 120)})
    first, second, *others = cells("t", probe, controls, {**own, "base": one}, broken)
    for cell, counts in ((first, (0, 60, 0)), (second, (0, 0, 120))):
        assert (cell.auroc, cell.random_p95, cell.layer_matched_p95) == (None, None, None)
        assert "no power" in cell.reason
        assert (cell.n_faithful, cell.n_hallucinated, cell.n_dropped) == counts
    assert all(cell.auroc is not None for cell in others)
    bare = cells("t", probe, {}, own, forced)
    assert all(cell.auroc is not None and cell.random_p95 is cell.layer_matched_p95 is None for cell in bare)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_kappa_is_cohens_in_every_bootstrap_sample(share: float) -> None:
    rng = np.random.default_rng(0)
    a = rng.random(60) < 0.4
    b = np.where(rng.random(60) < share, a, rng.random(60) < 0.6)
    weights = resampled_weights([f"u{i // 2}" for i in range(60)], draws=30)  # two questions a unit
    words = np.array(["refusal", "faithful", "mixed"])
    for one, other in ((a, b), (words[a * 1], words[np.where(rng.random(60) < 0.2, 2, b)])):
        slow = [cohen_kappa_score(np.repeat(one, w.astype(int)), np.repeat(other, w.astype(int))) for w in weights]
        np.testing.assert_allclose(resampled_kappas(one, other, weights), slow, atol=1e-12)
    found = label_agreement("t", said(as_labels(a)), said(as_labels(b)), planted(a, a), None)
    assert found.kappa is not None
    assert found.kappa.estimate == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)
    assert found.kappa.low < found.kappa.estimate < found.kappa.high
    assert (found.n_common, found.n_agree, found.kappa.n) == (60, int((a == b).sum()), 60)


@pytest.mark.parametrize("follows", ["base", "instruct"])
def test_where_labels_differ_the_base_follows_whom_it_was_planted_to_follow(probe: Probe, follows: str) -> None:
    """Where both models agree nobody can tell; an AUROC below 0.5 on the others says that it is not the base."""
    labels = {"base": labels_of(1), "instruct": labels_of(2)}
    base = planted(labels["base"], labels[follows])
    found = label_agreement("t", said(as_labels(labels["base"])), said(as_labels(labels["instruct"])), base, probe)
    assert found.reason == ""
    assert found.auroc_agree is not None
    assert found.auroc_disagree is not None
    assert found.auroc_agree.low > 0.8
    assert found.auroc_disagree.low > 0.8 if follows == "base" else found.auroc_disagree.high < 0.2
    differs = labels["base"] != labels["instruct"]
    slow = auroc(probe.scores(base.answer)[differs], labels["base"][differs])
    assert found.auroc_disagree.estimate == pytest.approx(slow, abs=1e-12)


def test_only_questions_with_both_labels_are_common(probe: Probe) -> None:
    """Dropped responses have none, whichever model dropped them; captured answers without a partner are left out."""
    base, instruct = labels_of(1), labels_of(2)
    ours, theirs = said(as_labels(base)), said(as_labels(instruct))
    ours[0] = replace(ours[0], label="dropped")
    theirs[5] = replace(theirs[5], label="dropped")
    kept = np.setdiff1d(np.arange(120), [0, 5])
    rows = planted(base, base)
    found = label_agreement("t", ours, theirs, rows.take(np.arange(1, 120)), probe)
    slow = label_agreement("t", [ours[i] for i in kept], [theirs[i] for i in kept], rows.take(kept), probe)
    assert found == slow
    assert found.n_common == 118
    shuffled = label_agreement("t", ours[::-1], theirs, rows.take(np.arange(1, 120)[::-1]), probe)
    assert shuffled == found  # neither order matters


def test_answers_that_came_after_a_class_was_full_have_the_label_they_were_judged_by(probe: Probe) -> None:
    """Else the questions in common would be those of the scarcer class of either model."""
    base, instruct = labels_of(1), labels_of(2)
    ours, theirs = said(as_labels(base)), said(as_labels(instruct))
    full = [replace(r, label="dropped", reason=QUOTA_FULL) if i > 60 else r for i, r in enumerate(theirs)]
    rows = planted(base, base)
    assert label_agreement("t", ours, full, rows, probe) == label_agreement("t", ours, theirs, rows, probe)
    refused = [replace(r, reason="refusal") if r.label == "dropped" else r for r in full]
    assert label_agreement("t", ours, refused, rows, probe).n_common == 61


@pytest.mark.parametrize(
    ("base", "instruct", "missing"),
    [
        ([True] * 40, [True, False] * 20, ("kappa", "auroc_agree", "auroc_disagree")),
        ([True, False] * 20, [False] * 40, ("kappa", "auroc_agree", "auroc_disagree")),
        ([True, False] * 20, [True, False] * 20, ("auroc_disagree",)),
        ([True, False] * 9, [True, False] * 9, ("auroc_agree", "auroc_disagree")),  # nine of each class
    ],
)
def test_what_cannot_be_known_is_no_power(
    probe: Probe, base: list[bool], instruct: list[bool], missing: tuple[str, ...]
) -> None:
    found = label_agreement("t", said(as_labels(base)), said(as_labels(instruct)), planted(base, base), probe)
    for name in ("kappa", "auroc_agree", "auroc_disagree"):
        assert (getattr(found, name) is None) == (name in missing)
    assert found.reason.count("no power") == len(missing)


def test_models_without_a_common_question_or_without_any_have_no_agreement(probe: Probe) -> None:
    labels = [True, False] * 20
    dropped = [replace(response, label="dropped") for response in said(as_labels(labels))]
    for theirs in (dropped, []):
        found = label_agreement("t", said(as_labels(labels)), theirs, planted(labels, labels), probe)
        assert (found.n_common, found.n_agree) == (0, 0)
        assert found.kappa is found.auroc_agree is found.auroc_disagree is None
    assert found.reason.count("no power") == 3
    without = label_agreement("t", said(as_labels(labels)), said(as_labels(labels)), planted(labels, labels), None)
    assert without.kappa is not None
    assert without.auroc_agree is None
    assert NO_PROBE in without.reason
