"""Frames through a pair of pipes to a program that is not trusted: bounded in size and in time."""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Any

SILENT_SECONDS = 60.0  # of patience while the other side takes nothing
BREATH_SECONDS = 15.0  # the other side ends itself after four of them in silence
LEAVING_SECONDS = 2.0
MOST_LINE_BYTES, CHUNK_BYTES = 16 << 10, 1 << 16

Frame = Mapping[str, Any]


class StreamBrokenError(Exception):
    """The other side is gone, or does not say what it should; `why` is empty where it just ended."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(slots=True, kw_only=True)
class Stream:
    """A frame is a line of JSON that says how many bytes follow it."""

    to: int  # a pipe that does not block
    of: int
    ahead: bytearray = field(default_factory=bytearray)
    lock: Lock = field(default_factory=Lock)  # nothing is said in the middle of a frame

    def say(self, frame: Frame, data: bytes = b"") -> None:
        with self._speaking():
            self._write(_encoded({**frame, "bytes": len(data)}) + data)

    def say_file(self, frame: Frame, file: Path) -> None:
        with file.open("rb") as opened, self._speaking():
            self._write(_encoded({**frame, "bytes": file.stat().st_size}))
            while data := opened.read(CHUNK_BYTES):
                self._write(data)

    def say_raw(self, data: bytes) -> None:
        with self._speaking():
            self._write(data)

    def breathe(self, stopped: Event) -> None:
        """Say every now and then that somebody is here, until stopped or alone."""
        with suppress(OSError, StreamBrokenError):  # who speaks next will hear why
            while not stopped.wait(BREATH_SECONDS):
                with self.lock:
                    self._write(_encoded({"do": "nothing", "bytes": 0}))

    def answer(self, *, seconds: float, most_bytes: int) -> tuple[Frame, bytes]:
        """The next frame; one in which the other side says that it gives up breaks the stream."""
        until = time.monotonic() + seconds
        try:
            frame = json.loads(self.line(until))
            size = frame["bytes"]
            is_sound = isinstance(size, int) and 0 <= size <= most_bytes
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StreamBrokenError("unexpected response") from error
        if "error" in frame:
            raise StreamBrokenError(f"the remote process failed: {frame['error']}"[:MOST_LINE_BYTES])
        if not is_sound:
            raise StreamBrokenError("the response has too many bytes")
        while len(self.ahead) < size:
            self._read(until)
        data = bytes(self.ahead[:size])
        del self.ahead[:size]
        return frame, data

    def line(self, until: float) -> bytes:
        while (end := self.ahead.find(b"\n")) < 0:
            if len(self.ahead) > MOST_LINE_BYTES:
                raise StreamBrokenError("the response has a line that is too long")
            self._read(until)
        line = bytes(self.ahead[:end])
        del self.ahead[: end + 1]
        return line

    def _read(self, until: float) -> None:
        if not select.select([self.of], [], [], max(0.0, until - time.monotonic()))[0]:
            raise StreamBrokenError("no response")
        data = os.read(self.of, CHUNK_BYTES)
        if not data:
            raise StreamBrokenError("")
        self.ahead += data

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if not select.select([], [self.to], [], SILENT_SECONDS)[1]:
                raise StreamBrokenError("the remote process does not read its input")
            view = view[os.write(self.to, view) :]

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            with self.lock:
                yield
        except OSError as error:
            raise StreamBrokenError(self._last_words()) from error

    def _last_words(self) -> str:
        """What the other side said before it left."""
        try:
            self.answer(seconds=LEAVING_SECONDS, most_bytes=0)
        except StreamBrokenError as broken:
            return broken.why
        return ""


def _encoded(frame: Frame) -> bytes:
    return json.dumps(frame).encode() + b"\n"
