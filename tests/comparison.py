"""A pair of tiny speaking checkpoints with questions, and the one command that most harm is done to."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from checkpoint_factory import make_speaker, tuned_copy, write_questions
from click.testing import Result
from forked_cli import ROOT, Done, ForkedCli, Harm
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from provenance.cli import app

PASSING = ("stages", "peak_memory_bytes", "figures", "report")  # what two runs of one job may differ in
FAST = ("--samples", "2", "--max-new-tokens", "4", "--batch-size", "16", "--quick")
SCHEMA_FILE = ROOT / "provenance" / "cli" / "compare.schema.json"
UNDRAWN = "--no-figures"
"""For commands whose figures no test looks at."""


@dataclass(frozen=True)
class Pair:
    """Checkpoints and questions of a comparison that takes seconds."""

    base: Path
    """Speaks; has no chat template, as base models have none."""
    instruct: Path
    """Its child, with a chat template."""
    cities: Path
    """Questions of which the speakers know half."""
    towns: Path
    """Others, for transfer."""

    @classmethod
    def make(cls, folder: Path) -> "Pair":
        """Write everything below a folder."""
        pair = cls.of(folder)
        tuned_copy(make_speaker(pair.base, chat=False), pair.instruct)
        write_questions(pair.cities, known=40, unknown=40)
        write_questions(pair.towns, known=14, unknown=14, about="Peru")
        return pair

    @classmethod
    def of(cls, folder: Path) -> "Pair":
        """What was written below a folder."""
        return cls(folder / "base", folder / "instruct", folder / "cities.jsonl", folder / "towns.jsonl")

    @property
    def command(self) -> tuple[str, ...]:
        """Compare both on both question sets, quietly, with JSON on stdout."""
        questions = ("--questions", str(self.cities), "--questions", str(self.towns))
        return ("compare", str(self.base), str(self.instruct), *questions, *FAST, "--json", "-q")

    @property
    def undrawn(self) -> tuple[str, ...]:
        """The same, without figures and report."""
        return (*self.command, UNDRAWN)


@dataclass(frozen=True)
class Finished:
    """A comparison that ran to its end undisturbed."""

    folder: Path
    """Working folder, with database and figures."""
    done: Done
    """What was printed."""

    @classmethod
    def run(cls, forked: ForkedCli, folder: Path, *command: str) -> None:
        """Run a command to its end in a folder, and keep beside its files what it printed."""
        work = folder / "work"
        work.mkdir()
        done = forked.run(work, *command)
        assert done.code == 0, done.stderr
        (folder / "printed.json").write_text(json.dumps(asdict(done)), "utf-8")

    @classmethod
    def of(cls, folder: Path) -> "Finished":
        """What was run there."""
        return cls(folder / "work", Done(**json.loads((folder / "printed.json").read_text("utf-8"))))

    @property
    def summary(self) -> dict[str, Any]:
        """The JSON object."""
        return parsed(self.done.stdout)

    def copied(self, folder: Path) -> str:
        """URL of a copy of the database, captured vectors beside it."""
        shutil.copytree(self.folder / "provenance.captures", folder / "provenance.captures")
        shutil.copyfile(self.folder / "provenance.db", folder / "provenance.db")
        return f"sqlite:///{folder / 'provenance.db'}"


def parsed(stdout: str) -> dict[str, Any]:
    """Exactly one JSON object."""
    value = json.loads(stdout)
    assert isinstance(value, dict)
    return value


def schema_errors(summary: Mapping[str, Any]) -> list[str]:
    """Where the JSON of a comparison breaks the schema that ships with the package: path and reason of each."""
    validator = Draft202012Validator(json.loads(SCHEMA_FILE.read_text("utf-8")))
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(summary)]


def numbers(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be the same in two runs of one job."""
    return {name: value for name, value in summary.items() if name not in PASSING}


def invoke(*args: object) -> Result:
    """A command in this process."""
    return CliRunner().invoke(app, [str(arg) for arg in args])


def refused(*args: object, code: int) -> list[str]:
    """A command that ends in one clear error; its lines wanted, found, remedy."""
    result = invoke(*args)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return error_lines(result.stderr)


def error_lines(stderr: str) -> list[str]:
    """The three lines of the one error on stderr, which is the last thing there; no traceback."""
    said = stderr.splitlines()
    assert said.count("error") == 1, stderr
    assert "Traceback" not in stderr
    lines = said[said.index("error") + 1 :]
    assert [line.split(":")[0] for line in lines] == ["  wanted", "  found", "  remedy"], stderr
    assert all(line.split(":", 1)[1].strip() for line in lines)
    return [line.split(": ", 1)[1] for line in lines]


__all__ = [
    "SCHEMA_FILE", "UNDRAWN", "Done", "Finished", "ForkedCli", "Harm", "Pair", "error_lines", "invoke", "numbers",
    "parsed", "refused", "schema_errors",
]  # fmt: skip
