"""Find pictures: files as they are named, and all pictures below a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dermpack.errors import InputError
from dermpack.imaging.containers import SUFFIXES, begins_like_picture
from dermpack.storage.files import is_directory

STDIN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPictures:
    """Pictures in the order of the names, each once; the errors of folders; the other files seen."""

    pictures: tuple[Path, ...]
    failures: tuple[InputError, ...]
    left_out: Counter[str]  # files that are not pictures, by extension


def find_pictures(names: Sequence[Path]) -> FoundPictures:
    """Return every named file, and the sorted pictures below every named folder."""
    pictures: dict[Path, None] = {}
    failures: list[InputError] = []
    left_out: Counter[str] = Counter()
    for name in names:
        if str(name) == STDIN:
            what = "pictures cannot be read from stdin"
            raise InputError(name, what, "Give files or folders.", code="invalid-option")
        if not is_directory(name):
            pictures[name] = None
            continue
        try:
            inside: list[Path] = []
            for entry in _walk(name):
                suffix = Path(entry.name).suffix.lower()
                if suffix in SUFFIXES or (not suffix and begins_like_picture(Path(entry.path))):
                    inside.append(Path(entry.path))
                else:
                    left_out[suffix or "without extension"] += 1
            if not inside:
                hint = "Give a folder with JPEG, PNG, WebP, BMP, TIFF, GIF or HEIC files."
                raise InputError(name, "the folder contains no pictures", hint, code="no-pictures")
            pictures.update(dict.fromkeys(sorted(inside)))
        except InputError as error:
            failures.append(error)
    return FoundPictures(pictures=tuple(pictures), failures=tuple(failures), left_out=left_out)


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield every file that is not hidden; links to folders are not followed, so loops end."""
    waiting = [folder]  # a stack, because folders can be nested deeper than Python's recursion
    while waiting:
        current = waiting.pop()
        try:
            with os.scandir(current) as scanned:
                entries = [entry for entry in scanned if not entry.name.startswith(".")]
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise InputError(current, what, "Check the path.", code="cannot-read") from error
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            elif not is_directory(Path(entry.path)):
                yield entry
