"""Every known model type goes the whole way by its weights: drift, lineage, and back from another order."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checkpoint_factory import DENSE, load, mlps, neurons_of, tuned_copy
from memory_logs import Silent

from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.opening import open_pair
from provenance.analyses.drift.pair import measure_pair


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory, checkpoint_of: Callable[[str], Path]) -> dict[str, Path]:
    """A tuned copy of every type."""
    folder = tmp_path_factory.mktemp("children")
    return {name: tuned_copy(checkpoint_of(name), folder / name) for name in DENSE}


@pytest.mark.parametrize("model_type", DENSE)
def test_drift_and_lineage_of_every_model_type(
    model_type: str, checkpoint_of: Callable[[str], Path], children: dict[str, Path]
) -> None:
    """By the loaded modules' own weights, row by row, in float64."""
    base, child = checkpoint_of(model_type), children[model_type]
    pair = open_pair(str(base), str(child))
    related, measured = measure_pair(pair.base, pair.instruct, 0, Clock(Silent()))
    assert related.verdict == "descendant"
    assert related.self_match == 1.0
    assert not related.only_base
    assert not related.only_instruct
    a, b = (
        [{kind: w.double().numpy() for kind, w in neurons_of(mlp).items()} for mlp in mlps(load(folder).model)]
        for folder in (base, child)
    )
    for kind in pair.base.layout.kinds:
        ours, theirs = (np.concatenate([layer[kind] for layer in layers]) for layers in (a, b))
        cosine = (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
        np.testing.assert_allclose(getattr(measured.drift, f"delta_{kind}"), 1 - cosine, rtol=1e-8)


@pytest.mark.parametrize("model_type", DENSE)
def test_every_model_type_is_the_same_model_as_itself(model_type: str, checkpoint_of: Callable[[str], Path]) -> None:
    folder = str(checkpoint_of(model_type))
    pair = open_pair(folder, folder)
    related, measured = measure_pair(pair.base, pair.instruct, 0, Clock(Silent()))
    assert related.verdict == "same model"
    assert measured.drift.identical.all()
    assert not measured.drift.delta.any()
