"""The probe at three sizes: against the published recipe, and as the number of neurons grows.

The one idea: what is compared is the same objective on the same file, each solver in a process of its own. The largest
sizes are those of Gemma-3-4B and Llama-3.3-70B with 4,000 rows.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.probe_data import write_matrix

ROWS = 4000
SIZES = ((46_080, "float32"), (348_160, "float32"), (2_293_760, "float16"))  # 0.7, 5.6 and 18.4 GB on disk
C = 1.0


def measured(which: str, path: Path, *Cs: float) -> dict[str, Any]:
    """What the child says."""
    command = [sys.executable, "-m", "benchmarks.probe_child", which, str(path), *map(str, Cs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def probe_table(sizes: tuple[tuple[int, str], ...] = SIZES) -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as folder:
        for number, (neurons, dtype) in enumerate(sizes):
            path = Path(folder) / "matrix.npy"
            write_matrix(path, neurons, ROWS, dtype)
            if number == 0:
                _against_liblinear(path)
            _path_row(neurons, dtype, measured("ours", path))
            path.unlink()


def _against_liblinear(path: Path) -> None:
    published, ours = measured("liblinear", path, C), measured("ours", path, C)
    speed = published["seconds"] / ours["seconds"]
    memory = published["peak_mb"] / ours["peak_mb"]
    print(f"one probe at C = {C:g}: liblinear {published['seconds']:.1f} s, {published['peak_mb']:.0f} MB; "
          f"ours {ours['seconds']:.1f} s, {ours['peak_mb']:.0f} MB: {speed:.1f} x faster, {memory:.1f} x less memory; "
          f"objective {ours['objective'][0] - published['objective'][0]:+.2g}, neurons {ours['used'][0]} and "
          f"{published['used'][0]}")  # fmt: skip


def _path_row(neurons: int, dtype: str, found: dict[str, Any]) -> None:
    millions = neurons * ROWS / 1e6
    print(f"{neurons:>9,} neurons, {dtype}: {len(found['C'])} values of C in {found['seconds']:.1f} s "
          f"({1e3 * found['seconds'] / millions:.2f} ms a million values), {found['passes']} passes, "
          f"{found['peak_mb']:.0f} MB; neurons used {found['used']}; gap {found['gap']:.1g}, "
          f"violation {found['violation']:.1g}")  # fmt: skip


if __name__ == "__main__":
    probe_table()
