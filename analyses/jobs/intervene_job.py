"""The request for an intervention on one checkpoint, as a value: equal jobs are the same run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.collection import CollectionSettings, Workspace, identity_digest
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.asking.opening import open_each
from provenance.analyses.asking.subject import Subject
from provenance.analyses.behaviour.reply_passes import GREEDY
from provenance.analyses.behaviour.scaled_benchmarks import (
    ALPHAS,
    AS_CHAT,
    PLAIN_ITEMS,
    ScaledBenchmarks,
    compliance_of,
)
from provenance.analyses.jobs.job_checks import check_texts, reply_judge
from provenance.analyses.jobs.opened_job import OpenedJob
from provenance.analyses.results.reports import ComplianceReport
from provenance.answers.prompts import BASE_PROMPT, PromptFormat
from provenance.answers.questions import load_questions
from provenance.benchmarks.benchmark_files import read_benchmarks
from provenance.benchmarks.reply_judge import ReplyJudge
from provenance.checkpoints.names import require_tokenizer
from provenance.defaults import AUTO, BATCH_SIZE, REPLY_TOKENS
from provenance.errors import InputError
from provenance.language.passages import read_passages
from provenance.models.chat_template import Variables
from provenance.models.devices import found_device, found_dtype
from provenance.models.loading import check_config
from provenance.neuron_lists.read_lists import NeuronSet, neurons_in, read_neurons
from provenance.records import Stage, Verdict


@dataclass(frozen=True)
class RunNeurons:
    """The neurons that an earlier run found or was given."""

    run: int
    """Its id."""
    lists: Mapping[str, tuple[Stage, bytes]]
    """Neuron lists, and the place of their checkpoint in the run, by the checkpoint's digest."""

    def of(self, side: OpenCheckpoint) -> NeuronSet:
        """Those of a checkpoint.

        Raises:
            InputError: The run has none of it.
        """
        found = self.lists.get(side.checkpoint.digest)
        if found is None:
            raise InputError(
                f"neurons of {side.checkpoint.ref} in run {self.run}",
                found="neurons of other checkpoints alone",
                remedy="name a run of this checkpoint (`provenance query runs`), or a neuron list",
            )
        stage, content = found
        return neurons_in(content, Path(f"run {self.run}, {stage} checkpoint"), side.layout.layers, side.layout.d_m)


