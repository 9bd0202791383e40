"""A small report made by hand, in the sizes that figures and tables must cope with, and a store that holds it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sqlalchemy import insert, text
from synthetic_cards import answers_of, vocabulary_of
from synthetic_evidence import compliance_of, drift_tests_of, evidence_of, with_compliance
from synthetic_probe import around, identification_of

from provenance.analyses.asking.clock import Clock
from provenance.analyses.behaviour.scaled_benchmarks import Compliance
from provenance.analyses.jobs.replicates import replicated
from provenance.analyses.results.answers import ActivityTable, Funnel
from provenance.analyses.results.drift import DriftResult, NeuronDrift
from provenance.analyses.results.lineage import (
    Alignment,
    ConfigDifference,
    LineageResult,
    MappedNeurons,
    TensorSimilarity,
)
from provenance.analyses.results.overlap import OverlapResult
from provenance.analyses.results.probes import HeldOut
from provenance.analyses.results.replicates import (
    Replicate,
    ReplicateClaim,
    ReplicateNeuron,
    VarianceComponent,
)
from provenance.analyses.results.reports import ComplianceReport, Evidence, OriginReport, TimelineReport, WeightsReport
from provenance.analyses.results.transfer import TransferResult
from provenance.cli.show.progress import ConsoleProgress
from provenance.db.schema.tables import NeuronSetMember, NeuronSetRow
from provenance.db.store import Store
from provenance.records import CheckpointInfo, Estimate, Question, Region, Response, Task
from provenance.stages import StageTime

LAYERS, PER_LAYER = 4, 16
WIDE = 24
SETS = ("in-domain", "other-domain")
BASE = CheckpointInfo("org/base", "b" * 64, "llama", LAYERS, PER_LAYER, 8, "float32")
WIDE_BASE = CheckpointInfo("org/wide-base", "d" * 64, "llama", LAYERS, WIDE, 8, "float32")
INSTRUCT = CheckpointInfo("org/instruct@0123abc", "c" * 64, "llama", LAYERS, PER_LAYER, 8, "bfloat16", "0123abc")


def transfer_of(
    dataset: str, auroc: float, rng: np.random.Generator, n: tuple[int, int] = (200, 180)
) -> TransferResult:
    del rng
    verdict = "supported" if auroc > 0.7 else "not distinguishable"
    estimate = Estimate(auroc, auroc - 0.04, auroc + 0.04, sum(n))
    reason = f"AUROC {auroc:.2f} against nulls"
    decided = (0.004, 0.008, "answer_text", 0.001) if auroc > 0.7 else (0.21, 0.21, "layer_matched", 0.002)
    given = Estimate(auroc, auroc - 0.03, auroc + 0.03, sum(n))
    return TransferResult(
        dataset, estimate, n[0], n[1], verdict, reason, *decided, given_probe=given, training_sd=0.013
    )


def no_power_of(dataset: str) -> TransferResult:
    return TransferResult(dataset, None, 0, 37, "no power", "no faithful responses")


def drift_of(size: int, rng: np.random.Generator) -> NeuronDrift:
    delta = rng.normal(size=size)
    order = np.argsort(np.argsort(-delta))
    positive = np.abs(rng.normal(size=(6, size)))
    return NeuronDrift(
        delta_gate=positive[0] * 1e-3,
        delta_up=positive[1] * 1e-3,
        delta_down=positive[2] * 1e-3,
        delta=delta,
        stability_rank=order / (size - 1),
        norm_up_base=positive[3],
        norm_up_instruct=positive[3] * 1.01,
        norm_down_base=positive[4],
        norm_down_instruct=positive[5],
        identical=rng.random(size) < 0.1,
    )


def activity_of(stage: str, dataset: str, size: int, rng: np.random.Generator) -> ActivityTable:
    means = np.abs(rng.normal(0.02, 0.005, size=(2, size)))
    auroc = rng.random(size)
    auroc[0] = np.nan
    refused = np.abs(rng.normal(0.01, 0.005, size=size))
    return ActivityTable(
        stage, dataset, 200, 180, 40, means[0], means[1], rng.normal(size=size), auroc, refused, rng.random(size)
    )


def lineage_of(layers: int = LAYERS) -> LineageResult:
    """A tuned descendant: down moved most, norms and the embedding's first half not at all, one row of zeros."""
    moved = {"gate": 3e-5, "up": 2e-5, "down": 6e-5, "self_attn.q_proj": 1e-5, "self_attn.o_proj": 8e-6}
    similar = [
        TensorSimilarity(kind, layer, 16, 0, 1 - 4 * delta * (1 + layer), 1 - delta * (1 + layer), 1 - delta / 4)
        for kind, delta in moved.items()
        for layer in range(layers)
    ]
    similar += [TensorSimilarity("input_layernorm", layer, 1, 1, 1.0, 1.0, 1.0) for layer in range(layers)]
    similar.append(TensorSimilarity("embed_tokens", None, 300, 150, 0.9997, 1.0, 1.0))
    similar.append(TensorSimilarity("lm_head", None, 1, 0, np.nan, np.nan, np.nan))
    return LineageResult(
        verdict="descendant",
        reason="100 % of 64 sampled neurons are found at their own index",
        share_identical_tensors=0.25,
        tensors_compared=38,
        only_base=(),
        only_instruct=("lm_head.weight",),
        median_cosine={"gate": 0.9991, "up": 0.9992, "down": 0.9993},
        self_match=1.0,
        nearest_cosine=0.9992,
        found_in_base=1.0,
        found_in_instruct=0.98,
        neurons_sampled=64,
        layer_of=tuple(range(layers)),
        moved=(0.0,) * layers,
        same_tokenizer=False,
        vocabulary_shared=0.996,
        vocabulary_sizes=(299, 300),
        config=(
            ConfigDifference("eos_token_id", "1", "[1, 106]"),
            ConfigDifference("rope_scaling.factor", None, "8.0"),
            ConfigDifference("use_cache", "true", None),
        ),
        tensors=tuple(similar),
    )


