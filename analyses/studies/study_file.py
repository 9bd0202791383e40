"""A study file: which families are compared, on which questions, under which settings.

A study is TOML. Settings have the names of `provenance.analyses.jobs.compare_job.Job`; those of a family win over those
of the study. Members are families (a pair of checkpoints, known by name or written out) and timelines. Benchmarks for
scaled neurons, and a study's responses that exist, are for families alone; a timeline can have responses of its own.
"""

import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_type_hints

from provenance.analyses.jobs.compare_job import Job
from provenance.analyses.jobs.effort import QUICK
from provenance.analyses.studies.toml_values import STUDY, fits, line_of, place_of, plain, words
from provenance.analyses.timeline.timeline_job import TimelineJob
from provenance.checkpoints.known_families import family, pair_of
from provenance.errors import InputError

SUFFIX = ".toml"
QUICK_SETTING = "quick"
NAME = re.compile(r"[A-Za-z0-9_][\w.+-]{0,99}", re.ASCII)
"""Names of studies and their members, which are also those of folders."""
BEHAVIOUR: Mapping[str, str] = {
    "benchmarks": "behaviour", "alphas": "alphas", "sets": "sets", "items": "items", "reply_tokens": "reply_tokens",
    "neutral_text": "neutral_text",
}  # fmt: skip
"""Keys of a table [behaviour], and the fields of a job that they are."""
GIVEN = ("responses", "positive", "concept")
"""Keys of responses that exist, in place of questions."""
_NOT_SETTINGS = ("base", "instruct", "questions", "neurons", "control", "other", "effort", *BEHAVIOUR.values(), *GIVEN)
_OF_FAMILIES = ("questions", "settings", "behaviour", *GIVEN)
_STUDY_KEYS = ("title", *_OF_FAMILIES, "family", "timeline")
_FAMILY_KEYS = ("name", "base", "instruct", *_OF_FAMILIES)
_TIMELINE_KEYS = ("name", "family", "checkpoints", "tuned", "questions", "settings", *GIVEN)

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


def what_changed(before: str, now: Study, names: Sequence[str]) -> dict[str, str]:
    """What is other in the named members than in an earlier text of the file, in words.

    Names that the file has no more were taken out; where the earlier text cannot be read any more, they are changed.
    """
    try:
        old = {member.name: member for member in parsed(now.name, before).members}
    except InputError:  # of an older release
        old = {}
    new = {member.name: member for member in now.members}
    return {name: _difference(old.get(name), new[name]) if name in new else "taken out" for name in names}


def _difference(old: Member | None, new: Member) -> str:
    if old is None or old.kind != new.kind:
        return "changed"
    found = [] if old.refs == new.refs else ["checkpoints"]
    before, after = ({**vars(how_of(member.job)), "tuned": getattr(member.job, "tuned", 1)} for member in (old, new))
    ways = [name for name, value in after.items() if name not in ("base", "instruct") and value != before[name]]
    return ", ".join([*found, *ways]) or "changed"


def how_of(job: Job | TimelineJob) -> Job:
    """The settings of a member's job; those of a timeline hold for all of its checkpoints."""
    return job.how if isinstance(job, TimelineJob) else job


def changed(job: Job | TimelineJob, **fields_of_job: Any) -> Job | TimelineJob:
    """A member's job with some fields of its `Job` changed; raises InputError where these contradict others."""
    how = replace(how_of(job), **fields_of_job)
    return replace(job, how=how) if isinstance(job, TimelineJob) else how


@dataclass(frozen=True)
class _Shared:
    """What a study says for its members, or a member for itself."""

    questions: tuple[str, ...]
    settings: Mapping[str, Any]
    behaviour: Mapping[str, Any]
    """Fields of a job."""
    given: Mapping[str, Any]
    """The same, of responses that exist."""

    def with_own(self, own: "_Shared") -> "_Shared":
        """What holds for a member: its own words win, and its questions or responses stand in place of the study's."""
        given = {**({} if own.questions else self.given), **own.given}
        questions = own.questions or (() if "responses" in given else self.questions)
        return _Shared(questions, {**self.settings, **own.settings}, {**self.behaviour, **own.behaviour}, given)


