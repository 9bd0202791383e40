"""A copy in bfloat16: its products within their bounds, and paths that are the same with it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from l1_cases import everything, kkt, make, path_of, weights_of

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NeuronRows
from provenance.analyses.search import probe_fit
from provenance.errors import FitError
from provenance.probe import rounded_copy
from provenance.probe.l1_objective import residuals
from provenance.probe.l1_path import L1Path, Problem
from provenance.probe.rounded_copy import RoundedCopy, multiplies_bfloat16, rounded_blocks

RNG = np.random.default_rng(0)
VECTORS = np.column_stack([
    np.ones(500), RNG.normal(size=500), RNG.normal(size=500) * (RNG.random(500) < 0.1), np.exp(RNG.normal(0, 4, 500)),
    1 + 1e-3 * RNG.normal(size=500), np.zeros(500),
])  # fmt: skip
KINDS = {
    "positive": RNG.gamma(2.0, 0.01, (80, 500)),
    "signed": RNG.normal(size=(80, 500)),
    "nearly constant": 7 + 1e-4 * RNG.normal(size=(80, 500)),
    "two values": np.where(RNG.random((80, 500)) < 0.5, 1.001, 1.0),
    "rare and large": RNG.gamma(2.0, 0.01, (80, 500)) + 50 * (RNG.random((80, 500)) < 0.004),
    "constant": np.full((80, 500), 0.3),
}


def copy_of(matrix: np.ndarray, block_bytes: int = 4 * 500 * 30) -> RoundedCopy:
    bits, kept = zip(*((bits.copy(), kept) for bits, kept in rounded_blocks(matrix, block_bytes)), strict=True)
    return RoundedCopy(np.concatenate(bits), *np.concatenate(kept, axis=1))


def features_of(responses: int) -> Features:
    answer, other = (NeuronRows.of(RNG.random((responses, 30)).astype(np.float16)) for _ in range(2))
    names = tuple(f"q{row}" for row in range(responses))
    return Features(answer, other, np.arange(responses) < responses // 2, names, names)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_products_are_as_exact_as_they_say(kind: str, dtype: str) -> None:
    """For neurons and vectors of every shape; without its parts the bound would not hold."""
    matrix = KINDS[kind].astype(dtype)
    copy = copy_of(matrix)
    found, slow = copy.products(VECTORS), matrix.astype(np.float64) @ VECTORS
    errors = np.abs(found - slow)
    bounds = np.column_stack([copy.doubt(v, g) for v, g in zip(VECTORS.T, found.T, strict=True)])
    assert (errors <= bounds).all()
    assert (errors[:, :5] > bounds[:, :5] / 100).any()  # of use: not larger by orders of magnitude


def test_the_bound_is_small_beside_the_spread_and_not_beside_the_mean() -> None:
    """A probe's residuals add up to little, so neurons that hardly vary have products of the size of their spread."""
    r = RNG.normal(size=500)
    r -= r.mean()
    matrix = KINDS["nearly constant"].astype(np.float32)
    copy = copy_of(matrix)
    bound = copy.doubt(r, copy.products(r[:, None])[:, 0])
    assert (bound < 0.025 * np.linalg.norm(r) * 1e-4 * 500**0.5).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_knows_each_neuron_and_what_it_leaves_out(kind: str, dtype: str) -> None:
    """Means and norms against float64."""
    matrix = KINDS[kind].astype(dtype)
    copy = copy_of(matrix)
    values = torch.from_numpy(copy.bits).view(torch.bfloat16).double().numpy()
    around = matrix.astype(np.float64) - copy.means[:, None].astype(np.float64)
    np.testing.assert_allclose(copy.means, matrix.astype(np.float64).mean(axis=1), rtol=1e-5, atol=1e-6)
    slack = 1e-6 * 500**0.5 * np.abs(matrix).max()  # of means in float32
    np.testing.assert_allclose(copy.norms, np.linalg.norm(around, axis=1), rtol=1e-4, atol=slack)
    np.testing.assert_allclose(copy.lost, np.linalg.norm(around - values, axis=1), rtol=1e-4, atol=slack)


