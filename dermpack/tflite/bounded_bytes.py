"""Limit what the unchecked flatbuffer reader reads: only inside the file, and no more than it contains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any, TypeVar

Table = TypeVar("Table")
MAX_TABLES = 200_000  # of all kinds; the largest network that we know has a tenth of it
MAX_NUMBERS = 8_000_000  # shapes and scales of all tensors; each becomes an object of 32 bytes
MAX_TEXT_BYTES = 1 << 20


class Malformed(ValueError):  # noqa: N818 - never leaves this package
    """A length or an offset that no valid file has."""


class BoundedBytes(bytes):
    """Bytes whose slices must lie inside and be no longer than a text; the reader slices by length fields."""

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, slice):
            return super().__getitem__(key)
        start, stop = key.start or 0, len(self) if key.stop is None else key.stop
        if not 0 <= start <= stop <= len(self) or stop - start > MAX_TEXT_BYTES:
            raise Malformed("a string is outside the file or too long")
        return super().__getitem__(key)


class Budget:
    """Limits on everything that is read from one file.

    A valid file is read about once; if much more than all of it is read, its parts overlap.
    """

    def __init__(self, data: bytes) -> None:
        self._tables, self._numbers = MAX_TABLES, MAX_NUMBERS
        self._bytes = 2 * len(data) + (1 << 16)  # tensors may share a text

    def tables(self, length: int, read: Callable[[int], Table | None]) -> Iterator[Table]:
        """Yield the tables of a vector."""
        self._tables -= length
        if self._tables < 0:
            raise Malformed(f"more than {MAX_TABLES} tables")
        for index in range(length):
            table = read(index)
            if table is None:
                raise Malformed("a vector of tables has an empty entry")
            yield table

    def numbers(self, length: int, as_array: Callable[[], Any]) -> tuple[Any, ...]:
        """Return the numbers of a vector, checked before they are copied."""
        self._spend(4 * length)
        self._numbers -= length
        if self._numbers < 0:
            raise Malformed(f"more than {MAX_NUMBERS} numbers that describe tensors")
        numbers = tuple(as_array().tolist()) if length else ()
        if not all(map(isfinite, numbers)):
            raise Malformed("a number is not finite")
        return numbers

    def data(self, length: int, as_array: Callable[[], Any]) -> bytes:
        """Return the bytes of a vector."""
        self._spend(length)
        return bytes(as_array().tobytes()) if length else b""

    def text(self, value: bytes | None) -> str:
        """Return a text, with a replacement character for each invalid byte."""
        self._spend(len(value or b""))
        return (value or b"").decode("utf-8", "replace")

    def _spend(self, count: int) -> None:
        self._bytes -= count
        if self._bytes < 0:
            raise Malformed("sections overlap many times")
