"""The rooms keep their order: provenance, analyses, db, figures, each importing only what comes before."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ["provenance", "analyses", "db", "figures"]
COMPOSER = ROOT / "provenance" / "cli"


def imports(path: Path) -> set[str]:
    """Modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def later_rooms(path: Path) -> set[str]:
    """Rooms that a file imports and that come after its own."""
    own = ROOMS.index(path.relative_to(ROOT).parts[0])
    return {name.split(".")[0] for name in imports(path)} & set(ROOMS[own + 1 :])


@pytest.mark.parametrize("room", ROOMS)
def test_no_file_imports_a_later_room(room: str) -> None:
    """Only the command line composes all of them."""
    wrong = {
        str(p): later_rooms(p) for p in (ROOT / room).rglob("*.py") if COMPOSER not in p.parents and later_rooms(p)
    }
    assert wrong == {}


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Wherever in a file the import stands."""
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    graph = {name: (imports(path) & set(modules)) - {name} for name, path in modules.items()}
    assert graph["provenance.hub.fetch"] >= {"provenance.weights.merged_adapter", "provenance.checkpoints.names"}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_command_line_composes_all_rooms_inside_its_commands() -> None:
    """So that `--help` waits for none of them."""
    assert {room for path in COMPOSER.rglob("*.py") for room in later_rooms(path)} == {"analyses", "db", "figures"}
    code = "import sys, provenance.cli; print([name for name in sys.modules if '.' not in name])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not set(ast.literal_eval(loaded)) & {"analyses", "db", "figures", "numba"}


def test_figures_know_the_queries_only() -> None:
    """Beside them only the error tree, the way files are written, and words that the terminal uses as well."""
    used = {name for path in (ROOT / "figures").rglob("*.py") for name in imports(path)}
    ours = {name for name in used if name.split(".")[0] in ROOMS}
    allowed = {"db.reading.queries", "provenance", "provenance.errors", "provenance.files", "provenance.probe_words"}
    assert {name for name in ours if not name.startswith("figures")} <= allowed


def test_the_database_needs_no_torch() -> None:
    code = "import sys, db.store, db.reading.queries, figures.gallery, figures.report.html; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_rooms_has_no_side_effects() -> None:
    """No files, no output, no warnings at import."""
    code = "import provenance.cli, analyses.jobs.compare, db.store, figures.report.html"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_readme_tree_has_one_line_per_file() -> None:
    """Every module is named in the README's tree, and nothing that is not there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = text.split("```text\nprovenance/")[1].split("```")[0]
    for room in ROOMS:
        for path in (ROOT / room).glob("*.py"):
            if path.name != "__init__.py":
                assert f" {path.name} " in tree, path
