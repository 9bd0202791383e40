"""Activity of every single neuron on faithful and on hallucinated answers, and on refusals.

An L1 weight is not importance (among correlated neurons L1 picks one), so every neuron also has numbers that do not
depend on other neurons.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NeuronRows
from provenance.analyses.results.answers import ActivityTable
from provenance.records import Stage
from provenance.statistics.auroc import aurocs

NO_ROWS = NeuronRows.of(np.empty((0, 0), dtype=np.float32))
# Sorting copies a block several times; 2,000 rows of it are 8 MB, and 16 in float64. With a power of two the values of
# a column, which lie a row apart, would share few places of a cache.
COLUMNS_PER_BLOCK = 1000


def activity_table(stage: Stage, dataset: str, features: Features, refusals: NeuronRows = NO_ROWS) -> ActivityTable:
    """Mean CETT on answer tokens by label, and each neuron's own separation of the labels; float64.

    Standardised difference above 0 and AUROC above 0.5: more active on hallucinated answers (than on faithful ones, or
    than on `refusals`, which are over the same neurons). NaN where not defined, as means of a label without responses;
    empty if nothing was captured.
    """
    positive = features.hallucinated
    rows = features.answer.stacked(refusals)
    blocks = [_block(values, positive) for _, values in rows.blocks(COLUMNS_PER_BLOCK)]
    faithful, hallucinated, difference, area, refusal, apart = np.concatenate(blocks or [np.empty((6, 0))], axis=1)
    return ActivityTable(
        stage=stage,
        dataset=dataset,
        n_faithful=int((~positive).sum()),
        n_hallucinated=int(positive.sum()),
        n_refusal=len(refusals),
        mean_faithful=faithful,
        mean_hallucinated=hallucinated,
        standardised_difference=difference,
        auroc=area,
        mean_refusal=refusal,
        auroc_refusal=apart,
    )


def neuron_aurocs(features: Features) -> Float[np.ndarray, " neurons"]:
    """AUROC of each single neuron, by its mean CETT on answer tokens; NaN with one class."""
    if not len(features):
        return np.empty(0)
    positive = features.hallucinated
    return np.concatenate([aurocs(block, positive) for _, block in features.answer.blocks(COLUMNS_PER_BLOCK)])


def _block(
    values: Float32[np.ndarray, "rows columns"], positive: Bool[np.ndarray, " answers"]
) -> Float64[np.ndarray, "6 columns"]:
    """Statistics of some columns; the rows after the answers are refusals."""
    wide, invented = values.astype(np.float64), np.flatnonzero(positive)
    said, refused = wide[: positive.size], wide[positive.size :]
    apart = np.concatenate([values[invented], values[positive.size :]])
    return np.stack(
        [
            _mean(said[~positive]),
            _mean(said[invented]),
            standardised_difference(said, positive),
            aurocs(values[: positive.size], positive),
            _mean(refused),
            aurocs(apart, np.arange(len(apart)) < len(invented)),
        ]
    )


def _mean(values: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, " columns"]:
    """Column means; NaN without rows."""
    if values.shape[0] == 0:
        return np.full(values.shape[1], np.nan)
    return np.asarray(values.mean(axis=0))


def standardised_difference(
    values: Float[np.ndarray, "rows columns"], positive: Bool[np.ndarray, " rows"]
) -> Float[np.ndarray, " columns"]:
    """Difference of the class means in pooled standard deviations (Cohen's d), positive minus negative.

        d = (m1 - m0) / sqrt(((n1 - 1) s1^2 + (n0 - 1) s0^2) / (n1 + n0 - 2))

    Dimensionless, float64; NaN if a class is missing, with two rows in all, or if no class varies.
    """
    ones, zeros = values[positive], values[~positive]
    freedom = values.shape[0] - 2
    if freedom < 1 or ones.shape[0] == 0 or zeros.shape[0] == 0:
        return np.full(values.shape[1], np.nan)
    mean_one, mean_zero = ones.mean(axis=0), zeros.mean(axis=0)
    squares = ((ones - mean_one) ** 2).sum(axis=0) + ((zeros - mean_zero) ** 2).sum(axis=0)
    constant = (np.ptp(ones, axis=0) == 0) & (np.ptp(zeros, axis=0) == 0)
    pooled = np.where(constant, np.nan, np.sqrt(squares / freedom))
    return np.asarray((mean_one - mean_zero) / pooled, dtype=np.float64)
