"""The folder of a run's figures and report: one for each run, and `latest`, so that no pair overwrites another's."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from provenance.defaults import LATEST, OUT
from provenance.files import write_whole

LONGEST_NAME = 60  # characters of one checkpoint's name
LABEL = "run.json"
"""File in a run's folder that says which run it is of."""
_LABELLED = ("run", "run_key", "command", "base", "instruct")


@contextmanager
def run_folder(db: str, about: Mapping[str, Any], out: Path | None) -> Iterator[Path]:
    """Folder for the files of a run, which are written inside the block: the requested one, or the run's own.

    A folder of its own says in `run.json` which run it is of, and `latest` leads to it if no finished run is newer.

    Args:
        db: Database of the run.
        about: Row of the query `run`.
        out: Folder that the user gave.

    Raises:
        StoreError: The folder cannot be written.
    """
    from provenance.db.reading.run_query import newest_run

    if out is not None:
        yield out
        return
    folder = own_folder(about)
    named = {name: about[name] for name in _LABELLED}
    write_whole(folder / LABEL, (json.dumps(named, ensure_ascii=False, indent=1) + "\n").encode())
    yield folder
    if newest_run(db) == about["run"]:
        _link(OUT / LATEST, folder.name)


def own_folder(about: Mapping[str, Any]) -> Path:
    """A run's own folder below `provenance-out`, such as `0004-base--instruct`; of a row of the query `run`.

    A run of another database may have the same number and names: its folder is left alone, and this one has the first
    digits of the run's key in its name.
    """
    # `compare --control permuted-index` as `control-permuted-index`; another model of --other is left to the number
    kind = _words(about["command"].removeprefix("compare").partition(" --other ")[0])
    names = [_words(_last_part(about[side])) or side for side in ("base", "instruct")]
    folder = OUT / "--".join((f"{about['run']:04d}-{names[0]}", names[1], *([kind] if kind else [])))
    return folder if _is_free(folder, about["run_key"]) else folder.with_name(f"{folder.name}--{about['run_key'][:8]}")


def _last_part(ref: str) -> str:
    """Name of a checkpoint without owner, folders and revision; the lab's revisions are stages."""
    name = ref.rstrip("/").rpartition("/")[2]
    return name if ref.startswith("lab/") else name.partition("@")[0]


def _words(text: str) -> str:
    return "-".join(re.findall(r"[a-zA-Z0-9_.@]+", text))[:LONGEST_NAME].strip(".-")


def _is_free(folder: Path, key: str) -> bool:
    """Whether a folder is not there, is empty, or is this run's."""
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    try:
        return bool(json.loads((folder / LABEL).read_text("utf-8"))["run_key"] == key)
    except (OSError, ValueError, KeyError, TypeError):
        return not any(folder.iterdir())


def _link(link: Path, target: str) -> None:
    """Let a link lead to another folder beside it; what is no link stays."""
    if link.exists() and not link.is_symlink():
        return
    made = link.with_name(f"{link.name}.partial")
    with suppress(OSError):  # a file system without links does without this one
        made.unlink(missing_ok=True)
        made.symlink_to(target, target_is_directory=True)
        made.replace(link)
