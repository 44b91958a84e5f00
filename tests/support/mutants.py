"""Spoil the bytes of a .tflite, the same way for the same number."""

from __future__ import annotations

import numpy as np

HEAD = 64  # bytes with the root and its first offsets
KINDS = 5


def mutant(data: bytes, number: int) -> bytes:
    """One of KINDS ways by turns: cut off, bytes replaced, offsets replaced, a part moved, a bit turned."""
    generator = np.random.default_rng(number)
    way = (_cut, _scattered, _offsets, _moved, _turned)[number % KINDS]
    return way(data, generator)


def _cut(data: bytes, generator: np.random.Generator) -> bytes:
    return data[: int(generator.integers(8, len(data)))]


def _scattered(data: bytes, generator: np.random.Generator) -> bytes:
    spoilt = bytearray(data)
    for at in generator.integers(8, len(data), size=int(generator.integers(1, 60))):
        spoilt[at] = int(generator.integers(256))
    return bytes(spoilt)


def _offsets(data: bytes, generator: np.random.Generator) -> bytes:
    """Whole words become what counts and offsets become in a hostile file: huge, negative, zero."""
    spoilt = bytearray(data)
    for at in generator.integers(2, len(data) // 4, size=4) * 4:
        value = int(generator.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data)]))
        spoilt[at : at + 4] = value.to_bytes(4, "little")
    return bytes(spoilt)


def _moved(data: bytes, generator: np.random.Generator) -> bytes:
    """The head stays: what it points at is elsewhere now."""
    at, to = sorted(int(place) for place in generator.integers(HEAD, len(data), size=2))
    return data[:at] + data[to:] + data[at:to]


def _turned(data: bytes, generator: np.random.Generator) -> bytes:
    spoilt = bytearray(data)
    spoilt[int(generator.integers(8, len(data)))] ^= 1 << int(generator.integers(8))
    return bytes(spoilt)
