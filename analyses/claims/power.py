"""The smallest effect that each test of a comparison could have found, with 80 % power at one-sided 5 %.

    smallest = null mean + (z_0.95 + z_0.80) SD = null mean + 2.486 SD   (normal approximation)

For overlap by its binomial, for drift on a logarithmic scale downwards. Several question sets need more.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import hypot, sqrt

import numpy as np
from jaxtyping import Float

from provenance.activations.features import Features
from provenance.analyses.drift.weight_drift import DETECTABLE_SDS
from provenance.analyses.results.claims import Power
from provenance.analyses.results.drift import DriftTest
from provenance.analyses.results.overlap import OverlapNull
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.analyses.search.shuffled_labels import shuffled_jointly
from provenance.analyses.transfer.probe_transfer import CHANCE
from provenance.statistics.auroc import auroc
from provenance.words import JOINT_BASELINES

LABEL_SHUFFLES = 400  # an SD is then known to within 4 %
AREA, RANK, FACTOR, SHARED = "AUROC", "mean stability rank", "factor of change", "shared neurons"


def chance_sd(
    scores: Float[np.ndarray, " rows"], answers: Features, *, draws: int = LABEL_SHUFFLES, seed: int = 0
) -> float | None:
    """SD of the AUROC of some scores when labels are shuffled over questions (or groups of questions).

    With one answer per question it is near sqrt((n1 + n0 + 1) / (12 n1 n0)) (Hanley and McNeil 1982,
    doi:10.1148/radiology.143.1.7063747); several answers of one question make it larger. None without variation: one
    class, one question, or equal scores.
    """
    labels = answers.hallucinated
    if labels.all() or not labels.any():
        return None
    [shuffled] = shuffled_jointly([answers], draws=draws, seed=seed)
    areas = np.array([auroc(scores, each) for each in shuffled])
    return float(areas.std()) if np.ptp(areas) > 0 else None  # the SD of equal numbers may be 1e-17


def transfer_power(
    results: Sequence[TransferResult], rungs: Sequence[Rung], k: int, spread: Mapping[str, float | None]
) -> tuple[Power, ...]:
    """Smallest detectable transfer AUROC, per baseline and question set; without a number there is no row.

        against a baseline: SD of the paired gain over resampled questions (and over neuron sets)

    `spread`: per question set, the SD of the AUROC without a signal, from `chance_sd`. Tests are named `chance` or by
    the rung's kind, detectable from the baseline's AUROC + 2.486 SD on. None from 1 on, as for perfect baselines or
    widely spread neuron sets, and for nested models: if the probe adds nothing its gain hardly varies, so this SD is
    not that of a probe that adds something.
    """
    return tuple(row for result in results for row in _transfer_rows(result, rungs, k, spread.get(result.dataset)))


def _transfer_rows(result: TransferResult, rungs: Sequence[Rung], k: int, sd: float | None) -> Iterator[Power]:
    if sd is not None:
        sd = hypot(sd, result.training_sd or 0.0)
        detected = _below(CHANCE + DETECTABLE_SDS * sd, 1.0)
        n = result.n_hallucinated + result.n_faithful
        yield Power("transfer", "chance", result.dataset, k, n, sd, detected, AREA)
    for rung in rungs:
        if rung.dataset == result.dataset and rung.auroc is not None and rung.gain_sd is not None:
            detected = _below(rung.auroc.estimate + DETECTABLE_SDS * rung.gain_sd, 1.0)
            if rung.kind in JOINT_BASELINES:
                detected = None
            yield Power("transfer", rung.kind, result.dataset, k, rung.auroc.n, rung.gain_sd, detected, AREA)


def drift_power(tests: Sequence[DriftTest]) -> tuple[Power, ...]:
    """Largest detectable factor of change beside like neurons, per test; SD is that of its logarithm.

    Named `delta/layer` and so on for the H-Neurons, `faithful/delta/layer` for the others. The tests of each side
    follow `uniform` (`faithful/uniform`), the smallest detectable mean rank: SD = 1 / sqrt(12 k), of k independent
    ranks.
    """
    rows: list[Power] = []
    for side, prefix in (("hallucinated", ""), ("faithful", "faithful/")):
        mine = [test for test in tests if test.side == side]
        if mine:
            k = max(test.k for test in mine)
            sd = 1 / sqrt(12 * k)
            least = _below(0.5 + DETECTABLE_SDS * sd, 1.0)
            rows.append(Power("drift", f"{prefix}uniform", "", k, 0, sd, least, RANK))
        for test in mine:
            name = f"{prefix}{test.measure}/{test.matching}"
            rows.append(Power("drift", name, "", test.k, 0, test.sd, test.smallest_detectable, FACTOR))
    return tuple(rows)


def overlap_power(nulls: Sequence[OverlapNull], k_base: int, k_instruct: int) -> tuple[Power, ...]:
    """Smallest detectable number of shared neurons, per null; k is the size of the smaller set."""
    k = min(k_base, k_instruct)
    return tuple(Power("overlap", null.kind, "", k, 0, null.sd, null.smallest_detectable, SHARED) for null in nulls)


def _below(value: float, most: float) -> float | None:
    return value if value < most else None
