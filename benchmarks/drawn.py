"""Draws a study and writes its report, and prints time and peak memory: a process of its own, as peaks never fall."""

import sys
import time
from pathlib import Path

from benchmarks.clock import peak_mb


def main() -> None:
    """Draw: a database's URL, a study, a folder, and `study` or `all`, with the figures and report of each family."""
    url, study, out, what = sys.argv[1:5]
    start, spent = time.perf_counter(), time.process_time()
    from provenance.figures.gallery import FORMS, study_attempted, write_figures
    from provenance.figures.report.study import study_html, write_study

    if what == "all":
        failed = write_study(url, study, Path(out)).get("not_drawn")
    else:
        found = study_attempted(url, study, FORMS)
        write_figures(found.figures, Path(out))
        study_html(url, study, found)
        failed = found.failed
    seconds, cpu = time.perf_counter() - start, time.process_time() - spent
    words = f"figures and report of the study{' and of each family' if what == 'all' else ''}"
    print(f"{words}: {seconds:.1f} s, {cpu:.1f} s of one core, peak {peak_mb():.0f} MB; not drawn: {failed or 'none'}")


if __name__ == "__main__":
    main()
