"""Find the pictures that show the same thing twice.

Exact: the decoded pixels are equal. Near: a perceptual hash proposes (in any of eight orientations, for
augmented downloads hold turned and mirrored copies), thumbnails confirm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermpack.progress import Track, silent
from trainer.datasets.duplicates.disjoint_sets import Unions, members_of
from trainer.datasets.duplicates.hash_neighbours import near
from trainer.datasets.duplicates.signature import ORIENTATIONS, THUMBNAIL, Signature, turned

# Correlation of two thumbnails, colour by colour. Of the 33,000 pairs that the hash proposes on 5,984
# dermoscopic pictures of as many lesions, two come above 0.96, and both show one lesion twice. Copies
# re-encoded, halved, turned, a tenth brighter or cropped by 1 % stay above it, and most cropped by 2 %.
ALIKE = 0.965
# Standard deviation in grey levels below which a picture is a plain surface: its hash is noise, and any two
# plain surfaces correlate by chance. Such pictures have exact duplicates only.
LEAST_CONTRAST = 2.0

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateSets:
    """For each signature, its set of equal and its set of similar pictures, named by the smallest index."""

    exact: tuple[int, ...]
    near: tuple[int, ...]  # holds the exact ones, too


def find_duplicates(signatures: Sequence[Signature], *, track: Track = silent) -> DuplicateSets:
    exact = Unions(len(signatures))
    exact.join_equal([each.pixels_sha256 for each in signatures])
    roots = exact.roots()
    near_sets = Unions(len(signatures))
    near_sets.join_equal(roots)
    ones = _distinct(signatures, roots)
    for pairs in track(_confirmed(signatures, ones), total=ORIENTATIONS, what="compare"):
        for first, second in pairs:
            near_sets.join(first, second)
    return DuplicateSets(exact=tuple(roots), near=tuple(near_sets.roots()))


def clusters(sets: Sequence[int]) -> dict[int, list[int]]:
    """The sets of more than one."""
    return {root: members for root, members in members_of(sets).items() if len(members) > 1}


def _distinct(signatures: Sequence[Signature], roots: Sequence[int]) -> list[int]:
    """One of each exact set, with enough contrast to be compared."""
    firsts = [at for at, root in enumerate(roots) if at == root]
    return [at for at in firsts if _thumbnail(signatures[at]).std(axis=(0, 1)).max() >= LEAST_CONTRAST]


def _confirmed(signatures: Sequence[Signature], ones: Sequence[int]) -> Iterator[list[tuple[int, int]]]:
    """The pairs that are alike, one list an orientation."""
    hashes = np.array(
        [np.frombuffer(signatures[at].hashes, dtype=">u8") for at in ones], dtype=np.uint64
    ).reshape(-1, ORIENTATIONS)
    vectors = _vectors(signatures, ones)
    for orientation in range(ORIENTATIONS):
        queries = _turned(vectors, orientation)
        found: list[tuple[int, int]] = []
        for first, second in near(hashes[:, orientation], hashes[:, 0]):
            found += _alike(queries, vectors, first, second, ones)
        yield found


def _alike(
    queries: Vectors, vectors: Vectors, first: NDArray[np.intp], second: NDArray[np.intp], ones: Sequence[int]
) -> list[tuple[int, int]]:
    later = first < second
    first, second = first[later], second[later]
    alike: list[tuple[int, int]] = []
    for low in range(0, len(first), 1 << 16):
        a, b = first[low : low + (1 << 16)], second[low : low + (1 << 16)]
        correlation = np.einsum("ij,ij->i", queries[a], vectors[b])
        kept = correlation >= ALIKE
        alike += [(ones[i], ones[j]) for i, j in zip(a[kept], b[kept], strict=True)]
    return alike


def _vectors(signatures: Sequence[Signature], ones: Sequence[int]) -> Vectors:
    """Each thumbnail as a unit vector without its mean colour: a product of two is their correlation."""
    vectors = np.empty((len(ones), THUMBNAIL * THUMBNAIL * 3), dtype=np.float32)
    for row, at in enumerate(ones):
        centred = _thumbnail(signatures[at])
        centred -= centred.mean(axis=(0, 1))
        vectors[row] = centred.ravel() / np.linalg.norm(centred)
    return vectors


def _turned(vectors: Vectors, orientation: int) -> Vectors:
    cells = np.arange(THUMBNAIL * THUMBNAIL * 3).reshape(THUMBNAIL, THUMBNAIL, 3)
    return vectors[:, turned(cells, orientation).ravel()]


def _thumbnail(signature: Signature) -> NDArray[np.float32]:
    flat = np.frombuffer(signature.thumbnail, dtype=np.uint8)
    return flat.reshape(THUMBNAIL, THUMBNAIL, 3).astype(np.float32)
