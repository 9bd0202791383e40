"""Fixtures that several rooms use.

They import what they need when they are asked for: the process that deals tests out to others runs none itself, and
would load torch and transformers for nothing before the others start.
"""

import gc
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jaxtyping import config as shapes
from sharing import made_once

if TYPE_CHECKING:
    from comparison import Finished, Pair
    from forked_cli import ForkedCli

    from provenance.models.loading import LoadedModel

GARBAGE = (200_000, 100, 100)
"""New objects before a search for garbage among them, and searches before one among older objects, and among all."""
FIRST = ("test_real", "test_lab_claims")
"""Modules whose fixtures take minutes: last, one process would work alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long modules first, everything else in its order."""
    items.sort(key=lambda item: item.path.stem not in FIRST)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collecting tests leaves hardly any garbage, and looking for it took a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """What is loaded by now stays: no search for garbage looks through it again, in this process or in a child.

    Searches are rare, since Python would search the more often the less it has to look through.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


@pytest.fixture(scope="module")
def machine_measured_once() -> Iterator[None]:
    """The speed of this machine, measured in two thirds of a second, is that of the first plan of a module."""
    from provenance.plan import machine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "measure", cache(machine.measure))
        yield


@pytest.fixture(scope="module")
def shapes_unchecked() -> Iterator[None]:
    """No checks of shapes, from a module's first test that asks for it: they take half of the time of a comparison.

    The same functions are checked in other tests.
    """
    shapes.update("jaxtyping_disable", True)
    yield
    shapes.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny Llama checkpoint."""
    from checkpoint_factory import make_checkpoint

    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "llama")


@pytest.fixture(scope="session")
def loaded_llama(tiny_llama: Path) -> "LoadedModel":
    """The tiny Llama checkpoint, loaded."""
    from checkpoint_factory import load

    return load(tiny_llama)


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny checkpoint of a model type, made once."""
    from checkpoint_factory import make_checkpoint

    folder = tmp_path_factory.mktemp("model-types")
    return cache(lambda model_type: make_checkpoint(folder / model_type, model_type))


@pytest.fixture(scope="session")
def loaded_of(checkpoint_of: Callable[[str], Path]) -> Callable[[str], "LoadedModel"]:
    """The tiny checkpoint of a model type, loaded once."""
    from checkpoint_factory import load

    return cache(lambda model_type: load(checkpoint_of(model_type)))


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> "Pair":
    """Two speaking checkpoints with questions."""
    from comparison import Pair

    return Pair.of(made_once(tmp_path_factory, "pair", Pair.make))


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator["ForkedCli"]:
    """The command line in processes that can be killed."""
    from forked_cli import ForkedCli

    cli = ForkedCli(tmp_path_factory.mktemp("forked"))
    yield cli
    cli.close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, forked: "ForkedCli", pair: "Pair") -> "Finished":
    """The comparison of the pair, run to its end at once."""
    from comparison import Finished

    return Finished.of(
        made_once(tmp_path_factory, "undisturbed", lambda folder: Finished.run(forked, folder, *pair.command))
    )


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with the newest schema."""
    from provenance.db.store import Store

    file = tmp_path_factory.mktemp("migrated") / "empty.db"
    Store.open(f"sqlite:///{file}").close()
    return file
