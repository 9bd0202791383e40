"""A model under study: it answers questions, reads answers, is captured or scaled, and keeps its work."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from provenance.activations.features import Features, Wanted, collect_features
from provenance.activations.kept_arrays import remembered, remembered_by_id
from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.collection import (
    Collected,
    CollectionSettings,
    Pool,
    Workspace,
    balanced,
    funnel,
    make_task,
    protocol_of,
    reading_task,
)
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.asking.wrapped_answers import refuse_wrapped
from provenance.answers.collect_responses import Judge, by_rule, collect
from provenance.answers.quotas import REFUSAL, questions_left
from provenance.answers.sampling import Respondent
from provenance.architectures import Layout
from provenance.checkpoints.names import Checkpoint
from provenance.cluster.model_in_workers import ClusterModel, ModelInWorkers
from provenance.engines.served_model import ServedModel
from provenance.engines.vllm_model import VllmEngine, VllmModel
from provenance.models.loading import LoadedModel, load_model
from provenance.records import OtherTokens, Response, Stage, Task
from provenance.responses.placing import Given
from provenance.work_log import ResponseLog

M = TypeVar("M", LoadedModel, ModelInWorkers, VllmEngine)


class InMemory:
    """The one model that is in memory, here, in vLLM or in workers: another one is loaded after it was freed."""

    def __init__(self) -> None:
        self._name: object = None
        self._held: LoadedModel | ModelInWorkers | VllmEngine | None = None

    def of(self, name: object, kind: type[M], load: Callable[[], M]) -> M:
        """The model of a name, loaded if another one, one in another place, or none is in memory."""
        if isinstance(self._held, kind) and self._name == name:
            return self._held
        self.free()
        loaded = load()
        self._held, self._name = loaded, name
        return loaded

    def holds(self, name: object, kind: type = object) -> bool:
        """Whether the model in memory has this name; of a kind, which tells where it is."""
        return self._held is not None and self._name == name and isinstance(self._held, kind)

    def free(self) -> None:
        """Free its memory, on its device as well."""
        if self._held is None:
            return
        if not isinstance(self._held, LoadedModel):
            self._held.stop()
        self._held = self._name = None
        gc.collect()  # modules refer to one another in circles
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass(eq=False)
class Subject:
    """One model, its settings and question pools, and its workspace."""

    side: OpenCheckpoint
    """Its checkpoint; the stage sets the prompt format."""
    settings: CollectionSettings
    """How it is asked and captured, with the frame that its chat template puts around a question."""
    pools: tuple[Pool, ...]
    """The training pool, then one test pool per question set."""
    workspace: Workspace
    clock: Clock
    judge: Judge = by_rule
    """Labels its answers; the one that the settings name."""
    served: ServedModel | VllmModel | ClusterModel | None = None
    """The model of its checkpoint at a server or in vLLM, which answers in its place, or in a cluster, where it also
    reads; None if it does both here."""
    author: Checkpoint | None = None
    """The checkpoint that gave the answers which this model only reads; None if it gives its own."""
    memory: InMemory = field(default_factory=InMemory, repr=False)
    """Shared by models of which one at a time is to be in memory."""

    def __post_init__(self) -> None:
        prompt = self.settings.prompt
        if prompt.chat:
            self.settings = replace(self.settings, prompt=prompt.framed(self.tokenizer))
        told = None if isinstance(self.served, ClusterModel | None) else self.served.served
        self.settings = replace(self.settings, served=told)

    @property
    def stage(self) -> Stage:
        """Its side of the comparison."""
        return self.side.stage

    @property
    def checkpoint(self) -> Checkpoint:
        """The source of the model."""
        return self.side.checkpoint

    @property
    def layout(self) -> Layout:
        """Places of its MLPs."""
        return self.side.layout

    @property
    def training(self) -> Pool:
        """Training and validation questions."""
        return self.pools[0]

    @property
    def held_out(self) -> Pool:
        """Test questions of the first set."""
        return self.pools[1]

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer, without the model."""
        return self.side.tokenizer

    def model(self) -> LoadedModel:
        """The model, loaded on first use and after another one was in memory; not to be kept."""
        how = self.settings
        load = partial(
            load_model,
            self.checkpoint.folder,
            self.layout,
            dtype=how.dtype,
            device=how.device,
            attn_implementation=how.attn_implementation,
            tokenizer=self.tokenizer,
            offload=how.offload,
        )
        return self.memory.of(self.loaded_as, LoadedModel, load)

    @property
    def loaded_as(self) -> object:
        """Everything that its model in memory depends on."""
        how = self.settings
        return self.checkpoint.digest, how.dtype, how.device, how.offload, how.attn_implementation

    @property
    def is_in_memory(self) -> bool:
        """Whether its model is loaded here."""
        return self.memory.holds(self.loaded_as, LoadedModel)

    def respondent(self) -> Respondent:
        """What answers: the model at a server, in vLLM or in a cluster, without loading this one, or this one."""
        served = self.served
        if isinstance(served, ServedModel):
            return self.clock.asked(Respondent(served.lexicon, served))
        if isinstance(served, VllmModel):
            engine = self.memory.of(self.loaded_as, VllmEngine, served.start)
            return self.clock.asked(Respondent(served.lexicon, engine))
        reader = self.reader()
        own = Respondent.of(reader) if isinstance(reader, LoadedModel) else Respondent(reader.lexicon, reader)
        return self.clock.asked(own)

    def reader(self) -> LoadedModel | ModelInWorkers:
        """What reads answers: the model in a cluster, or this one, loaded if need be; not to be kept."""
        if isinstance(self.served, ClusterModel):
            return self.memory.of(self.loaded_as, ModelInWorkers, self.served.start)
        return self.model()

    def drop(self) -> None:
        """Free the model's memory, if it is in memory."""
        if self.memory.holds(self.loaded_as):
            self.memory.free()

    def task(self, pool: Pool) -> Task:
        """The identity of its own answers to a pool."""
        return make_task(self.stage, self.checkpoint, pool, self.settings)

    def answers_task(self, pool: Pool) -> Task:
        """The identity of the answers it is studied on: its author's, if there is one."""
        return make_task(self.stage, self.author or self.checkpoint, pool, self.settings)

    def collect_all(self) -> tuple[Collected, ...]:
        """`collect` of every pool, each a stage.

        If vLLM answers, all pools are asked before any answer is read: its model and the one that reads take turns in
        memory, and starting one takes a minute.
        """
        stages = [(f"{self.stage} {pool.name}", pool) for pool in self.pools]
        if isinstance(self.served, VllmModel):
            for stage, pool in stages:
                self.clock.timed(stage, partial(self._asked, pool))
        return tuple(self.clock.timed(stage, partial(self.collect, pool)) for stage, pool in stages)

    def collect(self, pool: Pool) -> Collected:
        """Answer a pool, or take the responses that exist, and read the kept answers, continuing from the workspace.

        Of training answers the other tokens are read too, where the probe reads them; of all, the log-probability and
        the residual stream.
        """
        task, label = self.task(pool), f"{self.stage} {pool.name}"
        log = self.workspace.response_log(task)
        responses = self._asked(pool) if pool.given is None else _taken(pool.given[self.stage], log)
        used = balanced([response for response in responses if response.is_answer])
        reading = reading_task(task, self.checkpoint, self.settings.dtype)
        other = self.settings.other_tokens if pool.training else None
        features = self.captured(reading, used, f"capture {label}", other, log_probability=True, residual=True)
        splits = tuple(response.split for response in used)
        refused = [response for response in responses if response.label == REFUSAL]
        refusals = self.captured(reading, refused, f"capture {label} refusals") if refused else features.take([])
        return Collected(tuple(responses), features, splits, funnel(self.stage, pool, responses, used), refusals)

    def _asked(self, pool: Pool) -> list[Response]:
        """Its answers to a pool."""
        log, label = self.workspace.response_log(self.task(pool)), f"{self.stage} {pool.name}"
        protocol = protocol_of(pool, self.settings, self.judge)
        if isinstance(self.served, ClusterModel):
            protocol = replace(protocol, batch_size=self.served.questions_at_once)

        def asked(done: int, total: int, counts: Counter[str]) -> None:
            note = f"{counts['faithful']} faithful, {counts['hallucinated']} hallucinated"
            left = questions_left(counts, done, total, protocol.quota)
            self.clock.progress.step(f"ask {label}", done, total, note, left)

        watch = partial(refuse_wrapped, self.stage, {question.id: question for question, _ in pool.entries})
        responses = collect(self.respondent, pool.entries, protocol, log, asked, watch)
        watch(responses)
        return responses

    def captured(
        self,
        task: Task,
        responses: Sequence[Response],
        doing: str,
        other: OtherTokens | None = None,
        *,
        log_probability: bool = False,
        residual: bool = False,
    ) -> Features:
        """What it reads in responses as given, under a task from `reading_task`; `doing` is shown meanwhile."""

        def step(done: int, total: int) -> None:
            self.clock.progress.step(doing, done, total, "")

        wanted = Wanted(other, log_probability, self.settings.capture_dtype, residual)
        log = self.clock.captured(self.workspace.capture_log(task), responses)
        return collect_features(self.reader, responses, self.workspace.captures_of(task), task.key, log, step, wanted)

    def remembered(self, task: Task, compute: Callable[[], np.ndarray], used: Sequence[Response] = ()) -> np.ndarray:
        """An array that is computed once per task, over some responses."""
        log, ids = self.clock.captured(self.workspace.capture_log(task), used), tuple(each.question_id for each in used)
        return remembered(compute, ids, self.workspace.captures_of(task), task.key, log)

    def remembered_by_id(
        self, task: Task, find: Callable[[Sequence[str]], Iterable[Mapping[str, int]]], ids: Sequence[str]
    ) -> dict[str, int]:
        """A whole number for each id, found once per task and kept in pieces; see `kept_arrays.remembered_by_id`."""
        folder = self.workspace.captures_of(task)
        return remembered_by_id(find, ids, folder, task.key, self.workspace.capture_log(task))


def _taken(given: Given, log: ResponseLog) -> list[Response]:
    """Responses that exist, written down as if they had been asked for."""
    known = len(log.responses())
    log.put({place: response for place, response in enumerate(given.responses) if place >= known})
    return list(given.responses)
