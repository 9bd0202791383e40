"""README and docs: short, no dead links, commands that exist; generated pages are current, and the site builds."""

import os
import re
import shlex
import subprocess
import sys
import unicodedata
from collections import Counter
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer.main
from test_rooms import ROOT

from docs import write_reference, write_settings
from provenance.analyses.jobs.compare_job import Job
from provenance.api.compare_settings import DEFAULTS
from provenance.cli import app
from provenance.version import VERSION

PAGES = (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\.venv/bin/)?provenance (.+)$", re.MULTILINE)


def test_the_readme_is_read_in_a_few_minutes() -> None:
    """Short, with a picture each of the demo, of behaviour and of a study, and with output that fits on a screen."""
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 200
    assert max(map(len, text.splitlines())) <= 240
    assert text.count("![") == 3
    (demo,) = re.findall("(?ms)^```text\n(.+?)^```$", text)
    assert len(demo.splitlines()) <= 25


@pytest.mark.parametrize(("page", "places"), [("README.md", 2), ("CITATION.cff", 1), ("CHANGELOG.md", 1)])
def test_the_version_is_told_as_it_is(page: str, places: int) -> None:
    """In the name of the wheel and in what one cites."""
    assert (ROOT / page).read_text("utf-8").count(VERSION) >= places


def anchors(page: Path) -> set[str]:
    """What a link may name after `#`: the headings of a page, in lower case, with dashes for spaces."""
    headings = re.findall(r"^#+ (.+?)\s*$", CODE.sub("", page.read_text("utf-8")), re.MULTILINE)
    slugs = ["".join(each for each in one.lower().replace(" ", "-") if kept(each)) for one in headings]
    seen: Counter[str] = Counter()
    found = set()
    for slug in slugs:
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def kept(character: str) -> bool:
    """Whether a character of a heading stays in its anchor."""
    return character in "-_" or unicodedata.category(character)[0] in "LN"


def dead_links(page: Path) -> list[str]:
    """Links of a page that lead to no file, or to no heading of one."""
    dead = []
    for link in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and (target.suffix != ".md" or anchor not in anchors(target))):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    assert dead_links(page) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text(
        "# A heading, twice\n\n# A heading, twice\n\n```bash\n# no heading\n```\n", "utf-8"
    )
    page = tmp_path / "page.md"
    alive = ("there.md", "there.md#a-heading-twice", "there.md#a-heading-twice-1", "#own", "https://example.org/x")
    dead = ("gone.md", "there.md#no-heading", "there.md#a-heading-twice-2", "#other")
    page.write_text("# Own\n" + " ".join(f"[x]({link})" for link in (*alive, *dead)), "utf-8")
    assert dead_links(page) == list(dead)


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = (link.partition("#")[0] for link in LINK.findall(page.read_text("utf-8")))
        waiting += [(page.parent / link).resolve() for link in links if link and "://" not in link]
    assert {page.resolve() for page in PAGES} <= seen


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


def test_the_settings_of_python_are_those_of_the_job() -> None:
    assert write_settings.FILE.read_text("utf-8") == write_settings.settings_module(), "run `make docs`"
    job = Job("base", "instruct", **DEFAULTS)
    assert job == Job("base", "instruct")
    assert {item.name for item in fields(Job)} == {*DEFAULTS, *write_settings.NAMED}


@pytest.mark.parametrize("name", write_reference.pages())
def test_generated_pages_are_what_make_docs_would_write(name: str) -> None:
    assert (write_reference.FOLDER / name).read_text("utf-8") == write_reference.pages()[name], "run `make docs`"


def test_generated_pages_have_every_command_and_no_other_page_is_generated() -> None:
    assert {page.name for page in write_reference.FOLDER.iterdir()} == set(write_reference.pages())
    text = write_reference.pages()["cli.md"]
    groups, commands = [("provenance", typer.main.get_command(app))], set()
    while groups:
        prefix, group = groups.pop()
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                groups.append((f"{prefix} {name}", command))
            else:
                commands.add(f"{prefix} {name}")
    assert set(re.findall("^## (.+)$", text, re.MULTILINE)) == commands


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="MkDocs is not installed: the extra docs brings it")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Every page is in it and in its contents, and so is every picture that a page shows.

    `--quiet` would hide warnings, and the errors that `--strict` makes of them.
    """
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert (done.returncode, re.findall("(?m)^(?:WARNING|ERROR).*$", said)) == (0, []), said
    built = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
    pages = {page.relative_to(ROOT).with_suffix(".html").as_posix().removeprefix("docs/") for page in PAGES}
    assert pages - {"README.html"} | {"index.html"} <= built
    first = (tmp_path / "index.html").read_text("utf-8")
    shown = re.findall(r'<img[^>]* src="([^"]+\.png)"', first)
    assert shown
    assert all((tmp_path / path).is_file() for path in shown)
    assert [path.name for path in tmp_path.rglob("*.py")] == ["example.py"]
    assert (tmp_path / "example.ipynb").is_file()
