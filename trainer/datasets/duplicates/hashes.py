"""Compute the signatures of pictures, and find identical and near duplicates by them: the fast search.

Near duplicates are found in two steps. Perceptual hashes that differ in few bits propose pairs, in any of
eight orientations, because augmented downloads contain turned and mirrored copies. Then the correlation of
the thumbnails confirms a pair or rejects it.

Hashes of 64 bits that differ in few bits are found without comparing all with all. The bits are dealt onto
four bands of 16. Two hashes within 7 bits of each other differ by at most one bit in at least one band (four
bands with two differences each would be 8 bits), so each band is looked up 17 times: as it is, and with each
of its bits flipped. With 60,000 evenly spread hashes these are some 4 million candidates instead of 1.8
billion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermpack.progress import Track, silent
from trainer.datasets.splits.split import join_equal

THUMBNAIL = 16  # pixels a side, RGB
GREY = 32  # pixels a side of the grid that is hashed eight times; small, so that large pictures are fast
REDUCED = 64  # pixels a side of the picture that both are computed from
ORIENTATIONS = 8  # four quarter turns, each as it is and mirrored
# Correlation of two thumbnails, colour by colour. Of the 33,000 pairs that the hashes propose on 5,984
# dermoscopic pictures of as many lesions, two are above 0.96, and both show one lesion twice. Copies that are
# re-encoded, halved, turned, a tenth brighter or cropped by 1 % stay above it, and most cropped by 2 %.
MIN_CORRELATION = 0.965
# Standard deviation in grey levels below which a picture is a plain surface: its hash is noise, and any two
# plain surfaces correlate by chance. Such pictures have exact duplicates only.
MIN_CONTRAST = 2.0
RADIUS = 7  # the most differing bits that one flipped bit in four bands is certain to find
BANDS = 4
BAND_BITS = 16
FLIPS = (0, *(1 << bit for bit in range(BAND_BITS)))
CHUNK_CANDIDATES = 1 << 21  # pairs whose hashes are compared at once; bounds the memory
CHUNK_PAIRS = 1 << 14  # pairs whose thumbnails are compared at once: 100 MB

Pixels = NDArray[np.uint8]
Hashes = NDArray[np.uint64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Equal `pixels_sha256` means identical pictures; hashes and thumbnail find similar ones."""

    pixels_sha256: str  # of the size and the decoded, upright pixels
    hashes: bytes  # ImageHash's dhash of the eight orientations, 8 bytes each, the upright one first
    thumbnail: bytes  # uint8 [16, 16, 3]


def compute_signature(pixels: Pixels) -> Signature:
    """Return the signature of decoded, upright RGB pixels."""
    import imagehash  # of the data extra

    # Reducing in steps of whole blocks makes the eight hashes of a large picture cheap.
    reduced = Image.fromarray(pixels).resize((REDUCED, REDUCED), Image.Resampling.BOX)
    thumbnail = reduced.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    grey = np.asarray(reduced.convert("L").resize((GREY, GREY), Image.Resampling.BOX))
    oriented = [Image.fromarray(np.ascontiguousarray(orient(grey, index))) for index in range(ORIENTATIONS)]
    hashes = np.packbits([imagehash.dhash(image).hash for image in oriented])
    # The size is hashed as well: the same bytes can be pictures of several shapes.
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}:".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return Signature(pixels_sha256=digest.hexdigest(), hashes=hashes.tobytes(), thumbnail=thumbnail.tobytes())


