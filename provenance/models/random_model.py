"""A randomly initialised model of a checkpoint's config, the floor given by architecture, tokenizer and texts alone.

Saved as an ordinary checkpoint; config and seed fix its weights, so its digest, and all stored under it, is the same.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

from provenance.checkpoints.names import CONFIG, Checkpoint, require_tokenizer, small_files
from provenance.checkpoints.weight_files import WEIGHT_INDEX
from provenance.files import storing, writable_folder
from provenance.models.checkpoint_view import checkpoint_view
from provenance.models.claimed_sizes import refuse_larger
from provenance.models.loading import auto_class, config_in
from provenance.weights.shards import Shards

RANDOM_REF = "random initialisation"
"""Name of such a model beside references that a user wrote."""
OWN_FILES = (CONFIG, WEIGHT_INDEX)
"""Small files written with the new weights, not copied from the source checkpoint."""


def random_checkpoint(source: Path, folder: Path, seed: int) -> Path:
    """Save a model of a checkpoint's config with fresh weights, beside the checkpoint's own tokenizer files.

    Weights are drawn on the CPU by the family's initialisation in `transformers`, in the config's dtype (float32 if it
    names none). The random generator of the calling process keeps its state.

    Args:
        source: A whole checkpoint's folder; its weights are not read.
        folder: Target, made when missing, and returned. Files of the same names there are replaced.
        seed: Seed of the weights; the same config and seed give files of the same digest.

    Raises:
        CheckpointError: `transformers` cannot build a model from the config, or there is no tokenizer.
        InputError: The folder cannot be written.
        StoreError: The disk is full.

    Source: none in Gao et al. 2025. Choice: the family's own initialisation, not the trained weights shuffled, which
    would keep the trained distribution of norms.
    """
    require_tokenizer(source)
    model = _initialised(source, seed)
    writable_folder(folder)
    with storing(f"to save a randomly initialised model in {folder}"):
        _save(model, folder)
        for path in small_files(source):
            if path.name in OWN_FILES:
                continue
            copy = folder / path.relative_to(source)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
    return folder


@contextmanager
def random_for_now(like: Checkpoint, seed: int, folder: Path) -> Iterator[Path]:
    """A randomly initialised model in a temporary folder below `folder`, which needs room for it.

    The weights of `like` are not read. The new folder's name identifies the model, so that remains of a killed run are
    replaced, and removed, by the run that resumes.

    Raises:
        CheckpointError, StoreError: See `random_checkpoint`; or the folder cannot be made or removed.
    """
    place = folder / f"random-{like.digest[:16]}-{seed}"
    with storing(f"to make a folder for a randomly initialised model in {folder}"):
        place.mkdir(parents=True, exist_ok=True)
    try:
        yield random_checkpoint(like.folder, place, seed)
    finally:
        with storing(f"to remove the randomly initialised model in {place}"):
            shutil.rmtree(place)


def _save(model: PreTrainedModel, folder: Path) -> None:
    """Save config and weights; the writer of weights has its own error for a full disk."""
    try:
        model.save_pretrained(folder)
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _initialised(source: Path, seed: int) -> PreTrainedModel:
    """The model in memory; draws from a fork of the CPU generator's state."""
    wanted = f"a config that transformers can build a model from in {source}"
    remedy = "check its config.json, or do without a randomly initialised model of it"
    with checkpoint_view(source, wanted, remedy) as view:
        config = config_in(view)
        refuse_larger(auto_class(config), config, Shards(source).slots(), str(source))
        dtype = config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed accelerators as well
            model: PreTrainedModel = auto_class(config).from_config(config, dtype=dtype, trust_remote_code=False)
        return model
