"""Rooms are small, and imports between them go one way: provenance, analyses, db, figures."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ["provenance", "analyses", "db", "figures"]
COMPOSERS = ("provenance.cli", "provenance.api")
MOST_MODULES = 12


def modules() -> dict[str, Path]:
    """File of every module; the links inside `provenance` are not followed."""
    found = {}
    for room in ROOMS:
        prefix = "" if room == "provenance" else "provenance."
        for path in (ROOT / room).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[0] != "provenance" or len(parts) == 1 or parts[1] not in ROOMS:
                found[prefix + ".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """Names that a file imports, wherever in it: ours as modules, others as written."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def test_every_benchmark_can_be_imported() -> None:
    """They are run by hand, so that a name that a room has lost would be noticed late."""
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        if path.stem != "__main__":
            import_module(f"benchmarks.{path.stem}")


def room_of(module: str) -> str:
    """Which of the four rooms a module of ours belongs to."""
    inner = module.split(".")[1:2]
    return inner[0] if inner and inner[0] in ROOMS else "provenance"


@cache
def imports() -> dict[str, set[str]]:
    """Modules of ours that each module imports; read where a test asks, not when tests are collected."""
    return {name: {other for other in imported(path) if other in MODULES} - {name} for name, path in MODULES.items()}


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """A circle in a graph; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def folder_of(module: str) -> str:
    """Folder that a module lies in."""
    return str(MODULES[module].parent.relative_to(ROOT))


def folder_graph(room: str) -> dict[str, set[str]]:
    """Folders of a room, each with the folders that its modules import from."""
    graph: dict[str, set[str]] = {}
    for module, others in imports().items():
        if room_of(module) == room and MODULES[module].name not in {"__init__.py", "__main__.py"}:
            own = {folder_of(other) for other in others if room_of(other) == room}
            graph.setdefault(folder_of(module), set()).update(own - {folder_of(module)})
    return graph


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_imports_a_later_room(room: str) -> None:
    """Only the command line and the Python interface compose all of them."""
    later = set(ROOMS[ROOMS.index(room) + 1 :])
    wrong = {
        module: found
        for module, others in imports().items()
        if room_of(module) == room and not module.startswith(COMPOSERS)
        if (found := {other for other in others if room_of(other) in later})
    }
    assert wrong == {}


def test_the_check_of_circles_finds_one() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert not circle({"a": {"b", "c"}, "b": {"c"}})


def test_modules_import_each_other_in_no_circle() -> None:
    """Imports inside functions count as well."""
    assert circle(imports()) == []


@pytest.mark.parametrize("room", ROOMS)
def test_folders_of_a_room_import_each_other_in_no_circle(room: str) -> None:
    assert circle(folder_graph(room)) == []


def test_no_folder_holds_more_modules_than_one_overlooks() -> None:
    """At most twelve, beside the package itself."""
    held: dict[str, int] = {}
    for module, path in MODULES.items():
        if path.name != "__init__.py":
            held[folder_of(module)] = held.get(folder_of(module), 0) + 1
    assert {folder: number for folder, number in held.items() if number > MOST_MODULES} == {}


@pytest.mark.costly
def test_nothing_imports_a_room_by_its_folder_name() -> None:
    """`provenance` is the one import name that is installed."""
    files = [*MODULES.values(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    wrong = {str(path) for path in files for name in imported(path) if name.split(".")[0] in ROOMS[1:]}
    assert wrong == set()


@pytest.mark.parametrize("room", ROOMS[1:])
def test_a_room_is_the_same_under_its_import_name(room: str) -> None:
    """A checkout without symbolic links has a text file in its place."""
    link = ROOT / "provenance" / room
    assert link.is_symlink()
    assert link.readlink() == Path("..") / room


def test_the_command_line_composes_all_rooms_inside_its_commands() -> None:
    """So that `--help` waits for none of them."""
    used = {room_of(other) for module, others in imports().items() if module.startswith(COMPOSERS) for other in others}
    assert used == set(ROOMS)
    code = "import sys, provenance.cli; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names = set(ast.literal_eval(loaded))
    assert not {name for name in names if name.startswith("provenance.") and room_of(name) != "provenance"}
    assert "numba" not in names


def test_figures_know_the_queries_only() -> None:
    """Beside them errors, files, processors, words, version, declared results, plain formulas, published numbers."""
    used = {other for module, others in imports().items() if room_of(module) == "figures" for other in others}
    allowed = {
        "provenance",
        "provenance.cells",
        "provenance.checkpoints.published_numbers",
        "provenance.db.reading.run_query",
        "provenance.db.reading.study_query",
        "provenance.table_declaration",
        "provenance.errors",
        "provenance.files",
        "provenance.processes.fork_join",
        "provenance.records",
        "provenance.version",
        "provenance.words",
    }
    declared = ("provenance.analyses.results.", "provenance.stages", "provenance.statistics.")
    assert {name for name in used if room_of(name) != "figures" and not name.startswith(declared)} <= allowed


@pytest.mark.costly
def test_the_database_needs_no_torch() -> None:
    names = ("db.store", "db.reading.run_query", "figures.gallery", "figures.report.html")
    code = f"import sys, {', '.join(f'provenance.{name}' for name in names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_rooms_has_no_side_effects() -> None:
    """No files, no output, no warnings at import."""
    names = ("cli", "analyses.jobs.run_comparison", "db.store", "figures.report.html")
    code = f"import {', '.join(f'provenance.{name}' for name in names)}"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_tree_has_one_line_per_folder() -> None:
    """Every package is named in the tree of CONTRIBUTING."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = text.split("```text\nprovenance/")[1].split("```")[0]
    listed = {line.split()[0].rstrip("/") for line in ("provenance/" + tree).splitlines() if line.strip()}
    packages = {path.parent.name for path in MODULES.values() if path.name == "__init__.py"}
    assert packages - {"versions"} <= listed
