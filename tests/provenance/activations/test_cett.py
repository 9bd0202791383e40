"""CETT against the definition: every other neuron masked, one forward of the MLP per neuron, float64."""

from dataclasses import dataclass

import pytest
import torch

from provenance.activations.cett import cett_means, column_norms
from provenance.errors import NonFiniteError, ZeroOutputError

TOKENS, D, D_M = 5, 6, 9


@dataclass(frozen=True)
class TinyMlp:
    """A float64 MLP written out: gated or not, biased or not."""

    gate: torch.Tensor | None
    up: torch.Tensor
    down: torch.Tensor
    up_bias: torch.Tensor | None = None
    down_bias: torch.Tensor | None = None

    def z(self, x: torch.Tensor) -> torch.Tensor:
        """What enters the down-projection."""
        up = x @ self.up.T + (0 if self.up_bias is None else self.up_bias)
        act = torch.nn.functional.silu
        return act(up) if self.gate is None else act(x @ self.gate.T) * up

    def h(self, z: torch.Tensor) -> torch.Tensor:
        """What it returns, without bias."""
        out = torch.nn.functional.linear(z, self.down, self.down_bias)
        return out if self.down_bias is None else out - self.down_bias


def mlp(kind: str) -> TinyMlp:
    make = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=make, dtype=torch.float64)

    if kind == "gated":
        return TinyMlp(normal(D_M, D), normal(D_M, D), normal(D, D_M))
    if kind == "ungated":
        return TinyMlp(None, normal(D_M, D), normal(D, D_M))
    return TinyMlp(normal(D_M, D), normal(D_M, D), normal(D, D_M), normal(D_M), 5 * normal(D))


@pytest.fixture(params=["gated", "ungated", "biased"])
def case(request: pytest.FixtureRequest) -> tuple[TinyMlp, torch.Tensor]:
    x = torch.randn(TOKENS, D, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return mlp(request.param), x


def masked_cett(net: TinyMlp, x: torch.Tensor) -> torch.Tensor:
    """The definition, one neuron at a time."""
    z = net.z(x)
    whole = net.h(z).norm(dim=-1)
    columns = []
    for j in range(D_M):
        only = torch.zeros_like(z)
        only[:, j] = z[:, j]
        columns.append(net.h(only).norm(dim=-1) / whole)
    return torch.stack(columns, dim=1)


def by_token(z: torch.Tensor, h: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """CETT of every token, each of them a region by itself."""
    alone = torch.eye(len(z), dtype=torch.bool)[:, None]
    return cett_means(z[None], h[None], column_norms(down), alone)[:, 0]


def test_cett_equals_masking_of_single_neurons(case: tuple[TinyMlp, torch.Tensor]) -> None:
    net, x = case
    z = net.z(x)
    torch.testing.assert_close(by_token(z, net.h(z), net.down), masked_cett(net, x), rtol=1e-12, atol=1e-14)


def test_the_comparison_can_fail(case: tuple[TinyMlp, torch.Tensor]) -> None:
    """Rows instead of columns of W_down, or the bias left in h, give other numbers."""
    net, x = case
    z = net.z(x)
    rows = z.abs() * net.down.norm(dim=1).mean() / net.h(z).norm(dim=-1, keepdim=True)
    assert not torch.allclose(rows, masked_cett(net, x), rtol=1e-3)
    if net.down_bias is not None:
        biased = by_token(z, net.h(z) + net.down_bias, net.down)
        assert not torch.allclose(biased, masked_cett(net, x), rtol=1e-3)


def test_contributions_add_up_to_the_output(case: tuple[TinyMlp, torch.Tensor]) -> None:
    net, x = case
    z = net.z(x)
    total = sum(z[:, j : j + 1] * net.down[:, j] for j in range(D_M))
    torch.testing.assert_close(total, net.h(z), rtol=1e-12, atol=1e-14)


def test_means_are_means_of_ratios(case: tuple[TinyMlp, torch.Tensor]) -> None:
    net, x = case
    z = net.z(x)[None]
    regions = torch.zeros(2, 1, TOKENS, dtype=torch.bool)
    regions[0, 0, 1:3] = True
    regions[1, 0, [0, 3]] = True  # token 4 is padding
    means = cett_means(z, net.h(z), column_norms(net.down), regions)
    ratios = masked_cett(net, x)
    torch.testing.assert_close(means[0, 0], ratios[1:3].mean(dim=0), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(means[1, 0], ratios[[0, 3]].mean(dim=0), rtol=1e-12, atol=1e-14)
    of_means = z[0, 1:3].abs().mean(0) * net.down.norm(dim=0) / net.h(z)[0, 1:3].norm(dim=-1).mean()
    assert not torch.allclose(means[0, 0], of_means, rtol=1e-3)


def test_padding_may_hold_anything() -> None:
    net = mlp("gated")
    x = torch.randn(1, TOKENS, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    regions = torch.tensor([[[True, True, False, False, False]], [[False, False, True, False, False]]])
    z, h = net.z(x), net.h(net.z(x))
    clean = cett_means(z, h, column_norms(net.down), regions)
    z[0, 3:], h[0, 3:] = torch.nan, 0.0
    torch.testing.assert_close(cett_means(z, h, column_norms(net.down), regions), clean)


def test_bfloat16_inputs_are_computed_in_float32() -> None:
    net = mlp("gated")
    x = torch.randn(TOKENS, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z, h, down = (t.bfloat16() for t in (net.z(x), net.h(net.z(x)), net.down))
    ours = by_token(z, h, down)
    assert ours.dtype == torch.float32
    exact = z.double().abs() * down.double().norm(dim=0) / h.double().norm(dim=-1, keepdim=True)
    torch.testing.assert_close(ours.double(), exact, rtol=1e-6, atol=0)  # float32; bf16 would be off by 4e-3


def test_an_output_of_zero_is_an_error() -> None:
    z = torch.ones(2, D_M)
    h = torch.ones(2, D)
    h[1] = 0
    with pytest.raises(ZeroOutputError, match="padding"):
        by_token(z, h, torch.ones(D, D_M))


def test_nan_in_the_output_is_an_error() -> None:
    h = torch.ones(2, D)
    h[0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="finite"):
        by_token(torch.ones(2, D_M), h, torch.ones(D, D_M))
