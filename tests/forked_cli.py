"""The command line, and programs of tests, in processes of their own that can be killed or starved at an exact point.

The one idea: importing torch and transformers takes seconds and a comparison of tiny models
does not, so one server process imports everything once and forks for every command. A
`Harm` wraps one function of the child: at its n-th call the process kills itself with
SIGKILL, or from then on may write no file longer than a few bytes (RLIMIT_FSIZE, which the
kernel enforces).

`--quick` has fewer draws of every kind here than elsewhere, and figures are rendered as SVG whatever a file is called,
since these tests look at commands, not at levels or pictures; a command that is `run` as it ships has both in full.
"""

import gc
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
PRELOADED = (
    "provenance.cli",
    "provenance.analyses.jobs.compare_job",
    "provenance.analyses.jobs.run_comparison",
    "provenance.analyses.summary.report",
    "provenance.db.store",
    "provenance.db.workspace",
    "provenance.figures.gallery",
    "provenance.figures.report.html",
    "transformers.models.llama.modeling_llama",
    "alembic.command",
    "matplotlib.backends.backend_svg",
)
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
FEW_DRAWS = {"repeats": 1, "pairs": 3, "control_sets": 20, "shuffles": 20, "foldings": 1, "permutations": 100}
REFUSALS = {"memory": "CUDA error: out of memory", "device": "CUDA error: unspecified launch failure"}
SMALL_FILE_BYTES = 2048  # less than any file that the toolkit writes in these tests


@dataclass(frozen=True)
class Harm:
    """What happens to the process, and when."""

    where: str
    """`module:attribute.path` of a function; callers must look it up there at call time."""
    call: int
    """Which call of it, from 1."""
    when: Literal["before", "after"]
    """Whether the call still happens."""
    what: Literal["kill", "interrupt", "full", "memory", "device"] = "kill"
    """SIGKILL, SIGINT, a disk that takes no more than `SMALL_FILE_BYTES` per file, or, at this call and all later ones,
    memory that is refused or a GPU that is gone."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    """Exit code; minus the signal's number when it was killed."""
    stdout: str
    """All of it."""
    stderr: str
    """All of it."""


class ForkedCli:
    """Runs commands of the toolkit in forked processes."""

    def __init__(self, folder: Path) -> None:
        self._out, self._err = folder / "stdout", folder / "stderr"
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"}
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(
        self, cwd: Path, *args: object, harm: Harm | None = None, shipped: bool = False, processes: int = 1
    ) -> Done:
        """One command, waited for; `shipped`: with as many draws under `--quick`, and pictures, as users get."""
        return self._done({
            "cwd": str(cwd), "args": [str(arg) for arg in args], "harm": asdict(harm) if harm else None,
            "shipped": shipped, "processes": processes,
        })  # fmt: skip

    def program(self, text: str, *args: object) -> Done:
        """A program with its arguments, as `python -c` runs it, waited for."""
        return self._done({
            "cwd": str(ROOT), "args": [str(arg) for arg in args], "harm": None, "shipped": False, "program": text,
        })  # fmt: skip

    def _done(self, job: dict[str, Any]) -> Done:
        job |= {"stdout": str(self._out), "stderr": str(self._err)}
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        return Done(code, self._out.read_text("utf-8"), self._err.read_text("utf-8"))

    def close(self) -> None:
        """Ends the server."""
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()


def _serve() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    effort: Any = importlib.import_module("provenance.analyses.jobs.effort")
    gallery: Any = importlib.import_module("provenance.figures.gallery")
    shipped = (effort.QUICK, gallery.image)
    effort.QUICK, gallery.image = effort.Effort(**FEW_DRAWS), lambda figure, _form: shipped[1](figure, "svg")
    _render_once()
    _compile_once()
    gc.collect()
    gc.freeze()  # a collection in a child would write to, and so copy, every page of what is loaded here
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            if job["shipped"]:
                effort.QUICK, gallery.image = shipped
            _become_the_command(job)
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


def _render_once() -> None:
    """Put the frame of the tests' chat template into every child's memory, which saves each of them a process."""
    from checkpoint_factory import make_tokenizer

    prompts = importlib.import_module("provenance.answers.prompts")
    prompts.PromptFormat(prompts.INSTRUCT_PROMPT, chat=True).framed(make_tokenizer())


def _compile_once() -> None:
    """Load the compiled sums of weights, which takes half a second, for every child at once."""
    import numpy as np

    sums: Any = importlib.import_module("provenance.analyses.weights.row_sums")
    weights = np.ones((1, 1), dtype=np.float32)
    kept = sums.RowSums.zeros(1)
    kept.add_rows(0, weights, weights)
    kept.add_columns(weights, weights)


def _become_the_command(job: dict[str, Any]) -> None:
    os.chdir(job["cwd"])
    for number, name in ((1, "stdout"), (2, "stderr")):
        target = os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, number)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
    if job["harm"]:
        _arm(Harm(**job["harm"]))
    program = job.get("program")
    os.environ["OMP_NUM_THREADS"] = str(job.get("processes", 1))  # as a user sets it; torch has read it before
    sys.argv = ["-c" if program else "provenance", *job["args"]]
    code = 70
    try:
        if program:
            exec(program, {"__name__": "__main__"})  # noqa: S102 - a test's own program
        else:
            sys.modules["provenance.cli"].main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:  # whatever happens, this process never goes back to serving
        if code == 70:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _arm(harm: Harm) -> None:
    module, _, path = harm.where.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def harmed(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls >= harm.call and harm.what in REFUSALS:
            raise RuntimeError(REFUSALS[harm.what])
        if calls == harm.call and harm.when == "before":
            _strike(harm)
        result = original(*args, **options)
        if calls == harm.call and harm.when == "after":
            _strike(harm)
        return result

    setattr(owner, name, harmed)


def _strike(harm: Harm) -> None:
    if harm.what == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_FILE_BYTES, SMALL_FILE_BYTES))
    else:
        os.kill(os.getpid(), signal.SIGKILL if harm.what == "kill" else signal.SIGINT)


if __name__ == "__main__":
    _serve()
