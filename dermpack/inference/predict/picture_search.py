"""Find the pictures that somebody names: files as they are, folders walked."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dermpack.errors import InputError, PictureError
from dermpack.imaging.formats import SUFFIXES, recognise

NO_PICTURE = "-"  # elsewhere it means stdin
BEGINNING_BYTES = 16  # as much as tells every format that is opened


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPictures:
    """Pictures in the order of the names, each once; folders that gave none; what lay beside them."""

    pictures: tuple[Path, ...]
    failures: tuple[InputError, ...]
    left_out: Counter[str]  # files that are no pictures, by their extension


def find_pictures(names: Sequence[Path]) -> FoundPictures:
    """Every file that is named, and every picture below every folder, sorted."""
    pictures: dict[Path, None] = {}
    failures: list[InputError] = []
    left_out: Counter[str] = Counter()
    for name in names:
        if str(name) == NO_PICTURE:
            what = "pictures cannot be read from stdin"
            raise InputError(name, what, "Give files or folders.", code="invalid-option")
        if not is_folder(name):
            pictures[name] = None
            continue
        try:
            pictures.update(dict.fromkeys(_below(name, left_out)))
        except InputError as error:
            failures.append(error)
    return FoundPictures(pictures=tuple(pictures), failures=tuple(failures), left_out=left_out)


def is_folder(path: Path) -> bool:
    """Also of a link to one; what cannot be looked at is none."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False


def _below(folder: Path, left_out: Counter[str]) -> list[Path]:
    """The pictures of a folder; hidden files are not looked at, links to folders are not followed."""
    found: list[Path] = []
    for entry in _files(folder):
        if _is_picture(entry):
            found.append(Path(entry.path))
        else:
            left_out[Path(entry.name).suffix.lower() or "without extension"] += 1
    if not found:
        hint = "Give a folder with JPEG, PNG, WebP, BMP, TIFF or GIF files."
        raise InputError(folder, "the folder contains no pictures", hint, code="no-pictures")
    return sorted(found)


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Every file that is not hidden; a stack, since folders may nest deeper than calls."""
    waiting = [folder]
    while waiting:
        for entry in _entries(waiting.pop()):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            elif not is_folder(Path(entry.path)):
                yield entry


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise InputError(folder, what, "Check the path.", code="cannot-read") from error


def _is_picture(entry: os.DirEntry[str]) -> bool:
    """Whether the extension says so, or the first bytes where there is none."""
    suffix = Path(entry.name).suffix.lower()
    return suffix in SUFFIXES or (not suffix and _begins_as_a_picture(Path(entry.path)))


def _begins_as_a_picture(path: Path) -> bool:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            return False
        with path.open("rb") as file:
            recognise(file.read(BEGINNING_BYTES), where=str(path))
    except (OSError, PictureError):
        return False
    return True