@dataclass(frozen=True)
class InterveneJob:
    """One requested intervention."""

    checkpoint: str
    """Reference of the checkpoint."""
    neurons: Path | RunNeurons
    """Neuron list of this checkpoint, or a run that has one."""
    benchmarks: tuple[Path, ...]
    alphas: tuple[float, ...] = ALPHAS
    """Factors on z, >= 0."""
    sets: int | None = None
    """Control sets of each kind; None for the fewest that a verdict needs."""
    questions: tuple[str, ...] = ()
    """Question sets that are asked plainly, for side effects: names, files or lab references."""
    texts: tuple[Path, ...] = ()
    """Text files that are read with the neurons scaled, for side effects."""
    limit: int | None = None
    """Items used of each benchmark and question set; None for all items, and for `PLAIN_ITEMS` questions."""
    prompt: str | None = None
    """Text with `{question}` in place of the chat template; None for the chat template, if there is one."""
    template_args: Variables = ()
    """Variables of the chat template."""
    max_new_tokens: int = REPLY_TOKENS
    """Of a free reply."""
    judge: str | None = None
    """Address of the server of a model that reads replies of which the rule is not sure; None for the rule."""
    judge_model: str | None = None
    """Its name there."""
    batch_size: int = BATCH_SIZE
    dtype: str = AUTO
    device: str = AUTO
    offload: bool = False
    """Whether memory and disk take what the device has no room for."""
    seed: int = 0

    @contextmanager
    def opened(self, clock: Clock, folder: Path) -> Iterator[OpenedJob]:  # noqa: ARG002 - same signature as other jobs
        """Checks checkpoint, neuron list and benchmarks; see `AnyJob`.

        Raises:
            CheckpointError, ArchitectureError: The checkpoint is missing, incomplete, or of an unknown layout.
            InputError: The neuron list, a factor, a count or a judge is of no use.
            QuestionError: A benchmark is malformed, or given twice.
            InputError: A text has nothing that can be read; see `check_texts`.
        """
        side = clock.timed("headers", self.open)
        listed = self.listed(side)
        if not listed.h_ids.size:
            raise InputError("neurons to scale", found=f"none in {listed.source}", remedy="give a list with H-Neurons")
        scaling, judge = self.scaling(), reply_judge(self.judge, self.judge_model)
        check_texts((side,), scaling)
        device = found_device(self.device)
        job = replace(self, device=device, dtype=found_dtype(self.dtype, device, {side.info.dtype}))
        settings = job.settings(side)
        mismatch = listed.mismatch(side.checkpoint.pinned, side.checkpoint.digest)
        told = [f"the neurons are those of {listed.source}"] if isinstance(self.neurons, RunNeurons) else []
        yield OpenedJob(
            command="intervene",
            key=identity_digest(["intervene", side.checkpoint.digest, job.recorded(settings, listed, scaling)]),
            settings=job.recorded(settings, listed, scaling),
            seed=self.seed,
            sides=(side,),
            run=partial(job.run, side, settings, listed, scaling, judge),
            questions=scaling.questions(),
            about=lambda: {"notes": [*told, *([mismatch] if mismatch else []), *listed.notes]},
        )

    def open(self) -> OpenCheckpoint:
        """Opens the checkpoint; in the place of the tuned one if it is asked in its chat template."""
        [side] = open_each([("instruct", self.checkpoint)])
        check_config(side.checkpoint.folder)
        require_tokenizer(side.checkpoint.folder)
        return side if self.is_chat(side) else replace(side, stage="base")

    def listed(self, side: OpenCheckpoint) -> NeuronSet:
        """The neurons that are scaled.

        Raises:
            InputError: See `read_neurons` and `RunNeurons.of`.
        """
        if isinstance(self.neurons, RunNeurons):
            return self.neurons.of(side)
        return read_neurons(self.neurons, side.layout.layers, side.layout.d_m)

    def is_chat(self, side: OpenCheckpoint) -> bool:
        """Whether it is asked in its chat template."""
        return self.prompt is None and bool(side.tokenizer.chat_template)

    def settings(self, side: OpenCheckpoint) -> CollectionSettings:
        """How the checkpoint is asked.

        Raises:
            InputError: Template variables without a chat template.
        """
        chat = self.is_chat(side)
        template = AS_CHAT if chat else self.prompt or BASE_PROMPT
        return CollectionSettings(
            prompt=PromptFormat(template, chat, self.template_args).framed(side.tokenizer),
            stop_at_newline=not chat,
            decoding=replace(GREEDY, max_new_tokens=self.max_new_tokens),
            samples=1,
            train_quota=1,
            test_quota=1,
            batch_size=self.batch_size,
            seed=self.seed,
            dtype=self.dtype,
            device=self.device,
            offload=self.offload,
            attn_implementation=None,
        )

    def scaling(self) -> ScaledBenchmarks:
        """What is asked, and how neurons are scaled meanwhile.

        Raises:
            QuestionError: A benchmark is malformed.
            InputError: There is none, or two have one name; or a factor is of no use.
        """
        if not self.benchmarks:
            raise InputError("a benchmark", found="none", remedy="give --benchmark FILE")
        found = tuple(each.limited(self.limit) for path in self.benchmarks for each in read_benchmarks(path))
        many = PLAIN_ITEMS if self.limit is None else self.limit
        plain = tuple(load_questions(name).limited(many, self.seed) for name in self.questions)
        return ScaledBenchmarks(
            found,
            self.alphas,
            self.sets,
            self.max_new_tokens,
            self.judge_model,
            self.seed,
            plain,
            many,
            texts=tuple(map(read_passages, self.texts)),
        )

    def recorded(self, settings: CollectionSettings, listed: NeuronSet, scaling: ScaledBenchmarks) -> dict[str, Any]:
        """Every setting that changes a number."""
        return {
            **scaling.recorded(),
            "neurons_sha256": listed.digest,
            **({"neurons": listed.source} if isinstance(self.neurons, RunNeurons) else {}),
            "prompt": settings.identity()["prompt"],
            "dtype": self.dtype,
            "seed": self.seed,
        }

    def run(
        self,
        side: OpenCheckpoint,
        settings: CollectionSettings,
        listed: NeuronSet,
        scaling: ScaledBenchmarks,
        judge: ReplyJudge | None,
        workspace: Workspace,
        clock: Clock,
    ) -> ComplianceReport:
        """Scales the neurons on every benchmark."""
        subject = Subject(side, settings, (), workspace, clock)
        found = compliance_of(subject, listed.h_ids, scaling, judge, negative=listed.negative_ids)
        return ComplianceReport(
            layers=side.layout.layers,
            neurons_per_layer=side.layout.d_m,
            source=listed.source,
            h_neurons=listed.h_ids,
            weights=None if listed.weights is None else listed.weights[listed.weights > 0],
            arms=found.arms,
            slopes=found.slopes,
            side_effects=found.side_effects,
            judges=found.agreements,
            examples=found.examples,
            texts=found.texts,
            readings=found.readings,
            claims=found.claims,
            negative=dict(zip(listed.negative_ids.tolist(), listed.negative_weights.tolist(), strict=True)),
            overall=_sentence(listed.h_ids.size, {claim.dataset: claim.verdict for claim in found.claims}),
        )


def _sentence(k: int, verdicts: "dict[str, Verdict]") -> str:
    said = "; ".join(f"{name}: {verdict}" for name, verdict in verdicts.items())
    return f"Whether amplifying {k} neurons makes the model yield more: {said}."
