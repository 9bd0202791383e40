"""Studies in the database: which families belong together, and which run each of them has."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, insert, select, update

from provenance.db.schema.tables import Checkpoint, Family, Run, StudyMember, StudyRow
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


def keep_study(store: Store, name: str, title: str, text: str, digest: str, members: Sequence[Membership]) -> list[str]:
    """Store a study as its file has it now; runs of members that are still in it are kept.

    Returns:
        Names of members that an earlier form of the study had and this one lacks, or has with other checkpoints.
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
        held = {Membership(*(row[part] for part in ("kind", "name", "base", "instruct"))): row for row in before}
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
        InputError: A run is not in the database or has no results, or one is named twice.
    """
    if len(set(runs)) < len(runs):
        raise InputError("each run once", found=", ".join(map(str, runs)), remedy="leave the second one out")
    with store.transaction() as connection:
        found = [_membership(connection, run) for run in runs]
    names = [member.name for member in found]
    members = [
        Membership(member.kind, f"{member.name}-run-{run}", member.base, member.instruct)
        if names.count(member.name) > 1
        else member
        for member, run in zip(found, runs, strict=True)
    ]
    keep_study(store, name, title, "", "", members)
    for member, run in zip(members, runs, strict=True):
        record_run(store, name, member.name, run)


def _membership(connection: Connection, run: int) -> Membership:
    base, instruct = (
        select(Checkpoint.ref).where(Checkpoint.id == side).scalar_subquery()
        for side in (Family.base_id, Family.instruct_id)
    )
    chosen = select(Run.command, Run.content_digest, base.label("base"), instruct.label("instruct"))
    row = connection.execute(chosen.join(Family, Family.id == Run.family_id).where(Run.id == run)).first()
    if row is None or row.content_digest is None:
        raise InputError(
            "finished runs of this database",
            found=f"run {run}, {'which is not in it' if row is None else 'which has no results'}",
            remedy="name others (see `provenance query runs`)",
        )
    parts = row.instruct.rstrip("/").split("/")
    name = f"{parts[0]}-{parts[1]}" if parts[0] == "lab" and len(parts) == 3 else parts[-1]
    return Membership("timeline" if row.command == "trace" else "family", name, row.base, row.instruct)
