"""Counts of what is tried on the product by its tests, for the page that says so."""

import tomllib
from collections import Counter
from pathlib import Path

from damages import MODEL, TOKENIZER

ANSWERS = Path(__file__).parent / "provenance" / "answers" / "judged_answers.toml"
HEADER = "| what | kind | cases |"


def rows() -> list[str]:
    """Lines of the page's table: files of a checkpoint by kind of damage, and answers by kind of difficulty."""
    lines = [HEADER, "|---|---|---|"]
    for what, damages in (("tokenizer files", TOKENIZER), ("config files", MODEL)):
        counts = Counter(damage.kind for damage in damages)
        lines += [f"| {what} | {kind.replace('_', ' ')} | {count} |" for kind, count in sorted(counts.items())]
    table = tomllib.loads(ANSWERS.read_text("utf-8"))
    for kind, about in sorted(table.items()):
        if "cases" in about:
            lines.append(f"| answers to judge | {kind.replace('_', ' ')} | {len(about['cases'])} |")
    for name, key in (("abstentions", "refusals"), ("confident", "wrong")):
        count = len(table[name][key].strip().split("\n"))
        lines.append(f"| answers to judge | {name} | {count} |")
    return lines
