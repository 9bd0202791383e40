"""Hook of MkDocs: files of the repository as files of the site.

The site has `docs/` at its root and the README as its first page. Links are written for the repository, where they are
followed on a code host as well; here they are turned into links of the site, and the files outside of `docs/` that
pages lead to are added to it.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

FOLDER = "docs/"
FIRST_PAGE = ("README.md", "index.md")
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)[^)\s#]+")


def in_site(path: str) -> str:
    """Where a file of the repository is in the site."""
    return FIRST_PAGE[1] if path == FIRST_PAGE[0] else path.removeprefix(FOLDER)


def in_repository(uri: str, root: Path) -> str:
    """Where a file of the site is in the repository; the reverse of `in_site`."""
    if uri == FIRST_PAGE[1]:
        return FIRST_PAGE[0]
    return FOLDER + uri if (root / FOLDER / uri).is_file() else uri


def linked(path: str, text: str) -> Iterator[str]:
    """Files of the repository that a page leads to."""
    return (posixpath.normpath(posixpath.join(posixpath.dirname(path), link)) for link in LINK.findall(text))


def rewritten(path: str, text: str) -> str:
    """A page of the repository with the links of the site."""

    def of_site(match: re.Match[str]) -> str:
        [target] = linked(path, f"]({match[0]})")
        return posixpath.relpath(in_site(target), posixpath.dirname(in_site(path)) or ".")

    return LINK.sub(of_site, text)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the README and every file outside of `docs/` that a page leads to, directly or by another page."""
    root = _root(config)
    waiting = [FIRST_PAGE[0], *(in_repository(file.src_uri, root) for file in files.documentation_pages())]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        if files.get_file_from_path(in_site(path)) is None and (root / path).is_file():
            files.append(File.generated(config, in_site(path), abs_src_path=str(root / path)))
        if path.endswith(".md") and (root / path).is_file():
            new = set(linked(path, (root / path).read_text("utf-8"))) - seen
            seen |= new
            waiting += sorted(new)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs' names
    """The text of a page, with the links of the site."""
    return rewritten(in_repository(page.file.src_uri, _root(config)), markdown)


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent
