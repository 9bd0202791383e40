"""Known families of checkpoints: base, tuned model, and stages between them; the hub is not asked here.

Pairs are data (`families.toml`): there is no Llama 3.3 base, and Qwen 3 gives the plain name to the tuned model.
"""

import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from provenance.checkpoints.names import CheckpointRef
from provenance.errors import InputError, nearest

DATA = "families.toml"
Gate = Literal["none", "licence", "contact"]


@dataclass(frozen=True)
class KnownFamily:
    """One family of the registry."""

    name: str
    """Name for `--family`."""
    source: str
    """Origin: a paper, or the command that makes it."""
    licence: str
    """Publisher's words; only a note, since the hub's answer decides."""
    gate: Gate
    """The hub's condition for access, when this was written."""
    stages: dict[str, CheckpointRef]
    """References by stage, in order of training."""
    base: str
    instruct: str | None
    """Stage tuned from the base; None for a family of pre-training checkpoints only."""

    @property
    def pair(self) -> tuple[CheckpointRef, CheckpointRef]:
        """Base and instruct checkpoint.

        Raises:
            InputError: No stage was tuned from the base.
        """
        if self.instruct is None:
            first, last = (str(self.stages[name]) for name in (next(iter(self.stages)), self.base))
            raise InputError(
                f"a family with an instruction-tuned checkpoint, not {self.name!r}",
                found=f"pre-training checkpoints only: {', '.join(self.stages)}",
                remedy=f"name two of them as BASE and INSTRUCT, for example {first} {last}",
            )
        return self.stages[self.base], self.stages[self.instruct]


def known_families() -> dict[str, KnownFamily]:
    """All known families by name, in the order of the file."""
    text = resources.files("provenance.checkpoints").joinpath(DATA).read_text("utf-8")
    return {name: _parse(name, entry) for name, entry in tomllib.loads(text).items()}


def _parse(name: str, entry: dict[str, Any]) -> KnownFamily:
    return KnownFamily(
        name,
        entry["source"],
        entry["licence"],
        entry["gate"],
        {stage: CheckpointRef.parse(ref) for stage, ref in entry["stages"].items()},
        entry["base"],
        entry.get("instruct"),
    )


def family(name: str) -> KnownFamily:
    """Family of that name; case and surrounding spaces do not matter.

    Raises:
        InputError: There is none; the message names similar ones.
    """
    known = known_families()
    written = name.strip().casefold()
    if written in known:
        return known[written]
    raise InputError("the name of a known family", found=repr(name), remedy=nearest(written, known))


def pair_of(name: str) -> tuple[str, str]:
    """References of a family's base and instruct checkpoint (or another stage, by `NAME:STAGE`), as a user writes them.

    Raises:
        InputError: No such family or stage, or no stage was tuned from the base.
    """
    written, colon, stage = name.partition(":")
    known = family(written)
    base, instruct = known.pair
    return str(base), str(_tuned(known, stage) if colon else instruct)


def _tuned(known: KnownFamily, stage: str) -> CheckpointRef:
    order = list(known.stages)
    later = {each.casefold(): ref for each, ref in known.stages.items() if order.index(each) > order.index(known.base)}
    if stage.strip().casefold() in later:
        return later[stage.strip().casefold()]
    raise InputError(
        f"a stage of {known.name!r} that was tuned from its base",
        found=repr(stage),
        remedy=f"write {' or '.join(f'{known.name}:{each}' for each in later)}; "
        "other pairs are named as BASE and INSTRUCT (`provenance families` lists them)",
    )