def by_index(size: int) -> Alignment:
    return Alignment("index", np.arange(size), "")


def mapped_of(h_neurons: np.ndarray, alignment: Alignment) -> MappedNeurons:
    base_ids = alignment.base_ids[h_neurons]
    steps = np.arange(h_neurons.size) / 1000
    missing = base_ids < 0
    return MappedNeurons(
        ids=h_neurons,
        base_ids=base_ids,
        similarity=np.where(missing, np.nan, 0.999 - steps),
        margin=np.where(missing, np.nan, 0.7 - 10 * steps),
    )


def drift_result_of(ranks: np.ndarray, h_neurons: np.ndarray) -> DriftResult:
    k, mean = int(h_neurons.size), float(ranks[h_neurons].mean())
    verdict = "supported" if mean > 0.8 else "not distinguishable"
    return DriftResult(
        k, mean, 0.52, 0.3 / k**0.5, around(mean - 0.52, 0.12, k), 0.02, 0.03, 0.012, float(1 / np.sqrt(12 * k)), 0.1,
        1e-6, verdict, f"mean rank {mean:.3f}",
    )  # fmt: skip


def funnel_of(stage: str, dataset: str, split: str) -> Funnel:
    both = {"faithful": 200, "hallucinated": 180}
    return Funnel(
        stage,
        dataset,
        split,
        700,
        690,
        both,
        both,
        both,
        {"faithful": 180, "hallucinated": 180},
        7,
        5,
        {"refusal": 12, "disagreement": 298},
    )


