"""The sentence beside a verdict: the numbers, and the first condition that failed."""

from collections.abc import Mapping, Sequence

from provenance.analyses.claims.verdict import CORRESPOND, failed
from provenance.analyses.controls.control_sets import CONTROL_KINDS
from provenance.analyses.drift.drift_nulls import NARROWEST
from provenance.analyses.drift.drift_tests import compared, of_delta
from provenance.analyses.drift.weight_drift import SIGNIFICANCE
from provenance.analyses.results.claims import Claim
from provenance.analyses.results.drift import DriftResult, DriftTest
from provenance.analyses.results.overlap import OverlapNull, OverlapResult
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.analyses.transfer.probe_transfer import DECIDING_KINDS, highest_other, known_p_values
from provenance.cells import so_many
from provenance.words import MATCHED_WORDS, NULL_WORDS

NOT_COMPARED = (
    "none could be compared with like neurons of its layer "
    f"(which takes layers of {NARROWEST} neurons and known activities)"
)
IMPOSSIBLE = "would be detected with 80 % power"
READS = ".reads."


def transfer_reason(result: TransferResult, rungs: Sequence[Rung], claim: Claim, tests: int) -> str:
    """Why transfer to one question set has its verdict; `tests`: question sets that p was corrected for."""
    if result.p_chance is None:
        return result.reason
    highest = highest_other(result, rungs)
    if highest is not None and "transfer.others_auroc" in failed(claim):
        best = _kind_words(highest[0])
        return (
            f"{_transfer_numbers(result, rungs)}; {best} is right on every pair of answers, and nothing can beat that"
        )
    p_values = known_p_values(result, rungs)
    return "; ".join([_transfer_numbers(result, rungs), *_p_words(result, p_values, tests)])


def _p_words(result: TransferResult, p_values: Mapping[str, float], tests: int) -> list[str]:
    missing = ", ".join(_kind_words(kind) for kind in DECIDING_KINDS if kind not in p_values)
    found = ", ".join(f"{p:.3g} ({_kind_words(kind)})" for kind, p in p_values.items())
    hardest = _kind_words(result.decided_by or "")
    sets = so_many(tests, "question set")
    return [
        f"one-sided p: {found}",
        f"the largest, against {hardest}, is {result.p_holm:.3g} after correction for {sets}",
        *([f"not compared with {missing}"] if missing else []),
    ]


def _transfer_numbers(result: TransferResult, rungs: Sequence[Rung]) -> str:
    area = result.auroc
    bars = ", ".join(
        f"{rung.sets_p95:.3f} ({_kind_words(rung.kind)})"
        for rung in rungs
        if rung.dataset == result.dataset and rung.sets_p95 is not None
    )
    observed = "" if area is None else f"AUROC {area.estimate:.3f} [{area.low:.3f}, {area.high:.3f}]"
    return f"{observed}; 95th percentile of control probes: {bars}"


def _kind_words(kind: str) -> str:
    """A kind in words; sets of neurons get a hyphen, since `layer matched` would be read as a verb."""
    return kind.replace("_", "-" if kind in CONTROL_KINDS else " ")


def drift_reason(result: DriftResult, tests: Sequence[DriftTest], claim: Claim, recognised: float | None) -> str:
    """Why drift has its verdict; `recognised`: share of the H-Neurons that still match their base neuron."""
    left_out = f"; {result.reason}" if result.reason else ""
    own = of_delta(tests)
    if not own:
        nothing = "no H-Neuron has others of its layer beside it" if result.k else "there are no H-Neurons to compare"
        return nothing + left_out
    layer = own[0]
    numbers = f"the {layer.k} H-Neurons changed {_ratio_words(layer)}"
    if layer.smallest_detectable is None:
        numbers += f"; no difference from those {IMPOSSIBLE}"
    failures = _drift_failure(own, result.k, claim, recognised)
    return _blind(claim) + "; ".join([numbers + left_out, *_compared_words(own, result.k), *failures])


def _blind(claim: Claim) -> str:
    """Which probes are not shown to read their own model; empty if all are."""
    blind = [each.code.partition(READS)[2] for each in claim.reasons if READS in each.code and not each.holds]
    return (
        f"the probe of {' and of '.join(blind)} is not shown to read its own model's held-out answers; "
        if blind
        else ""
    )


def _compared_words(own: Sequence[DriftTest], k: int) -> list[str]:
    parts: list[str] = []
    if own and own[-1].matching != "layer":
        finest = own[-1]
        which = "" if finest.k == own[0].k else f"the {_counted(own, k)} that can be compared so: "
        parts.append(f"{which}{_ratio_words(finest)}")
    opposite = [test for test in own if test.p_less_stable < SIGNIFICANCE]
    if opposite:
        values = [f"p = {test.p_less_stable:.2g} against neurons {MATCHED_WORDS[test.matching]}" for test in opposite]
        parts.append(f"they changed more than others: {' and '.join(values)}")
    return parts


def _drift_failure(own: Sequence[DriftTest], k: int, claim: Claim, recognised: float | None) -> list[str]:
    fails = failed(claim) - {CORRESPOND}
    if "drift.compared" in fails:
        some = f"only {_counted(own, k)} could be compared with neurons like them"
        return [some if compared(own, k) else NOT_COMPARED]
    if "drift.detectable.layer" not in fails and f"drift.detectable.{own[-1].matching}" in fails:
        return [f"no difference from the latter {IMPOSSIBLE}"]
    if fails == {"drift.recognised"} and recognised is not None:
        return [f"but only {recognised:.0%} of them are recognised in the base at all"]
    return []


def _counted(own: Sequence[DriftTest], k: int) -> str:
    return f"{own[-1].k} of {k} H-Neurons"


def _ratio_words(test: DriftTest) -> str:
    beside = MATCHED_WORDS[test.matching]
    return f"{test.ratio.estimate:.2f} times as much as neurons {beside}, p = {test.p_more_stable:.2g}"


def overlap_reason(result: OverlapResult, nulls: Sequence[OverlapNull], claim: Claim) -> str:
    """Why overlap has its verdict; names the null with the smallest margin."""
    if not nulls:
        empty = "the base" if result.k_base == 0 else "the instruct checkpoint"
        return f"no H-Neurons were found in {empty}, so there is nothing to overlap"
    fails = failed(claim)
    hardest = max(nulls, key=lambda null: null.p_value)
    reason = (
        f"{result.shared} of {result.k_base} (base) and {result.k_instruct} (instruct) H-Neurons are shared; "
        f"{NULL_WORDS[hardest.kind]} would share {hardest.expected:.2g}, p = {hardest.p_value:.2g}"
    )
    if "overlap.p_zero" in fails and result.p_zero is not None:
        return f"{reason}, but chance alone shares none with probability {result.p_zero:.2f}"
    if "overlap.detectable" in fails:
        beyond = next(null.kind for null in nulls if null.smallest_detectable is None)
        return f"{reason}, and full agreement would be no rarer than p = 0.05 with {NULL_WORDS[beyond]}"
    reason += ", no more than chance" if hardest.p_value >= SIGNIFICANCE else ", more than chance"
    if CORRESPOND in fails:
        return reason
    if blind := _blind(claim):
        return blind + reason
    missing = fails == {"overlap.p.shuffled_labels"} and all(null.kind != "shuffled_labels" for null in nulls)
    return f"there is no search on shuffled labels to compare it with; {reason}" if missing else reason
