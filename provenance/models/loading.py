"""Loads a checkpoint to run it; a missing or unexpected tensor is an error, never a random initialisation."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from provenance.architectures import Layout
from provenance.checkpoints.names import TOKENIZER_CORES
from provenance.errors import CheckpointError, InputError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for sampling and capture."""

    model: PreTrainedModel
    """In evaluation mode, on its device."""
    tokenizer: PreTrainedTokenizerBase
    """Fast tokenizer of the same folder."""
    layout: Layout
    """Location of its MLPs."""
    stop_ids: frozenset[int]
    """End-of-sequence tokens of the generation config and of the tokenizer."""

    @property
    def device(self) -> torch.device:
        """Device for inputs."""
        device: torch.device = self.model.device
        return device

    @cached_property
    def newline_ids(self) -> frozenset[int]:
        """All tokens whose text has a line break: the end of a base model's answer (Gao et al. 2025, Sec. 6.3.1)."""
        ids = range(min(self.model.get_input_embeddings().weight.shape[0], len(self.tokenizer)))
        texts = self.tokenizer.batch_decode([[token] for token in ids], skip_special_tokens=False)
        return frozenset(token for token, text in zip(ids, texts, strict=True) if "\n" in text)


def load_model(
    folder: Path, layout: Layout, *, dtype: str = "float32", device: str = "cpu", attn_implementation: str | None = None
) -> LoadedModel:
    """Load model and tokenizer of a local Hugging Face folder with safetensors.

    Args:
        layout: Layout of this checkpoint.
        dtype: A key of `DTYPES`; arithmetic of the forward pass (CETT is always float32).
        attn_implementation: Name in `transformers`; None for its default.

    Raises:
        InputError: Unknown dtype or device.
        CheckpointError: Tensors are missing or left over, or the tokenizer is not a fast one.
    """
    check_device(dtype, device)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # problems in its load report are errors below
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model, info = auto_class(config).from_pretrained(
            folder,
            config=config,
            dtype=DTYPES[dtype],
            attn_implementation=attn_implementation,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # named and refused below
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise CheckpointError(
            f"a model that transformers can load from {folder}",
            found=str(error),
            remedy="fetch the checkpoint again, or check its config.json",
        ) from error
    wrong = sorted({*info["missing_keys"], *info["unexpected_keys"], *map(str, info["mismatched_keys"])})
    if wrong:
        raise CheckpointError(
            f"every tensor of the model in {folder}, and no other",
            found=f"{len(wrong)} missing, left over or of another shape, such as {wrong[0]!r}",
            remedy="fetch the checkpoint again, or check that its config belongs to its weights",
        )
    tokenizer = load_tokenizer(folder)
    stop_ids = _stop_ids(model.generation_config, tokenizer)
    model.generation_config = GenerationConfig()  # so that no decoding default of the checkpoint is mixed in
    return LoadedModel(model.eval().to(device), tokenizer, layout, stop_ids)


def auto_class(config: PreTrainedConfig) -> type[AutoModelForCausalLM] | type[AutoModelForImageTextToText]:
    """Auto class of the model: `transformers` has no causal class for some families with a vision tower (Mistral 3)."""
    causal = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    auto: type[AutoModelForCausalLM | AutoModelForImageTextToText]
    auto = AutoModelForCausalLM if causal else AutoModelForImageTextToText
    return auto


def _stop_ids(config: GenerationConfig | None, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    configured = config.eos_token_id if config else None
    listed = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in [*listed, tokenizer.eos_token_id] if token is not None)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, padding on the left for generation.

    Raises:
        CheckpointError: There is none, or only a slow one, which has no character offsets.
    """
    tokenizer = _tokenizer(folder)
    if not tokenizer.is_fast:
        raise CheckpointError(
            "a fast tokenizer, whose character offsets place the answer",
            found=type(tokenizer).__name__,
            remedy="add a tokenizer.json to the folder",
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer


def vocabulary(folder: Path) -> dict[str, int] | None:
    """Id of every token of a folder's tokenizer, fast or slow; None without a tokenizer.

    Raises:
        CheckpointError: The tokenizer is damaged.
    """
    if not any((folder / name).is_file() for name in TOKENIZER_CORES):
        return None
    words: dict[str, int] = _tokenizer(folder).get_vocab()
    return words


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, use_fast=True)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"a tokenizer in {folder}", found=str(error), remedy="fetch tokenizer.json as well"
        ) from error


def check_device(dtype: str, device: str) -> None:
    """Refuse a dtype or a device that is not there, by computing something on it.

    Raises:
        InputError: There is none of that name, or it cannot compute.
    """
    if dtype not in DTYPES:
        raise InputError(f"a dtype out of {', '.join(DTYPES)}", found=repr(dtype), remedy="give --dtype one of these")
    try:
        torch.ones(1, device=device).sum().item()  # "meta" makes tensors, and cannot compute
    except (RuntimeError, AssertionError, ImportError, AttributeError) as error:
        raise InputError(
            f"a device that torch can use, not {device!r}",
            found=(str(error) or type(error).__name__).splitlines()[0][:300],
            remedy="give --device cpu",
        ) from error
