"""Walk a source without following a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dermpack.dataset.manifest import Finding
from dermpack.errors import InputError, PictureError
from dermpack.imaging.formats import SUFFIXES, recognise
from trainer.datasets.layouts.omission import OmissionReason, refused
from trainer.datasets.layouts.table_reader import is_one_line

# Pictures all the same: a person must hear that they are left out.
UNREAD_SUFFIXES = frozenset(
    (
        ".heic",
        ".heif",
        ".hif",
        ".avif",
        ".jp2",
        ".jxl",
        ".dng",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".raf",
        ".orf",
    )
) | {".raw", ".rw2", ".dcm", ".psd", ".svg"}
BEGINNING_BYTES = 16  # as much as tells every format that is opened


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """Everything below a folder that is not hidden; paths are relative, with forward slashes, sorted."""

    pictures: tuple[str, ...]  # by their extension, or by how they begin where they have none
    folders: tuple[str, ...]
    others: tuple[str, ...]  # files that are no pictures
    refused: tuple[Finding, ...]


def walk(folder: Path) -> SourceFiles:
    """Find pictures, folders and what is refused by its kind or its name."""
    pictures: list[str] = []
    others: list[str] = []
    folders, findings = [], []
    for path, entry in _entries(folder):
        why = _why_refused(entry)
        if why is not None:
            findings.append(why_finding(why, path))
        elif entry.is_dir(follow_symlinks=False):
            folders.append(path)
        elif entry.is_file(follow_symlinks=False):
            (pictures if is_picture(entry) else others).append(path)
    return SourceFiles(
        pictures=tuple(sorted(pictures)),
        folders=tuple(sorted(folders)),
        others=tuple(sorted(others)),
        refused=tuple(sorted(findings, key=lambda finding: finding.picture)),
    )


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        what = f"the folder cannot be read ({error.strerror})"
        raise InputError(folder, what, "Check the path.", code="cannot-read") from error


def mode_of(path: Path) -> int:
    """The kind of what lies there, of a link itself and not of its end; 0 where nothing can lie."""
    try:
        return path.lstat().st_mode
    except (OSError, ValueError):
        return 0


def is_own_file(path: Path) -> bool:
    """Whether a regular file lies there, and no link to one."""
    return stat.S_ISREG(mode_of(path))


def is_picture(entry: os.DirEntry[str]) -> bool:
    """Whether the file's extension says so, or its first bytes where it has none."""
    suffix = _suffix(entry.name)
    return suffix in SUFFIXES or (not suffix and _begins_as_a_picture(Path(entry.path)))


def is_plain_name(name: str) -> bool:
    """Whether a table and a terminal can hold the name on one line."""
    return "\\" not in name and is_one_line(name)


def why_finding(why: OmissionReason, path: str) -> Finding:
    details = {
        OmissionReason.LINK: "is a symbolic link; only files within the source are read",
        OmissionReason.NAME: "has a backslash, a line break or an undecodable byte in its name",
        OmissionReason.UNREAD: f"{_suffix(path)[1:].upper()} is not read; convert it to JPEG or PNG",
    }
    return refused(why, path.encode("utf-8", "backslashreplace").decode("utf-8"), details[why])


def _entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Each entry that is not hidden, with its path; a stack, since folders may nest deeper than calls."""
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        for entry in entries_of(folder / prefix):
            if entry.name.startswith("."):
                continue
            path = f"{prefix}{entry.name}"
            yield path, entry
            if entry.is_dir(follow_symlinks=False) and is_plain_name(entry.name):
                waiting.append(f"{path}/")


def _why_refused(entry: os.DirEntry[str]) -> OmissionReason | None:
    if not is_plain_name(entry.name):
        return OmissionReason.NAME
    if entry.is_symlink():
        return OmissionReason.LINK
    unread = _suffix(entry.name) in UNREAD_SUFFIXES and entry.is_file(follow_symlinks=False)
    return OmissionReason.UNREAD if unread else None


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].casefold()  # noqa: PTH122 - quick, for many names


def _begins_as_a_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            recognise(file.read(BEGINNING_BYTES), where=path.name)
    except (OSError, PictureError):
        return False
    return True
