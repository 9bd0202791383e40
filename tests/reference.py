"""Definitions done the slow and plain way, which tests compare the product with."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int

from provenance.activations.capture import down_projections, down_weight
from provenance.activations.features import Features
from provenance.activations.reading import Reader
from provenance.models.loading import LoadedModel
from provenance.probe.l1_path import L1Path, Problem
from provenance.probe.sparse_probe import Probe, probe_of
from provenance.records import Estimate, OtherTokens, Response
from provenance.statistics.bootstrap import BOOTSTRAP_DRAWS, CONFIDENCE


def cett(
    z: Float[torch.Tensor, "tokens d_m"], h: Float[torch.Tensor, "tokens d"], w_down: Float[torch.Tensor, "d d_m"]
) -> Float[torch.Tensor, "tokens d_m"]:
    """Share of a layer output's norm that each neuron alone accounts for, per token: Gao et al. 2025, Eq. 2.

    CETT[j, t] = ||W_down z_{j,t} e_j|| / ||h_t||, in float32, or float64 where z is.
    """
    z, h, w_down = (t if t.dtype == torch.float64 else t.float() for t in (z, h, w_down))
    return z.abs() * w_down.norm(dim=0).to(z) / h.norm(dim=-1)[:, None]


def down_weights(loaded: LoadedModel) -> list[Float[torch.Tensor, "d d_m"]]:
    """W_down of every layer, neurons as columns."""
    found: list[torch.Tensor] = []
    for module in down_projections(loaded):
        with down_weight(loaded, module) as weight:
            found.append(weight)
    return found


def cett_of(
    loaded: LoadedModel, responses: Sequence[Response], other: OtherTokens = "all"
) -> tuple[Float32[np.ndarray, "responses neurons"], Float32[np.ndarray, "responses neurons"]]:
    """Mean CETT of the answer tokens and of the others, read together, all responses in one batch."""
    found = Reader(loaded, ["answer", "other"], other).read(responses)
    return found["answer"], found["other"]


def accuracy(scores: Float[np.ndarray, " rows"], positive: Bool[np.ndarray, " rows"]) -> float:
    """Share of rows on the right side of probability 0.5, which is decision value 0."""
    return float(((scores > 0) == positive).mean())


def bootstrap_by_unit(
    statistic: Callable[[Int[np.ndarray, " drawn"]], float],
    units: list[str],
    *,
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = 0,
) -> Estimate:
    """A statistic of row numbers with its percentile interval over resampled units; NaN draws are left out."""
    rows: dict[str, list[int]] = {}
    for row, unit in enumerate(units):
        rows.setdefault(unit, []).append(row)
    members = [np.asarray(found) for found in rows.values()]
    rng = np.random.default_rng(seed)
    picks = (rng.integers(len(members), size=len(members)) for _ in range(draws))
    values = np.array([statistic(np.concatenate([members[p] for p in picked])) for picked in picks])
    values = values[np.isfinite(values)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail]) if values.size else (float("nan"), float("nan"))
    return Estimate(float(statistic(np.arange(len(units)))), float(low), float(high), len(units))


def path_in_memory(
    rows: Float[np.ndarray, "rows k"], labels: Bool[np.ndarray, " rows"], *, intercept_penalised: bool = True
) -> L1Path:
    """The L1 path on all of a few rows in memory."""
    everything = Problem(labels, np.ones(labels.size, dtype=bool))
    return L1Path(np.ascontiguousarray(rows.T), [everything], intercept_penalised=intercept_penalised)


def fit_probe(
    rows: Float[np.ndarray, "rows k"],
    labels: Bool[np.ndarray, " rows"],
    *,
    C: float,
    design: str,
    intercept_penalised: bool = True,
) -> Probe:
    """The L1 probe at one C, fitted to rows in memory."""
    fit = path_in_memory(rows, labels, intercept_penalised=intercept_penalised).fit([C])[0]
    return probe_of(fit, rows.shape[1], design=design, intercept_penalised=intercept_penalised)


def alpha_max(
    rows: Float[np.ndarray, "rows k"], labels: Bool[np.ndarray, " rows"], *, intercept_penalised: bool = True
) -> float:
    """The C below which every weight of the L1 probe is zero, for rows in memory."""
    return path_in_memory(rows, labels, intercept_penalised=intercept_penalised).starts()[0]


def joined(first: Features, second: Features) -> Features:
    """The rows of one set of answers and then those of another over the same neurons."""
    return Features(
        first.answer.stacked(second.answer),
        first.other.stacked(second.other),
        np.concatenate([first.hallucinated, second.hallucinated]),
        first.units + second.units,
        first.question_ids + second.question_ids,
    )
