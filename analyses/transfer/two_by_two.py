"""The instruct probe on every combination of labels, text and prompt, and agreement of both models' labels.

Transfer to the base's own answers changes these and the model at once; one at a time shows which the probe follows,
and questions on which the models' labels differ show whose labels.
"""

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
from jaxtyping import Bool, Float

from provenance.activations.features import Features
from provenance.analyses.asking.cross_reading import FORCED_CELLS, CellName, Forced
from provenance.analyses.controls.control_probes import ControlProbe, control_scores
from provenance.analyses.controls.control_sets import CONTROL_KINDS, ControlSetKind
from provenance.analyses.controls.question_folds import questions_per_class
from provenance.analyses.results.transfer import LabelAgreement, TransferCell
from provenance.analyses.transfer.probe_transfer import MIN_PER_CLASS
from provenance.answers.quotas import KEPT_LABELS
from provenance.probe.sparse_probe import Probe
from provenance.records import QUOTA_FULL, Estimate, Response, Stage
from provenance.statistics.auroc import aurocs
from provenance.statistics.bootstrap import estimate_of, resampled_aurocs, resampled_weights
from provenance.statistics.kappa import resampled_kappas

OWN_CELLS: tuple[CellName, ...] = (("base", "base", "base"), ("instruct", "instruct", "instruct"))
CELLS: tuple[CellName, ...] = (OWN_CELLS[0], FORCED_CELLS[0], FORCED_CELLS[1], OWN_CELLS[1], *FORCED_CELLS[2:])
NO_PROBE = "there is no probe"
SAME_SCORE = "every answer gets the same score, so no power"
STAGES: tuple[Stage, ...] = get_args(Stage)
Labels = dict[str, tuple[bool, str]]
"""By question: whether the answer is hallucinated, and the question's unit."""


def cells(
    dataset: str,
    probe: Probe | None,
    controls: Mapping[ControlSetKind, Sequence[ControlProbe]],
    own: Mapping[Stage, Features],
    forced: Forced,
    *,
    seed: int = 0,
) -> tuple[TransferCell, ...]:
    """The instruct probe on every combination of activations, answers and prompt.

    In the order of `CELLS`: the 2 x 2, then the prompt control. Labels are those of the answering model, neurons in the
    instruct checkpoint's order. Without a probe, rows have no numbers.
    """
    rows = {name: (own[name[0]], 0) for name in OWN_CELLS}
    rows |= {name: (read.features, read.n_dropped) for name, read in forced.cells.items()}
    return tuple(_cell(dataset, name, probe, controls, *rows[name], seed) for name in CELLS)


def _cell(
    dataset: str,
    name: CellName,
    probe: Probe | None,
    controls: Mapping[ControlSetKind, Sequence[ControlProbe]],
    rows: Features,
    n_dropped: int,
    seed: int,
) -> TransferCell:
    estimate, reason = score(probe, rows, seed)
    bars = control_bars(controls, rows) if estimate is not None else dict.fromkeys(CONTROL_KINDS)
    return TransferCell(
        dataset=dataset,
        activations=name[0],
        answers=name[1],
        prompt=name[2],
        auroc=estimate,
        n_faithful=int((~rows.hallucinated).sum()),
        n_hallucinated=int(rows.hallucinated.sum()),
        n_dropped=n_dropped,
        random_p95=bars["random"],
        layer_matched_p95=bars["layer_matched"],
        reason=reason,
    )


def score(probe: Probe | None, rows: Features, seed: int) -> tuple[Estimate | None, str]:
    """AUROC of a probe with its interval by question, or the reason why there is none."""
    if probe is None:
        return None, NO_PROBE
    return scored(probe.scores(rows.answer), rows, seed)


def score_of_enough(probe: Probe | None, rows: Features, seed: int) -> tuple[Estimate | None, str]:
    """`score`, provided that each class has as many questions as transfer requires."""
    reason = missing_class(rows, MIN_PER_CLASS)
    return (None, reason) if reason else score(probe, rows, seed)


