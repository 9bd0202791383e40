"""Scaled neurons and a model's own answers: a wired neuron is found, and every number is that of its definition."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_factory import load, make_response, mlps, modules_of
from memory_logs import MemoryWorkspace
from pairing import Pairing
from reference import bootstrap_by_unit
from subjects import lent

from provenance.analyses.asking.collection import CollectionSettings, Pool, make_pool
from provenance.analyses.asking.subject import Subject
from provenance.analyses.behaviour import scaled_answers as module
from provenance.analyses.behaviour.function_verdict import function_claim
from provenance.analyses.behaviour.scaled_answers import (
    ALPHAS,
    ANSWERS_PER_CLASS,
    EXPECTED_SILENT,
    QUESTIONS,
    SETS,
    SETS_ASKED,
    Trial,
    causal_effects,
    contrasts,
    control_arms,
    direction,
    first_of_each_class,
    intervened,
    scaled_log_probabilities,
)
from provenance.analyses.controls.control_sets import CONTROL_KINDS, permutation_p
from provenance.analyses.results.behaviour import CausalEffect, CausalKind, Outcome
from provenance.answers.prompts import PromptFormat
from provenance.answers.questions import QuestionSet
from provenance.answers.sampling import Decoding
from provenance.errors import InputError, PairError, QuestionError
from provenance.models.loading import LoadedModel
from provenance.records import Question, Response, Split

LAYERS, D_M = 2, 24
WIRED = D_M + 7
NONE = np.empty(0, dtype=np.int64)
SETTINGS = CollectionSettings(
    prompt=PromptFormat("{question}\nAnswer:", chat=False), stop_at_newline=True, decoding=Decoding(max_new_tokens=2),
    samples=1, train_quota=5, test_quota=5, batch_size=64, seed=0, dtype="float32", device="cpu",
    attn_implementation=None,
)  # fmt: skip


@pytest.fixture(scope="module")
def wired(tiny_llama: Path) -> LoadedModel:
    """A model in which one neuron, and nothing else, writes " Paris" into every answer.

    Coordinate 0 of the residual stream is the same everywhere and keeps the neuron active; coordinate 1 is
    written by it alone, and read by the head in favour of " Paris" alone.
    """
    loaded = load(tiny_llama)
    inner = loaded.model.model
    with torch.no_grad():
        for coordinate, value in ((0, 2.0), (1, 0.0)):
            inner.embed_tokens.weight[:, coordinate] = value
            for layer in inner.layers:
                layer.self_attn.o_proj.weight[coordinate] = 0.0
                layer.mlp.down_proj.weight[coordinate] = 0.0
        mlp, index = inner.layers[WIRED // D_M].mlp, WIRED % D_M
        for projection in (mlp.gate_proj, mlp.up_proj):
            projection.weight[index] = 0.0
            projection.weight[index, 0] = 2.0
        mlp.down_proj.weight[:, index] = 0.0
        mlp.down_proj.weight[1, index] = 1.0
        loaded.model.lm_head.weight[:, 1] = 0.0
        loaded.model.lm_head.weight[loaded.tokenizer.convert_tokens_to_ids("ĠParis"), 1] = 4.0
    return loaded


def pool_of(split: Split, count: int) -> Pool:
    """Questions of one split, of which the right answer is Paris."""
    questions = [Question(f"{split}{i}", f"{split} {i}?", ("Paris",), f"{split} {i}") for i in range(count)]
    return make_pool(QuestionSet.of("set", "test", questions), {split: questions}, 0, training=False)


def answers_of(loaded: LoadedModel, faithful: int, hallucinated: int) -> tuple[Response, ...]:
    """Faithful answers " York" and hallucinated ones " Paris", taking turns as far as they go."""
    rows = [
        replace(make_response(loaded, f"Who was it, number {i}?", f" {word}"), label=label)  # type: ignore[arg-type]
        for label, word, count in (("faithful", "York", faithful), ("hallucinated", "Paris", hallucinated))
        for i in range(count)
    ]
    return tuple(sorted(rows, key=lambda row: row.question_id))


class Loads:
    """Gives the model and counts how often; breaks off at the given call, as a kill would."""

    def __init__(self, loaded: LoadedModel, break_at: int | None = None) -> None:
        self.loaded, self.break_at, self.count = loaded, break_at, 0

    def __call__(self) -> LoadedModel:
        if self.count == self.break_at:
            raise KeyboardInterrupt
        self.count += 1
        return self.loaded


def trial_of(loads: Loads, folder: Path, faithful: int = 10, hallucinated: int = 10) -> Trial:
    validation = pool_of("validation", 4)
    subject = lent(
        loads.loaded, SETTINGS, MemoryWorkspace(folder), loads=loads, pools=(validation, pool_of("test", 40))
    )
    return Trial(subject, answers_of(loads.loaded, faithful, hallucinated), validation)


def loading(trial: Trial, loads: Loads) -> Trial:
    """The same with another way to come by the model."""
    return replace(trial, subject=replace(trial.subject, loads=loads))  # type: ignore[call-arg]


def effects_of(
    trial: Trial, ids: Sequence[int], sets: int = 3, asked: int = 2, apart: np.ndarray = NONE
) -> tuple[CausalEffect, ...]:
    return causal_effects(trial, np.array(ids, dtype=np.int64), apart, seed=0, sets=sets, sets_asked=asked)


def find(
    effects: Sequence[CausalEffect], alpha: float, outcome: Outcome, kind: CausalKind = "h_neurons"
) -> CausalEffect:
    (found,) = [e for e in effects if (e.alpha, e.outcome, e.kind) == (alpha, outcome, kind)]
    return found


def test_a_neuron_that_writes_the_hallucinated_word_is_found_and_no_other(wired: LoadedModel, tmp_path: Path) -> None:
    """Silent it makes the word less probable and amplified more, beyond every control set; another does nothing."""
    trial = trial_of(Loads(wired), tmp_path)
    effects = effects_of(trial, [WIRED], sets=SETS_ASKED, asked=1)
    for alpha in ALPHAS:
        sign = direction("hallucinated_log_probability", alpha)
        assert sign * find(effects, alpha, "hallucinated_log_probability").effect.estimate > 0.5
        assert sign * find(effects, alpha, "faithful_log_probability").effect.estimate < 0
        for kind in CONTROL_KINDS:
            control = find(effects, alpha, "selectivity", kind)
            assert control.p_value == pytest.approx(1 / (1 + SETS_ASKED))
            assert abs(control.effect.estimate) < abs(find(effects, alpha, "selectivity").effect.estimate) / 4
    assert find(effects, 0.0, "correct").effect.estimate <= 0  # here " Paris" is the right answer to questions
    assert function_claim(effects, "base").verdict == "supported"
    other = effects_of(trial, [WIRED - 1], sets=SETS_ASKED, asked=1)
    assert function_claim(other, "base").verdict == "not distinguishable"


def test_where_the_faithful_word_is_written_the_direction_is_wrong(wired: LoadedModel, tmp_path: Path) -> None:
    """The same neuron with the labels exchanged is as strong, and not what is claimed."""
    trial = trial_of(Loads(wired), tmp_path)
    other = {"faithful": "hallucinated", "hallucinated": "faithful"}
    exchanged = tuple(replace(answer, label=other[answer.label]) for answer in trial.answers)  # type: ignore[arg-type]
    effects = effects_of(replace(trial, answers=exchanged), [WIRED], sets=SETS_ASKED, asked=1)
    assert find(effects, 0.0, "selectivity").effect.low > 0
    assert find(effects, 0.0, "selectivity", "random").p_value == 1.0
    assert function_claim(effects, "base").verdict == "not distinguishable"


def slow_log_probability(loaded: LoadedModel, response: Response) -> float:
    """By itself, from all logits, token by token."""
    ids = torch.tensor([[*response.prompt_ids, *response.response_ids]])
    with torch.inference_mode():
        shares = torch.log_softmax(loaded.model(input_ids=ids).logits[0], dim=-1)
    tokens = [t for region in response.regions if region.name == "answer" for t in range(region.start, region.stop)]
    return float(np.mean([shares[t - 1, ids[0, t]].item() for t in tokens]))


def slow_values(loaded: LoadedModel, answers: Sequence[Response], ids: np.ndarray, alpha: float) -> np.ndarray:
    """Of a copy whose columns of W_down are scaled, answer by answer."""
    changed = replace(loaded, model=copy.deepcopy(loaded.model))
    with torch.no_grad():
        for layer, index in (divmod(flat, D_M) for flat in ids.tolist()):
            modules_of(mlps(changed.model)[layer])["down"].get_parameter("weight")[:, index] *= alpha
    return np.array([slow_log_probability(changed, row) for row in answers])


@pytest.mark.parametrize("alpha", ALPHAS)
def test_every_number_is_that_of_its_definition(loaded_llama: LoadedModel, tmp_path: Path, alpha: float) -> None:
    """Changed weights, one answer at a time, class means, and the bootstrap by question, set by set."""
    trial = trial_of(Loads(loaded_llama), tmp_path, 7, 5)
    ids = [3, 30, 31]
    effects = effects_of(trial, ids)
    units = [answer.unit for answer in trial.answers]  # in their order, so that both bootstraps draw the same
    hallucinated = np.array([answer.label == "hallucinated" for answer in trial.answers])

    def statistic(values: np.ndarray, outcome: Outcome) -> float:
        of = {"faithful_log_probability": values[~hallucinated], "hallucinated_log_probability": values[hallucinated]}
        means = {name: part.mean() for name, part in of.items()}
        if outcome == "selectivity":
            return float(means["hallucinated_log_probability"] - means["faithful_log_probability"])
        return float(means[outcome])

    def slow_change(members: np.ndarray) -> np.ndarray:
        return slow_values(loaded_llama, trial.answers, members, alpha) - plain

    plain = slow_values(loaded_llama, trial.answers, NONE, alpha)
    change = slow_change(np.array(ids))
    arms = control_arms(np.array(ids), LAYERS, D_M, NONE, 3, 0)
    others = {kind: [slow_change(ids_of_set) for ids_of_set in arms[kind]] for kind in CONTROL_KINDS}
    for outcome in ("faithful_log_probability", "hallucinated_log_probability", "selectivity"):
        own = find(effects, alpha, outcome)
        assert own.effect.estimate == pytest.approx(statistic(change, outcome), abs=2e-5)  # float32 logits
        assert (own.k, own.draws, own.p_value) == (3, (), None)
        for kind in CONTROL_KINDS:
            draws = np.array([statistic(values, outcome) for values in others[kind]])
            control = find(effects, alpha, outcome, kind)
            np.testing.assert_allclose(control.draws, draws, atol=2e-5)
            assert control.effect.estimate == pytest.approx(draws.mean(), abs=2e-5)
            assert control.effect.high == pytest.approx(np.quantile(draws, 0.975), abs=2e-5)
            sign = direction(outcome, alpha)
            assert control.p_value == permutation_p(sign * draws, sign * own.effect.estimate)
    assert abs(find(effects, alpha, "selectivity").effect.estimate) > 1e-3  # there is something to compare

    def faithful_mean(rows: np.ndarray) -> float:
        taken = rows[~hallucinated[rows]]
        return float(change[taken].mean()) if taken.size else float("nan")

    expected = bootstrap_by_unit(faithful_mean, units, seed=0)
    found = find(effects, alpha, "faithful_log_probability").effect
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=2e-5)
    assert found.n == 7
    assert find(effects, alpha, "selectivity").effect.n == len(set(units)) < hallucinated.size


def test_factor_one_changes_no_bit(loaded_llama: LoadedModel, tmp_path: Path) -> None:
    """And the model as it is has the same numbers beside any factor; factor 0 changes every answer."""
    trial = trial_of(Loads(loaded_llama), tmp_path)
    everything = np.arange(LAYERS * D_M)
    plain, one = scaled_log_probabilities(trial.subject, trial.answers, 1.0, [NONE, everything])
    assert plain.tolist() == one.tolist()
    same, silent = scaled_log_probabilities(trial.subject, trial.answers, 0.0, [NONE, everything])
    assert same.tolist() == plain.tolist()
    assert (silent != plain).all()


def test_a_finished_set_is_not_computed_again(loaded_llama: LoadedModel, tmp_path: Path) -> None:
    """A broken-off run loses the set it was at, and ends with the same numbers; a finished one needs no model."""
    whole = Loads(loaded_llama)
    expected = effects_of(trial_of(whole, tmp_path / "whole"), [WIRED])
    # log-probability with 1 + 1 + 3 + 3 sets and answers with 1 + 1 + 2 + 2, of which the one without neurons serves
    # both factors
    assert whole.count == 2 * (7 + 5) + 2
    trial = trial_of(Loads(loaded_llama, break_at=5), tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        effects_of(trial, [WIRED])
    again = Loads(loaded_llama)
    assert effects_of(loading(trial, again), [WIRED]) == expected
    assert again.count == whole.count - 5
    assert effects_of(loading(trial, Loads(loaded_llama, break_at=0)), [WIRED]) == expected


@pytest.mark.parametrize("change", ["checkpoint", "settings", "held out", "fewer", "other words"])
def test_what_changes_a_number_has_it_computed_again(loaded_llama: LoadedModel, tmp_path: Path, change: str) -> None:
    """The name of a set covers weights, settings, questions and the very tokens that were read."""
    trial = trial_of(Loads(loaded_llama), tmp_path)
    subject, loads = trial.subject, Loads(loaded_llama)
    sets = [NONE, np.array([3]), np.array([4])]
    scaled_log_probabilities(subject, trial.answers, 0.0, sets)
    chosen = {"fewer": trial.answers[:-1], "other words": answers_of(loaded_llama, 0, 10)}.get(change, trial.answers)
    changed: dict[str, Any] = {
        "checkpoint": {"side": replace(subject.side, checkpoint=replace(subject.checkpoint, digest="e" * 64))},
        "settings": {"settings": replace(SETTINGS, dtype="bfloat16")},
        "held out": {"pools": (subject.training, pool_of("test", 41))},
    }
    other = replace(subject, loads=loads, **changed.get(change, {}))  # type: ignore[call-arg]
    scaled_log_probabilities(other, chosen, 0.0, sets)
    assert loads.count == 3
    scaled_log_probabilities(other, chosen, 2.0, sets)
    assert loads.count == 5  # without neurons the factor says nothing
    again = loading(trial, Loads(loaded_llama, break_at=0)).subject
    scaled_log_probabilities(again, trial.answers, 0.0, sets[::-1])


def test_control_sets_hold_no_h_neuron_and_none_that_is_set_apart() -> None:
    """As many neurons each, layer by layer in the matched ones, and the same ones for the same seed."""
    ids, apart = np.array([40, 3, 5]), np.array([4, 30])
    arms = control_arms(ids, LAYERS, D_M, apart, 200, 0)
    assert arms["h_neurons"].tolist() == [[3, 5, 40]]
    for kind in CONTROL_KINDS:
        members = arms[kind]
        assert members.shape == (200, 3)
        assert not np.isin(members, [3, 4, 5, 30, 40]).any()
        assert np.unique(members).size == LAYERS * D_M - 5  # and every other one is in some set
        assert len({tuple(row) for row in members.tolist()}) > 100
    assert (arms["layer_matched"] // D_M).tolist() == [[0, 0, 1]] * 200
    assert not ((arms["random"] // D_M) == [0, 0, 1]).all()
    again, other = (control_arms(ids, LAYERS, D_M, apart, 200, seed) for seed in (0, 1))
    np.testing.assert_array_equal(again["random"], arms["random"])
    assert not np.array_equal(other["random"], arms["random"])


def test_neurons_that_leave_nothing_to_compare_with_are_refused(loaded_llama: LoadedModel, tmp_path: Path) -> None:
    """Or that are no neurons of the model; before the model is wanted."""
    trial = trial_of(Loads(loaded_llama, break_at=0), tmp_path)
    with pytest.raises(InputError, match="control neurons beside"):
        effects_of(trial, [3, 4], apart=np.setdiff1d(np.arange(LAYERS * D_M), [3]))
    for ids in ([48], [-1], [3, 3]):
        with pytest.raises(PairError):
            effects_of(trial, ids)


def test_without_neurons_there_is_nothing_to_scale(loaded_llama: LoadedModel, tmp_path: Path) -> None:
    assert effects_of(trial_of(Loads(loaded_llama, break_at=0), tmp_path), []) == ()


@pytest.mark.parametrize(("faithful", "hallucinated"), [(6, 0), (0, 6), (0, 0)])
def test_a_class_without_answers_leaves_out_what_needs_it(
    loaded_llama: LoadedModel, tmp_path: Path, faithful: int, hallucinated: int
) -> None:
    """No selectivity with one class, no log-probability with none; correctness is asked all the same."""
    effects = effects_of(trial_of(Loads(loaded_llama), tmp_path, faithful, hallucinated), [3])
    expected = {"faithful_log_probability"} if faithful else set()
    expected |= {"hallucinated_log_probability"} if hallucinated else set()
    assert {effect.outcome for effect in effects} == expected | {"correct"}
    assert all(np.isfinite(effect.effect.estimate) for effect in effects)
    assert function_claim(effects, "base").verdict == "no power"


class Known:
    """In place of a model: each neuron adds its own strength to hallucinated answers and to wrong ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.strength = np.random.default_rng(3).normal(size=LAYERS * D_M)
        self.inside: tuple[np.ndarray, float] = (NONE, 1.0)
        monkeypatch.setattr(module, "scaled", self.scaled)
        monkeypatch.setattr(module, "answer_log_probability", self.log_probability)
        monkeypatch.setattr(module, "right_answers", self.right)

    @contextmanager
    def scaled(self, _loaded: LoadedModel, ids: np.ndarray, alpha: float) -> Iterator[None]:
        self.inside = (ids, alpha)
        yield
        self.inside = (NONE, 1.0)

    def log_probability(self, _loaded: LoadedModel, chosen: Sequence[Response]) -> np.ndarray:
        ids, alpha = self.inside
        change = (alpha - 1) * self.strength[ids].sum()
        return np.array([-5.0 + change * (2.0 if row.label == "hallucinated" else 0.5) for row in chosen])

    def right(self, _subject: Subject, _pool: Pool, sets: Sequence[np.ndarray], alpha: float) -> np.ndarray:
        shares = [0.5 + 0.1 * (1 - alpha) * np.sign(self.strength[ids].sum()) for ids in sets]
        return np.array([np.arange(10) < round(10 * share) for share in shares])


