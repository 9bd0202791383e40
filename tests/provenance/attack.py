"""Opens damaged checkpoints as a run does, and says how each ended, in what time and memory.

What would take all of both if a check failed is tried in a process with limits.
"""

import json
import os
import resource
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from checkpoint_factory import load, make_response
from damages import MODEL, Damage

from provenance.activations.reading import QUANTITIES, Reader
from provenance.answers.prompts import PromptFormat
from provenance.answers.sampling import Decoding, PromptBatch
from provenance.architectures import layout_of
from provenance.checkpoints.names import CheckpointRef, checkpoint_at
from provenance.errors import ProvenanceError
from provenance.models.loading import LoadedModel, load_model, load_tokenizer, vocabulary
from provenance.weights.shards import Shards

DANGEROUS = {"huge number", "number beyond 64 bits", "growth", "regular expression", "deep nesting"}
"""Kinds that took all memory or time before they were refused."""
MEMORY_BYTES = 6 << 30  # address space, of which torch alone takes two
SECONDS = 60
DECODING = Decoding(max_new_tokens=2)


@dataclass(frozen=True)
class Outcome:
    """How one damage ended."""

    kind: str
    file: str
    name: str
    ended: str
    """`works`, or the name of the exception."""
    is_ours: bool
    """Whether it works, or the exception is of our tree."""
    said: str
    """Its message."""
    seconds: float
    grown_bytes: int
    """Growth of the largest memory of the process so far."""


def attacked(sound: Path, damages: Iterable[Damage], place: Path) -> Iterator[Outcome]:
    """Damage copies of a checkpoint and open each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more would wait for each other longer than they work, and never end after a fork
    loaded = load(sound)
    for damage in damages:
        folder = Path(shutil.copytree(sound, Path(tempfile.mkdtemp(dir=place)) / "copy"))
        damage.do(folder)
        start, memory = time.process_time(), _memory()
        ended, said, is_ours = "works", "", True
        try:
            _use(folder, loaded, whole=damage in MODEL)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the result
            ended, said, is_ours = type(error).__name__, str(error), isinstance(error, ProvenanceError)
        seconds, grown = time.process_time() - start, _memory() - memory
        yield Outcome(damage.kind, damage.file, damage.name, ended, is_ours, said, seconds, grown)
        shutil.rmtree(folder)
    torch.set_num_threads(threads)


def _use(folder: Path, sound: LoadedModel, *, whole: bool) -> None:
    """Open a checkpoint as a run does, and ask and read with it."""
    checkpoint = checkpoint_at(CheckpointRef("local", str(folder)), folder)
    layout = layout_of(checkpoint.config, Shards(folder).names())
    if whole:
        loaded = load_model(folder, layout)
    else:
        loaded = replace(sound, tokenizer=load_tokenizer(folder))
        vocabulary(folder)
    form = PromptFormat("{question}\nAnswer:", chat=False)
    prompts = [form.render(loaded.tokenizer, question) for question in ("What is Paris? " + 30 * "b" + "!", "Hi")]
    PromptBatch(loaded, prompts, DECODING, loaded.stop_ids).draw([0, 1], range(1), 0)
    answers = [make_response(loaded, "Where is Paris?", "Paris"), make_response(loaded, "Hi", " New York")]
    Reader(loaded, QUANTITIES).read(answers)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def attacked_in_child(sound: Path, damages: Iterable[Damage], place: Path) -> list[Outcome]:
    """The same in a process that may take no more memory and time than `MEMORY_BYTES` and `SECONDS`."""
    answer = place / "outcomes.jsonl"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that a fork leaves behind; none is used
        child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        signal.alarm(SECONDS)
        outcomes = [json.dumps(asdict(outcome)) for outcome in attacked(sound, damages, place)]
        answer.write_text("\n".join(outcomes), encoding="utf-8")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child ended with {status}"
    return [Outcome(**json.loads(line)) for line in answer.read_text(encoding="utf-8").splitlines()]
