"""The pictures of a collection as files, and the check that they are exactly those of the database.

A picture is written before the transaction of its submission ends, and deleted after the one of its removal
has ended. So a kill at any moment leaves at most a file without a row: never a row whose file is missing or
incomplete.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from dermpack.errors import TableError
from dermpack.serving.collection.database import Database, Removed, Submission, log
from dermpack.storage.disk_sync import sync_folder
from dermpack.storage.files import (
    read_bytes,
    report_write_errors,
    sha256_file,
    sha256_of,
    write_bytes,
)

FOLDER = "pictures"
MAX_PICTURE_BYTES = 64 << 20
MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
}
RESTORE_HINT = 'Run "dermpack serve check".'


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A file and the database do not agree."""

    kind: str  # missing-file, changed-file, orphan, unfinished-removal
    file: str
    submission_id: str = ""
    is_repaired: bool = False


class PictureFolder:
    """The folder `pictures` of a collection; other users of the machine cannot read it."""

    def __init__(self, data: Path) -> None:
        self.path = data / FOLDER
        with report_write_errors(self.path):
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            self.path.chmod(0o700)

    def write(self, file_name: str, data: bytes) -> None:
        """Write a picture in one step; it is on the disk afterwards."""
        write_bytes(self.path / file_name, data)

    def read(self, submission: Submission) -> bytes:
        """Return the picture after checking its hash."""
        where = f"submission {submission.id}"
        data = read_bytes(self.path / submission.file_name, most=MAX_PICTURE_BYTES, hint=RESTORE_HINT)
        if sha256_of(data) != submission.sha256:
            raise TableError(where, "its file was changed", RESTORE_HINT, code="invalid-format")
        return data

    def delete(self, file_name: str) -> None:
        """Delete a picture if it is still there."""
        with report_write_errors(self.path):
            (self.path / file_name).unlink(missing_ok=True)
            sync_folder(self.path)


def finish_removals(database: Database, folder: PictureFolder) -> int:
    """Delete the pictures of removed submissions that a kill has left; return how many there were."""
    with database.writing() as session:
        unfinished = session.scalars(select(Removed).where(Removed.file_name != "")).all()
        for removed in unfinished:
            # The same picture may have been submitted again in the meantime.
            sha256 = removed.file_name.partition(".")[0]
            if session.scalar(select(Submission.id).where(Submission.sha256 == sha256)) is None:
                folder.delete(removed.file_name)
            removed.file_name = ""
    if unfinished:
        database.forget_deleted()
    return len(unfinished)


def check_collection(database: Database, folder: PictureFolder, *, is_repairing: bool) -> tuple[Fault, ...]:
    """Return every disagreement of database and files; repair what has no doubt. A server can run meanwhile.

    Repaired are files without a submission, which a kill leaves: they are deleted. A missing or changed file
    is only reported, because it may come back from a backup.
    """
    # Hashing takes long, so the database is not locked meanwhile: every fault is confirmed below.
    with database.reading() as session:
        suspects = [
            submission
            for submission in session.scalars(select(Submission).order_by(Submission.id))
            if _find_fault(submission, folder) is not None
        ]
    # As the only writer: no submission is between its file and the end of its transaction.
    with database.writing() as session:
        known = {submission.file_name: submission.id for submission in session.scalars(select(Submission))}
        still_there = (each for each in suspects if known.get(each.file_name) == each.id)
        faults = [fault for each in still_there if (fault := _find_fault(each, folder)) is not None]
        removed = {
            row.file_name: row for row in session.scalars(select(Removed).where(Removed.file_name != ""))
        }
        for path in sorted(folder.path.iterdir()):
            if path.name in known:
                continue
            row = removed.get(path.name)
            kind = "unfinished-removal" if row else "orphan"
            submission_id = row.id if row else ""
            if is_repairing:
                folder.delete(path.name)
                log(session, f"{kind}-deleted", submission_id=submission_id)
            faults.append(
                Fault(kind=kind, file=path.name, submission_id=submission_id, is_repaired=is_repairing)
            )
        for row in removed.values() if is_repairing else ():
            row.file_name = ""
    return tuple(faults)


def _find_fault(submission: Submission, folder: PictureFolder) -> Fault | None:
    path = folder.path / submission.file_name
    try:
        is_equal = sha256_file(path) == submission.sha256
    except FileNotFoundError:
        return Fault(kind="missing-file", file=path.name, submission_id=submission.id)
    return None if is_equal else Fault(kind="changed-file", file=path.name, submission_id=submission.id)
