"""Checkpoint references as values, and the checkpoints they refer to, found and checked.

A reference is only a spelling; identity is the digest of the files. `CheckpointRef` parses and prints back the same
text, and `checkpoint_at` checks a folder: whole safetensors, a config, a tokenizer, no pickles, no code. No model is
built and no tensor read, so this is quick at any size (except for hashing local weights, which reads them once).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from provenance.checkpoints.headers import read_header
from provenance.checkpoints.weight_files import WEIGHT_INDEX, weight_files
from provenance.errors import CheckpointError

CONFIG = "config.json"
LARGEST_JSON = 100_000_000
"""Bytes of a JSON file that is read; the tokenizer of 262,144 words is the largest known, with a third of it."""
QUANTISED_KEYS = ("quantization_config", "compression_config")
"""Keys of config.json that describe a quantisation."""
TOKENIZER = "tokenizer.json"
TOKENIZER_CORES = (
    TOKENIZER,
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "vocab.json",
)
"""Files that each suffice to build a tokenizer (`vocab.json` comes with `merges.txt`)."""
SMALL_FILES = (
    CONFIG,
    "generation_config.json",
    WEIGHT_INDEX,
    *TOKENIZER_CORES,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
"""Relevant files beside the weights: fetched from the hub, and part of a checkpoint's identity."""

_LAB = re.compile(r"(?P<name>lab/[a-z][a-z0-9-]*/[a-z][a-z0-9-]*)(?:@(?P<revision>[\w.-]+))?", re.ASCII)
_HUB = re.compile(r"(?P<name>[^\W_][\w.-]{0,95}/\w[\w.-]{0,95})(?:@(?P<revision>[^\s@]+))?", re.ASCII)
_FORMS = "write org/name, org/name@revision, a folder (./folder for a relative one), or lab/family/stage"


@dataclass(frozen=True)
class CheckpointRef:
    """Reference to a checkpoint; `str()` gives the text that `parse` was given."""

    kind: Literal["local", "lab", "hub"]
    """Place: a local folder, the shipped lab, the Hugging Face hub."""
    name: str
    """Text without the revision: a path as written, `lab/family/stage`, or `org/name`."""
    revision: str | None = None
    """Branch, tag or commit on the hub, snapshot of a lab base; None for folders and defaults."""

    def __str__(self) -> str:
        return self.name if self.revision is None else f"{self.name}@{self.revision}"

    @classmethod
    def parse(cls, text: str) -> "CheckpointRef":
        """Read a reference: an existing folder wins over `org/name`; `lab/…` is always the lab (`./lab/…` is a folder).

        Raises:
            CheckpointError: The text has none of these forms.
        """
        if text.startswith("lab/"):
            return cls._parse_lab(text)
        if _looks_like_path(text):
            return cls("local", text)
        match = _HUB.fullmatch(text)
        if match and ".." not in text and "--" not in match["name"]:
            return cls("hub", match["name"], match["revision"])
        raise CheckpointError("a checkpoint reference", found=repr(text), remedy=_FORMS)

    @classmethod
    def _parse_lab(cls, text: str) -> "CheckpointRef":
        match = _LAB.fullmatch(text)
        if match is None:
            raise CheckpointError(
                "lab/family/stage or lab/family/stage@snapshot",
                found=repr(text),
                remedy=f"write for example lab/inherited/base, or ./{text} for a folder of that name",
            )
        return cls("lab", match["name"], match["revision"])


def _looks_like_path(text: str) -> bool:
    written_so = text in {".", ".."} or text.startswith(("/", "./", "../", "~"))
    return written_so or (bool(text.strip()) and _is_folder(text))


