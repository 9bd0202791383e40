"""A study file: which families are compared, on which questions, under which settings.

A study is TOML. Settings have the names of `provenance.analyses.jobs.compare_job.Job`; those of a family win over those
of the study. Members are families (a pair of checkpoints, known by name or written out) and timelines.
"""

import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from provenance.analyses.jobs.compare_job import Job
from provenance.analyses.jobs.effort import QUICK
from provenance.analyses.timeline.timeline_job import TimelineJob
from provenance.checkpoints.known_families import family, pair_of
from provenance.errors import InputError

SUFFIX = ".toml"
QUICK_SETTING = "quick"
TEMPLATE_ARGS = "template_args"
TEXTS = tuple[str, ...]
NAME = re.compile(r"[A-Za-z0-9_][\w.+-]{0,99}", re.ASCII)
"""Names of studies and their members, which are also those of folders."""
_NOT_SETTINGS = ("base", "instruct", "questions", "neurons", "control", "other", "effort", "alphas")
_STUDY_KEYS = ("title", "questions", "settings", "family", "timeline")
_FAMILY_KEYS = ("name", "base", "instruct", "questions", "settings")
_TIMELINE_KEYS = ("name", "family", "checkpoints", "tuned", "questions", "settings")

Kind = Literal["family", "timeline"]


@dataclass(frozen=True)
class Member:
    """One family or timeline of a study."""

    kind: Kind
    name: str
    """Unique in the study."""
    refs: tuple[str, ...]
    """References of its checkpoints, in order of training; base and instruct for a family."""
    job: Job | TimelineJob
    """The work."""

    @property
    def digest(self) -> str:
        """SHA-256 of its checkpoints, questions and settings as they are written."""
        return hashlib.sha256(repr(self.job).encode()).hexdigest()


@dataclass(frozen=True)
class Study:
    """A study as its file has it."""

    name: str
    """Stem of the file; the name in the database."""
    title: str
    text: str
    """The file, as it was read."""
    members: tuple[Member, ...]
    """In the order of the file, families before timelines."""

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def only(self, names: Sequence[str]) -> tuple[Member, ...]:
        """The named members, or all without names.

        Raises:
            InputError: A name is not of this study.
        """
        known = [member.name for member in self.members]
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise InputError(
                f"members of the study {self.name} ({', '.join(known)})",
                found=", ".join(map(repr, unknown)),
                remedy="mend the name of --only",
            )
        return tuple(member for member in self.members if not names or member.name in names)