def report_of(
    transfer: tuple[TransferResult, ...] | None = None,
    *,
    k: int = 6,
    layers: int = LAYERS,
    per_layer: int = PER_LAYER,
    seed: int = 0,
    stable: float = 0.0,
) -> OriginReport:
    """A report whose every part holds something; `stable` pulls the H-Neurons towards rank 1."""
    rng = np.random.default_rng(seed)
    size = layers * per_layer
    transfer = transfer or tuple(transfer_of(name, 0.9 - 0.25 * i, rng) for i, name in enumerate(SETS))
    drift = drift_of(size, rng)
    odds = np.exp(stable * drift.stability_rank)
    h_neurons = np.sort(rng.choice(size, size=k, replace=False, p=odds / odds.sum()))
    base_h = h_neurons[: k // 2]
    sets = tuple(result.dataset for result in transfer)
    result = drift_result_of(drift.stability_rank, h_neurons)
    correlation = rng.uniform(0.5, 1, size)
    correlation[3] = np.nan
    overlap = OverlapResult(
        k // 2, k, k // 2, 0.5, k * k / 2 / size, 0.001, 0.8, "supported", "shared by half", None, 0.31,
        None, 0.5 / 0.31, 0.6, 0.55,
    )  # fmt: skip
    return OriginReport(
        layers=layers,
        neurons_per_layer=per_layer,
        lineage=lineage_of(layers),
        alignment=by_index(size),
        mapped=mapped_of(h_neurons, by_index(size)),
        funnel=(
            funnel_of("instruct", sets[0], "train"),
            *(funnel_of(stage, name, "test") for stage in ("base", "instruct") for name in sets),
        ),
        identification=identification_of("instruct", h_neurons, size, sets),
        base_identification=identification_of("base", base_h, size, sets),
        transfer=transfer,
        neuron_drift=drift,
        drift=result,
        overlap=overlap,
        activity=tuple(activity_of(stage, name, size, rng) for stage in ("base", "instruct") for name in sets),
        activation_correlation=correlation,
        overall="The H-Neurons are readable in the base model.",
        evidence=evidence_of(sets, k),
        replicates=tuple(replicate_of(row, draw) for draw in range(3) for row in transfer),
        replicate_claims=tuple(
            ReplicateClaim(draw + 1, draw, claim.name, 0.01 * (draw + 1), claim.verdict)
            for draw in range(3)
            for claim in evidence_of(sets, k).claims
        ),
        replicate_neurons=tuple(ReplicateNeuron(1, *divmod(flat, per_layer)) for flat in h_neurons.tolist()),
        variance=tuple(VarianceComponent(name, *part) for name in sets for part in VARIANCE),
        vocabulary=vocabulary_of(h_neurons, per_layer),
        top_answers=answers_of(h_neurons, per_layer, sets[0]),
    )


VARIANCE = (("test questions", 0.015), ("training questions", None), ("C", 0.012))


def replicated_report_of(
    areas: Sequence[float] = (0.80, 0.70, 0.75), seed: int = 5, *, slopes: Sequence[float] = ()
) -> OriginReport:
    """Over replicates with these AUROCs on the first question set, which are accuracies there as well.

    Each has an H-Neuron more than the last. `slopes`: how much more the instruct model of each yields per unit of the
    factor, and the base a tenth of that; without any, nothing is scaled.
    """
    drawn = [with_accuracy(with_area(report_of(seed=n, k=6 + n), area), area) for n, area in enumerate(areas)]
    if slopes:
        drawn = [with_compliance(report, *both_scaled(slope)) for report, slope in zip(drawn, slopes, strict=True)]
    works = [(number, lambda report=report: report) for number, report in enumerate(drawn, seed)]
    return replicated(works, Clock(ConsoleProgress(quiet=True)))


def both_scaled(slope: float, sets: int = 40) -> list[Compliance]:
    """The instruct model, and the base with a tenth of its slope; 40 control sets are what replicates need."""
    yields = {"instruct": slope, "base": slope / 10}
    return [compliance_of(stage, "misled", own, sets=sets) for stage, own in yields.items()]


def with_accuracy(report: OriginReport, value: float) -> OriginReport:
    """The report with this accuracy of its probe on the first question set."""
    first, *others = report.identification.test
    held = replace(first, accuracy=Estimate(value, value - 0.05, value + 0.05, 360))
    return replace(report, identification=replace(report.identification, test=(held, *others)))


def with_area(report: OriginReport, area: float, *, half_width: float = 0.02, training: float = 0.03) -> OriginReport:
    """The report with this AUROC on its first question set, of which enough questions have both labels."""
    estimate = Estimate(area, area - half_width, area + half_width, 400)
    first = replace(report.transfer[0], auroc=estimate, given_probe=estimate, training_sd=training, questions=180)
    return replace(report, transfer=(first, *report.transfer[1:]))


def replicate_of(row: TransferResult, draw: int) -> Replicate:
    area = row.auroc
    if area is not None:
        area = Estimate(area.estimate - 0.01 * draw, area.low - 0.01 * draw, area.high, area.n)
    return Replicate(draw + 1, draw, row.dataset, 1.0 + draw, 6 + draw, area, row.p_holm, row.verdict)


NO_DRIFT = DriftResult(0, *[None] * 8, 0.1, 1e-6, "no power", "no H-Neurons")


def weights_report_of(
    *, k: int = 6, layers: int = LAYERS, per_layer: int = PER_LAYER, seed: int = 0, stable: float = 0.0
) -> WeightsReport:
    """The weights of `report_of` alone, about its H-Neurons as somebody else's list; k = 0: about no list."""
    report = report_of(k=max(k, 1), layers=layers, per_layer=per_layer, seed=seed, stable=stable)
    listed = report.identification.h_neurons[:k]
    return WeightsReport(
        layers=layers,
        neurons_per_layer=per_layer,
        lineage=report.lineage,
        alignment=report.alignment,
        mapped=mapped_of(listed, report.alignment),
        neuron_drift=report.neuron_drift,
        drift=report.drift if k else NO_DRIFT,
        h_neurons=listed,
        weights=np.linspace(2.0, 0.5, k) if k else None,
        source="their_neurons.json (sha256 0a1b2c3d4e5f)" if k else "",
        verdict_drift=report.drift.verdict if k else "no power",
        overall="By their weights the instruct checkpoint is the base\u2019s descendant; no forward pass was run.",
        drift_tests=drift_tests_of(k) if k else (),
    )


def pruned_weights_report() -> WeightsReport:
    """A base with half as many neurons again: every neuron is found elsewhere, but for layer 1's and an H-Neuron."""
    report = weights_report_of()
    size = report.layers * report.neurons_per_layer
    layer, index = np.divmod(np.arange(size), PER_LAYER)
    base_ids = layer * WIDE + (index * 7) % WIDE
    base_ids[PER_LAYER : 2 * PER_LAYER] = -1
    base_ids[report.h_neurons[0]] = -1
    alignment = Alignment("assignment", base_ids, "")
    drift = {
        name: np.where(base_ids < 0, np.nan, getattr(report.neuron_drift, name))
        for name in ("delta_gate", "delta_up", "delta_down", "delta", "stability_rank", "norm_up_base")
    }
    identical = report.neuron_drift.identical & (base_ids >= 0)
    return replace(
        report,
        lineage=replace(report.lineage, verdict="descendant, pruned or widened", median_cosine={}, self_match=0.1),
        alignment=alignment,
        mapped=mapped_of(report.h_neurons, alignment),
        neuron_drift=replace(report.neuron_drift, **drift, identical=identical),
    )


def no_probe_report() -> OriginReport:
    """What remains when no probe could be fitted and the base has one class only."""
    report = report_of((no_power_of(SETS[0]),))
    none = replace(
        report.identification,
        weights=None,
        intercept=None,
        C=None,
        alpha_max=None,
        path=(),
        h_neurons=np.array([], dtype=np.int64),
        test=(HeldOut(SETS[0], None, None, None, 0, 37, detection=Estimate(0.9, 0.8, 1.0, 37)),),
        reason="no faithful responses to fit on",
        gap=None,
        violation=None,
        curve=(),
        stability=None,
        neuron_auroc=None,
    )
    return replace(
        report,
        mapped=mapped_of(none.h_neurons, report.alignment),
        identification=none,
        base_identification=replace(none, stage="base"),
        drift=NO_DRIFT,
        overlap=OverlapResult(0, 0, 0, None, 0.0, None, None, "no power", "no H-Neurons in either"),
        activation_correlation=None,
        overall="There is no probe, so nothing can be said.",
        evidence=Evidence(),
        vocabulary=(),
        top_answers=(),
    )


GIVEN_FILE = "their_neurons.json (sha256 0a1b2c3d4e5f)"


def given_report() -> OriginReport:
    """A comparison about neurons from a file: nothing was searched for in the instruct checkpoint."""
    report = report_of()
    given = replace(
        report.identification,
        C=None,
        alpha_max=None,
        path=(),
        rule="given",
        gap=None,
        violation=None,
        curve=(),
        stability=None,
        source=GIVEN_FILE,
    )
    return replace(report, identification=given)


def digests_of(report: OriginReport) -> dict[str, str]:
    return {result.dataset: f"digest of {result.dataset}" for result in report.transfer}


def questions_of(n: int = 8) -> list[Question]:
    return [Question(f"q{i}", f"Who wrote “Œuvre {i}”?", ("A\nB", "Ω"), f"who wrote {i}") for i in range(n)]


def begin(
    store: Store, key: str = "k1", *, command: str = "compare", base: CheckpointInfo = BASE, **settings: object
) -> int:
    return store.begin_run(
        command,
        key,
        base,
        INSTRUCT,
        {"samples": 10, "C": [0.1, 1.0], **settings},
        7,
        {"torch": "2.13.0", "provenance": "0.2.0"},
    )


def stored_run(
    store: Store, report: OriginReport, key: str = "k1", *, command: str = "compare", **settings: object
) -> int:
    """Writes a whole finished run and returns its id."""
    for name, digest in digests_of(report).items():
        store.add_questions(name, digest, f"{name}.jsonl", questions_of())
    run_id = begin(store, key, command=command, **settings)
    store.save(run_id, report, digests_of(report))
    store.finish_run(
        run_id, "done", [StageTime.of("drift", 12.5), StageTime.of("ask", 1.0, 700, "tokens", 0.5)], 123_456_789
    )
    return run_id


def stored_weights_run(store: Store, report: WeightsReport, key: str = "w1") -> int:
    """Writes a finished run without a forward pass and returns its id."""
    base = WIDE_BASE if report.alignment.method == "assignment" else BASE
    command = "compare --weights-only" if report.source else "drift"
    run_id = begin(store, key, command=command, base=base)
    store.save(run_id, report)
    store.finish_run(run_id, "done", [StageTime.of("drift", 12.5)], 123_456_789)
    return run_id


def stored_lineage_run(store: Store, lineage: LineageResult, key: str = "l1") -> int:
    """Writes a finished run about lineage alone and returns its id."""
    run_id = begin(store, key, command="lineage")
    store.save(run_id, lineage)
    store.finish_run(run_id, "done", [StageTime.of("lineage", 3.5)], 123_456_789)
    return run_id


def stored_timeline_run(store: Store, report: TimelineReport, key: str = "t1") -> int:
    """Writes a finished run about a timeline and returns its id."""
    digest = f"digest of {report.dataset}"
    store.add_questions(report.dataset, digest, f"{report.dataset}.jsonl", questions_of())
    run_id = begin(store, key, command="trace")
    store.save(run_id, report, {report.dataset: digest})
    store.finish_run(run_id, "done", [StageTime.of("trace", 3.5)], 123_456_789)
    return run_id


def stored_compliance_run(store: Store, report: ComplianceReport, key: str = "c1") -> int:
    """Writes a finished run about scaled neurons and returns its id."""
    run_id = begin(store, key, command="intervene")
    store.save(run_id, report, {})
    store.finish_run(run_id, "done", [StageTime.of("scale premises", 3.5)], 123_456_789)
    return run_id


def store_neuron_set(store: Store) -> None:
    """An imported set of three neurons of the instruct checkpoint, one of which has no weight."""
    about = {"id": 1, "digest": "a" * 64, "source": "theirs.json", "format": "json", "named_checkpoint": "org/instruct"}
    numbers = {"checkpoint_id": 2, "intercept": -0.25, "n_neurons": 3, "n_positive": 1}
    members = [(0, 2, -0.5), (1, 1, 2.0), (3, 0, None)]
    with store.transaction() as connection:
        connection.execute(insert(NeuronSetRow), {**about, **numbers, "added_utc": "2026-11-24T15:00:00Z"})
        connection.execute(
            insert(NeuronSetMember),
            [{"neuron_set_id": 1, "layer": a, "neuron_index": b, "weight": weight} for a, b, weight in members],
        )


def task_of(key: str = "t1") -> Task:
    settings: dict[str, object] = {"template": "{question}\nAnswer:", "top_k": 50}
    return Task(key, "base", SETS[0], BASE.digest, f"digest of {SETS[0]}", settings)


def kept_response(number: int) -> Response:
    """As in the kept old databases, which are SQL text and cannot hold a NUL."""
    return replace(response_of(number), text=f"l’été {number}")


def response_of(number: int) -> Response:
    return Response(
        question_id=f"q{number}",
        unit=f"who wrote {number}",
        split="train",
        label="faithful" if number % 2 else "dropped",
        reason="" if number % 2 else "refusal",
        n_samples=10,
        n_right=9,
        text=f"l’été {number}\x00\n",
        label_source="rule",
        prompt_ids=(1, 2, 3),
        response_ids=(number, 5),
        regions=(Region("special", 0, 1), Region("question", 1, 3), Region("answer", 3, 5)),
        samples=("a", "b"),
    )


def rows(store: Store, sql: str, **values: object) -> list[dict[str, object]]:
    """What a query finds, as dictionaries."""
    with store.transaction() as connection:
        return [dict(row) for row in connection.execute(text(sql), values).mappings()]
