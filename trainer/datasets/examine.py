"""Decode every picture of a listing once, in parallel processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from dermpack.dataset.manifest import Finding
from dermpack.errors import InputError, PictureError
from dermpack.imaging import DEFAULT_LIMITS, DecodingLimits, decode
from dermpack.processes.process_pool import WorkerLostError, available_jobs, map_in_processes
from dermpack.progress import Track, silent
from dermpack.storage.files import sha256_file
from trainer.datasets.duplicates.signature import Signature, compute_signature
from trainer.datasets.findings import ImportOutcome, create_finding

CHUNK_PICTURES = 16  # a task: large enough to hide the cost of the pipe, small enough for a smooth bar


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedPicture:
    """What decoding a picture yields."""

    path: str
    sha256: str  # of the file's bytes
    width: int  # after EXIF orientation
    height: int
    notes: tuple[str, ...]  # values of dermpack.imaging.Note
    signature: Signature


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
    examined = _examine_chunks(root, chunks, limits, jobs or available_jobs())
    results = list(track(examined, total=len(paths), what="examine"))
    # Workers finish in any order; the answer keeps the order of `paths`, so that outputs are reproducible.
    by_path = {each.path if isinstance(each, ExaminedPicture) else each.picture: each for each in results}
    ordered = [by_path[path] for path in paths]
    usable = tuple(each for each in ordered if isinstance(each, ExaminedPicture))
    return usable, tuple(each for each in ordered if isinstance(each, Finding))


def _examine_chunks(
    root: Path, chunks: Sequence[tuple[str, ...]], limits: DecodingLimits, jobs: int
) -> Iterator[ExaminedPicture | Finding]:
    try:
        for _, results in map_in_processes(partial(_examine_chunk, root, limits), chunks, jobs=jobs):
            yield from results
    except WorkerLostError as error:
        chunk = chunks[error.task]
        what = (
            f"a worker process ended ({error.ending}) while it read {len(chunk)} pictures up to {chunk[-1]}"
        )
        hint = "Lower --max-megapixels or --jobs, or remove the picture that causes it."
        raise InputError(root / chunk[0], what, hint, code="worker-died") from error


def _examine_chunk(
    root: Path, limits: DecodingLimits, chunk: tuple[str, ...]
) -> list[ExaminedPicture | Finding]:
    results: list[ExaminedPicture | Finding] = []
    for path in chunk:
        try:
            results.append(_examine_picture(root, path, limits))
        except PictureError as error:
            results.append(Finding(kind=error.reason, picture=path, detail=error.what))
        except FileNotFoundError:
            detail = "vanished while it was imported"
            results.append(create_finding(ImportOutcome.CHANGED, path, detail))
        except OSError as error:
            detail = error.strerror or "cannot be read"
            results.append(create_finding(ImportOutcome.UNREADABLE, path, detail))
    return results


def _examine_picture(root: Path, path: str, limits: DecodingLimits) -> ExaminedPicture | Finding:
    file = root / path
    # lstat, because the decoder is the one that refuses links.
    before = file.lstat()
    decoded = decode(file, limits=limits)
    sha256 = sha256_file(file)
    after = file.lstat()
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
