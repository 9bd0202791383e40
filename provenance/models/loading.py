"""Loads a checkpoint to run it; a missing or unexpected tensor is an error, never a random initialisation."""

import math
import tempfile
import weakref
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    DynamicCache,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from provenance.architectures import Layout
from provenance.checkpoints.names import CONFIG, TOKENIZER_CORES, read_json_object
from provenance.checkpoints.opening import opening
from provenance.errors import CheckpointError, InputError
from provenance.models.checkpoint_view import checkpoint_view
from provenance.models.claimed_sizes import AutoClass, refuse_larger
from provenance.models.devices import DTYPES, found_device, found_dtype, gpu_bytes
from provenance.models.placement import check_placed, computing_device, placement, places_of
from provenance.weights.shards import Shards

MODEL_REMEDY = "fetch the checkpoint again, or check its config.json"
TOKENIZER_REMEDY = "fetch tokenizer.json and tokenizer_config.json again"
TRIED_TEXT = "Who wrote it?\n" + 40 * "a" + "!"
"""Text of the trial: words, a line break, and a run of one letter, over which bad regular expressions never end."""
TRIED_TOKENS = 4  # enough for attention over a cache; at least two


@dataclass(frozen=True)
class Lexicon:
    """What asking needs to know of a checkpoint, beside its weights."""

    tokenizer: PreTrainedTokenizerBase
    """A fast one."""
    words: int
    """Rows of the input embedding; ids from there on are not the model's."""
    stop_ids: frozenset[int]
    """End-of-sequence tokens that generation config and tokenizer list; a prompt format adds what closes its turns."""
    context: int | None
    """Most tokens of prompt and response together; None where the config names no limit."""

    def require_known(self, ids: Iterable[int]) -> None:
        """Refuse token ids beyond the input embedding, which the tokenizer has and the model does not.

        Raises:
            CheckpointError: There is one.
        """
        highest = max(ids, default=0)
        if highest >= self.words:
            raise CheckpointError(
                f"token ids below {self.words}, the rows of the model's embedding",
                found=f"id {highest}, which is {self.tokenizer.convert_ids_to_tokens(highest)!r}",
                remedy="the tokenizer belongs to another model, or tokens were added without resizing the embedding",
            )

    @cached_property
    def newline_ids(self) -> frozenset[int]:
        """All tokens whose text has a line break: the end of a base model's answer (Gao et al. 2025, Sec. 6.3.1)."""
        ids = range(min(self.words, len(self.tokenizer)))
        texts = self.tokenizer.batch_decode([[token] for token in ids], skip_special_tokens=False)
        return frozenset(token for token, text in zip(ids, texts, strict=True) if "\n" in text)


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
    """As in `Lexicon`."""

    @cached_property
    def lexicon(self) -> Lexicon:
        """What asking needs to know of it."""
        return Lexicon(self.tokenizer, self.words, self.stop_ids, _context(self.model.config))

    @property
    def words(self) -> int:
        """Rows of the input embedding; ids from there on are not the model's."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @property
    def pad_id(self) -> int:
        """Token for masked positions: the tokenizer's, or any other where it has none that the model knows."""
        named = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id)
        return next((token for token in named if token is not None and 0 <= token < self.words), 0)

    def require_known(self, ids: Iterable[int]) -> None:
        """See `Lexicon.require_known`."""
        self.lexicon.require_known(ids)

    @property
    def device(self) -> torch.device:
        """Device for inputs."""
        return computing_device(self.model)

    @cached_property
    def gpu_bytes_beside(self) -> int:
        """Memory of its GPU beside the weights that are there; 0 on what shares its memory with the machine."""
        there = (each for each in (*self.model.parameters(), *self.model.buffers()) if each.device == self.device)
        return max(0, gpu_bytes(self.device) - sum(int(each.nbytes) for each in there))


