"""Decode pictures of users in child processes, each with a limit of memory and of time.

Every command that gets pictures decodes them here; only `data import` and the cache of prepared pictures
decode in the workers of a pool, which have the same limits. A picture that crashes its process, fills the
memory or takes too long is rejected like any other broken one, and the next pictures get a new process.

    with PictureDecoder(jobs=2) as decoder:
        for pixels in decoder.prepare_all(files, 224, policy=Policy.CENTRE_SQUARE):
            ...

This module imports neither numpy nor Pillow, so that a command can start the processes before both.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

from dermpack.errors import InputError, PictureError
from dermpack.imaging.preprocessing import Policy
from dermpack.imaging.rejection import DEFAULT_LIMITS, DecodingLimits, Reason, picture_error
from dermpack.processes.child_process import (
    ChildEndedError,
    ChildProcess,
    ChildTimeoutError,
    not_started_error,
)
from dermpack.processes.limits import divide_memory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORKER = "dermpack.imaging.decoder_worker"
# 64 megapixels take 1.1 GiB in the most costly format, a progressive CMYK JPEG.
MEMORY_BYTES = 1792 << 20
PICTURE_SECONDS = 60.0  # the most costly picture within the limits takes seconds
OUT_OF_TIME = "SIGXCPU"  # the signal for a process that reaches its limit of processor time
CHUNK = 8  # pictures in one request
LOOK_AHEAD = 2  # chunks per process, so that none waits while the caller uses the pixels
Prepared: TypeAlias = "NDArray[np.uint8] | PictureError"


def decoding_memory(limits: DecodingLimits) -> int:
    """Return the most memory that a process needs to decode one picture within the limits."""
    return MEMORY_BYTES * max(limits.max_pixels, DEFAULT_LIMITS.max_pixels) // DEFAULT_LIMITS.max_pixels


def lost_picture_error(
    where: object, ending: str, *, picture_seconds: float = PICTURE_SECONDS
) -> PictureError:
    """Return the error that rejects a picture because the process that decodes it ended."""
    if OUT_OF_TIME in ending:
        what = f"decoding it takes more than {picture_seconds:.0f} s"
        return picture_error(where, Reason.TOO_COSTLY, what)
    return picture_error(where, Reason.BROKEN, f"the process that decodes it ended ({ending})")


class PictureDecoder:
    """Child processes that prepare pictures; threads can share them. They are started on first use."""

    def __init__(
        self,
        *,
        jobs: int = 1,
        limits: DecodingLimits = DEFAULT_LIMITS,
        picture_seconds: float = PICTURE_SECONDS,
        children: int | None = None,
    ) -> None:
        """`children` is the number of processes of the command that share its memory budget."""
        self.jobs, self._limits, self._picture_seconds = jobs, limits, picture_seconds
        # By default: a command may run one interpreter for each decoder.
        self._memory_bytes = divide_memory(children or 2 * jobs, most=decoding_memory(limits))
        self._idle: SimpleQueue[ChildProcess | None] = SimpleQueue()
        for _ in range(jobs):
            self._idle.put(None)
        self._is_closed = False
        self._started = list[ChildProcess]()
        self._ready = set[ChildProcess]()  # have finished their imports

    def __enter__(self) -> PictureDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the processes now; they import while the caller continues."""
        for _ in range(self.jobs):
            self._idle.put(self._idle.get() or self._start_one())

    def close(self) -> None:
        """End the processes and start no others; a thread that waits for one gets an error."""
        # A child that another thread starts at the same time is ended by `_start_one`.
        self._is_closed = True
        for child in list(self._started):
            child.close()

    def prepare_all(
        self, sources: Sequence[Path | bytes], size: int, *, policy: Policy
    ) -> Generator[NDArray[np.uint8]]:
        """Yield each picture in order as uint8 [size, size, 3]; raise the error of the first rejected one."""
        with closing(self.prepare_each(sources, size, policy=policy)) as each:
            for prepared in each:
                if isinstance(prepared, PictureError):
                    raise prepared
                yield prepared

    def prepare_each(
        self, sources: Sequence[Path | bytes], size: int, *, policy: Policy
    ) -> Generator[Prepared]:
        """Yield each picture in order like `prepare_all`, or its error; all processes work at once."""
        chunks = [sources[start : start + CHUNK] for start in range(0, len(sources), CHUNK)]
        waiting: deque[Future[list[Prepared]]] = deque()
        pool = ThreadPoolExecutor(self.jobs)
        try:
            for chunk in chunks:
                waiting.append(pool.submit(self.prepare_chunk, chunk, size, policy=policy))
                if len(waiting) > LOOK_AHEAD * self.jobs:
                    yield from waiting.popleft().result()
            for future in waiting:
                yield from future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def prepare_chunk(self, sources: Sequence[Path | bytes], size: int, *, policy: Policy) -> list[Prepared]:
        """Return the pictures, or their errors, from one process; a thread waits until one is idle."""
        import numpy as np

        request = {"size": size, "policy": policy.value, "limits": asdict(self._limits)}
        return [
            answer
            if isinstance(answer, PictureError)
            else np.frombuffer(answer, np.uint8).reshape(size, size, 3)
            for answer in self._answer(sources, request)
        ]

    def strip(self, picture: bytes) -> bytes:
        """Return the picture file without its metadata, or raise PictureError; see `strip_metadata`."""
        (answer,) = self._answer([picture], {})
        if isinstance(answer, PictureError):
            raise answer
        return answer

    def _answer(
        self, sources: Sequence[Path | bytes], request: Mapping[str, Any]
    ) -> list[bytes | PictureError]:
        """Return the answer of one process to the request about each source."""
        child, answers = self._idle.get(), list[bytes | PictureError]()
        try:
            while len(answers) < len(sources):
                if child is None or not child.is_running:
                    child = self._start_one()
                answers += self._request(child, sources[len(answers) :], request)
        finally:
            self._idle.put(child)
        return answers

    def _start_one(self) -> ChildProcess:
        self._require_open()
        child = ChildProcess(
            WORKER,
            str(self._picture_seconds),
            memory_bytes=self._memory_bytes,
            new_session=True,
            skip_site=True,
        )
        self._started.append(child)
        try:
            self._require_open()
        except InputError:
            child.close()
            raise
        return child

    def _require_open(self) -> None:
        if self._is_closed:
            raise not_started_error(RuntimeError("the decoder is closed"))

    def _request(
        self, child: ChildProcess, sources: Sequence[Path | bytes], request: Mapping[str, Any]
    ) -> list[bytes | PictureError]:
        """Return the answers for the first sources: for all of them, or up to one that ends the process."""
        files = [str(source) if isinstance(source, Path) else None for source in sources]
        answers = list[bytes | PictureError]()
        try:
            with child.time_limit(self._picture_seconds * len(sources)):
                if child not in self._ready:
                    child.receive()
                    self._ready.add(child)
                child.send(json.dumps({**request, "files": files}).encode())
                for source in sources:
                    # One at a time: while the child waits to send pixels, it does not read.
                    if isinstance(source, bytes):
                        child.send(source)
                    problem, answer = child.receive(), child.receive()
                    where = source if isinstance(source, Path) else "(bytes)"
                    answers.append(PictureError(where, *json.loads(problem)) if problem else answer)
        except (ChildEndedError, ChildTimeoutError) as error:
            child.close()
            # `close` ended the child: the picture is not to blame.
            if self._is_closed or child not in self._ready:
                raise not_started_error(error) from error
            failed = sources[len(answers)]
            where = failed if isinstance(failed, Path) else "(bytes)"
            ending = OUT_OF_TIME if isinstance(error, ChildTimeoutError) else str(error)
            answers.append(lost_picture_error(where, ending, picture_seconds=self._picture_seconds))
        return answers