def test_p_values_count_the_control_sets_that_go_as_far_the_expected_way(
    loaded_llama: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With known effects: selectivity is 1.5 times the strength, to the last set, in both directions."""
    known = Known(monkeypatch)
    order = np.argsort(known.strength)
    trial = replace(trial_of(Loads(loaded_llama), tmp_path, 5, 5), questions=pool_of("validation", 10))
    for ids in (order[-2:], order[20:22], order[:2]):
        effects = effects_of(trial, np.sort(ids).tolist(), sets=30, asked=30)
        arms = control_arms(np.sort(ids), LAYERS, D_M, NONE, 30, 0)
        own = known.strength[ids].sum()
        for kind in CONTROL_KINDS:
            others = known.strength[arms[kind]].sum(axis=1)
            as_far = (1 + (others >= own - 1e-9).sum()) / 31
            for alpha in ALPHAS:
                control = find(effects, alpha, "selectivity", kind)
                np.testing.assert_allclose(control.draws, 1.5 * (alpha - 1) * others, rtol=1e-9, atol=1e-9)
                assert find(effects, alpha, "selectivity").effect.estimate == pytest.approx(1.5 * (alpha - 1) * own)
                # stronger sets lose more of it silent and gain more of it amplified: one p-value for both
                assert control.p_value == pytest.approx(as_far)
                right = find(effects, alpha, "correct", kind)
                np.testing.assert_allclose(right.draws, 0.1 * (1 - alpha) * np.sign(others), atol=1e-9)
                expected = (1 + (np.sign(others) >= np.sign(own)).sum()) / 31
                assert right.p_value == pytest.approx(expected)


def test_the_expected_directions_are_opposite_at_both_factors_and_between_the_classes() -> None:
    for outcome in EXPECTED_SILENT:
        assert direction(outcome, 0.0) == -direction(outcome, 2.0)
    assert direction("hallucinated_log_probability", 0.0) == direction("selectivity", 0.0) == -1
    assert direction("faithful_log_probability", 0.0) == direction("correct", 0.0) == 1


def test_a_sample_without_a_class_has_no_number() -> None:
    """And the others have the means of the rows as often as they were drawn."""
    hallucinated = np.array([True, False, True, False])
    weights = np.array([[1.0, 1, 1, 1], [2, 0, 0, 2], [2, 0, 2, 0]])
    values = np.array([1.0, 10.0, 3.0, 30.0])
    found = {outcome: counted @ values for outcome, counted in contrasts(hallucinated, weights).items()}
    np.testing.assert_array_equal(found["hallucinated_log_probability"], [2.0, 1.0, 2.0])
    np.testing.assert_array_equal(found["faithful_log_probability"], [20.0, 30.0, np.nan])
    np.testing.assert_array_equal(found["selectivity"], [-18.0, -29.0, np.nan])


def test_the_first_answers_of_each_class_are_read_in_order(loaded_llama: LoadedModel) -> None:
    """Dropped ones never; a class that has fewer is read whole."""
    many = answers_of(loaded_llama, 6, 3)
    dropped = replace(many[0], label="dropped")
    chosen = first_of_each_class([dropped, *many], 4)
    assert list(chosen) == [row for row in many if row.label == "hallucinated" or row in chosen]
    assert [row for row in chosen if row.label == "faithful"] == [row for row in many if row.label == "faithful"][:4]
    assert len(chosen) == 7
    assert first_of_each_class([]) == ()


def test_two_models_can_be_told_from_chance_and_the_cost_stays_bounded() -> None:
    """With Holm's correction over two models the sets are just enough; those asked questions are for one test."""
    assert 2 / (1 + SETS) < 0.05 < 2 / SETS + 1e-9
    assert 1 / (1 + SETS_ASKED) < 0.05
    assert 2 * ANSWERS_PER_CLASS <= 100
    assert QUESTIONS <= 100


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    return Pairing(tmp_path_factory.mktemp("pairing"))


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Trial, list[int], list[int]]]:
    """What `causal_effects` is asked for: trial, neurons, and those set apart."""
    calls: list[tuple[Trial, list[int], list[int]]] = []

    def note(trial: Trial, ids: np.ndarray, apart: np.ndarray, **_numbers: int) -> tuple[CausalEffect, ...]:
        calls.append((trial, ids.tolist(), apart.tolist()))
        return ()

    monkeypatch.setattr(module, "causal_effects", note)
    return calls


def test_each_model_is_intervened_on_where_the_neurons_sit_in_it(
    pairing: Pairing, noted: list[tuple[Trial, list[int], list[int]]]
) -> None:
    """The base without those that it lacks, and with its own neurons that have no counterpart set apart."""
    h_neurons, base_ids = np.array([2, 5, 30]), pairing.alignment.base_ids.copy()
    lost = int(base_ids[5])
    base_ids[5] = -1
    alignment = replace(pairing.alignment, base_ids=base_ids)
    for stage in ("base", "instruct"):
        intervened(replace(pairing.gathered, alignment=alignment), stage, h_neurons, seed=0)  # type: ignore[arg-type]
    (base, its_ids, its_apart), (instruct, own, apart) = noted
    assert (own, apart) == ([2, 5, 30], [])
    assert (its_ids, its_apart) == (sorted([base_ids[2], base_ids[30]]), [lost])
    assert its_ids != [2, 30]  # the base has another order
    for trial in (base, instruct):
        found = pairing.gathered.collected[trial.subject.stage][1]
        assert tuple(row.question_id for row in trial.answers) == found.features.question_ids
        assert {row.split for row in trial.answers} == {"test"}
        assert {split for _, split in trial.questions.entries} == {"validation"}
        assert trial.subject.held_out is pairing.pools[1]
    assert base.subject.checkpoint.digest != instruct.subject.checkpoint.digest