@dataclass(frozen=True)
class _Reading:
    """A study file while it is read, to say at which line something is wrong."""

    name: str
    text: str

    def study(self, data: Mapping[str, Any]) -> Study:
        self._keys(data, _STUDY_KEYS, STUDY)
        shared = self._shared(data, STUDY)
        families = [self._family(entry, shared, place) for place, entry in self._tables(data, "family")]
        timelines = [self._timeline(entry, shared, place) for place, entry in self._tables(data, "timeline")]
        members = [*families, *timelines]
        if not members:
            raise self._error("at least one [[family]] or [[timeline]]", "none", "add one", STUDY)
        unused = [key for key in ("behaviour", *GIVEN) if key in data and not families]
        if unused:
            raise self._error(f"a [[family]] for {unused[0]}", "timelines alone", "leave it out", STUDY, unused[0])
        counts = Counter(member.name.casefold() for member in members)  # some file systems know no case
        twice = [member.name for member in members if counts[member.name.casefold()] > 1]
        if twice:
            raise self._error("a name of its own for every member", f"{twice[0]!r} twice", "rename one", None, twice[0])
        self._distinct(members)
        title = data.get("title", self.name)
        if not isinstance(title, str):
            raise self._error("a title in words", repr(title), "put it into quotation marks", STUDY, "title")
        return Study(self.name, title, self.text, tuple(members))

    def _distinct(self, members: Sequence[Member]) -> None:
        seen: dict[Any, str] = {}
        for member in members:
            before = seen.setdefault(member.job, member.name)
            if before != member.name:
                raise self._error(
                    "each family once", f"{member.name!r}, the same job as {before!r}", "take one of them out",
                    None, member.name,
                )  # fmt: skip

    def _shared(self, data: Mapping[str, Any], place: str) -> _Shared:
        questions, settings = self._texts(data, "questions", place), self._settings(data, place)
        return _Shared(questions, settings, self._behaviour(data, place), self._given(data, place))

    def _family(self, entry: Mapping[str, Any], study: _Shared, place: str) -> Member:
        self._keys(entry, _FAMILY_KEYS, place)
        name = self._name(entry, place)
        written = [entry[side] for side in ("base", "instruct") if side in entry]
        if len(written) == 1:
            raise self._error("base and instruct, or neither for a known family", "one of them", "add the other", place)
        for side in written:
            if not isinstance(side, str) or not side:
                raise self._error("a reference in words for base and instruct", repr(side), "write org/name", place)
        base, instruct = written or pair_of(name)
        how = study.with_own(self._shared(entry, place))
        more = {**how.settings, **self._asked(how.behaviour, place), **how.given}
        return Member("family", name, (base, instruct), self._with(Job(base, instruct, how.questions), more, place))

    def _timeline(self, entry: Mapping[str, Any], study: _Shared, place: str) -> Member:
        self._keys(entry, _TIMELINE_KEYS, place)
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
        given = self._given(entry, place)
        asked = self._texts(entry, "questions", place) or (() if "responses" in given else study.questions)
        how = self._with(
            Job(refs[0], refs[-1], asked), {**study.settings, **self._settings(entry, place), **given}, place
        )
        return Member("timeline", name, refs, TimelineJob(refs, how, tuned))

    def _with(self, job: Job, settings: Mapping[str, Any], place: str) -> Job:
        """The job with its settings; what they contradict is told with the line of the member."""
        values = dict(settings)
        if values.pop(QUICK_SETTING, False):
            values["effort"] = QUICK
        try:
            return Job(**{**{part.name: getattr(job, part.name) for part in fields(Job)}, **values})
        except InputError as error:
            raise self._error(error.wanted, error.found, error.remedy, place) from error

    def _asked(self, behaviour: Mapping[str, Any], place: str) -> Mapping[str, Any]:
        """What a family is asked while neurons are scaled; an empty list of benchmarks is for a family without."""
        if behaviour and BEHAVIOUR["benchmarks"] not in behaviour:
            raise self._error("benchmarks in [behaviour]", "none", 'write benchmarks = ["…"]', place, "behaviour")
        return behaviour if behaviour.get(BEHAVIOUR["benchmarks"]) else {}

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
            raise self._error(f"tables [[{kind}]]", f"another form of {kind}", f"write [[{kind}]]", STUDY, kind)
        return [(place_of(kind, number), entry) for number, entry in enumerate(entries, 1)]

    def _texts(self, data: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
        value = data.get(key, [])
        if not fits(value, tuple[str, ...]):
            raise self._error(f"a list of names for {key}", repr(value), f'write {key} = ["…"]', place, key)
        return tuple(value)

    def _settings(self, data: Mapping[str, Any], place: str) -> dict[str, Any]:
        hints = {name: hint for name, hint in get_type_hints(Job).items() if name not in _NOT_SETTINGS}
        return self._table(data, "settings", {**hints, QUICK_SETTING: bool}, "settings.samples = 10", place)

    def _behaviour(self, data: Mapping[str, Any], place: str) -> dict[str, Any]:
        of_job = get_type_hints(Job)
        hints = {key: of_job[name] for key, name in BEHAVIOUR.items()}
        found = self._table(data, "behaviour", hints, 'behaviour.benchmarks = ["…"]', place)
        return {BEHAVIOUR[key]: value for key, value in found.items()}

    def _given(self, data: Mapping[str, Any], place: str) -> dict[str, Any]:
        """Responses that exist, and what their labels are about."""
        found = {key: data[key] for key in GIVEN if key in data}
        for key, value in found.items():
            if not isinstance(value, str) or not value:
                raise self._error(f"text for {key}", repr(value), f'write {key} = "…"', place, key)
        return {key: Path(value) if key == "responses" else value for key, value in found.items()}

    def _table(
        self, data: Mapping[str, Any], name: str, hints: Mapping[str, Any], example: str, place: str
    ) -> dict[str, Any]:
        """The values of a table whose keys and types are known."""
        table = data.get(name, {})
        if not isinstance(table, dict):
            raise self._error(f"a table of {name}", repr(table), f"write {example}", place, name)
        for key, value in table.items():
            if key not in hints:
                raise self._error(f"one of {', '.join(sorted(hints))}", repr(key), "mend the name", place, key)
            if not fits(value, hints[key]):
                raise self._error(f"{words(hints[key])} for {key}", repr(value), "mend the value", place, key)
        return {key: plain(key, value) for key, value in table.items()}

    def _keys(self, data: Mapping[str, Any], allowed: Sequence[str], place: str) -> None:
        for key in data:
            if key not in allowed:
                raise self._error(f"keys {', '.join(allowed)}", repr(key), "mend the key", place, key)

    def _error(self, wanted: str, found: str, remedy: str, place: str | None, word: str = "") -> InputError:
        line = line_of(self.text, place, word)
        return InputError(f"{wanted} in the study {self.name}", found=found + (f" (line {line})" if line else ""),
                          remedy=remedy)  # fmt: skip