@pytest.mark.parametrize("part", ["lost", "norms"])
def test_without_what_rounding_leaves_out_the_bound_would_be_broken(part: str) -> None:
    """Of the neurons, or of the vector."""
    unit = 1 + 2.0**-9 + 2.0**-11  # becomes 1 in bfloat16
    signs = np.array([-1.0, 1.0] * 250)
    neuron, vector = (unit * signs, signs) if part == "lost" else (signs, unit * signs)
    copy = copy_of(neuron[None].astype(np.float32))
    found = copy.products(vector[:, None])[:, 0]
    assert found == [500]
    of_result = rounded_copy.RESULT * 500
    assert 500 * (unit - 1) <= copy.doubt(vector, found)[0] - of_result
    blind = replace(copy, **{part: np.zeros(1, np.float32)})
    assert 500 * (unit - 1) > blind.doubt(vector, found)[0] - of_result


def test_sums_in_float32_are_part_of_the_bound() -> None:
    """Of neurons and a vector without any digits that bfloat16 would round, but far more of them than it holds."""
    matrix = np.where(RNG.random((40, 20_000)) < 0.5, 1.0, -1.0).astype(np.float32)
    vector = 2.0 ** RNG.integers(-20, 1, 20_000)
    copy = copy_of(matrix, 1 << 30)
    whole = replace(copy, means=np.zeros(40, np.float32), lost=np.zeros(40, np.float32))
    bound = whole.doubt(vector, np.zeros(40, np.float32))
    assert (bound >= 20_000 * 2.0**-24 * np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector)).all()


@pytest.mark.parametrize("penalised", [True, False])
@pytest.mark.parametrize("kind", ["dense", "factors", "duplicated", "separable"])
def test_a_path_with_a_copy_is_the_path_without(kind: str, penalised: bool) -> None:
    """The same weights at every C, exact as ever."""
    x, labels = make(kind, rows=120, neurons=400)
    matrix = np.ascontiguousarray(x.T)
    options = {"intercept_penalised": penalised, "tolerance": 1e-8}
    plain = L1Path(matrix, [everything(labels)], **options)
    rounded = L1Path(matrix, [everything(labels)], rounded=copy_of(matrix), **options)
    start = plain.starts()[0]
    assert rounded.starts()[0] == start
    for step in (1.5, 6.0, 30.0):
        one, other = plain.fit([step * start])[0], rounded.fit([step * start])[0]
        assert other.objective == pytest.approx(one.objective, rel=1e-9)
        if kind != "duplicated":  # copies may share a weight in any way
            np.testing.assert_allclose(weights_of(other, 400), weights_of(one, 400), rtol=1e-4, atol=1e-6)
        assert kkt(x, labels, weights_of(other, 400), other.intercept, other.C, penalised) <= 1e-8


def test_a_violation_that_rounding_hides_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A neuron that is looked at again because of the bound alone, and would be missed without it."""
    x, labels = make("dense", rows=200, neurons=20)
    matrix = np.ascontiguousarray(x.T)
    fit = path_of(x, labels).fit([1.0])[0]
    hidden = matrix[fit.ids[np.argmax(np.abs(fit.weights))]] * np.float32(1.02)
    with_hidden = np.vstack([matrix, hidden])

    class Lower(RoundedCopy):
        def products(self, vectors: np.ndarray) -> np.ndarray:
            found = super().products(vectors)
            doubt = [RoundedCopy.doubt(self, v, g) for v, g in zip(vectors.T, found.T, strict=True)]
            return (found - np.sign(found) * np.column_stack(doubt)).astype(np.float32)

    copy = copy_of(with_hidden)
    options = {"rounded": Lower(copy.bits, copy.means, copy.norms, copy.lost)}
    monkeypatch.setattr(L1Path, "_screened", lambda *_: np.arange(20))
    assert 20 in L1Path(with_hidden, [everything(labels)], **options).fit([1.0])[0].ids
    monkeypatch.setattr(Lower, "doubt", lambda _self, _vector, found: np.zeros_like(found))
    assert 20 not in L1Path(with_hidden, [everything(labels)], **options).fit([1.0])[0].ids


def test_neurons_of_two_values_hide_no_violation() -> None:
    """Rounding moves all of a neuron's products one way where its values are few: planted beside a fit, forty times."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x, labels = make("factors", rows=400, neurons=60, seed=seed)
        fit = path_of(x, labels).fit([path_of(x, labels).starts()[0] * 20])[0]
        r = residuals(x.astype(np.float64) @ weights_of(fit, 60) + fit.intercept, labels, fit.C)
        high = r > rng.normal(0, np.abs(r).mean(), r.size)
        step = 1.005 / abs(float(r @ high)) * (1 + 2.0**-9 + 2.0**-11)
        planted = np.vstack([x.T, (step * high).astype(np.float32)])
        found = L1Path(planted, [everything(labels)], rounded=copy_of(planted)).fit([fit.C])[0]
        assert kkt(planted.T, labels, weights_of(found, 61), found.intercept, found.C, True) <= 1.01e-6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    """By the path, as without a copy."""
    x, labels = make("dense", rows=120, neurons=40)
    x[5, 39] = value
    matrix = np.ascontiguousarray(x.T)
    with pytest.raises(FitError, match="NaN or infinity"):
        L1Path(matrix, [everything(labels)], rounded=copy_of(matrix))