def shipped() -> dict[str, str]:
    """Text of each study that ships with the package, by name."""
    folder = resources.files("provenance.analyses.studies")
    return {
        entry.name.removesuffix(SUFFIX): entry.read_text("utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(SUFFIX)
    }


def load_study(spec: str) -> Study:
    """A study by the name of a shipped one, or from a file; an existing file wins.

    Raises:
        InputError: There is no such study, its file cannot be read, or it says something that no study has.
    """
    path, known = Path(spec), shipped()
    with suppress(OSError, RuntimeError):  # a name that no file can have, or the home of nobody
        path = path.expanduser()
        if path.is_file():
            return parsed(path.stem, _read(path))
    if spec in known:
        return parsed(spec, known[spec])
    raise InputError(
        "a study file (TOML), or the name of a shipped study",
        found=f"{spec!r}, which is none",
        remedy=f"name a file, or one of {', '.join(known)}",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"a readable study file at {path}", found=str(error), remedy="write it as UTF-8") from error


def parsed(name: str, text: str) -> Study:
    """The study that a text describes.

    Raises:
        InputError: The text is no TOML, or a key, name or value is not one that a study can have; with its line.
    """
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, or brackets within brackets
        raise InputError(f"TOML in the study {name}", found=str(error), remedy="mend that line") from error
    return _Reading(name, text).study(data)


@dataclass(frozen=True)
class _Reading:
    """A study file while it is read, to say at which line something is wrong."""

    name: str
    text: str

    def study(self, data: Mapping[str, Any]) -> Study:
        self._keys(data, _STUDY_KEYS)
        settings, questions = self._settings(data, ""), self._texts(data, "questions", "")
        members = [
            *(self._family(entry, settings, questions, place) for place, entry in self._tables(data, "family")),
            *(self._timeline(entry, settings, questions, place) for place, entry in self._tables(data, "timeline")),
        ]
        if not members:
            raise self._error("at least one [[family]] or [[timeline]]", "none", "add one", "")
        counts = Counter(member.name.casefold() for member in members)  # some file systems know no case
        twice = [member.name for member in members if counts[member.name.casefold()] > 1]
        if twice:
            raise self._error("a name of its own for every member", f"{twice[0]!r} twice", "rename one", twice[0])
        self._distinct(members)
        title = data.get("title", self.name)
        if not isinstance(title, str):
            raise self._error("a title in words", repr(title), "put it into quotation marks", "title")
        return Study(self.name, title, self.text, tuple(members))

    def _distinct(self, members: Sequence[Member]) -> None:
        seen: dict[Any, str] = {}
        for member in members:
            before = seen.setdefault(member.job, member.name)
            if before != member.name:
                raise self._error(
                    "each family once", f"{member.name!r}, the same job as {before!r}", "take one of them out",
                    member.name,
                )  # fmt: skip

    def _family(
        self, entry: Mapping[str, Any], settings: Mapping[str, Any], questions: tuple[str, ...], place: str
    ) -> Member:
        self._keys(entry, _FAMILY_KEYS)
        name = self._name(entry, place)
        written = [entry[side] for side in ("base", "instruct") if side in entry]
        if len(written) == 1:
            raise self._error("base and instruct, or neither for a known family", "one of them", "add the other", place)
        for side in written:
            if not isinstance(side, str) or not side:
                raise self._error("a reference in words for base and instruct", repr(side), "write org/name", place)
        base, instruct = written or pair_of(name)
        job = Job(base, instruct, self._texts(entry, "questions", place) or questions)
        return Member("family", name, (base, instruct), self._with(job, {**settings, **self._settings(entry, place)}))

    def _timeline(
        self, entry: Mapping[str, Any], settings: Mapping[str, Any], questions: tuple[str, ...], place: str
    ) -> Member:
        self._keys(entry, _TIMELINE_KEYS)
        name = self._name(entry, place)
        refs = self._texts(entry, "checkpoints", place)
        if not refs:
            known = entry.get("family", name)
            if not isinstance(known, str):
                raise self._error("the name of a known family", repr(known), "write its name", place)
            refs = tuple(str(ref) for ref in family(known).stages.values())
        tuned = entry.get("tuned", 1)
        if not isinstance(tuned, int) or isinstance(tuned, bool) or not 1 <= tuned <= len(refs) or len(refs) < 2:
            raise self._error(
                "two or more checkpoints, and how many of them at the end are tuned", f"{len(refs)} and {tuned!r}",
                "name more checkpoints, or give tuned = 1", place,
            )  # fmt: skip
        job = Job(refs[0], refs[-1], self._texts(entry, "questions", place) or questions)
        how = self._with(job, {**settings, **self._settings(entry, place)})
        return Member("timeline", name, refs, TimelineJob(refs, how, tuned))

    def _with(self, job: Job, settings: Mapping[str, Any]) -> Job:
        values = dict(settings)
        if values.pop(QUICK_SETTING, False):
            values["effort"] = QUICK
        return Job(**{**{part.name: getattr(job, part.name) for part in fields(Job)}, **values})

    def _name(self, entry: Mapping[str, Any], place: str) -> str:
        name = entry.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name) or name.casefold() == "report.html":
            raise self._error(
                "a name of letters, digits, points and dashes", repr(name), 'write name = "gemma-3-4b"', place
            )
        return name

    def _tables(self, data: Mapping[str, Any], kind: str) -> list[tuple[str, Mapping[str, Any]]]:
        entries = data.get(kind, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self._error(f"tables [[{kind}]]", f"another form of {kind}", f"write [[{kind}]]", kind)
        return [(f"[[{kind}]] {number}", entry) for number, entry in enumerate(entries, 1)]

    def _texts(self, data: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
        value = data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self._error(f"a list of names for {key}", repr(value), f'write {key} = ["…"]', place or key)
        return tuple(value)

    def _settings(self, data: Mapping[str, Any], place: str) -> dict[str, Any]:
        settings = data.get("settings", {})
        if not isinstance(settings, dict):
            raise self._error("a table of settings", repr(settings), "write settings.samples = 10", place or "settings")
        hints = {name: hint for name, hint in get_type_hints(Job).items() if name not in _NOT_SETTINGS}
        hints[QUICK_SETTING] = bool
        for key, value in settings.items():
            if key not in hints:
                raise self._error(f"a setting ({', '.join(sorted(hints))})", repr(key), "mend the name", key)
            if not _fits(value, hints[key]):
                raise self._error(f"{_words(hints[key])} for {key}", repr(value), "mend the value", key)
        return {key: _plain(key, value) for key, value in settings.items()}

    def _keys(self, data: Mapping[str, Any], allowed: Sequence[str]) -> None:
        for key in data:
            if key not in allowed:
                raise self._error(f"keys {', '.join(allowed)}", repr(key), "mend the key", key)

    def _error(self, wanted: str, found: str, remedy: str, where: str) -> InputError:
        line = self._line(where)
        return InputError(f"{wanted} in the study {self.name}", found=found + (f" (line {line})" if line else ""),
                          remedy=remedy)  # fmt: skip

    def _line(self, where: str) -> int | None:
        """The line of the n-th table of a kind, or the last one with a word; TOML's reader keeps no positions."""
        header, _, number = where.partition(" ")
        lines = self.text.splitlines()
        if header.startswith("[["):
            found = [at for at, line in enumerate(lines, 1) if line.split("#")[0].strip().replace(" ", "") == header]
            return found[int(number) - 1] if len(found) >= int(number) else None
        found = [at for at, line in enumerate(lines, 1) if where and re.search(rf"(?<!\w){re.escape(where)}", line)]
        return found[-1] if found else None


def _plain(key: str, value: Any) -> Any:
    """A value in the form that a job takes."""
    if key == TEMPLATE_ARGS:
        return tuple(sorted(value.items()))
    if isinstance(value, list):
        return tuple(value)
    return float(value) if key == "C" else value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a TOML value is of a setting's type; a whole number is a number too, and nothing is not a value."""
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(hint) if part is not NoneType)
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint == TEXTS:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if get_origin(hint) is tuple:  # variables of a chat template: a table of names and values
        return isinstance(value, dict)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _words(hint: Any) -> str:
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_words(part) for part in get_args(hint) if part is not NoneType)
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if get_origin(hint) is tuple:
        return "a list of texts" if hint == TEXTS else "a table of names and values"
    return {str: "text", int: "a whole number", float: "a positive number", bool: "true or false"}[hint]
