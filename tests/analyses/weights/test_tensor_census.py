"""Tensors are compared number by number, block by block, as the definition says."""

import math

import numpy as np
import pytest
import torch
from lineage_factory import make_model, source
from torch.nn.functional import cosine_similarity

from provenance.analyses.lineage.survey import look_at_tensors
from provenance.analyses.weights import tensor_pairs
from provenance.analyses.weights.tensor_census import PairComparison, check_finite, same_bits
from provenance.errors import NonFiniteError


def census(base: dict[str, torch.Tensor], instruct: dict[str, torch.Tensor]) -> dict[str, PairComparison]:
    """Tensors beside a tiny model, compared, by kind."""
    model = make_model(layers=1, d_m=2, d=2)
    sides = [source(model.tensors() | tensors, model.config) for tensors in (base, instruct)]
    return {part.pair.kind: part for part in look_at_tensors(*sides).comparisons}


@pytest.mark.parametrize(
    "dtypes", [(torch.float32, torch.float32), (torch.bfloat16, torch.float64), (torch.float16,) * 2]
)
@pytest.mark.parametrize("block", [1, 40, 10**6])
def test_cosines_equal_the_definition_across_blocks_and_dtypes(
    monkeypatch: pytest.MonkeyPatch, dtypes: tuple[torch.dtype, torch.dtype], block: int
) -> None:
    """Rows of matrices, whole vectors, kernels of convolutions, and columns where neurons are columns."""
    monkeypatch.setattr(tensor_pairs, "BLOCK_ELEMENTS", block)
    base = make_model(layers=1, d_m=9, d=12)
    rng = torch.Generator().manual_seed(3)
    extra = {"vector.weight": torch.randn(30, generator=rng), "conv.weight": torch.randn(4, 3, 2, generator=rng)}
    a = {name: tensor.to(dtypes[0]) for name, tensor in (base.tensors() | extra).items()}
    b = {
        name: (t + 0.3 * torch.randn(t.shape, generator=rng)).to(dtypes[1])
        for name, t in (base.tensors() | extra).items()
    }
    found = look_at_tensors(source(a, base.config), source(b, base.config)).comparisons
    assert len(found) == len(a)
    for part in found:
        x, y = (tensors[part.pair.base.name].double() for tensors in (a, b))
        if part.pair.kind == "down":
            x, y = x.T, y.T
        shape = (1, -1) if x.ndim == 1 else (x.shape[0], -1)
        expected = cosine_similarity(x.reshape(shape), y.reshape(shape), dim=1)
        np.testing.assert_allclose(part.cosine, expected.numpy(), rtol=0, atol=1e-12)  # float64 sums of 2,304 squares
        assert not part.identical
        assert not part.equal.any()


def test_rows_that_are_the_same_numbers_are_counted_and_percentiles_are_over_rows() -> None:
    a = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    b = a.clone()
    b[:10, 0] += 1
    part = census({"table": a}, {"table": b})["table"]
    summed = part.similarity()
    assert (summed.rows, summed.identical_rows, part.identical) == (40, 30, False)
    expected = np.percentile(cosine_similarity(a.double(), b.double(), dim=1).numpy(), [5, 50, 95])
    np.testing.assert_allclose([summed.cosine_low, summed.cosine_median, summed.cosine_high], expected, atol=1e-12)


def test_zero_rows_have_changed_nothing_beside_zero_rows_and_everything_beside_others() -> None:
    a, b = torch.ones(3, 4), torch.ones(3, 4)
    a[0], b[0], b[1] = 0, 0, 0
    assert census({"t": a}, {"t": b})["t"].cosine.tolist() == pytest.approx([1, 0, 1])


def test_the_same_numbers_in_another_dtype_are_equal_rows_of_a_tensor_that_is_not_identical() -> None:
    a = torch.tensor([[0.5, 1.0], [2.0, 0.25]])
    part = census({"t": a}, {"t": a.bfloat16()})["t"]
    assert part.equal.all()
    assert part.cosine.tolist() == [1, 1]
    assert not part.identical


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.int8])
def test_whole_numbers_are_compared_for_equality_alone(dtype: torch.dtype) -> None:
    """Packed weights and positions have no direction."""
    a = torch.tensor([[0, 1], [1, 1], [1, 0]]).to(dtype)
    b = a.clone()
    b[1, 0] = 0
    same, other = census({"t": a}, {"t": a.clone()})["t"], census({"t": a}, {"t": b})["t"]
    assert (same.identical, other.identical) == (True, False)
    assert other.equal.tolist() == [True, False, True]
    assert math.isnan(other.similarity().cosine_median)
    mixed = census({"t": a}, {"t": b.float()})["t"]
    assert (mixed.identical, mixed.equal.tolist()) == (False, [True, False, True])