def scored(values: Float[np.ndarray, " rows"], rows: Features, seed: int) -> tuple[Estimate | None, str]:
    """AUROC of given scores with its interval by question, or the reason why there is none."""
    reason = missing_class(rows)
    if not reason and np.ptp(values) == 0:
        reason = SAME_SCORE
    if reason:
        return None, reason
    weights = resampled_weights(rows.units, seed=seed)  # the same samples as for held-out scores, in any row order
    return estimate_of(resampled_aurocs(values[:, None], rows.hallucinated, weights), len(rows)), ""


def missing_class(rows: Features, needed: int = 1) -> str:
    """Reason why AUROC is undefined; empty if each class has at least `needed` questions."""
    counts = questions_per_class(rows)
    if min(counts.values()) >= needed:
        return ""
    found = " + ".join(f"{n} {label}" for label, n in counts.items())
    return f"{found} questions ({needed} of each needed), no power"


def control_bars(
    controls: Mapping[ControlSetKind, Sequence[ControlProbe]], rows: Features
) -> dict[ControlSetKind, float | None]:
    """95th percentile of the AUROC over control sets, per kind; None without sets."""
    return {
        kind: bar(aurocs(control_scores(sets, rows.answer), rows.hallucinated)) if sets else None
        for kind, sets in ((kind, controls.get(kind, ())) for kind in CONTROL_KINDS)
    }


def bar(areas: Float[np.ndarray, " sets"]) -> float:
    """95th percentile of control AUROCs."""
    return float(np.quantile(areas, 0.95))


def label_agreement(
    dataset: str,
    base_responses: Sequence[Response],
    instruct_responses: Sequence[Response],
    base: Features,
    probe: Probe | None,
    *,
    seed: int = 0,
) -> LabelAgreement:
    """Whether both models are right on the same questions, and whose labels the base's neurons follow.

    `base`: its own balanced answers, neurons in the instruct checkpoint's order. AUROC is None, with the reason, with
    fewer than 10 questions of a class; kappa if a model has one label only. Choice: answers left out because their
    class was full count as well, or the common questions would be those of either model's scarcer class.
    Source: Cohen 1960, doi:10.1177/001316446002000104.
    """
    ours, theirs = _judged(base_responses), _judged(instruct_responses)
    common = sorted(ours.keys() & theirs.keys())
    labels = {
        stage: np.array([said[q][0] for q in common], dtype=bool)
        for stage, said in zip(STAGES, (ours, theirs), strict=True)
    }
    kappa, problem = _kappa(labels["base"], labels["instruct"], [ours[q][1] for q in common], seed)
    known = np.array([question in theirs for question in base.question_ids], dtype=bool)
    there = base.take(known)
    same = np.array(
        [theirs[q][0] == y for q, y in zip(there.question_ids, there.hallucinated, strict=True)], dtype=bool
    )
    agree, why_agree = score_of_enough(probe, there.take(same), seed)
    disagree, why_disagree = score_of_enough(probe, there.take(~same), seed)
    reasons = {"kappa": problem, "same label": why_agree, "different labels": why_disagree}
    return LabelAgreement(
        dataset=dataset,
        n_common=len(common),
        n_agree=int((labels["base"] == labels["instruct"]).sum()),
        kappa=kappa,
        auroc_agree=agree,
        auroc_disagree=disagree,
        reason="; ".join(f"{what}: {why}" for what, why in reasons.items() if why),
    )


def _judged(responses: Sequence[Response]) -> Labels:
    judged = [r for r in responses if r.judged_label in KEPT_LABELS and (r.is_answer or r.reason == QUOTA_FULL)]
    return {r.question_id: (r.judged_label == "hallucinated", r.unit) for r in judged}


def _kappa(
    a: Bool[np.ndarray, " questions"], b: Bool[np.ndarray, " questions"], units: Sequence[str], seed: int
) -> tuple[Estimate | None, str]:
    if not a.size:
        return None, "no question with an answer of both models, so no power"
    if any(side.all() or not side.any() for side in (a, b)):
        return None, "one of the models has one label only, so no power"
    return estimate_of(resampled_kappas(a, b, resampled_weights(units, seed=seed)), a.size), ""
