"""Writes the settings that `provenance.compare` takes: names, types, meanings and defaults, from the fields of `Job`.

Editors and type checkers read a module, not a dataclass behind an import of torch. A test holds that the module is
what this would write; `make docs` writes it.
"""

import ast
import inspect
import json
import types
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from provenance.analyses.jobs.compare_job import Job

FILE = Path(__file__).parents[1] / "provenance" / "api" / "compare_settings.py"
NAMED = ("base", "instruct", "questions", "effort")
"""Fields that are arguments of their own."""
HEAD = '''"""Settings that `provenance.compare` takes, written by `make docs` from the fields of its job."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict


class CompareSettings(TypedDict, total=False):
    """Settings of a comparison by name; those that are not given have their defaults."""
'''


def settings_module() -> str:
    """Text of the module."""
    hints, meanings = get_type_hints(Job), _meanings()
    own = [item for item in fields(Job) if item.name not in NAMED]
    settings = "\n".join(f"    {item.name}: {_type(hints[item.name])}\n{_said(meanings[item.name])}" for item in own)
    defaults = "\n".join(f"    {json.dumps(item.name)}: {_value(item.default)}," for item in own)
    return f"{HEAD}\n{settings}\n\n\nDEFAULTS: CompareSettings = {{\n{defaults}\n}}\n"


def _meanings() -> dict[str, str]:
    """The sentence under each field."""
    [made] = [node for node in ast.parse(inspect.getsource(Job)).body if isinstance(node, ast.ClassDef)]
    pairs = zip(made.body, made.body[1:], strict=False)
    return {first.target.id: _text(second) for first, second in pairs
            if isinstance(first, ast.AnnAssign) and isinstance(first.target, ast.Name) and _text(second)}  # fmt: skip


def _text(node: ast.stmt) -> str:
    said = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return str(node.value.value) if said else ""  # type: ignore[attr-defined]


def _said(meaning: str) -> str:
    return f'    """{meaning}"""'


def _type(hint: Any) -> str:
    """A type as a caller may give it: any sequence in place of a tuple, and the path of a file as text."""
    if get_origin(hint) in (Union, types.UnionType):
        return " | ".join(map(_type, get_args(hint)))
    if get_origin(hint) is Literal:
        return f"Literal[{', '.join(map(json.dumps, get_args(hint)))}]"
    if get_origin(hint) is tuple:
        first, *rest = get_args(hint)
        return f"Sequence[{_type(first)}]" if rest == [...] else f"tuple[{', '.join(map(_type, (first, *rest)))}]"
    return {Path: "str | Path", type(None): "None"}.get(hint, getattr(hint, "__name__", ""))


def _value(default: Any) -> str:
    if isinstance(default, tuple):
        return f"({', '.join(map(_value, default))}{',' if len(default) == 1 else ''})"
    return json.dumps(default) if isinstance(default, str) else repr(default)
