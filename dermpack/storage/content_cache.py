"""A cache of results that depend on the content of a file alone: one small file for each result.

    with open_content_cache("picture-features", version="model 3f2c, Pillow 13.0") as cache:
        data = cache.read(sha256) or compute_and_write(cache, sha256)

A result is written whole or not at all, so an interrupted computation continues where it ended. Every
process that uses the cache has a shared lock on it; the least recently used results are removed at the end,
by a process that is alone. Where the cache folder cannot be written, a temporary folder takes its place.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dermpack.storage.files import report_write_errors
from dermpack.storage.shared_folders import CACHE_VARIABLE, cache_bound_bytes, cache_folder

LOCK_FILE = ".dermpack.lock"
PARTIAL = ".partial"  # the end of the name of a result that is being written
SUFFIX = ".cached"  # the user may keep other files in the folder: they are never removed
DIGEST_BYTES = 16
MAX_RESULT_BYTES = 16 << 20
SPACE_HINT = f"Free some space, or set {CACHE_VARIABLE} to a folder on another disk."


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentCache:
    """The results of one version of one computation; a copy in another process uses the same files."""

    folder: Path

    def read(self, key: str) -> bytes | None:
        """Return the result, or None if it is missing or damaged."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                content = file.read(MAX_RESULT_BYTES + DIGEST_BYTES)
            os.utime(path)  # the time of the last use
        except OSError:
            return None
        data = content[DIGEST_BYTES:]
        return data if content[:DIGEST_BYTES] == _digest(data) else None

    def write(self, key: str, data: bytes) -> None:
        """Write the result in one step, or raise OutputError."""
        path = self._path(key)
        partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
        with report_write_errors(path, hint=SPACE_HINT):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                # Without fsync, which takes longer than the computation: a damaged result is recognized.
                partial.write_bytes(_digest(data) + data)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    def has(self, key: str) -> bool:
        """Return whether there is a result, without reading it."""
        return self._path(key).is_file()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{SUFFIX}"


@contextmanager
def open_content_cache(name: str, *, version: str) -> Iterator[ContentCache]:
    """Yield the cache of a computation; `version` names everything besides the content that matters."""
    part = hashlib.sha256(version.encode()).hexdigest()[:16]
    with ExitStack() as stack:
        folder = cache_folder() / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((folder / LOCK_FILE).open("a"))
        except OSError:  # read-only, or a file
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="dermpack-"))
            yield ContentCache(folder=Path(temporary))
            return
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield ContentCache(folder=folder / part)
        with suppress(OSError):  # another process uses the cache: it removes what is too much
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_least_recently_used(folder, bound_bytes=cache_bound_bytes())


def remove_least_recently_used(folder: Path, *, bound_bytes: int) -> None:
    """Remove results until the others fit the bound; no other process may use the folder."""
    # No process is writing now, so these files were left by processes that were killed.
    for path in folder.glob(f"*/*/.*{SUFFIX}.*{PARTIAL}"):
        with suppress(OSError):
            path.unlink()
    results = []
    for path in folder.glob(f"*/*/*{SUFFIX}"):
        with suppress(OSError):
            status = path.stat(follow_symlinks=False)
            results.append((status.st_mtime_ns, status.st_size, path))
    excess = sum(size for _, size, _ in results) - bound_bytes
    for _, size, path in sorted(results):
        if excess <= 0:
            return
        with suppress(OSError):
            path.unlink()
            excess -= size


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
