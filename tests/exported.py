"""The answers of a finished comparison as a file of responses, as a user of `--responses` would write it."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from provenance.records import Stage

WANTED = """
SELECT t.stage, t.dataset, p.question_id, p.unit, p.split, p.label, p.text, p.prompt_ids
FROM response p JOIN task t ON t.id = p.task_id
WHERE p.label IN ('faithful', 'hallucinated') ORDER BY t.id, p.position
"""


def exported(database: Path, tokenizers: dict[Stage, PreTrainedTokenizerBase]) -> list[dict[str, Any]]:
    """Rows of all kept answers of both models, sets in the order in which they were asked."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        found = connection.execute(WANTED).fetchall()
    return [
        {
            "prompt": tokenizers[stage].decode(json.loads(prompt), skip_special_tokens=False),
            "response": text, "label": label, "group": unit, "id": question, "set": dataset, "split": split,
            "stage": stage,
        }
        for stage, dataset, question, unit, split, label, text, prompt in found
    ]  # fmt: skip


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A file with these rows."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path
