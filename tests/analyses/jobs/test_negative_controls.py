"""A negative control breaks the one link that it names, and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checkpoint_factory import local_checkpoint, make_checkpoint
from memory_logs import Silent
from pairing import Pairing
from reference import cett_of

from provenance.activations.reading import Reader
from provenance.analyses.asking.both_models import correlation_of
from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.drift.pair import measure_pair
from provenance.analyses.drift.weight_drift import measure_drift
from provenance.analyses.jobs.compare_job import Job
from provenance.analyses.jobs.negative_controls import (
    NegativeControl,
    controlled,
    in_place_of,
    measure_controlled,
    permuted_alignment,
    prepared,
    with_permuted_labels,
)
from provenance.analyses.results.lineage import Alignment
from provenance.cluster.model_in_workers import ClusterModel
from provenance.errors import CheckpointError, PairError

LAYERS, D_M = 3, 7


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    return Pairing(tmp_path_factory.mktemp("pairing"))


def as_base(folder: Path) -> OpenCheckpoint:
    return OpenCheckpoint.open("base", local_checkpoint(folder))


def test_no_neuron_keeps_its_counterpart_and_none_leaves_its_layer() -> None:
    """Whatever the alignment was: each layer has the same counterparts as before, each at another neuron."""
    rng = np.random.default_rng(0)
    before = Alignment("assignment", np.concatenate([rng.permutation(D_M) + D_M * layer for layer in (2, 0, 1)]), "no")
    after = permuted_alignment(before, LAYERS, D_M, seed=3)
    assert (after.base_ids != before.base_ids).all()
    for layer in range(LAYERS):
        own = slice(layer * D_M, (layer + 1) * D_M)
        assert sorted(after.base_ids[own]) == sorted(before.base_ids[own])
    assert after.reason == ""  # a control is compared by these ids, whatever speaks against them
    again, other = (permuted_alignment(before, LAYERS, D_M, seed=seed).base_ids for seed in (3, 4))
    np.testing.assert_array_equal(after.base_ids, again)
    assert (after.base_ids != other).any()


def test_neurons_without_a_counterpart_stay_without_one_and_a_lone_neuron_stays_where_it_is() -> None:
    ids = np.arange(LAYERS * D_M)
    ids[[1, 2]] = -1
    ids[D_M : 2 * D_M - 1] = -1  # one neuron of the second layer is left
    after = permuted_alignment(Alignment("index", ids, ""), LAYERS, D_M, seed=0).base_ids
    np.testing.assert_array_equal(after < 0, ids < 0)
    assert after[2 * D_M - 1] == ids[2 * D_M - 1]
    assert (after[2 * D_M :] != ids[2 * D_M :]).all()


def test_every_order_of_one_cycle_is_as_likely() -> None:
    """Of 4 neurons there are 6 orders that are one cycle; 600 seeds give each about 100 times."""
    found = [tuple(permuted_alignment(Alignment("index", np.arange(4), ""), 1, 4, s).base_ids) for s in range(600)]
    counts = [found.count(order) for order in set(found)]
    assert len(counts) == 6
    assert max(abs(count - 100) for count in counts) < 45  # five standard deviations


def test_weights_are_compared_by_the_wrong_numbers(pairing: Pairing) -> None:
    """Drift is that of the permuted pair; lineage still says what the pair is."""
    base, instruct = pairing.sides["base"], pairing.sides["instruct"]
    related, measured = measure_controlled(base, instruct, NegativeControl("permuted-index", 5), 0, Clock(Silent()))
    wrong = permuted_alignment(pairing.alignment, instruct.layout.layers, instruct.layout.d_m, 5)
    np.testing.assert_array_equal(measured.alignment.base_ids, wrong.base_ids)
    expected = measure_drift(base.weights, instruct.weights, wrong.base_ids)
    np.testing.assert_array_equal(measured.drift.delta_up, expected.delta_up)
    assert related == pairing.related
    true = measure_pair(base, instruct, 0, Clock(Silent()))[1].drift
    assert np.median(measured.drift.delta_up) > 100 * np.median(true.delta_up)  # strangers, where kin were


def test_without_a_control_everything_is_as_it_was(pairing: Pairing, tmp_path: Path) -> None:
    base, instruct = pairing.sides["base"], pairing.sides["instruct"]
    related, measured = measure_controlled(base, instruct, None, 0, Clock(Silent()))
    assert related == pairing.related
    np.testing.assert_array_equal(measured.alignment.base_ids, pairing.alignment.base_ids)
    assert controlled(pairing.gathered, None) is pairing.gathered
    assert in_place_of(base, None) is base
    with prepared(None, None, base, 0, tmp_path) as control:
        assert control is None


def test_training_labels_are_those_of_other_questions_and_test_labels_are_true(pairing: Pairing) -> None:
    """By split of each checkpoint as many of each label as before; texts, vectors and units are left alone."""
    shuffled = controlled(pairing.gathered, NegativeControl("permuted-labels", 1))
    assert shuffled.subjects is pairing.gathered.subjects
    for stage in ("base", "instruct"):
        before, after = pairing.gathered.answers[stage], shuffled.answers[stage]
        assert after[1] is before[1]
        was, now = before[0].features.hallucinated, after[0].features.hallucinated
        assert (was != now).any()
        splits = np.array(pairing.gathered.collected[stage][0].splits)
        for split in ("train", "validation"):
            assert was[splits == split].sum() == now[splits == split].sum()
        np.testing.assert_array_equal(shuffled.collected[stage][0].features.hallucinated, now)
        assert (after[0].questions, after[0].answers) == (before[0].questions, before[0].answers)
        np.testing.assert_array_equal(after[0].features.answer.all(), before[0].features.answer.all())
        again = with_permuted_labels(pairing.gathered, 1).answers[stage][0].features.hallucinated
        other = with_permuted_labels(pairing.gathered, 2).answers[stage][0].features.hallucinated
        np.testing.assert_array_equal(now, again)
        assert (now != other).any()


def test_another_model_reads_the_bases_own_answers_in_its_place(pairing: Pairing, tmp_path: Path) -> None:
    """Its vectors with the base's texts, labels, units and log-probabilities; nothing is read twice."""
    base = pairing.sides["base"]
    with prepared("unrelated", None, base, 2, tmp_path) as control:
        assert control is not None
        other = in_place_of(base, control)
        assert other is control.other
        gathered = controlled(pairing.gathered_anew()[0], control)
        reader, instruct = gathered.subjects["base"], gathered.subjects["instruct"]
        pool = reader.held_out
        assert reader.side is other
        assert reader.answers_task(pool) == pairing.subjects["base"].task(pool) != reader.task(pool)
        assert instruct.answers_task(pool) == instruct.task(pool)
        loaded = reader.model()
        for own, read, found in zip(
            pairing.gathered.answers["base"], gathered.answers["base"], gathered.collected["base"], strict=True
        ):
            assert (read.questions, read.answers) == (own.questions, own.answers)
            assert read.features.units == own.features.units
            np.testing.assert_array_equal(read.features.hallucinated, own.features.hallucinated)
            np.testing.assert_array_equal(read.log_probability, own.log_probability)
            responses = {response.question_id: response for response in found.responses}
            rows = [responses[each] for each in read.features.question_ids]
            slow = cett_of(loaded, rows)[0]
            np.testing.assert_allclose(read.features.answer.all(), slow, rtol=2e-3)  # padding changes the last digits
            stream = Reader(loaded, ["residual"]).read(rows)["residual"]
            np.testing.assert_allclose(read.features.residual.all(), stream, rtol=2e-3, atol=1e-4)
            assert not np.allclose(read.features.answer.all(), own.features.answer.all(), rtol=0.1)
            assert len(found.splits) == len(read.features)
        assert gathered.answers["instruct"] == pairing.gathered.answers["instruct"]
        again = controlled(pairing.gathered_anew()[0], control)
    for first, second in zip(gathered.answers["base"], again.answers["base"], strict=True):  # its files are gone now
        np.testing.assert_array_equal(first.features.answer.all(), second.features.answer.all())


