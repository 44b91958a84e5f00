"""Find 64-bit hashes that differ in few bits, without comparing all with all.

The bits are dealt onto four bands of 16. Two hashes within 7 bits of each other differ by at most one bit
in at least one band (four bands with two differences each would be 8), so each band is looked up 17 times:
as it is, and with one bit flipped. On 60,000 spread hashes that is some 4 million candidates, not 1.8
billion.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

RADIUS = 7  # the most that one flipped bit in four bands finds for certain
BANDS = 4
BAND_BITS = 16
CHUNK_PAIRS = 1 << 21  # candidates looked at together; bounds the memory
FLIPS = (0, *(1 << bit for bit in range(BAND_BITS)))

Hashes = NDArray[np.uint64]
Indices = NDArray[np.intp]


def near(queries: Hashes, hashes: Hashes) -> Iterator[tuple[Indices, Indices]]:
    """Chunks of (query, hash) index pairs within RADIUS; a pair may come more than once."""
    for band in range(BANDS):
        keys = _band(hashes, band)
        order = np.argsort(keys, kind="stable")
        ends = np.cumsum(np.bincount(keys, minlength=1 << BAND_BITS))
        starts = np.concatenate(([0], ends[:-1]))
        asked = _band(queries, band)
        for flip in FLIPS:
            wanted = asked ^ flip
            yield from _within(queries, hashes, order, starts[wanted], ends[wanted])


def _band(hashes: Hashes, band: int) -> NDArray[np.intp]:
    """Every fourth bit, from bit `band` on: neighbouring bits of a picture's hash tell the same story."""
    key = np.zeros(len(hashes), dtype=np.uint64)
    for at in range(BAND_BITS):
        bit = (hashes >> np.uint64(BANDS * at + band)) & np.uint64(1)
        key |= bit << np.uint64(at)
    return key.astype(np.intp)


def _within(
    queries: Hashes, hashes: Hashes, order: Indices, starts: Indices, ends: Indices
) -> Iterator[tuple[Indices, Indices]]:
    """The candidates order[starts:ends] of each query, those kept that are near."""
    for first, second in _pairs(starts, ends):
        candidate = order[second]
        kept = distance(queries[first], hashes[candidate]) <= RADIUS
        if kept.any():
            yield first[kept], candidate[kept]


def _pairs(starts: Indices, ends: Indices) -> Iterator[tuple[Indices, Indices]]:
    """(query, place) for every place of each query's range, in chunks of bounded size."""
    counts = ends - starts
    asking = np.flatnonzero(counts)
    until = np.cumsum(counts[asking])
    total = int(until[-1]) if len(until) else 0
    if not total:
        return
    cuts = np.searchsorted(until, np.arange(0, total, CHUNK_PAIRS))
    for low, high in zip(cuts, (*cuts[1:], len(asking)), strict=True):
        queries = asking[low:high]
        sizes = counts[queries]
        first = np.cumsum(sizes) - sizes  # where each query's pairs begin in this chunk
        within = np.arange(int(sizes.sum())) - np.repeat(first, sizes)
        yield np.repeat(queries, sizes), np.repeat(starts[queries], sizes) + within


def distance(first: Hashes, second: Hashes) -> NDArray[np.intp]:
    """Differing bits, pair by pair."""
    bits = first ^ second
    m1, m2, m4 = (np.uint64(m) for m in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F))
    bits = bits - ((bits >> np.uint64(1)) & m1)
    bits = (bits & m2) + ((bits >> np.uint64(2)) & m2)
    bits = (bits + (bits >> np.uint64(4))) & m4
    return ((bits * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.intp)
