"""Folders that are made once for all processes of a test run, and only read afterwards.

The one idea: `pytest -n 2` gives each process session fixtures of its own. What costs a whole comparison is made by the
process that needs it first, in a folder that all of them see, while the others wait.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder of that name, filled by the first process that asks for it.

    Args:
        factory: Of this process; folders of several processes lie side by side.
        name: Of the folder.
        make: Fills it; when that fails, the next one to ask tries again in an empty one.
    """
    own = factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    done = root / f"{name}.done"
    with FileLock(root / f"{name}.lock"):
        if done.exists():
            return Path(done.read_text("utf-8"))
        folder = factory.mktemp(name)
        make(folder)
        done.write_text(str(folder), "utf-8")
    return folder