def test_the_other_model_reads_here_although_the_base_is_served_elsewhere(pairing: Pairing, tmp_path: Path) -> None:
    """What answers in the base's place, a server or the workers of a cluster, has other weights."""
    gathered = pairing.gathered_anew()[0]
    elsewhere = replace(gathered.subjects["base"], served=ClusterModel.__new__(ClusterModel))
    with prepared("unrelated", None, pairing.sides["base"], 2, tmp_path) as control:
        found = controlled(replace(gathered, subjects={**gathered.subjects, "base": elsewhere}), control)
    assert found.subjects["base"].served is None


def test_what_another_model_shows_is_never_taken_for_what_the_base_shows(pairing: Pairing, tmp_path: Path) -> None:
    """Correlations of the pair, of a permuted pair and of the other model have names of their own."""
    true = correlation_of(pairing.gathered, pairing.related)
    wrong = permuted_alignment(pairing.alignment, *_shape(pairing), 5)
    permuted = correlation_of(replace(pairing.gathered, alignment=wrong), pairing.related)
    with prepared("unrelated", None, pairing.sides["base"], 2, tmp_path) as control:
        gathered = controlled(pairing.gathered_anew()[0], control)
        by_index = Alignment("index", np.arange(wrong.base_ids.size), "")
        other = correlation_of(replace(gathered, alignment=by_index), pairing.related)
    again = correlation_of(pairing.gathered, pairing.related)
    assert true is not None
    assert permuted is not None
    assert other is not None
    assert again is not None
    np.testing.assert_array_equal(true, again)
    assert np.nanmedian(true) > 0.95
    assert max(abs(np.nanmedian(permuted)), abs(np.nanmedian(other))) < 0.5


