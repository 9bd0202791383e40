"""What neurons promote and suppress among the tokens, and how much of them the unembedding nearly ignores.

With U the unembedding, u its mean row, g the final norm's weights and c what a neuron adds to the residual stream:

    E = (U - 1 u^T) diag(g),   product = E c,   rho = ||V_0^T c|| / ||c||

E is the unembedding as softmax sees it, which ignores what all logits share. V_0 are the right singular vectors of E of
its lowest singular values. Neurons that write there change the final norm's divisor, and by it the entropy of the next
token, rather than any token (entropy neurons).

Source: nostalgebraist 2020, "interpreting GPT: the logit lens"; Stolfo et al. 2024, arXiv:2406.16254, Sec. 3.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int
from scipy.linalg import blas, eigh

from provenance.analyses.weights.joined_cosines import SinglePrecision
from provenance.errors import NonFiniteError
from provenance.weights.unembedding import Unembedding

NULL_FRACTION = 0.01  # of all directions; Stolfo et al. 2024, Fig. 2f: 40 of the 4,096 of LLaMA 2 7B
GRAM_BYTES = 270_000_000  # float64 up to a width of 5,809, float32 up to 8,215


@dataclass(frozen=True)
class VocabularyProducts:
    """Neurons against the tokens of one checkpoint; row j of every field is neuron j."""

    highest: Int[np.ndarray, "k top"]
    """Ids of the tokens with the largest products, the largest first."""
    highest_z: Float[np.ndarray, "k top"]
    """Their products less the mean over all tokens, in standard deviations over all tokens."""
    lowest: Int[np.ndarray, "k top"]
    """Ids of the tokens with the smallest products, the smallest first."""
    lowest_z: Float[np.ndarray, "k top"]
    sd: Float64[np.ndarray, " k"]
    """Standard deviation of the products over all tokens: change of logits for each unit of output."""
    null_share: Float64[np.ndarray, " k"]
    """rho, dimensionless, in [0, 1]; NaN for a neuron of zeros, or where the unembedding is too wide."""
    null: Float[np.ndarray, "d m"]
    """V_0; without columns where the unembedding is too wide."""


def vocabulary_products(
    unembedding: Unembedding, written: Float32[torch.Tensor, "k d"], tokens: int, top: int
) -> VocabularyProducts:
    """Products of some neurons with the first `tokens` rows of an unembedding, which is read once, in blocks.

    float32 products and float64 sums. Beyond the result, memory holds a d x d matrix of at most `GRAM_BYTES` and some
    blocks; rho is left out where no such matrix fits.

    Raises:
        NonFiniteError: A weight is NaN or infinite.
    """
    extremes, gram, wide = _Extremes(written.shape[0], min(top, tokens)), _Gram(written.shape[1]), SinglePrecision()
    scaled = written * unembedding.scale
    for block in unembedding.blocks(tokens, beside=written.shape[0]):
        rows = wide(block)
        extremes.add(scaled @ rows.T)
        gram.add(rows.numpy())
    sums = extremes.mean, extremes.sd
    if not np.isfinite(sums).all():
        raise NonFiniteError(
            f"finite products of neurons with {unembedding.name}",
            found="NaN or infinity",
            remedy="fetch the checkpoint again, or check its dtype",
        )
    null = gram.lowest(unembedding.scale.double().numpy())
    shares = np.array([_share(row.double().numpy(), null) for row in written])
    return VocabularyProducts(*extremes.best(1), *extremes.best(-1), extremes.sd, shares, null)


def _share(written: Float64[np.ndarray, " d"], null: Float[np.ndarray, "d m"]) -> float:
    """Share of one neuron; NaN where it is not defined."""
    norm = float(np.linalg.norm(written))
    return min(float(np.linalg.norm(written @ null)) / norm, 1.0) if norm and null.shape[1] else float("nan")


def layer_shares(unembedding: Unembedding, layer: int, null: Float[np.ndarray, "d m"]) -> Float64[np.ndarray, " d_m"]:
    """The share rho of all neurons of a layer, which is read in blocks; NaN for neurons of zeros.

    Where norms weigh some directions much more than others, as in Gemma, most neurons have a larger share than a random
    column; an entropy neuron stands out among those of its layer.
    """
    size, width = unembedding.weights.d_m, unembedding.weights.d
    within, directions = torch.zeros(size, null.shape[1]), torch.from_numpy(null.astype(np.float32))
    sums, squares = (torch.zeros(size, dtype=torch.float64) for _ in range(2))
    for neurons, widths, block in unembedding.all_written(layer):
        within[neurons] += block @ directions[widths]
        sums[neurons] += block.sum(dim=1, dtype=torch.float64)
        squares[neurons] += torch.linalg.vector_norm(block, dim=1, dtype=torch.float64) ** 2
    if unembedding.places.centred:
        within -= torch.outer((sums / width).float(), directions.sum(dim=0))
        squares = (squares - sums**2 / width).clamp(min=0)
    inside = torch.linalg.vector_norm(within, dim=1, dtype=torch.float64)
    shares = torch.where(squares > 0, inside / squares.sqrt(), torch.nan).clamp(max=1)
    return np.asarray(shares.numpy())


class _Extremes:
    """The largest and smallest products of every neuron, their mean and deviation, built up block by block."""

    def __init__(self, k: int, top: int) -> None:
        self._top = top
        self._count = 0
        self._sum = torch.zeros(k, dtype=torch.float64)
        self._squares = torch.zeros(k, dtype=torch.float64)
        self._best = {sign: (torch.empty(k, 0), torch.empty(k, 0, dtype=torch.long)) for sign in (1, -1)}

    def add(self, products: Float32[torch.Tensor, "k block"]) -> None:
        """The products with the next tokens."""
        ids = torch.arange(self._count, self._count + products.shape[1]).expand(products.shape)
        for sign, (values, known) in self._best.items():
            joined, of = torch.cat([values, products], dim=1), torch.cat([known, ids], dim=1)
            _, places = (sign * joined).topk(min(self._top, joined.shape[1]), dim=1)
            self._best[sign] = joined.gather(1, places), of.gather(1, places)
        self._count += products.shape[1]
        self._sum += products.sum(dim=1, dtype=torch.float64)
        self._squares += torch.linalg.vector_norm(products, dim=1, dtype=torch.float64) ** 2

    @property
    def mean(self) -> Float64[np.ndarray, " k"]:
        """Mean over all tokens so far."""
        return np.asarray((self._sum / max(self._count, 1)).numpy())

    @property
    def sd(self) -> Float64[np.ndarray, " k"]:
        """Standard deviation over all tokens so far."""
        squares = (self._squares / max(self._count, 1)).numpy()
        return np.asarray(np.sqrt(np.maximum(squares - self.mean**2, 0.0)))

    def best(self, sign: int) -> tuple[Int[np.ndarray, "k top"], Float[np.ndarray, "k top"]]:
        """Ids of the largest (1) or smallest (-1) products, and these in standard deviations from the mean."""
        values, ids = self._best[sign]
        unit = np.where(self.sd > 0, self.sd, 1.0)
        return ids.numpy(), (values.double().numpy() - self.mean[:, None]) / unit[:, None]


class _Gram:
    """U^T U, built up in one triangle, and from it E^T E; nothing for widths beyond `GRAM_BYTES`."""

    def __init__(self, d: int) -> None:
        fits = [kind for kind in (np.float64, np.float32) if d * d * np.dtype(kind).itemsize <= GRAM_BYTES]
        self._d = d if fits else 0
        self._rows = 0
        self._sum = np.zeros(d)
        self._kind = fits[0] if fits else np.float32
        self._matrix = np.zeros((self._d, self._d), dtype=self._kind, order="F")

    def add(self, block: Float32[np.ndarray, "block d"]) -> None:
        """The next rows."""
        if not self._d:
            return
        rows = block.astype(self._kind, copy=False).T
        update = blas.dsyrk if self._kind is np.float64 else blas.ssyrk
        self._matrix = update(1.0, rows, beta=1.0, c=self._matrix, lower=1, overwrite_c=1)
        self._sum += block.sum(axis=0, dtype=np.float64)
        self._rows += block.shape[0]

    def lowest(self, scale: Float64[np.ndarray, " d"]) -> Float[np.ndarray, "d m"]:
        """V_0: eigenvectors of E^T E of its lowest eigenvalues, with g as the scale; the matrix is used up."""
        if not self._d or not self._rows:
            return np.empty((self._sum.size, 0))
        rank_one = blas.dsyr if self._kind is np.float64 else blas.ssyr
        mean = (self._sum / self._rows).astype(self._kind)
        self._matrix = rank_one(-float(self._rows), mean, a=self._matrix, lower=1, overwrite_a=1)
        self._matrix *= scale.astype(self._kind)
        self._matrix *= scale.astype(self._kind)[:, None]
        last = max(1, round(NULL_FRACTION * self._d)) - 1
        _, vectors = eigh(
            self._matrix, lower=True, overwrite_a=True, check_finite=False, subset_by_index=[0, last], driver="evr"
        )
        self._matrix = np.empty((0, 0))
        return np.asarray(vectors)
