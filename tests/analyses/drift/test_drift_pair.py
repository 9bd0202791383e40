"""Neurons that became others altogether have kept nothing, however they rank among others that did."""

from pathlib import Path

import numpy as np
import pytest
from checkpoint_factory import local_checkpoint, make_checkpoint, tuned_copy

from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.claims.claim_conditions import pair_drift
from provenance.analyses.drift.pair import MeasuredPair, recognised
from provenance.analyses.results.drift import NeuronDrift
from provenance.analyses.results.lineage import Alignment

K = 12


@pytest.fixture(scope="module")
def instruct(tmp_path_factory: pytest.TempPathFactory) -> OpenCheckpoint:
    folder = make_checkpoint(tmp_path_factory.mktemp("pair") / "base", hidden_size=64, intermediate_size=200)
    return OpenCheckpoint.open("instruct", local_checkpoint(tuned_copy(folder, Path(f"{folder}-tuned"))))


def pair(instruct: OpenCheckpoint, level: float) -> MeasuredPair:
    """Every neuron's weights turned by about `level` = 1 - cos, the first twelve of layer 0 by a little less."""
    neurons = instruct.layout.layers * instruct.layout.d_m
    rng = np.random.default_rng(0)
    delta = level * rng.uniform(0.99, 1.0, neurons)
    delta[:K] = 0.95 * level
    ones = np.ones(neurons)
    order = np.argsort(np.argsort(-delta)) / (neurons - 1)
    drift = NeuronDrift(
        delta, delta, delta, delta, order, ones, ones, ones, ones, np.zeros(neurons, dtype=bool), rounding_floor=0.0
    )
    return MeasuredPair(Alignment("index", np.arange(neurons), ""), drift)


@pytest.mark.parametrize(("level", "share", "verdict"), [(0.001, 1.0, "supported"), (1.0, 0.0, "not distinguishable")])
def test_ranks_among_strangers_are_no_stability(
    instruct: OpenCheckpoint, level: float, share: float, verdict: str
) -> None:
    measured, ids = pair(instruct, level), np.arange(K)
    nobody = np.empty(0, dtype=np.int64)
    result, tests, claim = pair_drift(measured, instruct, {"hallucinated": ids, "faithful": nobody}, 0, draws=500)
    assert all(test.p_more_stable < 0.05 for test in tests if test.measure == "delta")  # in either case
    assert recognised(measured.drift, instruct.layout, ids) == share
    assert result.verdict == claim.verdict == verdict
    assert ("recognised" in result.reason) == (verdict != "supported")


def test_a_neuron_without_a_counterpart_is_not_recognised(instruct: OpenCheckpoint) -> None:
    measured, nobody = pair(instruct, 0.001), np.empty(0, dtype=np.int64)
    for delta in (measured.drift.delta_up, measured.drift.delta_down, measured.drift.stability_rank):
        delta[3] = np.nan
    assert recognised(measured.drift, instruct.layout, np.arange(K)) == (K - 1) / K
    assert recognised(measured.drift, instruct.layout, np.array([3])) == 0.0
    assert recognised(measured.drift, instruct.layout, nobody) is None


def test_the_few_that_have_a_counterpart_do_not_speak_for_all(instruct: OpenCheckpoint) -> None:
    """More than half of the H-Neurons are not in the base at all; those that are, are as stable as can be."""
    for lost, verdict in ((K // 2 - 1, "supported"), (K // 2 + 1, "not distinguishable")):
        measured, nobody = pair(instruct, 0.001), np.empty(0, dtype=np.int64)
        measured.drift.delta_up[:lost] = measured.drift.stability_rank[:lost] = np.nan
        result, _, _ = pair_drift(measured, instruct, {"hallucinated": np.arange(K), "faithful": nobody}, 0, draws=500)
        assert result.verdict == verdict
        assert ("recognised in the base at all" in result.reason) == (verdict != "supported")
