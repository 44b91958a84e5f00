"""Walk a source without following a link."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dermpack.errors import InputError
from dermpack.manifest import Finding
from trainer.datasets.layouts.refusal import Refusal, refused

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
BREAKS_A_LINE = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control, undecodable byte, line, paragraph


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


def is_picture_name(name: str) -> bool:
    return os.path.splitext(name)[1].casefold() in PICTURE_SUFFIXES  # noqa: PTH122 - quick, for many names


def is_plain_name(name: str) -> bool:
    """Whether a table and a terminal can hold the name on one line."""
    return "\\" not in name and not any(unicodedata.category(c) in BREAKS_A_LINE for c in name)


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
        for entry in _scan(folder, prefix):
            if entry.name.startswith("."):
                continue
            path = f"{prefix}{entry.name}"
            yield path, entry
            if entry.is_dir(follow_symlinks=False) and is_plain_name(entry.name):
                waiting.append(f"{path}/")


def _scan(folder: Path, prefix: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder / prefix) as entries:
            return list(entries)
    except OSError as error:
        where = folder / prefix
        raise InputError(where, f"cannot be read ({error.strerror})", "check the path") from error


def _why_refused(entry: os.DirEntry[str]) -> Refusal | None:
    if not is_plain_name(entry.name):
        return Refusal.NAME
    return Refusal.LINK if entry.is_symlink() else None
