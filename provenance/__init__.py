"""Were these neurons already there before alignment?

`provenance` compares a base and an instruction-tuned checkpoint: it finds the
hallucination-associated neurons ("H-Neurons", Gao et al. 2025, arXiv:2512.01797)
of the tuned one, maps them onto the base, and measures transfer, weight drift,
overlap and activity against nulls that could refute the claim.

    import provenance
    run = provenance.compare("lab/inherited/base", "lab/inherited/instruct")   # or
    run = provenance.open("provenance.db").run("latest")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from provenance.version import VERSION

__version__ = VERSION

if TYPE_CHECKING:
    from provenance.api.compare_settings import CompareSettings
    from provenance.api.interface import Database, Run, compare, open  # noqa: A004 - `provenance.open`

__all__ = ["CompareSettings", "Database", "Run", "__version__", "compare", "open"]


def __getattr__(name: str) -> Any:
    """The Python interface, imported when it is first used: `import provenance` stays quick."""
    if name in __all__:
        return getattr(import_module("provenance.api.interface"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