def orient(grid: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Return the grid [h, w, …] in one of eight orientations: 0 to 3 quarter turns, then mirrored."""
    mirrored = grid[:, ::-1] if orientation >= 4 else grid
    return np.rot90(mirrored, orientation % 4)


def find_identical(signatures: Sequence[Signature]) -> list[int]:
    """Return the set of identical pictures of each signature, named by the index of its first one."""
    return join_equal([each.pixels_sha256 for each in signatures])


def find_similar(signatures: Sequence[Signature], *, track: Track = silent) -> list[tuple[int, int]]:
    """Return pairs of similar pictures that join each set of them; of identical ones, the first is compared.

    They are a spanning forest, so fewer than the pictures: all pairs of many similar pictures, as of a clinic
    with one frame around each, would be a quadratic number.
    """
    # One picture of each exact set is compared, if it has enough contrast.
    compared = [
        index
        for index, root in enumerate(find_identical(signatures))
        if index == root and _thumbnail(signatures[index]).std(axis=(0, 1)).max() >= MIN_CONTRAST
    ]
    pairs = track(_find_similar(signatures, compared), total=ORIENTATIONS, what="compare")
    return sorted(chain.from_iterable(pairs))


def find_neighbours(
    queries: Hashes, hashes: Hashes, roots: Indices | None = None
) -> Iterator[tuple[Indices, Indices]]:
    """Yield arrays of (query, hash) index pairs within RADIUS bits; a pair may be repeated.

    With `roots`, which names the set of each index and may change meanwhile, pairs within a set may be left
    out: so thousands of equal hashes take linear time once they are in one set.
    """
    for band in range(BANDS):
        # Sort the hashes by the value of their band: starts[value] to ends[value] is a range of `order`.
        keys = _select_band(hashes, band)
        order = np.argsort(keys, kind="stable")
        ends = np.cumsum(np.bincount(keys, minlength=1 << BAND_BITS))
        starts = np.concatenate(([0], ends[:-1]))
        lowest, highest = np.full(1 << BAND_BITS, len(hashes)), np.full(1 << BAND_BITS, -1)
        if roots is not None:  # the smallest and the largest root of the hashes with each value
            np.minimum.at(lowest, keys, roots)
            np.maximum.at(highest, keys, roots)
        query_keys = _select_band(queries, band)
        for flip in FLIPS:
            values = query_keys ^ flip
            first, last = starts[values], ends[values]
            if roots is not None:
                is_one_set = (lowest[values] == roots) & (highest[values] == roots)
                last = np.where(is_one_set, first, last)
            for query, place in _expand_ranges(first, last):
                candidate = order[place]
                is_near = hamming_distance(queries[query], hashes[candidate]) <= RADIUS
                if is_near.any():
                    yield query[is_near], candidate[is_near]


def hamming_distance(first: Hashes, second: Hashes) -> NDArray[np.intp]:
    """Return the number of differing bits, pair by pair."""
    # Count bits in parallel: sums of 2, then 4, then 8 bits; the product adds all bytes.
    bits = first ^ second
    m1, m2, m4 = (np.uint64(m) for m in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F))
    bits = bits - ((bits >> np.uint64(1)) & m1)
    bits = (bits & m2) + ((bits >> np.uint64(2)) & m2)
    bits = (bits + (bits >> np.uint64(4))) & m4
    return ((bits * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.intp)


def _thumbnail(signature: Signature) -> NDArray[np.float32]:
    flat = np.frombuffer(signature.thumbnail, dtype=np.uint8)
    return flat.reshape(THUMBNAIL, THUMBNAIL, 3).astype(np.float32)


def _find_similar(
    signatures: Sequence[Signature], compared: Sequence[int]
) -> Iterator[list[tuple[int, int]]]:
    """Yield the similar pairs that join two sets, one list for each orientation."""
    joined = b"".join(signatures[index].hashes for index in compared)
    hashes = np.frombuffer(joined, dtype=">u8").astype(np.uint64).reshape(-1, ORIENTATIONS)
    # Unit vectors without mean colour: the product of two of them is the correlation of the thumbnails.
    vectors = np.empty((len(compared), THUMBNAIL * THUMBNAIL * 3), dtype=np.float32)
    for row, index in enumerate(compared):
        centred = _thumbnail(signatures[index])
        centred -= centred.mean(axis=(0, 1))
        vectors[row] = centred.ravel() / np.linalg.norm(centred)
    cells = np.arange(THUMBNAIL * THUMBNAIL * 3).reshape(THUMBNAIL, THUMBNAIL, 3)
    roots = np.arange(len(compared))  # the smallest member of the set of each picture
    for orientation in range(ORIENTATIONS):
        # Turning a thumbnail is a permutation of the columns of its vector.
        queries = vectors[:, orient(cells, orientation).ravel()]
        pairs: list[tuple[int, int]] = []
        for first, second in find_neighbours(hashes[:, orientation], hashes[:, 0], roots):
            # Every pair is proposed in both directions, and each picture with itself.
            is_ordered = first < second
            first, second = first[is_ordered], second[is_ordered]
            for start in range(0, len(first), CHUNK_PAIRS):
                a, b = first[start : start + CHUNK_PAIRS], second[start : start + CHUNK_PAIRS]
                is_new = roots[a] != roots[b]  # pictures of one set need no comparison
                a, b = a[is_new], b[is_new]
                is_similar = np.einsum("ij,ij->i", queries[a], vectors[b]) >= MIN_CORRELATION
                for i, j in zip(a[is_similar].tolist(), b[is_similar].tolist(), strict=True):
                    low, high = sorted((roots[i], roots[j]))
                    if low != high:
                        roots[roots == high] = low
                        pairs.append((compared[i], compared[j]))
        yield pairs


def _select_band(hashes: Hashes, band: int) -> NDArray[np.intp]:
    """Return every fourth bit, from bit `band` on: neighbouring bits of a picture's hash are correlated."""
    key = np.zeros(len(hashes), dtype=np.uint64)
    for index in range(BAND_BITS):
        bit = (hashes >> np.uint64(BANDS * index + band)) & np.uint64(1)
        key |= bit << np.uint64(index)
    return key.astype(np.intp)


def _expand_ranges(starts: Indices, ends: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Yield (query, place) for every place of each query's range, in arrays of bounded size.

    Ranges 3 to 5 of query 0 and 7 to 8 of query 1 → queries [0, 0, 1], places [3, 4, 7].
    """
    counts = ends - starts
    queries = np.flatnonzero(counts)
    totals = np.cumsum(counts[queries])
    total = int(totals[-1]) if len(totals) else 0
    if not total:
        return
    cuts = np.searchsorted(totals, np.arange(0, total, CHUNK_CANDIDATES))
    for low, high in zip(cuts, (*cuts[1:], len(queries)), strict=True):
        chunk = queries[low:high]
        sizes = counts[chunk]
        first = np.cumsum(sizes) - sizes  # where the pairs of each query begin in this chunk
        offset = np.arange(int(sizes.sum())) - np.repeat(first, sizes)
        yield np.repeat(chunk, sizes), np.repeat(starts[chunk], sizes) + offset
