"""The request for a comparison, as a value: two commands with the same job are the same run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from provenance.activations.capture_files import CaptureDtype
from provenance.analyses.asking import engines
from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.collection import CollectionSettings, Workspace, identity_digest
from provenance.analyses.asking.engines import ALL_HERE, Devices, Engine, Place, ServedModels, place_of, reached
from provenance.analyses.asking.models import OpenCheckpoint, check_pair
from provenance.analyses.asking.opening import open_pair
from provenance.analyses.behaviour.scaled_benchmarks import ALPHAS, NOT_ASKED, PLAIN_ITEMS, ScaledBenchmarks
from provenance.analyses.claims.spoken import spoken
from provenance.analyses.jobs.effort import FULL, Effort
from provenance.analyses.jobs.given_answers import GivenAnswers
from provenance.analyses.jobs.job_checks import (
    check_benchmarks,
    check_names,
    check_options,
    check_order,
    check_room,
    check_texts,
    judging_endpoint,
    reply_judge,
)
from provenance.analyses.jobs.negative_controls import NegativeControl, NegativeControlKind, prepared
from provenance.analyses.jobs.opened_job import OpenedJob
from provenance.analyses.jobs.replicates import replicated
from provenance.analyses.jobs.run_comparison import OriginSettings, compare
from provenance.analyses.results.reports import OriginReport
from provenance.analyses.search.identification import ProbeSettings
from provenance.answers.collect_responses import Judge, by_rule
from provenance.answers.judging_model import ModelJudge
from provenance.answers.prompts import BASE_PROMPT, INSTRUCT_PROMPT, PromptFormat
from provenance.answers.questions import QuestionSet, load_questions
from provenance.answers.sampling import Decoding
from provenance.benchmarks.benchmark_files import read_benchmarks
from provenance.checkpoints.names import CheckpointRef, require_tokenizer
from provenance.defaults import AUTO, BATCH_SIZE, MAX_NEW_TOKENS, PER_CLASS, REPLY_TOKENS, SAMPLES_PER_QUESTION
from provenance.errors import InputError
from provenance.lab.manifest import question_sets
from provenance.language.passages import read_passages
from provenance.models.chat_template import Variables
from provenance.models.devices import found_dtype
from provenance.models.loading import check_attention, check_config
from provenance.neuron_lists.read_lists import NeuronSet, read_neurons
from provenance.probe.sparse_probe import Design
from provenance.records import OtherTokens
from provenance.weights.lora_merge import MergedShards
from provenance.words import HALLUCINATION, Concept

OF_READING = ("dtype", "device", "attn_implementation", "capture_dtype", "other_tokens", "seed")
"""Settings of a model that is not asked, but reads what is there."""


@dataclass(frozen=True)
class Job:
    """One requested comparison."""

    base: str
    instruct: str
    """Reference of the tuned checkpoint."""
    questions: tuple[str, ...] = ()
    """Names or files; empty for those of the lab family."""
    limit: int | None = None
    """Questions used of each set; None for all."""
    samples: int = SAMPLES_PER_QUESTION
    """Samples per training question, all of which must agree."""
    train_per_class: int = PER_CLASS
    """Target number of consistent training responses of each class."""
    test_per_class: int = PER_CLASS
    """Target number of test responses of each class."""
    base_prompt: str = BASE_PROMPT
    """Prompt of the base model, with {question}."""
    instruct_prompt: str = INSTRUCT_PROMPT
    """User message to the instruct model, with {question}."""
    chat: bool = True
    """Whether the instruct prompt goes into the chat template."""
    template_args: Variables = ()
    """Variables that the user sets in the chat template, as pairs of name and value."""
    max_new_tokens: int = MAX_NEW_TOKENS
    """Length limit of a response."""
    design: Design = "3-vs-1"
    """Rows of the probe."""
    intercept_penalised: bool = True
    """Whether |b| is part of the probe's objective."""
    select: Literal["one-se", "paper"] = "one-se"
    """Rule that chooses C."""
    C: float | None = None
    """The probe's C; None for the one that `select` finds."""
    neurons: Path | None = None
    """File with H-Neurons of the instruct checkpoint, in place of a search."""
    causal: bool = False
    """Whether the H-Neurons of both models are scaled."""
    behaviour: tuple[str, ...] = ()
    """Benchmark files that both models are asked while the H-Neurons are scaled."""
    alphas: tuple[float, ...] = ALPHAS
    """Factors on the neurons' activations for these benchmarks; 1 is unchanged."""
    sets: int | None = None
    """Control sets of each kind for these benchmarks; None for the fewest that a verdict needs."""
    items: int | None = None
    """Items used of each of these benchmarks, and plain questions of each set beside them; None for as many items as
    questions of a set, and 100 plain questions."""
    reply_tokens: int = REPLY_TOKENS
    """Most new tokens of a free reply to these benchmarks."""
    neutral_text: tuple[str, ...] = ()
    """Text files that both models read while the H-Neurons are scaled, beside these benchmarks."""
    control: NegativeControlKind | None = None
    """Negative control to run in place of the comparison."""
    other: str | None = None
    """Reference of the model for the control `unrelated`."""
    device: str = AUTO
    """Device of the forward passes, as torch names it; `auto` for a GPU if there is one."""
    dtype: str = AUTO
    """Dtype of the forward passes; `auto` for float32 on a CPU, elsewhere two bytes as the weights have."""
    offload: bool = False
    """Whether memory and disk take what the device has no room for."""
    attn_implementation: str | None = None
    """Attention implementation, as `transformers` names it."""
    capture_dtype: CaptureDtype = "float32"
    """Dtype of captured activations on disk."""
    other_tokens: OtherTokens = "all"
    """Tokens beside the answer's that the probe tells answers from."""
    judge: str | None = None
    """Address of the server of a judging model; None for the rule."""
    judge_model: str | None = None
    """Name of the judging model there."""
    agreeing_only: bool = False
    """Whether questions are left out on which the judging model and the rule differ."""
    engine: Engine = "transformers"
    """What samples answers."""
    base_url: tuple[str, ...] = ()
    """Addresses of the servers that answer."""
    ray_address: str | None = None
    """Address of the Ray cluster whose workers answer; None for one on this machine."""
    ray_workers: int | None = None
    """How many workers; None for one on each GPU or machine."""
    batch_size: int = BATCH_SIZE
    """Prompts in a forward pass."""
    effort: Effort = FULL
    """Draws for chance levels."""
    replicates: int = 1
    """Draws of the whole comparison, with seeds of their own from `seed` on."""
    seed: int = 0
    """Seed of everything random."""
    responses: Path | None = None
    """File with responses of both models that exist, in place of asking."""
    positive: str | None = None
    """The label in `responses` of those with the concept; None where the labels are the usual ones."""
    concept: str | None = None
    """Name of what the labels of `responses` are about; None for the positive label."""

    def __post_init__(self) -> None:
        every = {item.name: item for item in fields(self)}
        options = {name: getattr(self, name) for name in every}
        check_options(options, {name: item.default for name, item in every.items()})

    @property
    def is_quick(self) -> bool:
        """Whether there are few draws, for a first look."""
        return self.effort != FULL

    def settings(self) -> OriginSettings:
        """Settings of collection and analysis for both models."""
        asked = self.responses is None
        chat = self.chat and asked
        return OriginSettings(
            collection={
                "base": self._collection(PromptFormat(self.base_prompt, chat=False), stop_at_newline=True),
                "instruct": self._collection(
                    PromptFormat(self.instruct_prompt, chat=chat, variables=self.template_args if asked else ()),
                    stop_at_newline=not chat,
                ),
            },
            probe=ProbeSettings(
                self.design,
                self.intercept_penalised,
                rule=self.select if self.C is None else "fixed",
                C=self.C,
                repeats=self.effort.repeats,
                pairs=self.effort.pairs,
                draws=self.effort.control_sets,
                seed=self.seed,
            ),
            shuffles=self.effort.shuffles,
            foldings=self.effort.foldings,
            permutation_draws=self.effort.permutations,
            seed=self.seed,
            causal=self.causal,
        )

    def _collection(self, prompt: PromptFormat, *, stop_at_newline: bool) -> CollectionSettings:
        return CollectionSettings(
            prompt=prompt,
            stop_at_newline=stop_at_newline,
            decoding=Decoding(max_new_tokens=self.max_new_tokens),
            samples=self.samples,
            train_quota=self.train_per_class,
            test_quota=self.test_per_class,
            batch_size=self.batch_size,
            seed=self.seed,
            dtype=self.dtype,
            device=self.device,
            offload=self.offload,
            attn_implementation=self.attn_implementation,
            capture_dtype=self.capture_dtype,
            other_tokens=None if self.design == "1-vs-1" else self.other_tokens,
            judge_model=self.judge_model,
            agreeing_only=self.agreeing_only,
        )

    def judging(self) -> Judge:
        """The judge of answers: the rule, or a model with the key from the environment.

        Raises:
            InputError: An address without a model, or the reverse; its address or key is none; or two judges are to
                agree and there is one.
        """
        endpoint = judging_endpoint(self.judge, self.judge_model, needed=self.agreeing_only)
        return by_rule if endpoint is None else ModelJudge(endpoint, self.judge_model or "")

    def place(self) -> Place:
        """Where the models answer.

        Raises:
            InputError: See `place_of`.
        """
        return place_of(self.engine, self.base_url, self.ray_address, self.ray_workers)

    @contextmanager
    def opened(self, clock: Clock, folder: Path) -> Iterator[OpenedJob]:  # noqa: ARG002 - same signature as other jobs
        """Checks checkpoints, prompts, questions and neurons; see `AnyJob`.

        Raises:
            PairError: The checkpoints cannot be compared.
            CheckpointError, InputError, JobError: See `sides`, `check_prompts`, `question_sets`, `given`, `judging`,
                `place`, `reached`, `check_texts` and `Reached`; or there is no such device.
        """
        judge = self.judging()
        with reached(self.place()) as there:
            devices = there.devices(self.device)
            base, instruct = self.sides()
            job = self.on(devices, (base, instruct))
            check_pair(base, instruct)
            self.check_prompts((base, instruct))
            given, answers, scaling = self.given(instruct), self.given_answers(), self.scaling()
            if answers is None:
                sets, pools, concept, told = self.question_sets(), None, HALLUCINATION, dict[str, Any]()
            else:
                answers.check_checkpoints((base, instruct))
                pools = answers.pools((base, instruct), self.settings().shares, self.seed)
                sets, concept, told = answers.sets, answers.concept, answers.told()
            check_names([*sets, *scaling.benchmarks, *scaling.texts])
            asking = job.settings().collection
            check_benchmarks((base, instruct), asking, scaling)
            check_texts((base, instruct), scaling)
            other = {"other": self.other or "a randomly initialised model"} if self.control == "unrelated" else {}
            served = there.models((base, instruct), asking["instruct"], devices.of_models)
            with prepared(self.control, self.other, base, self.seed, folder) as control:
                work = partial(
                    compare, base, instruct, sets, given=given, control=control, judge=judge, served=served,
                    pools=pools, there=there, reply_judge=reply_judge(self.judge, self.judge_model),
                )  # fmt: skip
                yield OpenedJob(
                    command=self.command,
                    key=job.key((base, instruct), sets, given, control, served, scaling, answers),
                    settings=job.recorded(given, control, served, scaling, answers),
                    seed=self.seed,
                    sides=(base, instruct),
                    run=job.run_of(work, scaling, concept),
                    questions=(*sets, *scaling.questions()),
                    about=lambda: {**other, "quick": self.is_quick, **told},
                )

    def on(self, devices: Devices, sides: Sequence[OpenCheckpoint]) -> "Job":
        """This job on devices that are there, in a dtype by name, which is that of the models that answer.

        Raises:
            InputError: There is no such dtype.
        """
        dtype = found_dtype(self.dtype, devices.of_models, {side.info.dtype for side in sides})
        return replace(self, device=devices.here, dtype=dtype)

    def run_of(
        self,
        one: Callable[..., OriginReport],
        scaling: ScaledBenchmarks = NOT_ASKED,
        concept: Concept = HALLUCINATION,
    ) -> Callable[[Workspace, Clock], OriginReport]:
        """The comparison once, in the words of a concept, or as often as there are replicates."""
        works = [
            (each.seed, partial(one, each.settings(), scaling=replace(scaling, seed=each.seed)))
            for each in self.each_replicate()
        ]

        def all_of_them(workspace: Workspace, clock: Clock) -> OriginReport:
            draws = [(seed, partial(work, workspace, clock)) for seed, work in works]
            return spoken(replicated(draws, clock) if len(draws) > 1 else draws[0][1](), concept)

        return all_of_them

    def each_replicate(self) -> "list[Job]":
        """The job of each replicate, which differ in their seed alone."""
        return [replace(self, seed=self.seed + number, replicates=1) for number in range(self.replicates)]

    def sides(self) -> tuple[OpenCheckpoint, OpenCheckpoint]:
        """Base and instruct checkpoint, opened and checked.

        Raises:
            CheckpointError: One has no tokenizer.
            InputError: The instruct checkpoint is an adapter, which cannot run as a model.
        """
        pair = open_pair(self.base, self.instruct)
        if isinstance(pair.instruct.weights.reader, MergedShards):
            raise InputError(
                "a whole instruct checkpoint, to run it",
                found=f"a LoRA adapter: {self.instruct}",
                remedy="merge it into its base first (merge_and_unload of peft); drift, lineage and --weights-only "
                "take adapters as they are",
            )
        for side in (pair.base, pair.instruct):
            require_tokenizer(side.checkpoint.folder)
        return pair.base, pair.instruct

    def check_prompts(self, sides: Sequence[OpenCheckpoint]) -> None:
        """Builds each model without weights and renders one prompt, so that what cannot run fails before hours of work.

        Raises:
            CheckpointError: A config is of no use, or a tokenizer is missing, damaged or without character offsets.
            InputError: There is no such attention; a prompt lacks its question, or leaves no room for an answer in the
                context; or the instruct checkpoint has no chat template (a swapped pair).
        """
        collection = self.settings().collection
        check_attention(self.attn_implementation)
        for side in sides:
            check_config(side.checkpoint.folder)
        check_order(sides, needs_template=collection["instruct"].prompt.chat)
        for side in sides:
            check_room(side, collection[side.stage].prompt, self.max_new_tokens if self.responses is None else 0)

    def question_sets(self) -> tuple[QuestionSet, ...]:
        """The named sets, or those of the lab family, reduced to the limit.

        Raises:
            InputError: No set was named and the checkpoints are not of one lab family; or two have the same name.
        """
        sets = [self._thinned(load_questions(spec)) for spec in self.named_sets()]
        check_names(sets)
        if not sets:
            raise InputError(
                "a question set",
                found="none, and only lab families bring their own",
                remedy="give --questions FILE.jsonl (rows of id, question, answers), or --questions triviaqa",
            )
        return tuple(sets)

    def named_sets(self) -> tuple[str, ...]:
        """Names or files of its question sets, or those of the lab family; none where it has neither."""
        ref = CheckpointRef.parse(self.instruct)
        if self.questions or ref.kind != "lab":
            return self.questions
        family = ref.name.split("/")[1]
        return tuple(f"lab/{family}/{name}" for name in question_sets(family))

    def _thinned(self, questions: QuestionSet) -> QuestionSet:
        if self.limit is None:
            return questions
        return questions.limited(self.limit, self.seed)

    def scaling(self) -> ScaledBenchmarks:
        """The benchmarks that both models are asked, and the texts that they read, while neurons are scaled.

        Raises:
            QuestionError: A benchmark is missing or malformed.
            InputError: Two have one name; or see `read_passages`.
        """
        most = self.limit if self.items is None else self.items
        found = tuple(each.limited(most) for text in self.behaviour for each in read_benchmarks(Path(text)))
        asked = PLAIN_ITEMS if self.items is None else self.items
        return ScaledBenchmarks(
            found, self.alphas, self.sets, self.reply_tokens, self.judge_model, self.seed, plain_items=asked,
            replicated=self.replicates > 1, texts=tuple(read_passages(Path(text)) for text in self.neutral_text),
        )  # fmt: skip

    def given(self, instruct: OpenCheckpoint) -> NeuronSet | None:
        """Listed neurons, checked against the instruct checkpoint; their source records objections.

        Raises:
            InputError: The file is unreadable or names neurons that the checkpoint does not have.
        """
        if self.neurons is None:
            return None
        layout, checkpoint = instruct.layout, instruct.checkpoint
        found = read_neurons(self.neurons, layout.layers, layout.d_m)
        notes = [note for note in (found.mismatch(checkpoint.pinned, checkpoint.digest), *found.notes) if note]
        return replace(found, source=f"{found.source} ({'; '.join(notes)})") if notes else found

    def given_answers(self) -> GivenAnswers | None:
        """The responses of a file; None where the models are asked.

        Raises:
            InputError: See `GivenAnswers.read`.
        """
        if self.responses is None:
            return None
        found = GivenAnswers.read(Path(self.responses), self.concept, self.positive, self.template_args)
        return found if self.limit is None else found.limited(self.limit, self.seed)

    @property
    def command(self) -> str:
        """Name of the run in the database; each negative control has its own."""
        if self.control is None:
            return "compare"
        return f"compare --control {self.control}" + (f" --other {self.other}" if self.other else "")

    def key(
        self,
        sides: Sequence[OpenCheckpoint],
        sets: Sequence[QuestionSet],
        given: NeuronSet | None = None,
        control: NegativeControl | None = None,
        served: ServedModels = ALL_HERE,
        scaling: ScaledBenchmarks = NOT_ASKED,
        answers: GivenAnswers | None = None,
    ) -> str:
        """Digest of contents and settings: the identity of the run."""
        identity = [
            [side.checkpoint.digest for side in sides],
            [[questions.name, questions.digest] for questions in sets],
            self.recorded(given, control, served, scaling, answers),
        ]
        return identity_digest(identity)

    def recorded(
        self,
        given: NeuronSet | None = None,
        control: NegativeControl | None = None,
        served: ServedModels = ALL_HERE,
        scaling: ScaledBenchmarks = NOT_ASKED,
        answers: GivenAnswers | None = None,
    ) -> dict[str, Any]:
        """Every setting that changes a number, without names of checkpoints and files."""
        broken = {} if control is None else control.recorded()
        repeated = {} if self.replicates == 1 else {"replicates": self.replicates}
        listed = {"neurons_sha256": given.digest if given else None}
        asked = {"behaviour": scaling.recorded()} if scaling.benchmarks else {}
        settings = asdict(self.settings()) | ({"quick": True} if self.is_quick else {})
        if answers is not None:
            settings |= answers.recorded()
            settings["collection"] = {
                stage: {name: how[name] for name in OF_READING} for stage, how in settings["collection"].items()
            }
        return {**settings, **listed, **broken, **repeated, **asked, **engines.recorded(served)}
