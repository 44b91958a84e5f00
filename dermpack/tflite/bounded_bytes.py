"""Bytes that a trusting reader can be let loose on: nothing outside, nothing out of proportion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any, TypeVar

Table = TypeVar("Table")
MAX_TABLES = 200_000  # of all kinds; the largest network we know of has a tenth of it
MAX_NUMBERS = 8_000_000  # shapes and scales of all tensors; each becomes an object of 32 bytes
MAX_TEXT_BYTES = 1 << 20


class Malformed(ValueError):  # noqa: N818 - never leaves this package
    """A length or an offset that no honest file has."""


class BoundedBytes(bytes):
    """Slices are what a length field asks for: they must lie inside, and be of a size that text has."""

    def __getitem__(self, at: Any) -> Any:
        if not isinstance(at, slice):
            return super().__getitem__(at)
        start, stop = at.start or 0, len(self) if at.stop is None else at.stop
        if not 0 <= start <= stop <= len(self) or stop - start > MAX_TEXT_BYTES:
            raise Malformed("a string is outside the file or too long")
        return super().__getitem__(at)


class Budget:
    """An honest file is read about once: reading far more than all of it means that parts overlap."""

    def __init__(self, data: bytes) -> None:
        self._tables, self._numbers = MAX_TABLES, MAX_NUMBERS
        self._bytes = 2 * len(data) + (1 << 16)  # texts may be shared

    def tables(self, length: int, at: Callable[[int], Table | None]) -> Iterator[Table]:
        """The tables of a vector, each paid for."""
        self._tables -= length
        if self._tables < 0:
            raise Malformed(f"more than {MAX_TABLES} tables")
        for index in range(length):
            table = at(index)
            if table is None:
                raise Malformed("a vector of tables has an empty entry")
            yield table

    def numbers(self, length: int, as_array: Callable[[], Any]) -> tuple[Any, ...]:
        """The numbers of a vector, paid for before they are copied."""
        self._pay(4 * length)
        self._numbers -= length
        if self._numbers < 0:
            raise Malformed(f"more than {MAX_NUMBERS} numbers that describe tensors")
        numbers = tuple(as_array().tolist()) if length else ()
        if not all(map(isfinite, numbers)):
            raise Malformed("a number is not finite")
        return numbers

    def data(self, length: int, as_array: Callable[[], Any]) -> bytes:
        """The bytes of a vector."""
        self._pay(length)
        return bytes(as_array().tobytes()) if length else b""

    def text(self, value: bytes | None) -> str:
        """A text, with a mark for each byte that is none."""
        self._pay(len(value or b""))
        return (value or b"").decode("utf-8", "replace")

    def _pay(self, many: int) -> None:
        self._bytes -= many
        if self._bytes < 0:
            raise Malformed("sections overlap many times")