def test_a_random_model_stands_by_position_and_another_shape_is_refused(pairing: Pairing, tmp_path: Path) -> None:
    base, instruct = pairing.sides["base"], pairing.sides["instruct"]
    with prepared("unrelated", None, base, 0, tmp_path) as control:
        assert control is not None
        assert control.other is not None
        assert control.recorded() == {"control": "unrelated", "other_checkpoint": control.other.checkpoint.digest}
        related, measured = measure_controlled(base, instruct, control, 0, Clock(Silent()))
        assert related.verdict == "unrelated"
        assert measured.alignment.is_identity
        assert measured.alignment.reason == ""
        folder = control.other.checkpoint.folder
        assert folder.is_dir()
    assert not folder.exists()
    wide = NegativeControl("unrelated", 0, as_base(make_checkpoint(tmp_path / "wide", intermediate_size=48)))
    with pytest.raises(PairError, match="48"):
        measure_controlled(base, instruct, wide, 0, Clock(Silent()))


def test_a_relative_cannot_stand_for_an_unrelated_model(pairing: Pairing) -> None:
    """With the base itself in the base's place the control would find what the comparison finds."""
    base, instruct = pairing.sides["base"], pairing.sides["instruct"]
    for other in (base, as_base(instruct.checkpoint.folder)):
        with pytest.raises(PairError, match=r"descendant|same model"):
            measure_controlled(base, instruct, NegativeControl("unrelated", 0, other), 0, Clock(Silent()))


def test_the_other_model_can_be_named_and_a_name_of_nothing_is_refused(pairing: Pairing, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "named", seed=9)
    with prepared("unrelated", str(folder), pairing.sides["base"], 0, tmp_path) as control:
        assert control is not None
        assert control.other is not None
        assert (control.other.stage, control.other.checkpoint.folder) == ("base", folder)
    with (
        pytest.raises(CheckpointError),
        prepared("unrelated", str(tmp_path / "no"), pairing.sides["base"], 0, tmp_path),
    ):
        pass


def test_a_control_of_strangers_is_judged_as_if_they_were_related(pairing: Pairing, tmp_path: Path) -> None:
    """What lineage has against a pair is no reason here, or every control of one would be excused."""
    stranger = as_base(make_checkpoint(tmp_path / "stranger", seed=9))
    instruct = replace(pairing.sides["instruct"])
    assert measure_controlled(stranger, instruct, None, 0, Clock(Silent()))[1].alignment.reason
    for kind in ("permuted-index", "permuted-labels"):
        found = measure_controlled(stranger, instruct, NegativeControl(kind, 0), 0, Clock(Silent()))[1]  # type: ignore[arg-type]
        assert found.alignment.reason == ""


def _shape(pairing: Pairing) -> tuple[int, int]:
    layout = pairing.sides["instruct"].layout
    return layout.layers, layout.d_m


def test_the_command_of_a_control_names_the_model_that_was_given_for_it() -> None:
    assert Job("b", "i").command == "compare"
    assert Job("b", "i", control="permuted-index").command == "compare --control permuted-index"
    assert Job("b", "i", control="unrelated").command == "compare --control unrelated"
    assert Job("b", "i", control="unrelated", other="org/c").command == "compare --control unrelated --other org/c"
