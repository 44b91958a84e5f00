"""Decode every picture of a listing once, on all cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from dermpack.dataset.manifest import Finding
from dermpack.errors import InputError, PictureError
from dermpack.imaging import DEFAULT_LIMITS, DecodingLimits, decode
from dermpack.processes.process_pool import WorkerLostError, answers, available_jobs
from dermpack.progress import Track, silent
from dermpack.storage.files import sha256_file
from trainer.datasets.duplicates.signature import Signature, signature
from trainer.datasets.import_outcome import ImportOutcome, outcome

CHUNK_PICTURES = 16  # a task: large enough to make the pipe's cost small, small enough for a lively bar


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedPicture:
    """What one decoding told."""

    path: str
    sha256: str  # of the file's bytes
    width: int  # after EXIF orientation
    height: int
    notes: tuple[str, ...]  # words of dermpack.imaging.Note
    signature: Signature


def examine(
    root: Path,
    paths: Sequence[str],
    *,
    limits: DecodingLimits = DEFAULT_LIMITS,
    jobs: int | None = None,
    track: Track = silent,
) -> tuple[tuple[ExaminedPicture, ...], tuple[Finding, ...]]:
    """Every usable picture, and a finding for each refused one; both in the order of `paths`."""
    import_module("imagehash")  # missing here, it is one line; missing in a worker, a death
    chunks = [tuple(paths[at : at + CHUNK_PICTURES]) for at in range(0, len(paths), CHUNK_PICTURES)]
    told = track(_told(root, chunks, limits, jobs or available_jobs()), total=len(paths), what="examine")
    by_path = {each.path if isinstance(each, ExaminedPicture) else each.picture: each for each in told}
    ordered = [by_path[path] for path in paths]
    usable = tuple(each for each in ordered if isinstance(each, ExaminedPicture))
    return usable, tuple(each for each in ordered if isinstance(each, Finding))


def _told(
    root: Path, chunks: Sequence[tuple[str, ...]], limits: DecodingLimits, jobs: int
) -> Iterator[ExaminedPicture | Finding]:
    try:
        for _, told in answers(partial(_look_at_all, root, limits), chunks, jobs=jobs):
            yield from told
    except WorkerLostError as error:
        chunk = chunks[error.task]
        what = (
            f"a worker process ended ({error.ending}) while it read {len(chunk)} pictures up to {chunk[-1]}"
        )
        hint = "Lower --max-megapixels or --jobs, or remove the picture that causes it."
        raise InputError(root / chunk[0], what, hint, code="worker-died") from error


def _look_at_all(
    root: Path, limits: DecodingLimits, chunk: tuple[str, ...]
) -> list[ExaminedPicture | Finding]:
    return [_look(root, path, limits) for path in chunk]


def _look(root: Path, path: str, limits: DecodingLimits) -> ExaminedPicture | Finding:
    try:
        return _examined(root, path, limits)
    except PictureError as error:
        return Finding(kind=error.reason, picture=path, detail=error.what)
    except FileNotFoundError:
        return outcome(ImportOutcome.CHANGED, path, "vanished while it was imported")
    except OSError as error:
        return outcome(ImportOutcome.UNREADABLE, path, error.strerror or "cannot be read")


def _examined(root: Path, path: str, limits: DecodingLimits) -> ExaminedPicture | Finding:
    file = root / path
    before = file.lstat()  # a link is the decoder's to refuse
    decoded = decode(file, limits=limits)
    sha256 = sha256_file(file)
    after = file.lstat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return outcome(ImportOutcome.CHANGED, path, "changed while it was imported")
    height, width = decoded.pixels.shape[:2]
    return ExaminedPicture(
        path=path,
        sha256=sha256,
        width=width,
        height=height,
        notes=tuple(note.value for note in decoded.notes),
        signature=signature(decoded.pixels),
    )
