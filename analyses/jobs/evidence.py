"""Evidence beside the main numbers of a comparison: nulls, baselines and power, from the same answers and probes.

The extra work in a model is reading the other model's answers, and scaling neurons where that is asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
from jaxtyping import Float, Int

from provenance.analyses.asking.both_models import Gathered
from provenance.analyses.asking.cross_reading import Forced
from provenance.analyses.asking.judge_agreement import judge_agreement
from provenance.analyses.baselines.carried_directions import FittedSide, carried_directions
from provenance.analyses.baselines.cross_fit import Folding
from provenance.analyses.baselines.ladder import corrected, ladder
from provenance.analyses.behaviour.exchange.patching import Exchanged
from provenance.analyses.behaviour.function_verdict import function_claim
from provenance.analyses.behaviour.scaled_benchmarks import Compliance
from provenance.analyses.claims.claim_conditions import (
    beyond_confidence_claim,
    decided,
    judged_overlap,
    own_labels_claim,
    transfer_claim,
)
from provenance.analyses.claims.power import chance_sd, drift_power, overlap_power, transfer_power
from provenance.analyses.drift.drift_nulls import drift_strata
from provenance.analyses.drift.pair import MeasuredPair
from provenance.analyses.overlap.overlap_nulls import overlap_nulls
from provenance.analyses.overlap.shared_neurons import overlap
from provenance.analyses.results.answers import ActivityTable, JudgeAgreement, RefusalContrast
from provenance.analyses.results.behaviour import CausalEffect
from provenance.analyses.results.claims import Claim
from provenance.analyses.results.drift import DriftResult, DriftTest, ProbeSide
from provenance.analyses.results.lineage import Alignment
from provenance.analyses.results.overlap import OverlapNull, OverlapResult
from provenance.analyses.results.probes import IdentificationResult
from provenance.analyses.results.reports import Evidence
from provenance.analyses.results.transfer import (
    DirectionLayer,
    DirectionTransfer,
    LabelAgreement,
    Rung,
    ScaleControl,
    SignAgreement,
    TransferCell,
    TransferResult,
)
from provenance.analyses.search.identification import Identified
from provenance.analyses.search.shuffled_labels import found_in
from provenance.analyses.transfer.magnitudes import scales, sign_agreement
from provenance.analyses.transfer.probe_transfer import transfer, untested
from provenance.analyses.transfer.refusals import refusal_contrast
from provenance.analyses.transfer.two_by_two import cells, label_agreement
from provenance.architectures import Layout
from provenance.probe.l1_path import Fit
from provenance.records import Stage


@dataclass(frozen=True)
class Transferred:
    """Transfer to every question set, with its baselines."""

    results: tuple[TransferResult, ...]
    """By question set, the in-domain one first."""
    rungs: tuple[Rung, ...]
    claim: Claim
    """For the deciding question set."""


@dataclass(frozen=True)
class Scaled:
    """What changing the activations of the H-Neurons did."""

    effects: tuple[CausalEffect, ...] = ()
    """Of scaling on answers, in each model; empty unless asked for."""
    compliance: tuple[Compliance, ...] = ()
    """Of scaling on replies to benchmarks, by model; empty without benchmarks."""
    exchanged: Exchanged = field(default_factory=Exchanged)
    """What the other model's activations of them did to these; empty without benchmarks."""


@dataclass(frozen=True)
class Shown:
    """Inputs of a comparison's analyses."""

    found: Mapping[Stage, Identified]
    """The search in both checkpoints."""
    gathered: Gathered
    forced: Forced
    """Each model's reading of the other's answers."""
    correlation: Float[np.ndarray, " neurons"] | None
    """Correlation of each neuron's activations in both models; None if token ids differ in meaning."""
    carried: Transferred
    """The instruct probe on the base's answers."""
    scaled: Scaled

    @property
    def sides(self) -> dict[ProbeSide, Int[np.ndarray, " _"]]:
        """The H-Neurons, and the neurons with a negative weight, if any."""
        result = self.found["instruct"].result
        return {"hallucinated": result.h_neurons, "faithful": result.negative}

    @property
    def searched(self) -> tuple[IdentificationResult, ...]:
        """The instruct checkpoint's probe; none if its neurons were given."""
        result = self.found["instruct"].result
        return () if result.rule == "given" else (result,)

    def base_activity(self, tables: Sequence[ActivityTable]) -> Float[np.ndarray, " neurons"] | None:
        """Mean CETT of every neuron over the base's own in-domain answers; None without answers."""
        dataset = self.gathered.names[1]
        table = next((table for table in tables if (table.stage, table.dataset) == ("base", dataset)), None)
        if table is None or not table.n_faithful + table.n_hallucinated:
            return None
        parts = ((table.n_faithful, table.mean_faithful), (table.n_hallucinated, table.mean_hallucinated))
        total = sum((count * mean for count, mean in parts if count), start=np.zeros(table.mean_faithful.size))
        return np.asarray(total / (table.n_faithful + table.n_hallucinated))