def _is_folder(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except OSError:  # too long for a file name, or behind a folder that may not be read
        return False


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found and checked."""

    ref: CheckpointRef
    folder: Path
    """Folder of its files."""
    commit: str | None
    """Commit sha on the hub; None for folders and the lab."""
    digest: str
    """SHA-256 over the names and SHA-256s of the relevant files; the checkpoint's identity."""
    config: dict[str, Any] = field(hash=False)

    @property
    def pinned(self) -> str:
        """The reference with its revision pinned to the commit, if there is one."""
        return str(self.ref) if self.commit is None else f"{self.ref.name}@{self.commit}"


def checkpoint_at(ref: CheckpointRef, folder: Path, commit: str | None = None) -> Checkpoint:
    """Check a checkpoint in a folder.

    Raises:
        CheckpointError: It is incomplete, or not to be trusted.
    """
    try:
        config = inspect(folder)
        return Checkpoint(ref, folder, commit, content_digest(folder), config)
    except OSError as error:
        raise CheckpointError(
            f"a readable checkpoint in {folder}", found=str(error), remedy="check permissions and the disk"
        ) from error


def local_folder(ref: CheckpointRef) -> Path:
    """Folder of a local or lab reference.

    Raises:
        CheckpointError: The lab has no such checkpoint, or one of its files was altered.
    """
    if ref.kind == "lab":
        from provenance.lab.manifest import locate  # imported only for lab references

        _, family, stage = ref.name.split("/")
        return locate(family, stage, ref.revision)
    return Path(ref.name).expanduser()


def inspect(folder: Path) -> dict[str, Any]:
    """Check a checkpoint folder without reading a tensor; returns its config.

    Raises:
        CheckpointError: The folder, its config or its weights are missing, damaged or refused.
    """
    if not folder.is_dir():
        found = "a file" if folder.is_file() else "nothing"
        raise CheckpointError(
            f"a checkpoint folder at {folder}",
            found=f"{found} of that name",
            remedy="check the path; org/name names a checkpoint on the hub",
        )
    config = _read_config(folder)
    for path in weight_files(folder):
        read_header(path)
    settings = folder / "tokenizer_config.json"
    if settings.is_file():
        refuse_remote_code(str(settings), read_json_object(settings))
    return config


def _read_config(folder: Path) -> dict[str, Any]:
    wanted = f"{CONFIG} in {folder}"
    path = folder / CONFIG
    if not path.is_file():
        adapter = (folder / "adapter_config.json").is_file()
        raise CheckpointError(
            wanted,
            found="an adapter without its base model" if adapter else "no such file",
            remedy="give its base as BASE and the adapter as INSTRUCT, or merge it into its base first"
            if adapter
            else "name the folder that save_pretrained wrote",
        )
    config = read_json_object(path)
    refuse_unfit(str(path), config)
    return config


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a checkpoint.

    Raises:
        CheckpointError: It is not UTF-8, not JSON, or not an object.
    """
    try:
        refuse_huge(path)
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise CheckpointError(f"JSON in {path}", found=str(error), remedy="fetch the file again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"a JSON object in {path}", found=type(value).__name__, remedy="fetch the file again")
    return value


def refuse_huge(path: Path) -> None:
    """Refuse a small file of a checkpoint that is none, before it is read.

    Raises:
        CheckpointError: It has more bytes than `LARGEST_JSON`.
    """
    size = path.stat().st_size
    if size > LARGEST_JSON:
        raise CheckpointError(
            f"{path} of at most {LARGEST_JSON:,} bytes",
            found=f"{size:,} bytes",
            remedy="fetch the checkpoint again, from its publisher",
        )


def refuse_unfit(where: str, config: dict[str, Any]) -> None:
    """Refuse a config.json of a checkpoint whose weights cannot be run, or are no numbers to compare.

    Raises:
        CheckpointError: It requires remote code, or its weights are quantised.
    """
    refuse_remote_code(where, config)
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        for key in QUANTISED_KEYS:
            if part.get(key):
                raise CheckpointError(
                    "a checkpoint in float32, bfloat16 or float16",
                    found=f"a quantised one: {_method(part[key])} ({key} in {where})",
                    remedy="choose the checkpoint that is not quantised; neurons are compared by their weights",
                )


def _method(settings: object) -> str:
    """Method and bits of a quantisation, as far as its settings name them."""
    said = settings if isinstance(settings, dict) else {}
    bits = said.get("bits") or next((bits for bits in (4, 8) if said.get(f"load_in_{bits}bit")), None)
    method = said.get("quant_method") or said.get("format") or "by an unnamed method"
    return f"{method}"[:60] if bits is None else f"{method}, {bits} bits"[:60]


def refuse_remote_code(where: str, config: dict[str, Any]) -> None:
    """Refuse a config that requires running code of the checkpoint.

    Raises:
        CheckpointError: It has `auto_map`.
    """
    if config.get("auto_map"):
        raise CheckpointError(
            "a checkpoint that runs without code of its own",
            found=f"auto_map in {where}: {json.dumps(config['auto_map'])}",
            remedy="remote code is refused; where transformers knows the architecture itself, "
            "take auto_map out of a local copy",
        )


def require_tokenizer(folder: Path) -> None:
    """Refuse a checkpoint without a tokenizer, since no model could be run from it.

    Raises:
        CheckpointError: None of the files that a tokenizer can be built from is there.
    """
    if not any((folder / name).is_file() for name in TOKENIZER_CORES):
        raise CheckpointError(
            f"a tokenizer in {folder}",
            found=f"none of {', '.join(TOKENIZER_CORES)}",
            remedy="copy the tokenizer files of the model it was made from into the folder",
        )


def content_digest(folder: Path) -> str:
    """SHA-256 over the sorted (name, SHA-256) of relevant files (not README, licence, spare weights), in any folder."""
    return digest_of(small_digests(folder) | {path.name: file_sha256(path) for path in weight_files(folder)})


def small_files(folder: Path) -> list[Path]:
    """The relevant files of a folder beside the weights: those that are digested, copied and shown to libraries."""
    templates = (path for path in folder.glob("additional_chat_templates/*.jinja") if path.is_file())
    return [*(folder / name for name in SMALL_FILES if (folder / name).is_file()), *templates]


def small_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the relevant files beside the weights, by name."""
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in small_files(folder)}


def digest_of(sha256_of: Mapping[str, str]) -> str:
    """Digest of a checkpoint from the SHA-256 of each of its files, by name."""
    return hashlib.sha256(json.dumps(sorted(sha256_of.items())).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Digest of one file; the hub's cache names large files by it, which saves reading them again."""
    if path.is_symlink():
        blob = path.readlink()  # one step only: the next link may name files by another hash
        if blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name):
            return blob.name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
