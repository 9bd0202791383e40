"""The one boundary around libraries that open a checkpoint: whatever they raise becomes our error.

A checkpoint's files are of strangers, and what `transformers`, `tokenizers` and torch raise over a damaged one is no
finite list. Their message stays in ours, and their exception is its cause, which `--debug` shows.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from provenance.errors import CheckpointError, ProvenanceError

NOT_THE_FILES = (ProvenanceError, KeyboardInterrupt, SystemExit, GeneratorExit)
"""Exceptions that say nothing about the checkpoint, and pass."""


@contextmanager
def opening(wanted: str, remedy: str, spelled: Mapping[str, str] | None = None) -> Iterator[None]:
    """Turn whatever a library raises inside the block into a CheckpointError; `spelled` replaces words in its message.

    BaseException, since a panic of `tokenizers`, which is written in Rust, is one and no Exception.

    Raises:
        CheckpointError: For anything but the toolkit's own errors and an interrupt.
    """
    try:
        yield
    except NOT_THE_FILES:
        raise
    except BaseException as error:
        said = str(error).strip()
        for word, better in (spelled or {}).items():
            said = said.replace(word, better)
        kind = type(error).__name__
        raise CheckpointError(wanted, found=f"{kind}: {said}" if said else kind, remedy=remedy) from error


def tokenizing(text: str) -> AbstractContextManager[None]:
    """Boundary around a tokenizer that reads a text: one that was opened may still fail over some texts."""
    return opening(f"a tokenizer that can read {text[:40]!r}", "fetch tokenizer.json again, from its publisher")