def load_model(
    folder: Path,
    layout: Layout,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    attn_implementation: str | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    offload: bool = False,
) -> LoadedModel:
    """Load model and tokenizer of a local Hugging Face folder with safetensors.

    Args:
        layout: Layout of this checkpoint.
        dtype: See `provenance.models.devices.found_dtype`; arithmetic of the forward pass (CETT is always float32).
        attn_implementation: Name in `transformers`; None for its default.
        tokenizer: That of the folder, where `load_tokenizer` has read it already.
        offload: Whether memory and disk take what the device has no room for; see `placement`.

    Raises:
        InputError: Unknown dtype or device, or a model that has to be spread without the extra `multi-gpu`.
        CheckpointError: Tensors are missing or left over, or the tokenizer is not a fast one.
        JobError: All GPUs together have no room for it, and nothing else may take the rest.
    """
    device = found_device(device)
    dtype = found_dtype(dtype, device)
    with ExitStack() as kept:
        view = kept.enter_context(_model_view(folder, attn_implementation))
        config = _checked_config(view, folder)
        scratch = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="provenance-")))
        size = DTYPES[dtype].itemsize * sum(math.prod(slot.shape) for slot in Shards(folder).slots())
        model, info = auto_class(config).from_pretrained(
            view,
            config=config,
            dtype=DTYPES[dtype],
            attn_implementation=attn_implementation,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # named and refused below
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            **placement(device, size, scratch, offload=offload),
        )
        check_placed(model, str(folder), offload=offload)
        if places_of(model):  # weights on disk are read from there as long as the model lives
            weakref.finalize(model, kept.pop_all().close)
    _refuse_partial(info, layout, folder)
    tokenizer = load_tokenizer(folder) if tokenizer is None else tokenizer
    stop_ids = _stop_ids(model.generation_config, tokenizer, folder)
    model.generation_config = GenerationConfig()  # so that no decoding default of the checkpoint is mixed in
    with opening(f"room for the model of {folder} on {device}", "give --dtype bfloat16, --offload or another --device"):
        model.eval()
        if not places_of(model):
            model.to(device)
    loaded = LoadedModel(model, tokenizer, layout, stop_ids)
    with opening(f"a model of {folder} that runs", _remedy(attn_implementation)):
        _try(loaded)
    return loaded


def load_lexicon(folder: Path, tokenizer: PreTrainedTokenizerBase | None = None) -> Lexicon:
    """What asking needs to know of a checkpoint, as of the loaded model, from its small files alone.

    Raises:
        CheckpointError: A config is of no use, or the tokenizer is missing, damaged or a slow one.
    """
    with checkpoint_view(folder, f"configs of a model in {folder}", MODEL_REMEDY) as view:
        config, decoding = config_in(view), _generation_config(view)
    tokenizer = load_tokenizer(folder) if tokenizer is None else tokenizer
    words = config.get_text_config().vocab_size
    return Lexicon(tokenizer, words, _stop_ids(decoding, tokenizer, folder), _context(config))


def _generation_config(view: Path) -> GenerationConfig:
    """The one that `transformers` gives a model: of its file, or of config.json."""
    try:
        return GenerationConfig.from_pretrained(view, local_files_only=True)
    except OSError:
        return GenerationConfig.from_pretrained(
            view, config_file_name=CONFIG, _from_model_config=True, local_files_only=True
        )


def _context(config: PreTrainedConfig) -> int | None:
    context: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return context


def check_attention(name: str | None) -> None:
    """Refuse an attention that `transformers` does not have, before hours of work; None is its default.

    Raises:
        InputError: There is none of that name, or the name is that of code on the hub.
    """
    known = ("eager", *(each for each in ALL_ATTENTION_FUNCTIONS if not each.startswith("paged|")))  # of servers
    if name is not None and name not in known:
        raise InputError(
            f"an attention of transformers: {', '.join(known)}",
            found=name or "an empty name",
            remedy="give one of them, or leave --attn-implementation out",
        )


def check_config(folder: Path) -> None:
    """Build the model without memory and weights, so that a config of no use fails before hours of work.

    Raises:
        CheckpointError: `transformers` can build no model of it, or a far larger one than the weights fill.
    """
    with _model_view(folder) as view:
        _checked_config(view, folder)


def _model_view(folder: Path, attn_implementation: str | None = None) -> AbstractContextManager[Path]:
    wanted = f"a model that transformers can load from {folder}"
    return checkpoint_view(folder, wanted, _remedy(attn_implementation), Shards(folder).headers())


def _remedy(attn_implementation: str | None) -> str:
    return MODEL_REMEDY if attn_implementation is None else f"leave --attn-implementation out, or {MODEL_REMEDY}"


def _checked_config(view: Path, folder: Path) -> PreTrainedConfig:
    config = config_in(view)
    refuse_larger(auto_class(config), config, Shards(folder).slots(), str(folder))
    return config


def _refuse_partial(info: Mapping[str, Collection[Any]], layout: Layout, folder: Path) -> None:
    left_over = {name for name in info["unexpected_keys"] if not name.endswith(layout.architecture.constants)}
    wrong = sorted({*info["missing_keys"], *left_over, *map(str, info["mismatched_keys"])})
    if wrong:
        raise CheckpointError(
            f"every tensor of the model in {folder}, and no other",
            found=f"{len(wrong)} missing, left over or of another shape, such as {wrong[0]!r}",
            remedy="fetch the checkpoint again, or check that its config belongs to its weights",
        )


