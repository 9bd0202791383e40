"""The contribution of a neuron to its layer's output, and its means over regions.

    CETT[j, t] = ||h_t^(j)||_2 / ||h_t||_2,   h_t^(j) = W_down z_{j,t} e_j

Only column j of W_down is involved, so the numerator is |z_{j,t}| times that column's norm, and a mean over tokens is
one product of a weight vector with |z|.
Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.1.2.
"""

import torch
from jaxtyping import Bool, Float

from provenance.errors import NonFiniteError, ZeroOutputError


def column_norms(w_down: Float[torch.Tensor, "d d_m"]) -> Float[torch.Tensor, " d_m"]:
    """L2 norm of every neuron's column of W_down, in float32 at least."""
    norms: torch.Tensor = torch.linalg.vector_norm(_at_least_float32(w_down), dim=0)
    return norms


def cett_means(
    z: Float[torch.Tensor, "batch tokens d_m"],
    h: Float[torch.Tensor, "batch tokens d"],
    norms: Float[torch.Tensor, " d_m"],
    regions: Bool[torch.Tensor, "regions batch tokens"],
) -> Float[torch.Tensor, "regions batch d_m"]:
    """Mean CETT of every neuron over the tokens of each region: means of ratios, not ratios of means.

        mean_{t in R} CETT[j, t] = ||W_down[:, j]|| / |R| * sum_{t in R} |z_{j,t}| / ||h_t||

    Args:
        z: Input of the down-projection.
        h: Its output, without bias.
        norms: `column_norms` of W_down.
        regions: True where a token belongs to the region; padding belongs to none.

    Returns:
        Dimensionless, float32 at least; zero for an empty region.

    Raises:
        ZeroOutputError: A token of a region has an output of exactly zero.
        NonFiniteError: A token of a region has NaN or infinity.
    """
    z, h = _at_least_float32(z), _at_least_float32(h)
    used = regions.any(dim=0)
    inverse = torch.where(used, 1 / _output_norms(h, used), 0)
    weights = regions * inverse / regions.sum(dim=-1, keepdim=True).clamp(min=1)
    magnitudes = z.abs()
    unused = (~used).flatten().nonzero()[:, 0]
    magnitudes.flatten(0, 1).index_fill_(0, unused, 0)  # NaN of padding times its weight of zero would be NaN
    return torch.einsum("rbt,btj->rbj", weights.to(z), magnitudes) * norms.to(z)


def _output_norms(
    h: Float[torch.Tensor, "*tokens d"], used: Bool[torch.Tensor, "*tokens"]
) -> Float[torch.Tensor, "*tokens"]:
    """||h_t||, with 1 for tokens that are not used."""
    norms = torch.where(used, torch.linalg.vector_norm(h, dim=-1), 1)
    if not bool(torch.isfinite(norms).all()):
        raise NonFiniteError(
            "finite outputs of every MLP",
            found="NaN or infinity",
            remedy="try --dtype float32 or bfloat16 instead of float16",
        )
    if bool((norms == 0).any()):
        raise ZeroOutputError(
            "an MLP output that is not exactly zero",
            found="a token whose output is",
            remedy="check that padding is masked and that the weights of the layer are not zero",
        )
    return norms


def _at_least_float32(tensor: Float[torch.Tensor, "*shape"]) -> Float[torch.Tensor, "*shape"]:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
