"""The page `docs/what_was_attacked.md` says what the tests try, and no more."""

from attacks import HEADER, rows
from forked_cli import ROOT

PAGE = ROOT / "docs" / "what_was_attacked.md"


def test_the_page_counts_what_the_tests_try() -> None:
    """Every case of these tables is held by a test of its own kind: all held, or the suite fails."""
    page = PAGE.read_text("utf-8").splitlines()
    start = page.index(HEADER)
    assert page[start : start + len(rows())] == rows()