def test_neurons_of_an_unrelated_base_are_not_scaled(
    pairing: Pairing, noted: list[tuple[Trial, list[int], list[int]]]
) -> None:
    """Where indices name other neurons, what sits there says nothing about the H-Neurons."""
    unrelated = replace(pairing.alignment, reason="the two are unrelated")
    for stage in ("base", "instruct"):
        intervened(replace(pairing.gathered, alignment=unrelated), stage, np.array([2]), seed=0)  # type: ignore[arg-type]
    assert [ids for _, ids, _ in noted] == [[], [2]]


def test_a_permuted_base_gives_the_effects_of_the_neurons_it_permuted(
    pairing: Pairing,
) -> None:
    """The base computes the same function in another order, so its mapped neurons do what they did before."""
    h_neurons, (gathered, subjects) = np.array([2, 5, 30]), pairing.gathered_anew()
    found = intervened(gathered, "base", h_neurons, seed=0, sets=1, sets_asked=1)
    unmoved = load(pairing.sides["instruct"].checkpoint.folder.parent / "base")
    answers = [row for row in pairing.gathered.collected["base"][1].responses if row.label != "dropped"]
    used = {row.question_id: row for row in answers}
    rows = [used[question] for question in pairing.gathered.collected["base"][1].features.question_ids]
    chosen = first_of_each_class(rows)
    plain, change, wrong = (
        slow_values(unmoved, chosen, ids, 0.0) for ids in (NONE, h_neurons, pairing.alignment.base_ids[h_neurons])
    )
    hallucinated = np.array([row.label == "hallucinated" for row in chosen])
    expected, other = (
        (values - plain)[hallucinated].mean() - (values - plain)[~hallucinated].mean() for values in (change, wrong)
    )
    own = find(found, 0.0, "selectivity")
    assert own.k == 3
    assert own.effect.estimate == pytest.approx(expected, abs=1e-4)
    assert abs(expected) > 1e-3
    assert other != pytest.approx(expected, abs=1e-4)
    assert "causal base" in {stage.name for stage in subjects["base"].clock.stages}
    assert (
        subjects["base"].used == 2 * (2 * 3) + 2
    )  # log-probabilities and answers: three sets by two factors, and none


def test_without_validation_questions_nothing_is_started(pairing: Pairing) -> None:
    pools = (replace(pairing.pools[0], entries=()), *pairing.pools[1:])
    subjects = {stage: replace(subject, pools=pools) for stage, subject in pairing.subjects.items()}
    with pytest.raises(QuestionError, match="validation questions"):
        intervened(replace(pairing.gathered, subjects=subjects), "base", np.array([2]), seed=0)
