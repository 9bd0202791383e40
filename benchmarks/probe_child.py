"""One probe or path on one matrix file, measured in a process of its own; prints one JSON object.

    python -m benchmarks.probe_child ours|liblinear FILE [C ...]

Without C the path has `STEPS`, as multiples of alpha_max. Peak memory is anonymous memory over what the interpreter had
before: pages of the mapped file are the system's, and it takes them back when they are needed.
"""

import json
import re
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from benchmarks.probe_data import labels_of
from provenance.probe.l1_objective import loss
from provenance.probe.l1_path import L1Path, Problem

STEPS = tuple(float(step) for step in 10 ** np.linspace(0.25, 2.0, 8))
INTERVAL_S = 0.02


def anonymous_mb() -> float:
    """Memory of this process that is not a mapped file. Linux only."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1000 if found else float("nan")


class Peak(threading.Thread):
    """Samples memory until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = anonymous_mb()
        self.highest = self.before
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look at intervals."""
        while not self._stopped.wait(INTERVAL_S):
            self.highest = max(self.highest, anonymous_mb())

    def stop(self) -> float:
        """Megabytes over those at the start."""
        self._stopped.set()
        self.join()
        return self.highest - self.before


def ours(
    matrix: Float[np.ndarray, "neurons rows"], labels: Bool[np.ndarray, " rows"], Cs: list[float]
) -> dict[str, object]:
    """The exact path."""
    path = L1Path(matrix, [Problem(labels, np.ones(labels.size, dtype=bool))])
    wanted = Cs or [path.starts()[0] * step for step in STEPS]
    fits, seconds = [], []
    for C in wanted:
        start = time.perf_counter()
        fits += path.fit([C])
        seconds.append(time.perf_counter() - start)
    return {
        "C": wanted,
        "seconds_each": seconds,
        "passes": path.passes,
        "used": [fit.ids.size for fit in fits],
        "objective": [fit.objective for fit in fits],
        "gap": max(fit.gap for fit in fits),
        "violation": max(fit.violation for fit in fits),
    }


def liblinear(
    matrix: Float[np.ndarray, "neurons rows"], labels: Bool[np.ndarray, " rows"], Cs: list[float]
) -> dict[str, object]:
    """The published recipe: every neuron at once, scikit-learn's default tolerance."""
    rows = np.ascontiguousarray(matrix.T, dtype=np.float64)
    objectives, used = [], []
    for C in Cs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(solver="liblinear", l1_ratio=1.0, C=C).fit(rows, labels)
        theta, b = model.coef_[0], float(model.intercept_[0])
        objectives.append(C * loss(rows @ theta + b, labels) + float(np.abs(theta).sum()) + abs(b))
        used.append(int((theta != 0).sum()))
    return {"C": Cs, "objective": objectives, "used": used}


def main() -> None:
    """Measure one of the two."""
    which, path, *Cs = sys.argv[1:]
    matrix = np.load(path, mmap_mode="r")
    peak = Peak()
    peak.start()
    start = time.perf_counter()
    solve = {"ours": ours, "liblinear": liblinear}[which]
    found = solve(matrix, labels_of(matrix.shape[1]), [float(C) for C in Cs])
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_mb": peak.stop(), **found}))


if __name__ == "__main__":
    main()
