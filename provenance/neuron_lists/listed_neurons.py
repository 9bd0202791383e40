"""What a reader of neuron lists takes in and gives back, whatever the format of the file.

The one idea: a reader says where in its file every neuron stands and what the file claims about it, as parsed;
whether a claim can be true of a checkpoint is asked in one place, `provenance.neuron_lists.read_lists`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from provenance.errors import InputError

FORMS = 'write {"schema": 1, "neurons": [{"layer": 0, "index": 5}, …]}, or CSV with the header layer,index[,weight]'
CUT_SHORT = "fetch or write the file again; this one seems to be cut short"
OTHER_CHECKPOINT = "check that the list was made for this checkpoint"


@dataclass(frozen=True)
class Sizes:
    """Of the checkpoint that the neurons belong to."""

    layers: int
    """Its layers."""
    d_m: int
    """Its neurons per layer."""

    @property
    def neurons(self) -> int:
        """All of its neurons."""
        return self.layers * self.d_m


@dataclass(frozen=True)
class Named:
    """One neuron as the file has it."""

    where: str
    """Its place, such as `line 3 of list.csv`."""
    layer: object
    """As parsed."""
    index: object
    """As parsed."""
    weight: object = None
    """As parsed; None when there is none."""
    flat: object = None
    """Its flat id, layer * d_m + index, as parsed; None when the file has none."""


@dataclass(frozen=True)
class Listed:
    """What a reader makes of a file."""

    format: str
    """Short name of the format."""
    neurons: list[Named]
    """In the order of the file."""
    checkpoint: dict[str, str] = field(default_factory=dict)
    """What it says about the checkpoint: `ref` and `digest`, or less."""
    intercept: object = None
    """Intercept of the probe, as parsed; None when there is none."""
    notes: tuple[str, ...] = ()
    """What a user should know of the file, in words."""


def check_claim(claims: Mapping[str, object], key: str, expected: int, where: str, remedy: str) -> None:
    """Refuse a file that says another number than the one that has to be; silence is no claim.

    Raises:
        InputError: It does.
    """
    if key in claims and claims[key] != expected:
        raise InputError(f"{key} = {expected} in {where}", found=repr(claims[key])[:200], remedy=remedy)


def checkpoint_named(name: object, where: str) -> dict[str, str]:
    """A model's name in a published list, as a reference; nothing where there is none.

    Raises:
        InputError: The name is no line of text.
    """
    if name is None:
        return {}
    if not isinstance(name, str) or not name.isprintable():
        raise InputError(f'"model" as a name in {where}', found=repr(name)[:200], remedy="mend the name, or drop it")
    return {"ref": name}