def transferred(
    found: Identified, gathered: Gathered, dealt: Mapping[str, Sequence[Folding]], problem: str, seed: int
) -> Transferred:
    """The instruct probe on the base's answers to every question set, with shared baselines.

    `dealt` are partitions of these answers; `problem` says why neurons of the two models cannot be matched, and is
    empty if they can.
    """
    tests = gathered.tests("base")
    if found.probe is None or found.baselines is None:
        results = [untested(name, test.features, found.result.reason) for name, test in tests.items()]
        rungs: tuple[Rung, ...] = ()
    else:
        results = [transfer(found.probe, test.features, name, found.halves, seed=seed) for name, test in tests.items()]
        own = gathered.answers["base"][0]
        rungs = ladder(found.baselines, tests, own, dealt, found.halves, seed=seed)
    searched = found.result.rule != "given"
    after = decided(results, rungs, problem, searched=searched)
    return Transferred(after, corrected(rungs, after), transfer_claim(after, rungs, problem, searched=searched))


def read_by_both(found: Identified, gathered: Gathered, forced: Forced, seed: int) -> tuple[TransferCell, ...]:
    """Transfer by neurons, answers and prompt, on the first question set."""
    own = {stage: gathered.features(stage)[forced.dataset] for stage in gathered.answers}
    controls = {} if found.baselines is None else found.baselines.controls
    return cells(forced.dataset, found.probe, controls, own, forced, seed=seed)


def directions_of(
    found: Mapping[Stage, Identified], gathered: Gathered, foldings: int, seed: int
) -> tuple[tuple[DirectionTransfer, ...], tuple[DirectionLayer, ...]]:
    """Directions of each model on the held-out answers of both."""
    fitted = {stage: FittedSide(one.baselines, one.halves) for stage, one in found.items() if one.baselines is not None}
    tests = {stage: gathered.tests(stage) for stage in gathered.answers}
    return carried_directions(fitted, tests, foldings=foldings, seed=seed)


def labels_of_both(found: Identified, gathered: Gathered, seed: int) -> tuple[LabelAgreement, ...]:
    """Agreement of both models' labels, for every question set."""
    said = {stage: collected[1:] for stage, collected in gathered.collected.items()}
    return tuple(
        label_agreement(name, base.responses, instruct.responses, features, found.probe, seed=seed)
        for (name, features), base, instruct in zip(
            gathered.features("base").items(), said["base"], said["instruct"], strict=True
        )
    )


def judges_of(gathered: Gathered, seed: int) -> tuple[JudgeAgreement, ...]:
    """Agreement of a judging model with the rule, by model and pool; empty if the rule was the judge."""
    rows = [
        judge_agreement(stage, pool, found.responses, seed=seed)
        for stage, subject in gathered.subjects.items()
        for pool, found in zip(subject.pools, gathered.collected[stage], strict=True)
    ]
    return tuple(row for row in rows if row is not None)


def refusals_of(found: Identified, gathered: Gathered, seed: int) -> tuple[RefusalContrast, ...]:
    """The instruct probe on refusals of both models, by question set and pool."""
    return tuple(
        refusal_contrast(
            stage, pool.questions.name, pool.split, found.probe,
            gathered.features(stage)[pool.questions.name], refused, seed=seed,
        )
        for stage in gathered.subjects
        for pool, refused in gathered.refusals(stage)
    )  # fmt: skip


def magnitudes(
    found: Mapping[Stage, Identified], gathered: Gathered, layers: int, d_m: int, seed: int
) -> tuple[tuple[ScaleControl, ...], SignAgreement | None]:
    """Transfer with rescaled magnitudes, and sign agreement of single neurons."""
    instruct, base = found["instruct"], found["base"]
    trained = {stage: answers[0].features for stage, answers in gathered.answers.items()}
    controls = {stage: {} if one.baselines is None else one.baselines.controls for stage, one in found.items()}
    rows = scales(
        instruct.probe, base.probe, trained["instruct"], trained["base"], gathered.features("instruct"),
        gathered.features("base"), controls["instruct"], controls["base"], seed=seed,
    )  # fmt: skip
    if instruct.probe is None:
        return rows, None
    known = (instruct.result.neuron_auroc, base.result.neuron_auroc)
    return rows, sign_agreement(instruct.probe, trained["instruct"], trained["base"], layers, d_m, known)


