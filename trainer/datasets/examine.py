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
from dermpack.imaging.picture_decoder import PICTURE_SECONDS, decoding_memory, lost_picture_error
from dermpack.imaging.rejection import DEFAULT_LIMITS, DecodingLimits
from dermpack.processes.limits import allow_cpu_seconds
from dermpack.processes.process_pool import available_jobs, map_each
from dermpack.progress import Track, silent
from dermpack.storage.files import sha256_file
from trainer.datasets.duplicates.hashes import Signature, compute_signature
from trainer.datasets.findings import ImportOutcome, create_finding

KILLED = "SIGKILL"
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
    work = map_each(
        partial(_examine_picture, root, limits=limits),
        paths,
        chunk=CHUNK_PICTURES,
        jobs=jobs or available_jobs(),
        most_memory_bytes=decoding_memory(limits),
        lost=lambda index, ending: _reject_lost(root, paths[index], ending),
    )
    # Workers finish in any order; the answer keeps the order of `paths`, so outputs are reproducible.
    result_of_path = {paths[index]: result for index, result in track(work, total=len(paths), what="examine")}
    ordered = [result_of_path[path] for path in paths]
    usable = tuple(each for each in ordered if isinstance(each, ExaminedPicture))
    return usable, tuple(each for each in ordered if isinstance(each, Finding))


def _reject_lost(root: Path, path: str, ending: str) -> Finding:
    """Return the finding of a picture that ended its worker; raise InputError if the system killed that."""
    if KILLED in ending:
        # Another program can have used up the memory: the picture is possibly not to blame.
        what = f"the process that decodes it ended ({ending})"
        hint = "Lower --max-megapixels or --jobs, or remove the picture."
        raise InputError(root / path, what, hint, code="worker-died")
    error = lost_picture_error(root / path, ending)
    return Finding(kind=error.reason, picture=path, detail=error.what)


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
