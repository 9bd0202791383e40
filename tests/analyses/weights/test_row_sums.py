"""Both ways to compare neurons against planted rotations and exact arithmetic; the fused one against the definition."""

import math
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from itertools import product

import numpy as np
import pytest
import torch

from provenance.analyses.weights import row_sums
from provenance.analyses.weights.row_sums import RowComparison, RowSums, Widener, check_finite, compare_rows, unit_gaps
from provenance.errors import NonFiniteError

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2]
PAIRS = [*product(DTYPES[:4], DTYPES[:4]), *((dtype, torch.bfloat16) for dtype in DTYPES[4:])]
SHAPES = [(1, 1), (1, 7), (5, 1), (3, 531), (530, 19)]  # neurons, weights; tiles hold 512 columns, groups 8 rows


def rotated(rows: torch.Tensor, phi: float, seed: int = 0) -> torch.Tensor:
    """Each row turned by phi in the plane of itself and a random direction, norm kept; float64."""
    rows = rows.double()
    other = torch.randn(rows.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    unit = rows / rows.norm(dim=1, keepdim=True)
    other -= (other * unit).sum(dim=1, keepdim=True) * unit
    other /= other.norm(dim=1, keepdim=True)
    return rows.norm(dim=1, keepdim=True) * (math.cos(phi) * unit + math.sin(phi) * other)


@pytest.mark.parametrize("phi", [2.0, 0.3, 1e-3, 1e-6])
def test_a_planted_rotation_gives_one_minus_cos_phi(phi: float) -> None:
    rows = torch.randn(20, 300, generator=torch.Generator().manual_seed(1)).double()
    expected = 2 * math.sin(phi / 2) ** 2  # = 1 - cos phi, without its cancellation
    # Unit vectors differ by phi with an absolute error near 1e-16, so by 2e-10 relatively at 1e-6.
    np.testing.assert_allclose(compare_rows(rows, rotated(rows, phi)).delta, expected, rtol=2e-9)


def test_float32_would_fail_at_the_smallest_rotation() -> None:
    rows = torch.randn(20, 300, generator=torch.Generator().manual_seed(1)).double()
    turned = rotated(rows, 1e-6)
    expected = 2 * math.sin(5e-7) ** 2
    in_float32 = 1 - torch.nn.functional.cosine_similarity(rows.float(), turned.float())
    assert (np.abs(in_float32.numpy() / expected - 1) > 0.5).all()
    naive_float64 = 1 - torch.nn.functional.cosine_similarity(rows, turned)
    assert np.abs(naive_float64.numpy() / expected - 1).max() > 1e-5


def test_rows_equal_the_definition_across_blocks_strides_and_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_sums, "BLOCK_ELEMENTS", 50)  # three rows of 16 at a time
    generator = torch.Generator().manual_seed(2)
    a = torch.randn(16, 11, generator=generator).T  # strided, as a transposed down-projection comes
    b = torch.randn(11, 16, generator=generator).bfloat16()
    before = a.clone()
    result = compare_rows(a, b)
    u, v = a.double().numpy(), b.double().numpy()
    for j in range(11):
        norm_u, norm_v = np.sqrt(u[j] @ u[j]), np.sqrt(v[j] @ v[j])
        assert result.delta[j] == pytest.approx(1 - u[j] @ v[j] / (norm_u * norm_v), rel=1e-12)
        assert result.norm_a[j] == pytest.approx(norm_u, rel=1e-14)
        assert result.norm_b[j] == pytest.approx(norm_v, rel=1e-14)
    assert torch.equal(a, before)


def test_float64_weights_are_not_changed_by_being_compared() -> None:
    a = torch.randn(3, 4, dtype=torch.float64)
    before = a.clone()
    compare_rows(a, a * 2)
    assert torch.equal(a, before)


def test_zero_rows_have_the_distances_that_the_docstring_fixes() -> None:
    zero, one = torch.zeros(1, 3), torch.ones(1, 3)
    rows_a, rows_b = torch.cat([zero, zero, one, one]), torch.cat([zero, one, zero, one])
    result = compare_rows(rows_a, rows_b)
    assert result.delta.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert result.equal.tolist() == [True, False, False, True]