def overlap_of(
    shown: Shown, measured: MeasuredPair, activity: Sequence[ActivityTable], d_m: int
) -> tuple[OverlapResult, tuple[OverlapNull, ...], Claim]:
    """Overlap of both searches, among neurons that both checkpoints have, against every null, with its claim."""
    alignment, found = measured.alignment, shown.found
    results = {stage: one.result for stage, one in found.items()}
    known = {stage: np.setdiff1d(result.h_neurons, alignment.unmapped) for stage, result in results.items()}
    total = alignment.base_ids.size - alignment.unmapped.size
    nulls = overlap_nulls(
        known["base"], known["instruct"], total, drift_strata(measured.drift, shown.base_activity(activity), d_m),
        (_kept(found["base"].shuffled, alignment), _kept(found["instruct"].shuffled, alignment)),
    )  # fmt: skip
    ceilings = {
        stage: None if result.stability is None else result.stability.split_half_jaccard
        for stage, result in results.items()
    }
    shared = overlap(
        known["base"], known["instruct"], total, nulls=nulls, ceilings=(ceilings["base"], ceilings["instruct"]),
        features=shown.gathered.answers["base"][0].features,
        weights=(results["base"].weights, results["instruct"].weights),
    )  # fmt: skip
    judgement, claim = judged_overlap(shared, nulls, (results["instruct"], results["base"]), alignment.reason)
    return judgement, nulls, claim


def _kept(fits: Sequence[Fit], alignment: Alignment) -> tuple[Int[np.ndarray, " _"], ...]:
    """H-Neurons of each fit without those that the other checkpoint lacks, the heaviest first."""
    return tuple(ids[~np.isin(ids, alignment.unmapped)] for ids in map(found_in, fits))


def evidence_of(
    shown: Shown,
    problem: str,
    drifted: tuple[DriftResult, tuple[DriftTest, ...], Claim],
    overlapping: tuple[OverlapResult, tuple[OverlapNull, ...], Claim],
    layout: Layout,
    foldings: int,
    seed: int,
) -> Evidence:
    """All evidence beside the main numbers; `problem` says why neurons of the two models cannot be matched, if so."""
    instruct, (results, rungs) = shown.found["instruct"], (shown.carried.results, shown.carried.rungs)
    (_, tests, drift), (shared, nulls, overlaps) = drifted, overlapping
    scaled, signs = magnitudes(shown.found, shown.gathered, layout.layers, layout.d_m, seed)
    agreement = labels_of_both(instruct, shown.gathered, seed)
    k = 0 if instruct.probe is None else int(instruct.probe.nonzero.size)
    directions, by_layer = directions_of(shown.found, shown.gathered, foldings, seed)
    return Evidence(
        ladder=rungs,
        directions=directions,
        direction_layers=by_layer,
        cells=read_by_both(instruct, shown.gathered, shown.forced, seed),
        agreement=agreement,
        judges=judges_of(shown.gathered, seed),
        refusals=refusals_of(instruct, shown.gathered, seed),
        scales=scaled,
        signs=signs,
        drift=tests,
        overlap=nulls,
        power=(
            *transfer_power(results, rungs, k, _spread(instruct, shown.gathered, seed)), *drift_power(tests),
            *overlap_power(nulls, shared.k_base, shared.k_instruct),
        ),
        causal=shown.scaled.effects,
        compliance_arms=tuple(arm for each in shown.scaled.compliance for arm in each.arms),
        compliance_slopes=tuple(slope for each in shown.scaled.compliance for slope in each.slopes),
        reply_examples=tuple(row for each in shown.scaled.compliance for row in each.examples),
        item_readings=tuple(row for each in shown.scaled.compliance for row in each.readings),
        patching=shown.scaled.exchanged.effects,
        side_effects=tuple(row for each in shown.scaled.compliance for row in each.side_effects),
        text_effects=tuple(row for each in shown.scaled.compliance for row in each.texts),
        reply_judges=tuple(row for each in shown.scaled.compliance for row in each.agreements),
        claims=(
            shown.carried.claim,
            beyond_confidence_claim(results, rungs, problem),
            own_labels_claim(results, agreement, problem),
            drift,
            overlaps,
            *function_claims(shown.scaled.effects),
            *(claim for each in shown.scaled.compliance for claim in each.claims),
            *shown.scaled.exchanged.claims,
        ),
    )  # fmt: skip


def _spread(found: Identified, gathered: Gathered, seed: int) -> dict[str, float | None]:
    """SD of the transfer AUROC without a signal, by question set."""
    probe = found.probe
    if probe is None:
        return {}
    tests = gathered.features("base").items()
    return {name: chance_sd(probe.scores(features.answer), features, seed=seed) for name, features in tests}


def function_claims(effects: Sequence[CausalEffect]) -> tuple[Claim, ...]:
    """Claims on the function of the H-Neurons, for each model that was intervened on."""
    stages: tuple[Stage, ...] = get_args(Stage)
    acted = {effect.stage for effect in effects}
    return tuple(function_claim(effects, stage) for stage in stages if stage in acted)
