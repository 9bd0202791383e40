"""Studies in the database: which families belong together, and which run each of them has."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace

from sqlalchemy import Connection, delete, insert, select, update

from provenance.db.schema.tables import Run, StudyMember, StudyRow
from provenance.db.store import Store, utc_now
from provenance.db.work_log import insert_row
from provenance.errors import InputError

NOT_YET = "not yet run"


@dataclass(frozen=True)
class Membership:
    """One family or timeline of a study."""

    kind: str
    """`family` or `timeline`."""
    name: str
    base: str
    """Reference of the first checkpoint."""
    instruct: str
    """Reference of the last checkpoint."""
    job_digest: str = ""
    """SHA-256 of its questions and settings; empty if put together from runs."""


def kept_text(store: Store, name: str) -> str:
    """The file of a study as it was stored last; empty if there is none."""
    with store.transaction() as connection:
        return connection.execute(select(StudyRow.text).where(StudyRow.name == name)).scalar_one_or_none() or ""


def keep_study(store: Store, name: str, title: str, text: str, digest: str, members: Sequence[Membership]) -> list[str]:
    """Store a study as its file has it now; runs of members that are still in it are kept.

    Returns:
        Names of members that an earlier form of the study had and this one lacks, or has with other checkpoints,
        questions or settings.
    """
    about = {"title": title, "text": text, "digest": digest, "updated_utc": utc_now()}
    with store.transaction() as connection:
        known = connection.execute(select(StudyRow.id).where(StudyRow.name == name)).scalar_one_or_none()
        if known is None:
            study = insert_row(connection, StudyRow, {"name": name, **about})
        else:
            study = int(known)
            connection.execute(update(StudyRow).where(StudyRow.id == study).values(**about))
        before = connection.execute(select(StudyMember.__table__).where(StudyMember.study_id == study)).mappings().all()
        held = {Membership(*(row[part.name] for part in fields(Membership))): row for row in before}
        connection.execute(delete(StudyMember).where(StudyMember.study_id == study))
        rows = [
            {
                "study_id": study,
                "position": position,
                **asdict(member),
                "run_id": held[member]["run_id"] if member in held else None,
                "reason": held[member]["reason"] if member in held else NOT_YET,
            }
            for position, member in enumerate(members)
        ]
        if rows:
            connection.execute(insert(StudyMember), rows)
    return sorted({member.name for member in held} - {member.name for member in members if member in held})


def record_run(store: Store, study: str, member: str, run: int | None, reason: str = "") -> None:
    """Record how a member of a study ended: its run, or the reason why there is none."""
    chosen = select(StudyRow.id).where(StudyRow.name == study).scalar_subquery()
    with store.transaction() as connection:
        connection.execute(
            update(StudyMember)
            .where(StudyMember.study_id == chosen, StudyMember.name == member)
            .values(run_id=run, reason=reason)
        )


def study_of_runs(store: Store, name: str, title: str, runs: Sequence[int]) -> None:
    """Store a study that is put together from finished runs, each under the name of its tuned checkpoint.

    Raises:
        InputError: A run is not in the database, has no results, or is a negative control; two runs are of one pair,
            which would count as two families; or the name belongs to a study that has a file.
    """
    with store.transaction() as connection:
        kept = connection.execute(select(StudyRow.text).where(StudyRow.name == name)).scalar_one_or_none()
        found = [_membership(connection, run) for run in runs]
    if kept:
        raise InputError(
            "a new name for a study of runs", found=f"{name!r}, a study with a file", remedy="take another"
        )
    pairs = [(member.base, member.instruct) for member in found]
    if len(set(pairs)) < len(pairs):
        raise InputError(
            "one run of each pair, since families count as independent",
            found=f"two of one pair among the runs {', '.join(map(str, runs))}",
            remedy="leave one out; `compare --replicates` gives one verdict from several draws of a pair",
        )
    names = [member.name for member in found]
    members = [
        replace(member, name=f"{member.name}-run-{run}") if names.count(member.name) > 1 else member
        for member, run in zip(found, runs, strict=True)
    ]
    keep_study(store, name, title, "", "", members)
    for member, run in zip(members, runs, strict=True):
        record_run(store, name, member.name, run)


def _membership(connection: Connection, run: int) -> Membership:
    chosen = select(Run.command, Run.content_digest, Run.base_ref, Run.instruct_ref).where(Run.id == run)
    row = connection.execute(chosen).first()
    if row is None or row.content_digest is None:
        raise InputError(
            "finished runs of this database",
            found=f"run {run}, {'which is not in it' if row is None else 'which has no results'}",
            remedy="name others (see `provenance query runs`)",
        )
    if "--control" in row.command:
        raise InputError(
            "comparisons, not their negative controls", found=f"run {run}, {row.command}", remedy="leave it out"
        )
    parts = re.sub(r"[^\w./@+-]", "-", row.instruct_ref).strip("/.").split("/") or ["model"]
    name = f"{parts[0]}-{parts[1]}" if parts[0] == "lab" and len(parts) == 3 else parts[-1]
    return Membership("timeline" if row.command == "trace" else "family", name, row.base_ref, row.instruct_ref)
