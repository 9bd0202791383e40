"""Writes the example notebook from its script, with what its cells show: `python -m docs.write_example`.

`example.py` is the source: a cell begins with `# %%`, one of text with `# %% [markdown]`. A kernel of Jupyter executes
the cells, from the extra `dev`.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from traitlets.config import Config

SCRIPT = Path(__file__).parent / "example.py"
NOTEBOOK = SCRIPT.with_suffix(".ipynb")
KERNEL = "python3"
MARK, TEXT_MARK = "# %%", "# %% [markdown]"
# Without ipywidgets tqdm warns, where transformers imports it, that it cannot draw bars as widgets.
QUIET = "ignore:IProgress not found"


def notebook_of(script: str) -> NotebookNode:
    """The notebook of a script, not executed."""
    parts = f"\n{script}".split(f"\n{MARK}")[1:]
    kernel = {"display_name": "Python 3", "language": "python", "name": KERNEL}
    cells = [_cell(part, f"cell-{number}") for number, part in enumerate(parts)]
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _cell(part: str, name: str) -> NotebookNode:
    head, _, body = part.partition("\n")
    source = body.strip("\n")
    if MARK + head != TEXT_MARK:
        return new_code_cell(source, id=name)
    lines = (line.removeprefix("#").removeprefix(" ") for line in source.split("\n"))
    return new_markdown_cell("\n".join(lines), id=name)


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Execute a notebook in a folder, and keep in it what its cells show.

    The kernel and this process talk through sockets in a folder of their own, where the kernel keeps its files as well.

    Raises:
        CellExecutionError: A cell raised.
    """
    with TemporaryDirectory() as place:
        talk = {"transport": "ipc", "connection_file": f"{place}/kernel.json"}
        client = NotebookClient(
            notebook, kernel_name=KERNEL, record_timing=False, timeout=None,
            resources={"metadata": {"path": str(folder)}}, config=Config(KernelManager=talk),
        )  # fmt: skip
        client.execute(env={**os.environ, "IPYTHONDIR": place, "PYTHONWARNINGS": QUIET})


def main() -> None:
    """Execute the script in an empty folder, and write the notebook."""
    made = notebook_of(SCRIPT.read_text("utf-8"))
    with TemporaryDirectory() as folder:
        execute(made, Path(folder))
    nbformat.write(made, NOTEBOOK)


if __name__ == "__main__":
    main()
