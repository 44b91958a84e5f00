"""Walk a source folder without following links, and sort its files into pictures and others."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dermpack.dataset.manifest import Finding
from dermpack.errors import InputError, PictureError
from dermpack.imaging.containers import SUFFIXES, detect_format
from trainer.datasets.findings import OmissionReason, create_finding
from trainer.datasets.layouts.table_reader import is_single_line

# Pictures in these formats are reported instead of being skipped silently.
UNSUPPORTED_SUFFIXES = frozenset(
    (
        *(".heic", ".heif", ".hif", ".avif", ".jp2", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw"),
        *(".raf", ".orf", ".raw", ".rw2", ".dcm", ".psd", ".svg"),
    )
)
SIGNATURE_BYTES = 16  # the first bytes of a file, enough to recognise every supported format


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """All visible files and folders below a folder: relative paths with forward slashes, sorted."""

    pictures: tuple[str, ...]  # by their extension, or by their first bytes if they have none
    folders: tuple[str, ...]
    others: tuple[str, ...]  # files that are not pictures
    refused: tuple[Finding, ...]


def walk_source(folder: Path) -> SourceFiles:
    """Return the pictures, folders and other files below the folder, and what is refused by its name."""
    pictures: list[str] = []
    others: list[str] = []
    folders, findings = [], []
    for path, entry in _walk_entries(folder):
        suffix = _suffix(entry.name)
        if not is_valid_name(entry.name):
            findings.append(refuse_path(OmissionReason.NAME, path))
        elif entry.is_symlink():
            findings.append(refuse_path(OmissionReason.LINK, path))
        elif entry.is_dir(follow_symlinks=False):
            folders.append(path)
        elif not entry.is_file(follow_symlinks=False):
            continue  # pipes, sockets, devices
        elif suffix in UNSUPPORTED_SUFFIXES:
            findings.append(refuse_path(OmissionReason.UNREAD, path))
        elif suffix in SUFFIXES or (not suffix and _has_picture_signature(Path(entry.path))):
            pictures.append(path)
        else:
            others.append(path)
    return SourceFiles(
        pictures=tuple(sorted(pictures)),
        folders=tuple(sorted(folders)),
        others=tuple(sorted(others)),
        refused=tuple(sorted(findings, key=lambda finding: finding.picture)),
    )


def list_entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, or raise InputError if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        what = f"the folder cannot be read ({error.strerror})"
        raise InputError(folder, what, "Check the path.", code="cannot-read") from error


def file_mode(path: Path) -> int:
    """Return the mode of the file, or of the link itself; 0 if the path does not exist."""
    try:
        return path.lstat().st_mode
    except (OSError, ValueError):
        return 0


def is_regular_file(path: Path) -> bool:
    """Return whether the path is a regular file and not a link to one."""
    return stat.S_ISREG(file_mode(path))


def is_valid_name(name: str) -> bool:
    """Return whether a table and a terminal can show the name on one line."""
    return "\\" not in name and is_single_line(name)


def refuse_path(reason: OmissionReason, path: str) -> Finding:
    """Return the finding for a link, an invalid name or an unsupported format."""
    # The path is written to dataset.json, so undecodable bytes are escaped.
    details = {
        OmissionReason.LINK: "is a symbolic link; only files within the source are read",
        OmissionReason.NAME: "has a backslash, a line break or an undecodable byte in its name",
        OmissionReason.UNREAD: f"{_suffix(path)[1:].upper()} is not read; convert it to JPEG or PNG",
    }
    return create_finding(reason, path.encode("utf-8", "backslashreplace").decode("utf-8"), details[reason])


def _walk_entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    # A stack instead of recursion: folders may be nested deeper than Python allows calls.
    stack = [""]
    while stack:
        prefix = stack.pop()
        for entry in list_entries(folder / prefix):
            if entry.name.startswith("."):
                continue
            path = f"{prefix}{entry.name}"
            yield path, entry
            if entry.is_dir(follow_symlinks=False) and is_valid_name(entry.name):
                stack.append(f"{path}/")


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].casefold()  # noqa: PTH122 - faster than Path, for many names


def _has_picture_signature(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            detect_format(file.read(SIGNATURE_BYTES), where=path.name)
    except (OSError, PictureError):
        return False
    return True
