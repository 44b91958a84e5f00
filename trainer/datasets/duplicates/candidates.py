"""Propose pairs of pictures that may show the same thing: nearest neighbours by the features of a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from dermpack.imaging.rejection import DecodingLimits
from dermpack.progress import Track
from trainer.datasets.picture_features import (
    MIN_DEVIATION,
    Features,
    Pose,
    SourcePicture,
    compute_features,
    standardize,
)

# Neighbours of each picture by each kind of features. On 3,034 clinical photographs with 303 known pairs, 15
# upright neighbours contain 98.7 % of the pairs, 10 contain 97.7 %. The features of any orientation add the
# copies that are turned or mirrored.
NEIGHBOURS = {Pose.UPRIGHT: 15, Pose.ANY: 10}
# Up to here, all pairs are proposed: comparing a pair takes 1 ms, the features of a picture 20 ms.
MAX_ALL_PAIRS = 64
DIMENSIONS = 256  # of 1,280: principal components with the same neighbours, at a fifth of the time
MAX_PAIRS = 500_000  # the closest ones are confirmed, in minutes; there are more only above 30,000 pictures
BLOCK_CELLS = 1 << 24  # cosines in memory at once

Pairs = NDArray[np.intp]


def propose_pairs(
    pictures: Sequence[SourcePicture], *, limits: DecodingLimits, jobs: int, track: Track
) -> Pairs:
    """Return intp [n, 2], each pair once with the smaller index first, in ascending order."""
    if len(pictures) <= MAX_ALL_PAIRS:
        return np.argwhere(np.triu(np.ones((len(pictures), len(pictures)), dtype=bool), k=1))
    keys, cosines = [], []
    for pose, count in NEIGHBOURS.items():
        features = compute_features(pictures, pose=pose, limits=limits, jobs=jobs, track=track)
        with threadpool_limits(1):  # sums in one order, so that any number of processors finds the same
            for pairs, similarities in find_nearest(reduce_dimensions(features), count=count):
                keys.append(pairs[:, 0] * len(pictures) + pairs[:, 1])
                cosines.append(similarities)
    key, cosine = np.concatenate(keys), np.concatenate(cosines)
    # The closest pairs first; of equal ones, the smaller key, so that the order is reproducible.
    order = np.lexsort((key, -cosine))
    _, first = np.unique(key[order], return_index=True)
    chosen = np.sort(key[order][np.sort(first)[:MAX_PAIRS]])
    return np.stack(np.divmod(chosen, len(pictures)), axis=1)


def reduce_dimensions(features: Features) -> Features:
    """Return unit vectors of the principal components of the standardized features."""
    standardized = standardize(features)
    if min(standardized.shape) <= DIMENSIONS:
        return standardized
    _, vectors = np.linalg.eigh(standardized.T @ standardized)
    reduced = standardized @ vectors[:, -DIMENSIONS:]
    unit: Features = reduced / np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), MIN_DEVIATION)
    return unit


def find_nearest(vectors: Features, *, count: int) -> Iterator[tuple[Pairs, Features]]:
    """Yield the pairs of each vector with its nearest ones, and their cosines, block by block."""
    rows_per_block = max(1, BLOCK_CELLS // len(vectors))
    for start in range(0, len(vectors), rows_per_block):
        block = vectors[start : start + rows_per_block]
        rows = np.arange(start, start + len(block))
        cosines = block @ vectors.T
        cosines[np.arange(len(block)), rows] = -1  # not the vector itself
        nearest = np.argpartition(cosines, -count, axis=1)[:, -count:]
        similarities = np.take_along_axis(cosines, nearest, axis=1).ravel()
        pairs = np.sort(np.stack([np.repeat(rows, count), nearest.ravel()], axis=1), axis=1)
        yield pairs, similarities
