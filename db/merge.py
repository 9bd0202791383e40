"""Takes over what another database holds: inputs, work, runs and studies, each known by its digest, key or name.

Results of a run are there as a whole or not at all, whenever a merge is ended, and the same command goes on where it
stopped. What is here already stays as it is: a second merge changes nothing. Captured vectors are files and stay where
they are; whoever needs them captures again.
"""

from pathlib import Path

from sqlalchemy import Connection, delete, select, update

from provenance.db.connection.connect import database_url, sqlite_file
from provenance.db.connection.digests import neurons_digest, run_digest, verify
from provenance.db.merge_rows import Merged, Numbers, Row, copy_rows, count_neurons, neuron_pieces, same_or_new
from provenance.db.merge_work import merge_studies, merge_tasks
from provenance.db.pieces import replace_results
from provenance.db.reading.run_query import reading
from provenance.db.schema.result_tables import MEASURED, TABLES
from provenance.db.schema.tables import (
    DERIVED,
    OF_NEURONS,
    Base,
    Checkpoint,
    Dataset,
    Family,
    NeuronSetMember,
    NeuronSetRow,
    QuestionRow,
    Run,
    RunDataset,
)
from provenance.db.store import Store
from provenance.errors import InputError

_WITHOUT_RESULTS = {"status": "running", "overall": None, "content_digest": None, "saving": None}
"""Of a run whose results are still to be written."""


def merge(source: str, target: str) -> Merged:
    """Take over another database.

    Runs in progress there are left out, as are runs whose rows are not as they were written.

    Args:
        source: Its URL; it is only read.
        target: URL of the database that gains its contents; made where there is none.

    Raises:
        InputError: There is no such database, or it is this one.
        StoreError: It is of another version or cannot be read, or this one cannot be written.
    """
    _refuse_itself(source, target)
    done = Merged()
    with reading(source) as theirs, Store.open(target) as store:
        if theirs.dialect.name == "sqlite":
            theirs.exec_driver_sql("BEGIN")  # one state of it, whatever another process writes meanwhile
        numbers: Numbers = {}
        with store.transaction() as ours:
            _merge_inputs(theirs, ours, numbers, done)
        for run in theirs.execute(select(Run.__table__).order_by(Run.id)).mappings().all():
            _merge_run(theirs, store, run, numbers, done)
        with store.transaction() as ours:
            merge_studies(theirs, ours, numbers, done)
    return done


def _refuse_itself(source: str, target: str) -> None:
    files = [sqlite_file(database_url(url)) for url in (source, target)]
    same = source == target or (None not in files and _is_same(*files))  # type: ignore[arg-type]  # checked before
    if same:
        raise InputError("another database to merge", found=f"{source}, which --db names too", remedy="name two")


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _merge_inputs(theirs: Connection, ours: Connection, numbers: Numbers, done: Merged) -> None:
    """Checkpoints, question sets with their questions, and imported neuron sets with theirs."""
    for cls, parts, what in (
        (Checkpoint, None, "checkpoints"),
        (Dataset, QuestionRow, "question sets"),
        (NeuronSetRow, NeuronSetMember, "neuron sets"),
    ):
        known = ("digest",) if cls is not NeuronSetRow else ("digest", "checkpoint_id")
        for row in theirs.execute(select(cls.__table__).order_by(cls.__table__.c.id)).mappings().all():
            new = same_or_new(ours, cls, row, known, numbers)
            done.count(what, new=new)
            if new and parts is not None:
                table = Base.metadata.tables[parts.__tablename__]
                copy_rows(theirs, ours, table, next(iter(table.primary_key.columns)).name, row["id"], numbers)


def _merge_run(theirs: Connection, store: Store, run: Row, numbers: Numbers, done: Merged) -> None:
    """One run with its pair and its work, then its results; or the reason why it is left out."""
    with store.transaction() as ours:
        gains = _merge_work(theirs, ours, run, numbers, done)
    if gains:
        _take_results(theirs, store, run, numbers)


def _merge_work(theirs: Connection, ours: Connection, run: Row, numbers: Numbers, done: Merged) -> bool:
    """One run without its results; returns whether these are wanted."""
    known = ours.execute(select(Run.id, Run.content_digest).where(Run.key == run["key"])).first()
    has_results = known is not None and known.content_digest is not None
    why = "" if has_results else _problem(theirs, run)
    if why:
        done.notes.append(f"run {run['id']} there ({run['command']}): left out, {why}")
        return False
    family = theirs.execute(select(Family.__table__).where(Family.id == run["family_id"])).mappings().one()
    same_or_new(ours, Family, family, ("base_id", "instruct_id"), numbers)
    same_or_new(ours, Run, {**run, **_WITHOUT_RESULTS}, ("key",), numbers)
    merge_tasks(theirs, ours, run["id"], numbers, done)
    gains = known is None or (not has_results and run["content_digest"] is not None)
    done.count("runs", new=gains)
    number = numbers["run"][run["id"]]
    if not gains and has_results and not _is_alike(theirs, ours, run, number):
        done.notes.append(f"run {run['id']} there is run {number} here with other numbers: those here were kept")
    return gains


def _problem(theirs: Connection, run: Row) -> str:
    """Why a run cannot be taken over; empty if it can."""
    if run["status"] == "running":
        return "in progress there; finish it, and merge again"
    if verify(theirs, run["id"]) is False:
        return "its rows are not as they were written; run it again there"
    return ""


def _take_results(theirs: Connection, store: Store, run: Row, numbers: Numbers) -> None:
    """Results of a run that has none here; the digest is computed anew, since question sets have other numbers."""
    number = numbers["run"][run["id"]]
    has_results = run["content_digest"] is not None
    taken = {name: value for name, value in run.items() if name not in ("id", "key", "family_id", "content_digest")}
    of_neurons = neurons_digest(theirs, run["id"]) if has_results else 0

    def finish(ours: Connection) -> None:
        ours.execute(update(Run).where(Run.id == number).values(**taken))
        stages = [TABLES[cls] for cls in MEASURED]
        for table in stages:
            ours.execute(delete(table).where(table.c.run_id == number))
        for table in (*stages, *(each for each in DERIVED if has_results and each not in OF_NEURONS)):
            copy_rows(theirs, ours, table, "run_id", run["id"], numbers)
        digest = run_digest(ours, number, of_neurons=of_neurons) if has_results else None
        ours.execute(update(Run).where(Run.id == number).values(content_digest=digest))

    pieces = neuron_pieces(theirs, run["id"], number) if has_results else ()
    replace_results(store.transaction, number, pieces, count_neurons(theirs, run["id"]) if has_results else 0, finish)


def _is_alike(theirs: Connection, ours: Connection, run: Row, number: int) -> bool:
    """Whether a run has the same results on both sides; names of question sets refer to numbers of a database."""
    digest = ours.execute(select(Run.content_digest).where(Run.id == number)).scalar_one()
    if run["content_digest"] in (None, digest):
        return True
    numbered = (RunDataset.__tablename__,)
    return run_digest(theirs, run["id"], numbered) == run_digest(ours, number, numbered)
