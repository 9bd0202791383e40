"""The one rule that says which files of a folder or repository are a checkpoint's weights.

Everything that digests, measures, fetches or runs weights asks here. Two readings of one folder are an error that names
the files, since libraries choose between them in silence, each in its own way.
"""

import json
from collections.abc import Collection, Iterable
from pathlib import Path

from provenance.errors import CheckpointError

WEIGHTS = "model.safetensors"
WEIGHT_INDEX = "model.safetensors.index.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


def weight_files(folder: Path) -> list[Path]:
    """Safetensors files of the checkpoint, in name order.

    Raises:
        CheckpointError: There are none, only pickled ones, or the index names missing files.
    """
    index = folder / WEIGHT_INDEX
    index_text = index.read_text(encoding="utf-8", errors="replace") if index.is_file() else None
    there = sorted(path.name for path in folder.iterdir() if path.is_file())
    names = weight_names(there, index_text, str(folder))
    missing = sorted(set(names) - set(there))
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise CheckpointError(
            f"all {len(names)} weight files that {WEIGHT_INDEX} of {folder} names",
            found=f"{len(missing)} missing: {shown}{_partial_downloads(folder)}",
            remedy="finish the download: fetch the checkpoint again",
        )
    return [folder / name for name in names]


def weight_names(there: Collection[str], index_text: str | None, where: str) -> list[str]:
    """Names of a checkpoint's weight files, in name order.

    With an index those it names; else `model.safetensors`; else every safetensors file at the top. So a second copy of
    the weights (Mistral's `consolidated.safetensors`) is ignored.

    Raises:
        CheckpointError: No safetensors, only pickled weights, an invalid index, or two checkpoints in one place: an
            adapter beside whole weights, or one file beside an index of others.
    """
    names = _whole_names(there, index_text, where)
    _refuse_adapter_beside(names, there, where)
    return names


def _whole_names(there: Collection[str], index_text: str | None, where: str) -> list[str]:
    if index_text is not None:
        names = _indexed(index_text, where)
        if WEIGHTS in there and WEIGHTS not in names:
            raise _ambiguous([WEIGHTS], [WEIGHT_INDEX, *names], where)
        return names
    if WEIGHTS in there:
        return [WEIGHTS]
    names = sorted(
        name for name in there if name.endswith(".safetensors") and "/" not in name and name != ADAPTER_WEIGHTS
    )
    if not names:
        pickled = sorted(name for name in there if name.endswith(PICKLE_SUFFIXES) and "/" not in name)
        raise CheckpointError(
            f"safetensors weights in {where}",
            found=f"only pickled weights ({', '.join(pickled[:3])})" if pickled else _no_weights(there),
            remedy="pickles can run code and are refused: convert them with save_pretrained"
            if pickled
            else "name a checkpoint with *.safetensors, or finish its download",
        )
    return names


def _refuse_adapter_beside(names: list[str], there: Collection[str], where: str) -> None:
    """With `peft` installed, transformers puts such an adapter on the whole weights; without it, it does not."""
    adapter = sorted(name for name in there if name.startswith("adapter_model.") and "/" not in name)
    if ADAPTER_CONFIG in there and adapter:
        raise _ambiguous(names, [ADAPTER_CONFIG, *adapter], where)


def _ambiguous(first: list[str], second: list[str], where: str) -> CheckpointError:
    readings = (
        ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") for names in (first, second)
    )
    return CheckpointError(
        f"one checkpoint in {where}",
        found=f"two: {' or '.join(f'({reading})' for reading in readings)}",
        remedy="keep the files of the one you mean in the folder, and move the others out of it",
    )


def _no_weights(there: Iterable[str]) -> str:
    if ADAPTER_WEIGHTS in there:
        return f"{ADAPTER_WEIGHTS} and no whole weights"
    partial = sum(name.endswith(".incomplete") for name in there)
    return f"no *.safetensors file, {partial} half-downloaded" if partial else "no *.safetensors file"


def _indexed(index_text: str, where: str) -> list[str]:
    try:
        names = sorted({str(name) for name in json.loads(index_text)["weight_map"].values()})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"a weight_map in {WEIGHT_INDEX} of {where}", found=repr(error), remedy="fetch the file again"
        ) from error
    foreign = [name for name in names if not name.endswith(".safetensors") or "/" in name or "\\" in name]
    if foreign or not names:
        raise CheckpointError(
            f"safetensors files in the weight_map of {where}",
            found=repr(foreign[0]) if foreign else "an empty one",
            remedy="fetch the checkpoint again, from its publisher",
        )
    return names


def _partial_downloads(folder: Path) -> str:
    count = sum(1 for _ in folder.rglob("*.incomplete"))
    return f"; {count} half-downloaded" if count else ""
