"""The answers of a finished comparison as a file of responses, as a user of `--responses` would write it."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from provenance.records import Stage

WANTED = """
SELECT t.stage, c.ref, t.dataset, p.question_id, p.unit, p.split, p.label, p.text, p.prompt_ids
FROM response p JOIN task t ON t.id = p.task_id JOIN checkpoint c ON c.id = t.checkpoint_id
WHERE p.label IN ('faithful', 'hallucinated') ORDER BY t.id, p.position
"""


def exported(
    database: Path, tokenizers: dict[Stage, PreTrainedTokenizerBase], *, of_timeline: bool = False
) -> list[dict[str, Any]]:
    """Rows of all kept answers of both models, or of each checkpoint of a timeline, in the order of asking."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        found = connection.execute(WANTED).fetchall()
    return [
        {
            "prompt": tokenizers[stage].decode(json.loads(prompt), skip_special_tokens=False),
            "response": text, "label": label, "group": unit, "id": question, "set": dataset, "split": split,
            **({"checkpoint": ref} if of_timeline else {"stage": stage}),
        }
        for stage, ref, dataset, question, unit, split, label, text, prompt in found
    ]  # fmt: skip


def captured(folder: Path, *, forced: bool = False) -> dict[tuple[str, str, str], dict[str, np.ndarray]]:
    """Mean CETT of the answers that models gave, by the checkpoint that read them, set and split and then by question.

    With `forced` of answers of others that they read.
    """
    found: dict[tuple[str, str, str], dict[str, np.ndarray]] = {}
    with sqlite3.connect(folder / "provenance.db") as connection:
        rows = connection.execute(
            "SELECT t.dataset, t.settings, c.file, c.question_ids, c.first_row "
            "FROM capture c JOIN task t ON t.id = c.task_id WHERE c.file LIKE '%.answer.npy'"
        ).fetchall()
        refs = dict(connection.execute("SELECT digest, ref FROM checkpoint").fetchall())
    for dataset, settings, file, ids, first in rows:
        said = json.loads(settings)
        if said["computed"] == "reading" and ("reading" in said) == forced:
            values = np.load(folder / "provenance.captures" / file)
            place = found.setdefault((refs.get(said["reader"], ""), dataset, said["split"]), {})
            place |= {name: values[first + row] for row, name in enumerate(json.loads(ids))}
    return found


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A file with these rows."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path
