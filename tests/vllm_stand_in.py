"""A stand-in for the package `vllm`: its part of the interface, over the model that this program loads itself."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from checkpoint_factory import load

from provenance.answers.prompts import Prompt
from provenance.answers.sampling import Decoding, LocalSampler
from provenance.engines import vllm_model


class EngineDeadError(Exception):
    """The engine has ended."""


@dataclass(frozen=True)
class SamplingParams:
    """How one prompt is sampled."""

    n: int
    temperature: float
    top_k: int
    top_p: float
    max_tokens: int
    seed: int
    stop_token_ids: Sequence[int]
    ignore_eos: bool
    detokenize: bool


@dataclass(frozen=True)
class Output:
    """One sample, which ends with the token that ended it."""

    token_ids: tuple[int, ...]
    finish_reason: str


@dataclass(frozen=True)
class Reply:
    """The samples of one prompt."""

    outputs: list[Output]


@dataclass
class StandIn:
    """The module, with what happened to it."""

    events: list[str] = field(default_factory=list)
    """`start FOLDER` and `stop`, in order."""
    starts_with: dict[str, Any] = field(default_factory=dict)
    """Arguments of the newest start."""
    dies_at: int | None = None
    """The number of the call of `generate` at which it ends, from 1."""
    shortens: bool = False
    """Whether it cuts responses off one token early."""
    refuses: str = ""
    """The reason for which it does not start."""
    calls: int = 0

    def install(self, patch: pytest.MonkeyPatch) -> "StandIn":
        """Let imports find it."""
        module, exceptions = ModuleType("vllm"), ModuleType("vllm.v1.engine.exceptions")
        vars(module).update(LLM=self.start, SamplingParams=SamplingParams)
        vars(exceptions).update(EngineDeadError=EngineDeadError)
        names = {"vllm": module, "vllm.v1": ModuleType("vllm.v1"), "vllm.v1.engine": ModuleType("vllm.v1.engine")}
        for name, each in (names | {"vllm.v1.engine.exceptions": exceptions}).items():
            patch.setitem(sys.modules, name, each)
        patch.setattr(vllm_model, "find_spec", lambda name: name)
        patch.setattr(vllm_model, "packages_distributions", lambda: {"vllm": ["vllm-other"]})
        patch.setattr(vllm_model, "version", lambda name: f"1.0 of {name}")
        for name in vllm_model.ENVIRONMENT:
            patch.setenv(name, "")
        return self

    def start(self, **arguments: Any) -> "_Engine":
        """`vllm.LLM`."""
        if self.refuses:
            raise ValueError(self.refuses)
        self.events.append(f"start {Path(arguments['model']).name}")
        self.starts_with = arguments
        return _Engine(self, Path(arguments["model"]))


class _Engine:
    """A `vllm.LLM` at work."""

    def __init__(self, told: StandIn, folder: Path) -> None:
        self.told = told
        self.sampler = LocalSampler(load(folder))
        self.llm_engine = self.engine_core = self

    def shutdown(self) -> None:
        self.told.events.append("stop")

    def generate(
        self, prompts: Sequence[dict[str, list[int]]], how: Sequence[SamplingParams], *, use_tqdm: bool
    ) -> list[Reply]:
        assert not use_tqdm
        self.told.calls += 1
        if self.told.calls == self.told.dies_at:
            raise EngineDeadError
        return [self._reply(tuple(prompt["prompt_token_ids"]), each) for prompt, each in zip(prompts, how, strict=True)]

    def _reply(self, ids: tuple[int, ...], how: SamplingParams) -> Reply:
        assert how.ignore_eos
        assert not how.detokenize
        decoding = Decoding(how.temperature, how.top_k, how.top_p, how.max_tokens)
        stops = frozenset(how.stop_token_ids)
        drawn = self.sampler.prompted([Prompt("", ids, ())], decoding, stops)([0], range(how.n), how.seed)
        return Reply([self._output(list(sample), how) for [*samples] in drawn for sample in samples])

    def _output(self, ids: list[int], how: SamplingParams) -> Output:
        if self.told.shortens:
            return Output(tuple(ids[: how.max_tokens - 1]), "length")
        if len(ids) == how.max_tokens:
            return Output(tuple(ids), "length")
        return Output((*ids, how.stop_token_ids[0]), "stop")
