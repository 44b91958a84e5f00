"""Corrupt the bytes of a .tflite; a number decides how."""

from __future__ import annotations

import numpy as np

HEAD = 64  # bytes with the root and its first offsets
KINDS = 5


def mutant(data: bytes, number: int) -> bytes:
    """Return one of KINDS corruptions: truncation, random bytes, offsets, a moved part, a flipped bit."""
    generator = np.random.default_rng(number)
    corrupt = (_truncate, _replace_bytes, _replace_offsets, _move_part, _flip_bit)[number % KINDS]
    return corrupt(data, generator)


def _truncate(data: bytes, generator: np.random.Generator) -> bytes:
    return data[: int(generator.integers(8, len(data)))]


def _replace_bytes(data: bytes, generator: np.random.Generator) -> bytes:
    corrupted = bytearray(data)
    for index in generator.integers(8, len(data), size=int(generator.integers(1, 60))):
        corrupted[index] = int(generator.integers(256))
    return bytes(corrupted)


def _replace_offsets(data: bytes, generator: np.random.Generator) -> bytes:
    """Replace whole words by the counts and offsets of a hostile file: huge, negative, zero."""
    corrupted = bytearray(data)
    for index in generator.integers(2, len(data) // 4, size=4) * 4:
        value = int(generator.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data)]))
        corrupted[index : index + 4] = value.to_bytes(4, "little")
    return bytes(corrupted)


def _move_part(data: bytes, generator: np.random.Generator) -> bytes:
    """Move a part, but not the head, which then points to the wrong bytes."""
    start, end = sorted(int(index) for index in generator.integers(HEAD, len(data), size=2))
    return data[:start] + data[end:] + data[start:end]


def _flip_bit(data: bytes, generator: np.random.Generator) -> bytes:
    corrupted = bytearray(data)
    corrupted[int(generator.integers(8, len(data)))] ^= 1 << int(generator.integers(8))
    return bytes(corrupted)
