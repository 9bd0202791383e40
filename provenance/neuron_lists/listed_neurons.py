"""Input and result of all readers of neuron lists.

A reader gives each neuron's place and the file's claims as parsed; `provenance.neuron_lists.read_lists` checks them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from provenance.errors import InputError

FORMS = 'write {"schema": 1, "neurons": [{"layer": 0, "index": 5}, …]}, or CSV with the header layer,index[,weight]'
CUT_SHORT = "fetch or write the file again; this one seems to be cut short"
OTHER_CHECKPOINT = "check that the list was made for this checkpoint"
_ONE = re.compile(r"L?([0-9]{1,9}):N?([0-9]{1,9})")
_NUMBERS = re.compile(r"(?<![0-9])[0-9]{1,9}(?![0-9])")


@dataclass(frozen=True)
class Sizes:
    """Sizes of the checkpoint that the neurons belong to."""

    layers: int
    d_m: int
    """Neurons per layer."""

    @property
    def neurons(self) -> int:
        """Number of all neurons."""
        return self.layers * self.d_m


@dataclass(frozen=True)
class Named:
    """One neuron as the file gives it."""

    where: str
    """Place in the file, such as `line 3 of list.csv`."""
    layer: object
    index: object
    weight: object = None
    """As parsed; None without one."""
    flat: object = None
    """Flat id, layer * d_m + index, as parsed; None without one."""


@dataclass(frozen=True)
class Listed:
    """Neurons and claims read from a file."""

    format: str
    neurons: list[Named]
    """Neurons in the order of the file."""
    checkpoint: dict[str, str] = field(default_factory=dict)
    """Claims about the checkpoint: `ref` and `digest`, or fewer."""
    intercept: object = None
    """Intercept of the probe, as parsed; None without one."""
    notes: tuple[str, ...] = ()
    """Remarks on the file for the user."""


def check_claim(claims: Mapping[str, object], key: str, expected: int, where: str, remedy: str) -> None:
    """Refuse a file whose number differs from the expected one; a missing number is fine.

    Raises:
        InputError: The numbers differ.
    """
    if key in claims and claims[key] != expected:
        raise InputError(f"{key} = {expected} in {where}", found=repr(claims[key])[:200], remedy=remedy)


def checkpoint_named(name: object, where: str) -> dict[str, str]:
    """A model's name in a published list, as a reference; empty without a name.

    Raises:
        InputError: The name is not a line of text.
    """
    if name is None:
        return {}
    if not isinstance(name, str) or not name.isprintable():
        raise InputError(f'"model" as a name in {where}', found=repr(name)[:200], remedy="mend the name, or drop it")
    return {"ref": name}


def neuron_named(text: str) -> tuple[int, int]:
    """Layer and index of a neuron written as `3:120`, or `L3:N120` as in published lists.

    Raises:
        InputError: It is written in another way.
    """
    found = _ONE.fullmatch(text.strip())
    if found:
        return int(found[1]), int(found[2])
    numbers = _NUMBERS.findall(text)
    raise InputError(
        "a neuron as LAYER:INDEX, both from 0",
        found=repr(text)[:80],
        remedy=f"did you mean {numbers[0]}:{numbers[1]}?"
        if len(numbers) == 2
        else "write it like 3:120 (see `provenance query h-neurons`)",
    )
