"""Copy pictures into a dataset folder, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dermpack.dataset.manifest import Picture
from dermpack.errors import InputError
from dermpack.progress import Track, silent
from dermpack.storage.files import sha256_of

AGAIN = "Import again when no other program changes the source."


def copy_pictures(pictures: Sequence[Picture], root: Path, folder: Path, *, track: Track = silent) -> None:
    """Copy what was examined, or say which file is no longer the same."""
    for picture in track(pictures, total=len(pictures), what="copy"):
        target = folder / picture.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_same_bytes(root / picture.path, picture))


def _same_bytes(file: Path, picture: Picture) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        what = f"the picture cannot be read any more ({error.strerror})"
        raise InputError(file, what, AGAIN, code="picture-changed") from error
    if sha256_of(data) != picture.sha256:
        raise InputError(file, "the picture changed during the import", AGAIN, code="picture-changed")
    return data
