"""Peak memory of one drift, printed; run in a process of its own, since peaks never fall."""

import os
import sys
from pathlib import Path

from benchmarks.clock import peak_mb
from benchmarks.weights import opened
from provenance.analyses.drift.weight_drift import measure_drift
from provenance.analyses.weights.by_layers import Here


def main() -> None:
    """Compare two folders."""
    base, instruct = (opened(Path(name)) for name in sys.argv[1:3])
    before = peak_mb()
    measure_drift(base, instruct, who=Here(base, instruct, os.cpu_count() or 1))
    after = peak_mb()
    print(f"{after - before:.0f} MB over the interpreter's {before:.0f} MB")


if __name__ == "__main__":
    main()
