"""A part in hallucination is claimed only where every condition holds, and never by chance more often than said."""

import numpy as np
import pytest

from provenance.analyses.behaviour.function_verdict import function_claim, reversed_at
from provenance.analyses.behaviour.scaled_answers import ALPHAS, direction
from provenance.analyses.controls.control_sets import CONTROL_KINDS, permutation_p
from provenance.analyses.results.behaviour import CausalEffect, Outcome
from provenance.analyses.results.claims import Reason
from provenance.records import Estimate, Stage, Verdict

CODES = [
    "function.questions_per_class",
    "function.sets",
    "function.selectivity.alpha_0",
    "function.selectivity.alpha_0.random",
    "function.selectivity.alpha_0.layer_matched",
    "function.selectivity.alpha_2",
    "function.selectivity.alpha_2.random",
    "function.selectivity.alpha_2.layer_matched",
    "function.selectivity.p_holm",
]
CLASSES: tuple[Outcome, ...] = ("faithful_log_probability", "hallucinated_log_probability")


def effects_of(
    stage: Stage,
    selectivity: dict[float, float],
    *,
    half: float = 0.1,
    draws: dict[float, np.ndarray] | None = None,
    sets: int = 40,
    per_class: int = 50,
) -> list[CausalEffect]:
    """All rows of one model: the H-Neurons' selectivity with its interval, and control sets that do nothing."""
    effects: list[CausalEffect] = []
    for alpha, value in selectivity.items():
        for outcome in CLASSES:
            own = Estimate(0.0, 0.0, 0.0, per_class)
            effects.append(CausalEffect(stage, alpha, "h_neurons", outcome, 5, own, (), None))
        own = Estimate(value, value - half, value + half, 2 * per_class)
        effects.append(CausalEffect(stage, alpha, "h_neurons", "selectivity", 5, own, (), None))
        others = np.zeros(sets) if draws is None else draws[alpha]
        sign = direction("selectivity", alpha)
        for kind in CONTROL_KINDS:
            p_value = permutation_p(sign * others, sign * value)
            spread = Estimate(float(others.mean()), float(others.min()), float(others.max()), others.size)
            found = tuple(others.tolist())
            effects.append(CausalEffect(stage, alpha, kind, "selectivity", 5, spread, found, p_value))
    return effects


EXPECTED = {0.0: -0.5, 2.0: 0.5}


def judged(effects: list[CausalEffect], stage: Stage) -> tuple[Verdict, tuple[Reason, ...]]:
    claim = function_claim(effects, stage)
    return claim.verdict, claim.reasons


def test_opposite_and_selective_changes_beyond_all_control_sets_are_a_part_in_hallucination() -> None:
    """Every condition is listed in order, and holds."""
    verdict, reasons = judged(effects_of("base", EXPECTED), "base")
    assert verdict == "supported"
    assert [reason.code for reason in reasons] == CODES
    assert all(reason.holds for reason in reasons)
    values = {reason.code: reason.value for reason in reasons}
    assert values["function.selectivity.alpha_0"] == -0.4  # the upper end of the interval
    assert values["function.selectivity.alpha_2"] == 0.4
    assert values["function.selectivity.alpha_0.random"] == pytest.approx(1 / 41)


@pytest.mark.parametrize(
    ("selectivity", "broken"),
    [
        ({0.0: 0.5, 2.0: -0.5}, CODES[2:]),
        ({0.0: -0.5, 2.0: -0.5}, [*CODES[5:]]),
        ({0.0: 0.5, 2.0: 0.5}, [*CODES[2:5], CODES[8]]),
        ({0.0: -0.05, 2.0: 0.5}, [CODES[2]]),
        ({0.0: 0.0, 2.0: 0.0}, CODES[2:]),
    ],
)
def test_one_condition_that_fails_is_enough(selectivity: dict[float, float], broken: list[str]) -> None:
    """The reverse, the same way at both factors, an interval over 0, or nothing at all."""
    verdict, reasons = judged(effects_of("instruct", selectivity), "instruct")
    assert verdict == "not distinguishable"
    assert [reason.code for reason in reasons if not reason.holds] == broken


def test_control_sets_that_do_as_much_leave_nothing_to_claim() -> None:
    """Two of forty at least as far are p = 3/41, above the bar; one is p = 2/41, below it."""
    for others, verdict in ((2, "not distinguishable"), (1, "supported")):
        draws = {alpha: np.where(np.arange(40) < others, value, 0.0) for alpha, value in EXPECTED.items()}
        assert function_claim(effects_of("base", EXPECTED, draws=draws), "base").verdict == verdict


