"""Pages as a browser shows them: a headless Chromium, where this machine has one, measures or prints them.

A page is shown in a frame of some width, and what it measures is written into the page around it, which is printed.
The frame holds the page's text, so that the page around it may look inside; its styles are fetched from its address.
"""

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--no-first-run")
MEASURE = """
const root = frame.contentDocument.documentElement, tables = [...root.querySelectorAll("table")];
const heads = tables.flatMap(table => [...table.querySelectorAll("th")]);
const out = ({width, right, bottom}) => width === 0 || right < 0 || bottom < 0;
const hidden = heads.filter(head => out(head.getBoundingClientRect())).length;
const shown = {width: root.scrollWidth, tables: tables.length, heads: heads.length, hidden_heads: hidden};
document.body.textContent = "measured " + JSON.stringify(shown);
"""


def measured(page: str, width: int, address: str = "") -> dict[str, int]:
    """Width of what a page holds in a window of some width, its tables, their heads, and those out of sight.

    Args:
        page: As HTML.
        width: Of the window, in pixels.
        address: What its links and styles are relative to.
    """
    text = re.sub("<head>", f'<head><base href="{address}">' if address else "<head>", page, count=1)
    frame = f'<iframe id="frame" srcdoc="{html.escape(text)}" width="{width}" height="900" style="border:0"></iframe>'
    script = f'<script>const frame = document.getElementById("frame"); frame.onload = () => {{{MEASURE}}};</script>'
    with tempfile.TemporaryDirectory() as folder:
        around = Path(folder) / "around.html"
        around.write_text(f"<!DOCTYPE html><body style='margin:0'>{frame}{script}", "utf-8")
        printed = _chromium(folder, "--virtual-time-budget=20000", "--dump-dom", around.as_uri())
    found = re.search(r"measured (\{.*?\})", printed)
    assert found is not None, printed
    return dict(json.loads(html.unescape(found[1])))


def pdf_pages(file: Path) -> tuple[int, bool]:
    """Pages on which a file is printed, and whether in DejaVu Serif, where a system has no other: a fifth wider."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "printed.pdf"
        _chromium(folder, "--no-pdf-header-footer", f"--print-to-pdf={target}", file.resolve().as_uri())
        printed = target.read_bytes()
        return len(re.findall(rb"/Type\s*/Page\b", printed)), b"DejaVuSerif" in printed


def _chromium(folder: str, *arguments: str) -> str:
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder}/profile", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
