"""A checkpoint that answers through vLLM in this program: started for it, and ended before the model is read here.

vLLM is an optional package. Prompts go in as token ids and responses come out as token ids. Only the ids that end a
response here end one there. Samples are vLLM's own: their seeds repeat them as far as its batches do, and they are kept
under its version.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from provenance.answers.prompts import Prompt
from provenance.answers.sampling import Decoding, Draw, Sampled, noise_key, until_stop
from provenance.engines.served_model import SEEDS, Served, room_needed
from provenance.errors import JobError, missing_package
from provenance.models.loading import Lexicon

ENVIRONMENT: Mapping[str, str] = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # stdout is for results
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
"""vLLM reads its variables when it is imported, and so do the processes that it starts."""

TOKENS_AT_ONCE = 8192  # of prompts, in one pass


def check_installed() -> None:
    """Raise InputError if vLLM is not installed."""
    if find_spec("vllm") is None:
        raise missing_package("vllm, which samples answers", "vllm")


@dataclass(frozen=True)
class VllmModel:
    """A checkpoint that vLLM is to run; nothing is started yet."""

    folder: Path
    """Of the checkpoint."""
    tokenizer_folder: Path
    digest: str
    """SHA-256 of the checkpoint."""
    dtype: str
    """Of its weights in memory."""
    heads: int
    """Attention heads, which GPUs share among them."""
    lexicon: Lexicon
    """Of the checkpoint."""
    max_new_tokens: int

    @property
    def served(self) -> Served:
        """The part that vLLM has in the identity of responses."""
        package = packages_distributions()["vllm"][0]  # builds for other devices have other names
        return Served(self.digest, f"{package} {version(package)} in process", "as sampled", None)

    def start(self) -> "VllmEngine":
        """The model at work, on the GPUs that are there.

        Raises:
            InputError: vLLM is not installed.
            JobError: It cannot run the checkpoint, or has no room for it.
        """
        check_installed()
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        vllm, room = import_module("vllm"), room_needed(self.lexicon, self.max_new_tokens)
        logging.getLogger("vllm").setLevel(logging.ERROR)
        try:
            engine = vllm.LLM(
                model=str(self.folder),
                tokenizer=str(self.tokenizer_folder),
                dtype=self.dtype,
                max_model_len=room,
                max_num_batched_tokens=max(room, TOKENS_AT_ONCE),
                enable_chunked_prefill=False,  # on a CPU the noise of a divided prompt cannot be set back
                load_format="safetensors",
                generation_config="vllm",  # its own neutral values, and none of the checkpoint's
                tensor_parallel_size=gpus_sharing(self.heads, torch.cuda.device_count()),
                seed=0,
            )
        except (ValueError, RuntimeError, OSError) as error:
            raise JobError(
                f"vLLM to run {self.folder}",
                found=" ".join(str(error).split())[:300],
                remedy="see what it said before; other programs may take the room on its GPU; without --engine vllm "
                "transformers samples the answers",
            ) from error
        return VllmEngine(engine, vllm, self.lexicon)


def gpus_sharing(heads: int, gpus: int) -> int:
    """The most GPUs, of those that are there, that get equally many attention heads; at least 1."""
    return max((count for count in range(1, gpus + 1) if heads % count == 0), default=1)


@dataclass(frozen=True)
class VllmEngine:
    """A `provenance.answers.sampling.Sampler` that holds a model in memory until it is stopped."""

    engine: Any
    """A `vllm.LLM`."""
    vllm: Any
    """The module."""
    lexicon: Lexicon

    def prompted(self, prompts: Sequence[Prompt], decoding: Decoding, stop_ids: frozenset[int]) -> Draw:
        """See `Sampler`; a draw raises JobError if vLLM ends, or cuts a response off."""
        self.lexicon.require_known(token for prompt in prompts for token in prompt.ids)
        return _Batch(self, prompts, decoding, stop_ids).draw

    def stop(self) -> None:
        """Ends its processes, which frees their memory."""
        self.engine.llm_engine.engine_core.shutdown()


@dataclass(frozen=True)
class _Batch:
    """A batch of prompts at vLLM."""

    at: VllmEngine
    prompts: Sequence[Prompt]
    decoding: Decoding
    stop_ids: frozenset[int]

    def draw(self, rows: Sequence[int], samples: range, seed: int) -> list[list[Sampled]]:
        """See `Draw`."""
        asked = [{"prompt_token_ids": list(self.prompts[row].ids)} for row in rows]
        how = [self._parameters(row, samples, seed) for row in rows]
        died = import_module("vllm.v1.engine.exceptions").EngineDeadError
        try:
            replies = self.at.engine.generate(asked, how, use_tqdm=False)
        except died as error:
            raise JobError(
                "vLLM at work until all are answered",
                found="it ended",
                remedy="see what it said before, and run the same command again: finished batches are kept",
            ) from error
        return [[self._sampled(output) for output in reply.outputs] for reply in replies]

    def _parameters(self, row: int, samples: range, seed: int) -> Any:
        how = self.decoding
        return self.at.vllm.SamplingParams(
            n=len(samples),
            temperature=how.temperature,
            top_k=how.top_k,
            top_p=how.top_p,
            max_tokens=how.max_new_tokens,
            seed=noise_key(seed, self.prompts[row].ids, samples.start) & SEEDS,
            stop_token_ids=sorted(self.stop_ids),
            ignore_eos=True,  # the ids above are all that end a response
            detokenize=False,
        )

    def _sampled(self, output: Any) -> Sampled:
        ids = list(output.token_ids)
        if output.finish_reason == "length" and len(ids) < self.decoding.max_new_tokens:
            raise JobError(
                f"room for {self.decoding.max_new_tokens} tokens of a response",
                found=f"one that vLLM cut off after {len(ids)}",
                remedy="lower --max-new-tokens",
            )
        return until_stop(ids, self.stop_ids)
