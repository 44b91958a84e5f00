"""Walk a source without following a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dermpack.errors import InputError
from dermpack.manifest import Finding
from trainer.datasets.layouts.refusal import Refusal, refused
from trainer.datasets.tables import is_one_line

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """Everything below a folder that is not hidden; paths are relative, with forward slashes, sorted."""

    pictures: tuple[str, ...]  # by their extension; none was opened
    folders: tuple[str, ...]
    refused: tuple[Finding, ...]


def walk(folder: Path) -> Walked:
    """Find pictures, folders and what is refused by its kind or its name."""
    pictures, folders, findings = [], [], []
    for path, entry in _entries(folder):
        why = _why_refused(entry)
        if why is not None:
            findings.append(why_finding(why, path))
        elif entry.is_dir(follow_symlinks=False):
            folders.append(path)
        elif entry.is_file(follow_symlinks=False) and is_picture_name(entry.name):
            pictures.append(path)
    return Walked(
        pictures=tuple(sorted(pictures)),
        folders=tuple(sorted(folders)),
        refused=tuple(sorted(findings, key=lambda finding: finding.picture)),
    )


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(folder, f"cannot be read ({error.strerror})", "check the path") from error


def mode_of(path: Path) -> int:
    """The kind of what lies there, of a link itself and not of its end; 0 where nothing can lie."""
    try:
        return path.lstat().st_mode
    except (OSError, ValueError):
        return 0


def is_own_file(path: Path) -> bool:
    """Whether a regular file lies there, and no link to one."""
    return stat.S_ISREG(mode_of(path))


def is_picture_name(name: str) -> bool:
    return os.path.splitext(name)[1].casefold() in PICTURE_SUFFIXES  # noqa: PTH122 - quick, for many names


def is_plain_name(name: str) -> bool:
    """Whether a table and a terminal can hold the name on one line."""
    return "\\" not in name and is_one_line(name)


def why_finding(why: Refusal, path: str) -> Finding:
    details = {
        Refusal.LINK: "is a symbolic link; only files within the source are read",
        Refusal.NAME: "has a backslash, a line break or an undecodable byte in its name",
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


def _why_refused(entry: os.DirEntry[str]) -> Refusal | None:
    if not is_plain_name(entry.name):
        return Refusal.NAME
    return Refusal.LINK if entry.is_symlink() else None