def _try(loaded: LoadedModel) -> None:
    """Continue two short texts as in sampling: a config that loads and cannot run fails before anything is asked."""
    ids = [token for token in loaded.tokenizer(TRIED_TEXT)["input_ids"] if token < loaded.words][:TRIED_TOKENS]
    batch = torch.tensor([ids, [loaded.pad_id, *ids[1:]]], device=loaded.device)
    mask = torch.ones_like(batch)
    mask[1, 0] = 0
    cache = DynamicCache(config=loaded.model.config)
    loaded.model(
        input_ids=batch[:, :-1], attention_mask=mask[:, :-1], past_key_values=cache, use_cache=True, logits_to_keep=1
    )
    how = GenerationConfig(do_sample=False, max_new_tokens=2, pad_token_id=loaded.pad_id, return_dict_in_generate=True)
    loaded.model.generate(input_ids=batch, attention_mask=mask, past_key_values=cache, generation_config=how)


def config_in(view: Path) -> PreTrainedConfig:
    """The config of a `checkpoint_view`, without its kind of attention, which may name code on the hub."""
    config: PreTrainedConfig = AutoConfig.from_pretrained(view, local_files_only=True, trust_remote_code=False)
    config._attn_implementation = None  # noqa: SLF001 - no argument of from_pretrained overrules that key of the file
    return config


def auto_class(config: PreTrainedConfig) -> AutoClass:
    """Auto class of the model: `transformers` has no causal class for some families with a vision tower (Mistral 3)."""
    causal = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    auto: AutoClass = AutoModelForCausalLM if causal else AutoModelForImageTextToText
    return auto


def _stop_ids(config: GenerationConfig | None, tokenizer: PreTrainedTokenizerBase, folder: Path) -> frozenset[int]:
    configured = config.eos_token_id if config else None
    listed = configured if isinstance(configured, list) else [configured]
    wrong = [token for token in listed if token is not None and type(token) is not int]
    if wrong:
        raise CheckpointError(
            f"token ids as eos_token_id in the configs of {folder}",
            found=repr(wrong[0])[:80],
            remedy="fetch generation_config.json and config.json again",
        )
    return frozenset(token for token in [*listed, tokenizer.eos_token_id] if token is not None)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, padding on the left for generation; it was tried on a text.

    Raises:
        CheckpointError: There is none, it or its template is damaged, or it is a slow one, without character offsets.
    """
    with _tokenizer_view(folder) as view:
        tokenizer = _tokenizer(view)
        if not tokenizer.is_fast:
            raise CheckpointError(
                "a fast tokenizer, whose character offsets place the answer",
                found=type(tokenizer).__name__,
                remedy="add a tokenizer.json to the folder",
            )
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = "left"
        ids = tokenizer(TRIED_TEXT, return_offsets_mapping=True)["input_ids"]
        if not tokenizer.decode([token for token in ids if token not in tokenizer.all_special_ids]):
            raise CheckpointError(
                f"a tokenizer in {folder} that spells text", found=f"{ids[:8]} for text", remedy=TOKENIZER_REMEDY
            )
        if not tokenizer.chat_template:
            tokenizer.chat_template = _processor_template(folder)
        return tokenizer


def _processor_template(folder: Path) -> str | None:
    """The chat template that checkpoints with a vision tower keep for their processor, and not in the tokenizer."""
    path = folder / "chat_template.json"
    if not path.is_file():
        return None
    template = read_json_object(path).get("chat_template")
    if not isinstance(template, str):
        raise CheckpointError(
            f"a text named chat_template in {path}", found=type(template).__name__, remedy="fetch the file again"
        )
    return template


def vocabulary(folder: Path) -> dict[str, int] | None:
    """Id of every token of a folder's tokenizer, fast or slow; None without a tokenizer.

    Raises:
        CheckpointError: The tokenizer is damaged.
    """
    if not any((folder / name).is_file() for name in TOKENIZER_CORES):
        return None
    with _tokenizer_view(folder) as view:
        words: dict[str, int] = _tokenizer(view).get_vocab()
        return words


def _tokenizer_view(folder: Path) -> AbstractContextManager[Path]:
    return checkpoint_view(folder, f"a tokenizer in {folder}", TOKENIZER_REMEDY)


def _tokenizer(view: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(view, local_files_only=True, trust_remote_code=False, use_fast=True)
