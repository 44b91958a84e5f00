"""Decode every picture of a listing once, in parallel processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from dermpack.dataset.manifest import Finding
from dermpack.errors import InputError, PictureError
from dermpack.imaging.decoding import decode
from dermpack.imaging.picture_decoder import PICTURE_SECONDS, decoding_memory
from dermpack.imaging.rejection import DEFAULT_LIMITS, DecodingLimits
from dermpack.processes.limits import allow_cpu_seconds
from dermpack.processes.process_pool import WorkerLostError, available_jobs, map_in_processes
from dermpack.progress import Track, silent
from dermpack.storage.files import sha256_file
from trainer.datasets.duplicates.hashes import Signature, compute_signature
from trainer.datasets.findings import ImportOutcome, create_finding

CHUNK_PICTURES = 16  # a task: large enough to hide the cost of the pipe, small enough for a smooth bar


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedPicture:
    """What decoding a picture yields."""

    path: str
    sha256: str  # of the file's bytes
    width: int  # after EXIF orientation
    height: int
    notes: tuple[str, ...]  # values of rejection.Note
    signature: Signature


Result = ExaminedPicture | Finding


def examine_pictures(
    root: Path,
    paths: Sequence[str],
    *,
    limits: DecodingLimits = DEFAULT_LIMITS,
    jobs: int | None = None,
    track: Track = silent,
) -> tuple[tuple[ExaminedPicture, ...], tuple[Finding, ...]]:
    """Return every usable picture and a finding for each other one, both in the order of `paths`."""
    # Without the data extra this raises MissingExtraError here; in a worker it would end the process.
    import_module("imagehash")
    chunks = [tuple(paths[start : start + CHUNK_PICTURES]) for start in range(0, len(paths), CHUNK_PICTURES)]
    try:
        work = map_in_processes(
            partial(_examine_chunk, root, limits),
            chunks,
            jobs=jobs or available_jobs(),
            most_memory_bytes=decoding_memory(limits),
        )
        examined = (each for _, results in work for each in results)
        # Workers finish in any order; the answer keeps the order of `paths`, so outputs are reproducible.
        result_of_path = dict(track(examined, total=len(paths), what="examine"))
    except WorkerLostError as error:
        chunk = chunks[error.task]
        read = f"{len(chunk)} pictures up to {chunk[-1]}"
        what = f"a worker process ended ({error.ending}) while it read {read}"
        hint = "Lower --max-megapixels or --jobs, or remove the picture that causes it."
        raise InputError(root / chunk[0], what, hint, code="worker-died") from error
    ordered = [result_of_path[path] for path in paths]
    usable = tuple(each for each in ordered if isinstance(each, ExaminedPicture))
    return usable, tuple(each for each in ordered if isinstance(each, Finding))


def _examine_chunk(root: Path, limits: DecodingLimits, chunk: tuple[str, ...]) -> list[tuple[str, Result]]:
    return [(path, _examine_picture(root, path, limits)) for path in chunk]


def _examine_picture(root: Path, path: str, limits: DecodingLimits) -> Result:
    file = root / path
    allow_cpu_seconds(PICTURE_SECONDS)
    try:
        # lstat, because the decoder is the one that refuses links.
        before = file.lstat()
        decoded = decode(file, limits=limits)
        sha256 = sha256_file(file)
        after = file.lstat()
    except PictureError as error:
        return Finding(kind=error.reason, picture=path, detail=error.what)
    except FileNotFoundError:
        return create_finding(ImportOutcome.CHANGED, path, "vanished while it was imported")
    except OSError as error:
        return create_finding(ImportOutcome.UNREADABLE, path, error.strerror or "cannot be read")
    # The pixels and the hash must come from the same bytes.
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return create_finding(ImportOutcome.CHANGED, path, "changed while it was imported")
    height, width = decoded.pixels.shape[:2]
    return ExaminedPicture(
        path=path,
        sha256=sha256,
        width=width,
        height=height,
        notes=tuple(note.value for note in decoded.notes),
        signature=compute_signature(decoded.pixels),
    )