def test_one_byte_floats_are_compared_as_the_numbers_they_stand_for() -> None:
    a = torch.tensor([[1.0, 2.0], [3.0, -1.0]]).to(torch.float8_e4m3fn)
    b = torch.tensor([[1.0, 2.0], [3.0, 1.0]])
    part = census({"t": a}, {"t": b})["t"]
    assert part.cosine.tolist() == pytest.approx([1, 0.8])
    assert census({"t": a}, {"t": a.clone()})["t"].identical


def test_single_numbers_and_empty_tensors_are_compared_too() -> None:
    a = {"scale": torch.tensor(2.0), "none": torch.zeros(0, 3)}
    found = census(a, {"scale": torch.tensor(3.0), "none": torch.zeros(0, 3)})
    assert (found["scale"].identical, found["none"].identical) == (False, True)
    assert found["scale"].equal.tolist() == [False]
    assert math.isnan(found["none"].similarity().cosine_low)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("side", ["base", "instruct"])
@pytest.mark.parametrize("name", ["matrix", "vector", "number", "model.layers.0.mlp.down_proj.weight"])
def test_values_that_are_not_finite_are_refused_by_the_name_of_tensor_and_side(
    value: float, side: str, name: str
) -> None:
    model = make_model(layers=1, d_m=2, d=2)
    extra = {"matrix": torch.ones(3, 2), "vector": torch.ones(4), "number": torch.tensor(1.0)}
    good, bad = model.tensors() | extra, {key: tensor.clone() for key, tensor in (model.tensors() | extra).items()}
    bad[name].view(-1)[-1] = value
    sides = [source(tensors, model.config) for tensors in ((bad, good) if side == "base" else (good, bad))]
    with pytest.raises(NonFiniteError, match=f"{name} of the {side} checkpoint"):
        look_at_tensors(*sides)
    assert look_at_tensors(source(good, model.config), source(good, model.config)).comparisons


def test_a_nan_that_both_share_is_refused_too() -> None:
    model = make_model(layers=1)
    model.rest["norm.weight"][3] = float("nan")
    with pytest.raises(NonFiniteError, match=r"model\.norm\.weight of the base"):
        look_at_tensors(model.source(), model.source())


def test_numbers_whose_squares_overflow_float32_are_finite() -> None:
    """Sums are float64, so that large weights are not taken for damaged ones."""
    check_finite(torch.tensor([3e38]), "t")
    a = torch.tensor([[1e30, 2e30], [1e30, 0.0]])
    assert census({"t": a}, {"t": a.flip(1)})["t"].cosine.tolist() == pytest.approx([0.8, 0.0])


@pytest.mark.parametrize("scale", [1e-8, 3.0, 1e8, 1e30])
def test_a_change_of_length_is_no_change_of_direction_and_cosines_stay_in_range(scale: float) -> None:
    """At 1e30 nothing can be said of the direction any more, but a cosine stays one."""
    a = torch.randn(5, 9, generator=torch.Generator().manual_seed(1))
    cosine = census({"t": a}, {"t": a * scale})["t"].cosine
    assert (np.abs(cosine) <= 1).all()
    if scale < 1e10:
        np.testing.assert_allclose(cosine, 1, atol=1e-7)  # the float32 product is rounded as well


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int8, torch.bool])
def test_same_bits_sees_one_changed_bit(dtype: torch.dtype) -> None:
    a = torch.tensor([0, 1, 1]).to(dtype)
    b = a.clone()
    assert same_bits(a, b)
    assert same_bits(a.expand(2, 3).T, b.expand(2, 3).T)
    b[1] = 0
    assert not same_bits(a, b)


def test_same_bits_looks_at_bits_and_not_at_values() -> None:
    assert not same_bits(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert not same_bits(torch.ones(2), torch.ones(2).bfloat16())
    assert not same_bits(torch.ones(2), torch.ones(1, 2))
