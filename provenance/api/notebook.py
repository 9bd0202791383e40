"""Figures in notebooks: IPython learns how to show them from pyplot alone, which nothing here imports."""

import io
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PNG = "image/png"


def show_figures() -> None:
    """Let the notebook that this runs in, if any, show figures as PNG, unless it already shows them its own way."""
    from matplotlib.figure import Figure

    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is not None and not any(Figure in each for each in shell.display_formatter.formatters.values()):
        shell.display_formatter.formatters[PNG].for_type(Figure, _png)


def _png(figure: "Figure") -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi="figure")
    return file.getvalue()
