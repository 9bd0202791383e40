"""Locations of the shipped lab families, given out only after a check that they are as built.

Every file's SHA-256 is in `families/manifest.json`: a result on the lab is one on exactly these weights and questions.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from provenance.errors import CheckpointError
from provenance.lab.world import QUESTION_SETS

SHIPPED = Path(__file__).parent / "families"
MANIFEST = "manifest.json"
SCHEMA = 1
QUESTIONS = "questions"
BENCHMARKS = "benchmarks"

Digests = dict[str, str]
"""SHA-256 in hexadecimal by file name inside a folder."""


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digests(folder: Path) -> Digests:
    """Digest of every file of a folder, by name, in the order of names."""
    return {path.name: digest(path) for path in sorted(folder.iterdir()) if path.is_file()}


def read_manifest(root: Path = SHIPPED) -> dict[str, Any]:
    """The `families` object of the manifest under `root`: family to its files, by kind, with their digests.

    Raises:
        CheckpointError: No manifest, no JSON, or another schema: the package is incomplete, or a build never finished.
    """
    path = root / MANIFEST
    wanted = f"a manifest of lab families (schema {SCHEMA})"
    remedy = "install the package again, or run `provenance lab build`"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        schema, listed = manifest["schema"], manifest["families"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(wanted, found=f"{path}: {error!r}", remedy=remedy) from error
    if schema != SCHEMA or not isinstance(listed, dict):
        raise CheckpointError(wanted, found=f"schema {schema!r} in {path}", remedy=remedy)
    return listed


def families(root: Path = SHIPPED) -> dict[str, tuple[str, ...]]:
    """Every family under `root` with its stages; a snapshot of a stage reads `base@step-0400`."""
    return {family: tuple(listed["stages"]) for family, listed in read_manifest(root).items()}


def locate(family: str, stage: str, revision: str | None = None, root: Path = SHIPPED) -> Path:
    """Folder of a lab checkpoint, after checking its files against the manifest.

    A revision is a pre-training snapshot such as `step-0400`; None is the finished stage.

    Raises:
        CheckpointError: There is no such family, stage or revision, or a file is missing or altered.
    """
    name = stage if revision is None else f"{stage}@{revision}"
    listed = read_manifest(root)
    if family not in listed or name not in listed[family]["stages"]:
        there = ", ".join(f"lab/{known}/{each}" for known, stages in families(root).items() for each in stages)
        raise CheckpointError("a lab checkpoint", found=repr(f"lab/{family}/{name}"), remedy=f"use one of: {there}")
    folder = root / family / name
    _verify(folder, listed[family]["stages"][name])
    return folder


def question_sets(family: str, root: Path = SHIPPED) -> dict[str, Path]:
    """The question files of a family: in-domain, other-domain, fabricated, checked against the manifest.

    Raises:
        CheckpointError: There is no such family with questions, or a file is missing or altered.
    """
    listed = {name: files for name, files in read_manifest(root).items() if QUESTIONS in files}
    if family not in listed:
        remedy = f"use one of: {', '.join(listed)}"
        raise CheckpointError("a lab family with questions", found=repr(family), remedy=remedy)
    folder = root / family / QUESTIONS
    _verify(folder, listed[family][QUESTIONS])
    return {name: folder / f"{name}.jsonl" for name in QUESTION_SETS}


def benchmarks(family: str, root: Path = SHIPPED) -> tuple[str, ...]:
    """Names of a family's benchmarks, `lab/family/name`; most families have none."""
    files = read_manifest(root).get(family, {}).get(BENCHMARKS, {})
    return tuple(f"lab/{family}/{Path(file).stem}" for file in files)


def benchmark_file(name: str, root: Path = SHIPPED) -> Path:
    """A benchmark of a lab family, `lab/family/name`, after a check against the manifest.

    Raises:
        CheckpointError: There is no such family or benchmark, or a file is missing or altered.
    """
    listed = read_manifest(root)
    there = [each for family in listed for each in benchmarks(family, root)]
    if name not in there:
        raise CheckpointError("a benchmark of the lab", found=repr(name), remedy=f"use one of: {', '.join(there)}")
    _, family, stem = name.split("/")
    folder = root / family / BENCHMARKS
    _verify(folder, listed[family][BENCHMARKS])
    return folder / f"{stem}.jsonl"


def _verify(folder: Path, wanted: Digests) -> None:
    """Compare all files of a folder with their digests; a missing, altered or additional file is refused."""
    found = folder_digests(folder) if folder.is_dir() else {}
    if found == wanted:
        return
    wrong = []
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            state = "missing" if name not in found else "altered" if name in wanted else "unlisted"
            wrong.append(f"{name} ({state})")
    raise CheckpointError(
        f"the lab files of {folder} as they were built",
        found=", ".join(wrong),
        remedy="install the package again, or run `provenance lab build`",
    )
