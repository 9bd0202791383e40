"""A comparison holds one model in memory at a time: it ends where a second one would not fit.

The limit is on memory for data (RLIMIT_DATA of Linux), which counts weights that are mapped from their file. A pair of
tiny models is compared before it is set, so that the memory of libraries is not part of it.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoint_factory import make_checkpoint, tuned_copy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the memory of a process for data"),
]

LARGE = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 12, "num_attention_heads": 8,
    "num_key_value_heads": 8,
}  # fmt: skip
COMPARISON = """
import resource, sys
from pathlib import Path

import provenance

small, large, responses, share = *map(Path, sys.argv[1:4]), float(sys.argv[4])


def compared(folder):
    return provenance.compare(
        folder / "base", folder / "instruct", responses=responses, quick=True, quiet=True, db=f"sqlite:///{folder}/{share}.db"
    )


compared(small)
used = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
limit = int(used.split()[1]) * 1024 + int(share * (large / "base" / "model.safetensors").stat().st_size)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
print(len(compared(large).table("transfer")))
"""


def make_pair(folder: Path, **sizes: int) -> Path:
    tuned_copy(make_checkpoint(folder / "base", chat=False, **sizes), folder / "instruct", chat=False)
    return folder


def test_a_comparison_ends_with_memory_for_a_model_and_a_third(tmp_path: Path) -> None:
    """With memory for nine tenths of a model it does not, so the limit does limit."""
    responses = tmp_path / "answers.jsonl"
    rows = [
        {"prompt": f"The capital of France is city number {i}?", "response": " New York" if i % 2 else " Paris",
         "label": "hallucinated" if i % 2 else "faithful", "group": f"q{i}", "stage": stage}
        for i in range(60) for stage in ("base", "instruct")
    ]  # fmt: skip
    responses.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    small, large = make_pair(tmp_path / "small"), make_pair(tmp_path / "large", **LARGE)

    def run(share: float) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", COMPARISON, small, large, responses, str(share)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    enough, too_little = run(1.3), run(0.9)
    shutil.rmtree(large)  # a gigabyte
    assert (enough.returncode, enough.stdout) == (0, "1\n"), enough.stderr
    assert too_little.returncode != 0
    assert "JobError: wanted: memory for compare" in too_little.stderr, too_little.stderr