def test_two_models_are_two_chances() -> None:
    """With both intervened on, one set of forty as far as the H-Neurons is one too many, by Holm's correction."""
    draws = {alpha: np.where(np.arange(40) < 1, value, 0.0) for alpha, value in EXPECTED.items()}
    both = [*effects_of("base", EXPECTED, draws=draws), *effects_of("instruct", EXPECTED, draws=draws)]
    for stage in ("base", "instruct"):
        verdict, reasons = judged(both, stage)
        assert verdict == "not distinguishable"
        assert {r.code: r.value for r in reasons if not r.holds} == {CODES[8]: pytest.approx(4 / 41)}
    clear = [*effects_of("base", EXPECTED, draws=draws), *effects_of("instruct", EXPECTED)]
    assert function_claim(clear, "instruct").verdict == "supported"
    assert function_claim(clear, "base").verdict == "supported"  # the smaller p-value took the correction


@pytest.mark.parametrize(("models", "enough"), [(1, 20), (2, 40)])
def test_too_few_control_sets_have_no_power(models: int, enough: int) -> None:
    """Where not even a set that beats them all could be told, nothing is refused and nothing claimed."""
    stages: tuple[Stage, ...] = ("base", "instruct")
    for sets, verdict in ((enough - 1, "no power"), (enough, "supported")):
        effects = [e for stage in stages[:models] for e in effects_of(stage, EXPECTED, sets=sets)]
        assert function_claim(effects, "base").verdict == verdict


def test_too_few_answers_have_no_power() -> None:
    verdict, reasons = judged(effects_of("base", EXPECTED, per_class=9), "base")
    assert verdict == "no power"
    assert [(reason.code, reason.value) for reason in reasons if not reason.holds] == [(CODES[0], 9)]
    assert function_claim(effects_of("base", EXPECTED, per_class=10), "base").verdict == "supported"


def test_what_was_not_measured_is_neither_met_nor_failed() -> None:
    """Nobody intervened, or on the other model only, or with one factor, or one class had no answers."""
    one_class = [e for e in effects_of("base", EXPECTED) if e.outcome == "faithful_log_probability"]
    for effects in ([], effects_of("instruct", EXPECTED), one_class):
        verdict, reasons = judged(effects, "base")
        assert verdict == "no power"
        assert [reason.code for reason in reasons] == CODES
        assert {(reason.value, reason.holds) for reason in reasons} == {(None, None)}
    verdict, reasons = judged(effects_of("base", {0.0: -0.5}), "base")
    assert verdict == "no power"
    assert [reason.code for reason in reasons if reason.holds is None] == CODES[5:]


def test_neurons_like_any_others_are_hardly_ever_claimed() -> None:
    """H-Neurons drawn as control sets are: false alarms stay below 5 %, though effects at both factors go together."""
    rng = np.random.default_rng(0)
    claimed, draws = 0, 400
    for _ in range(draws):
        strength = rng.normal(size=41)  # how much a set writes; silent and amplified it does the reverse
        noise = {alpha: 0.3 * rng.normal(size=41) for alpha in ALPHAS}
        changes = {alpha: direction("selectivity", alpha) * strength + noise[alpha] for alpha in ALPHAS}
        own = {alpha: float(values[0]) for alpha, values in changes.items()}
        others = {alpha: values[1:] for alpha, values in changes.items()}
        claimed += function_claim(effects_of("base", own, half=0.0, draws=others), "base").verdict == "supported"
    assert 0 < claimed <= 0.05 * draws
    far = {alpha: direction("selectivity", alpha) * 9.0 for alpha in ALPHAS}
    assert function_claim(effects_of("base", far, half=0.0, draws=others), "base").verdict == "supported"


def test_an_effect_the_other_way_is_said_though_nothing_rests_on_it() -> None:
    """A one-sided p of 1 would pass over the clearest effect of all."""
    reverse = effects_of("base", {0.0: 0.0, 2.0: -0.5})
    assert function_claim(reverse, "base").verdict == "not distinguishable"
    assert reversed_at(reverse, "base") == (2.0,)
    assert reversed_at(reverse, "instruct") == ()
    assert reversed_at(effects_of("base", EXPECTED), "base") == ()
    assert reversed_at(effects_of("base", {0.0: 0.0, 2.0: -0.05}), "base") == ()  # its interval holds 0
    as_far = {alpha: np.full(40, -0.6) for alpha in ALPHAS}
    assert reversed_at(effects_of("base", {0.0: 0.0, 2.0: -0.5}, draws=as_far), "base") == ()