def test_a_large_design_has_a_copy_where_the_processor_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And none where it does not, or the matrix is small."""
    features = features_of(60)
    for size, able, copied in ((0, True, True), (0, False, False), (1 << 26, True, False)):
        monkeypatch.setattr(probe_fit, "ONE_THREAD", size)
        monkeypatch.setattr(probe_fit, "multiplies_bfloat16", lambda able=able: able)
        with probe_fit.probe_rows(features, "3-vs-1", tmp_path, intercept_penalised=True) as rows:
            assert (rows.rounded is not None) == copied
            if rows.rounded is not None:
                found = rows.rounded.products(np.ones((120, 1)))[:, 0]
                np.testing.assert_allclose(found, rows.matrix.sum(axis=1), rtol=1e-2)


def test_a_disk_without_room_for_the_copy_costs_time_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The search goes on without it, and says so."""
    monkeypatch.setattr(probe_fit, "ONE_THREAD", 0)
    monkeypatch.setattr(probe_fit, "multiplies_bfloat16", lambda: True)
    (tmp_path / "file").touch()
    with probe_fit.probe_rows(features_of(20), "3-vs-1", tmp_path / "file", intercept_penalised=True) as rows:
        assert rows.rounded is None
        assert rows.matrix.shape == (30, 40)
    assert "a search takes longer" in caplog.text


def test_null_solutions_have_the_gradients_of_their_rows_alone() -> None:
    """Of a problem on some rows, with and without a penalised intercept."""
    x, labels = make("factors", rows=120, neurons=40)
    rows = np.arange(120) % 3 > 0
    for penalised in (True, False):
        path = L1Path(np.ascontiguousarray(x.T), [Problem(labels, rows)], intercept_penalised=penalised)
        C = path.starts()[0] / 2
        fit = path.fit([C])[0]
        assert not fit.ids.size
        r = residuals(np.full(int(rows.sum()), fit.intercept), labels[rows], 1.0)
        slow = np.abs(x[rows].astype(np.float64).T @ r)
        np.testing.assert_allclose(path._states[0].steepness, slow, rtol=1e-4, atol=1e-6)
        again = L1Path(np.ascontiguousarray(x.T), [Problem(labels, rows)], intercept_penalised=penalised)
        again._from_null([C])
        np.testing.assert_allclose(again._states[0].steepness, slow, rtol=1e-4, atol=1e-6)


def test_processors_are_told_apart_by_their_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older release of torch does not know them, and counts as without."""
    for known, able in (({"amx_bf16": True}, True), ({"avx512_bf16": True}, True), ({"avx2": True}, False)):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda known=known: known, raising=False)
        assert multiplies_bfloat16() == able
    monkeypatch.delattr("torch.cpu.get_capabilities", raising=False)
    assert not multiplies_bfloat16()
