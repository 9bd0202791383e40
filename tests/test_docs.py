"""README and docs: short, without dead links, with commands that exist."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main
from test_rooms import ROOT

from provenance.cli import app

PAGES = (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^(?:\.venv/bin/)?provenance (.+)$", re.MULTILINE)


def test_the_readme_is_read_in_a_few_minutes() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 200
    assert max(map(len, lines)) <= 240


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    links = [link.partition("#")[0] for link in LINK.findall(page.read_text("utf-8"))]
    missing = [link for link in links if link and "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = (link.partition("#")[0] for link in LINK.findall(page.read_text("utf-8")))
        waiting += [(page.parent / link).resolve() for link in links if link and "://" not in link]
    assert {page.resolve() for page in ROOT.glob("docs/*.md")} <= seen


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_their_options_exist(page: Path) -> None:
    for line in COMMAND.findall(page.read_text("utf-8").replace("\\\n", " ")):
        words = shlex.split(line, comments=True)
        command = typer.main.get_command(app)
        while commands := getattr(command, "commands", None):
            name = words.pop(0)
            assert name in commands, line
            command = commands[name]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_page_shows_tables_as_they_are_no_longer_printed(page: Path) -> None:
    assert not set("┏┡│└") & set(page.read_text("utf-8"))