def test_opposite_rows_have_distance_two_and_scaled_ones_zero() -> None:
    a = torch.tensor([[3.0, 4.0], [3.0, 4.0]])
    np.testing.assert_allclose(compare_rows(a, a * torch.tensor([[-1.0], [2.0]])).delta, [2.0, 0.0], atol=1e-15)


def normal(shape: tuple[int, int], seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def summed(a: torch.Tensor, b: torch.Tensor, neurons: str, block: int) -> RowSums:
    """Sums over two matrices with neurons in rows, handed over in blocks of rows or of columns as a file has them."""
    sums = RowSums.zeros(a.shape[0])
    if neurons == "columns":
        a, b = a.T.contiguous(), b.T.contiguous()
    wide_a, wide_b = Widener(), Widener()
    for start in range(0, a.shape[0], block):
        parts = wide_a(a[start : start + block]), wide_b(b[start : start + block])
        if neurons == "columns":
            sums.add_columns(*parts)
        else:
            sums.add_rows(start, *parts)
    return sums


def assert_same(fused: RowComparison, reference: RowComparison) -> None:
    # Neurons of a single weight only change their length: what the definition then says is rounding, below 1e-15.
    np.testing.assert_allclose(fused.delta, reference.delta, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(fused.norm_a, reference.norm_a, rtol=1e-14)
    np.testing.assert_allclose(fused.norm_b, reference.norm_b, rtol=1e-14)
    np.testing.assert_array_equal(fused.equal, reference.equal)


@pytest.mark.parametrize("neurons", ["rows", "columns"])
@pytest.mark.parametrize("dtypes", PAIRS, ids=str)
def test_sums_say_what_the_definition_says(dtypes: tuple[torch.dtype, torch.dtype], neurons: str) -> None:
    """Any two dtypes, shapes that fill no vector, tile or group, blocks that do not divide."""
    for seed, shape in enumerate(SHAPES):
        exact = normal(shape, seed)
        a, b = exact.to(dtypes[0]), (exact + 0.1 * normal(shape, 99)).to(dtypes[1])
        reference = compare_rows(a.double(), b.double())
        for block in (1, 13, 1000):
            assert_same(summed(a, b, neurons, block).compared(), reference)


def exact_one_minus_cosine(u: torch.Tensor, v: torch.Tensor) -> Iterator[float]:
    """1 - cos of each pair of rows in decimal arithmetic of 60 digits."""
    with localcontext() as context:
        context.prec = 60
        for row_u, row_v in zip(u.double().tolist(), v.double().tolist(), strict=True):
            x, y = [Decimal(value) for value in row_u], [Decimal(value) for value in row_v]
            inner = sum(p * q for p, q in zip(x, y, strict=True))
            yield float(1 - inner / (sum(p * p for p in x) * sum(q * q for q in y)).sqrt())


@pytest.mark.parametrize("neurons", ["rows", "columns"])
@pytest.mark.parametrize(
    ("dtype", "change"),
    [(torch.float32, 1e-3), (torch.float32, 1e-7), (torch.float64, 1e-7), (torch.bfloat16, 1e-2)],
)
def test_tiny_changes_keep_their_digits(dtype: torch.dtype, change: float, neurons: str) -> None:
    """Against 60-digit arithmetic; what stays is the rounding of norms, which are 1e-16 of the weights' size."""
    exact = normal((6, 45), 3)
    a, b = exact.to(dtype), (exact * (1 + change * normal((6, 45), 4))).to(dtype)
    expected = list(exact_one_minus_cosine(a, b))
    np.testing.assert_allclose(summed(a, b, neurons, 4).compared().delta, expected, rtol=1e-12)
    np.testing.assert_allclose(compare_rows(a, b).delta, expected, rtol=1e-15 / change + 1e-12)


def test_float32_arithmetic_fails_on_the_same_changes() -> None:
    """The usual formula has no digit left of a change of 1e-7, and loses the order of changes near 1e-3."""
    exact = normal((6, 45), 3)
    a, b = exact.float(), (exact * (1 + 1e-7 * normal((6, 45), 4))).float()
    expected = np.array(list(exact_one_minus_cosine(a, b)))
    naive = 1 - torch.nn.functional.cosine_similarity(a, b)
    assert (np.abs(naive.numpy() / expected - 1) > 0.5).all()


@pytest.mark.parametrize("neurons", ["rows", "columns"])
def test_neurons_that_were_only_scaled_are_told_from_those_that_turned(neurons: str) -> None:
    """Their delta is rounding noise of the sums; every other neuron's is good to eleven digits."""
    a = normal((5, 301), 5).float()
    b = a.clone()
    b[0] *= 2
    b[1] *= 1.3  # rounds, and so turns by 1e-8
    b[2] = (a[2].double() * 1.3 + 1e-3 * normal((1, 301), 6)[0]).float()
    b[3, 7] += 1e-6
    sums = summed(a, b, neurons, 64)
    assert sums.cancelled().tolist() == [True, True, True, False, False]
    compared = sums.compared()
    reference = compare_rows(a, b)
    np.testing.assert_allclose(compared.delta[3:], reference.delta[3:], rtol=1e-9)
    assert compared.equal.tolist() == [False, False, False, False, True]
    gaps = unit_gaps(a.T, b.T, compared.norm_a, compared.norm_b)
    np.testing.assert_allclose(gaps[:3], reference.delta[:3], rtol=1e-6, atol=1e-31)


@pytest.mark.parametrize("neurons", ["rows", "columns"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_damage_shows_in_the_sums(dtype: torch.dtype, neurons: str, value: float) -> None:
    """The compiler may reorder sums, and must not assume that there is no NaN."""
    if dtype == torch.float8_e4m3fn:
        value = math.nan  # has no infinity
    a = normal((11, 21), 7)
    a[4, 9] = value
    for sides in ((a.to(dtype), torch.ones(11, 21)), (torch.ones(11, 21), a.to(dtype))):
        sums = summed(*sides, neurons, 8)
        damaged = ~np.isfinite(sums.aa + sums.bb)
        assert np.flatnonzero(damaged).tolist() == [4]
        with pytest.raises(NonFiniteError, match="1 or more rows with NaN"):
            check_finite(sums.aa + sums.bb, "something", lambda: a)


@pytest.mark.parametrize("damaged", [False, True])
def test_weights_too_large_to_square_are_not_called_infinite(damaged: bool) -> None:
    """Unless some of them are."""
    a = normal((4, 5), 7).double()
    a[1, 2] = -1e200
    a[2, 2] = math.nan if damaged else 1.0
    said = "rows with NaN or infinity" if damaged else r"weights up to 1e\+200"
    with pytest.raises(NonFiniteError, match=said):
        compare_rows(a, a)


@pytest.mark.parametrize("neurons", ["rows", "columns"])
def test_sums_of_zero_rows_have_the_same_distances(neurons: str) -> None:
    zero, one = torch.zeros(1, 3), torch.ones(1, 3)
    sums = summed(torch.cat([zero, zero, one, one]), torch.cat([-zero, one, zero, one]), neurons, 2)
    compared = sums.compared()
    assert compared.delta.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert compared.equal.tolist() == [True, False, False, True]
    assert not sums.cancelled().any()


def test_the_smallest_bfloat16_numbers_and_their_signs_are_read_right() -> None:
    """Bits are widened by the kernel itself: subnormal numbers, the largest ones, zeros of both signs."""
    limits = torch.finfo(torch.bfloat16)
    a = torch.tensor([[limits.smallest_normal / 4, -limits.max, -0.0, 1.0078125]], dtype=torch.bfloat16)
    sums = summed(a, torch.zeros(1, 4), "rows", 1)
    assert sums.aa[0] == pytest.approx(float((a.double() ** 2).sum()), rel=1e-15)
    tiny = summed(a[:, :1], torch.zeros(1, 1), "columns", 1)
    assert tiny.aa[0] == pytest.approx(float(a[0, 0].double()) ** 2, rel=1e-15)
    assert tiny.aa[0] > 0


def test_kernels_work_where_machine_code_cannot_be_kept() -> None:
    """A package in a folder that nobody may write to; here, a function without a file."""
    from provenance.analyses.weights.row_kernels import _compiled

    space: dict[str, Callable[[float], float]] = {}
    exec("def double(x):\n    return 2 * x", space)  # noqa: S102
    assert _compiled(space["double"])(21.0) == 42.0
