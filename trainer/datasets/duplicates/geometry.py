"""Confirm that two pictures show the same thing: local features that move together, and pixels that agree.

SIFT describes corners and blobs in a way that survives another size, crop, rotation, colour balance and
compression. If many of them in one picture match those of the other under one scaling, rotation and shift,
both pictures contain the same object. That alone is not enough, because pictures of one clinic carry the same
letters, rulers and frames, which fit perfectly: the pixels must also agree where they are laid over each
other, in most cells of a grid and not only in those with the mark.

A mirrored copy needs no second extraction: mirroring a picture permutes the bins of a SIFT descriptor.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
# The stubs of OpenCV do not declare that a mask is optional, and that no transform may be found.
NO_MASK: Any = None
ESTIMATE: Any = cv2.estimateAffinePartial2D

SIDE = 320  # pixels of the shorter side that features are extracted from, at most
MAX_FEATURES = 500  # the strongest ones of a picture
DESCRIPTOR = 128  # 4 × 4 cells with 8 directions
GREY_SIDE = 160  # pixels of the shorter side of the grey picture that is compared
RATIO = 0.75  # a match must be this much closer than the second best, as in Lowe's paper
TOLERANCE = 4.0  # pixels that a feature may be away from where the transform puts it
MIN_MATCHES = 8  # for a transform of four unknowns
FINE, COARSE = 1.0, 6.0  # deviations of the blurs whose difference is compared: details without shading
GRID = 8  # cells a side
MIN_CELL_PIXELS = 60
MIN_CELL_DEVIATION = 0.3  # grey levels of the details: below is noise of the compression
MARGIN = 0.125  # of each side, that is not compared: frames, rulers, letters and dark corners are there
MIN_OVERLAP = 0.05  # of the larger part: frames also fit when they are shifted so that little overlaps
ALMOST_WHITE = 254
# Of 42,000 proposed pairs of clinical photographs, the agreement of nearly all is below 0.1 (they show
# different things) or above 0.6; of generated pictures with one text, ruler or frame, it is at most 0.15.
MIN_INLIERS = 10
MIN_COVERAGE = 0.01
MIN_AGREEMENT = 0.28
SAME_PHOTOGRAPH_AGREEMENT = 0.9  # another shot of the same thing differs in light, angle and skin folds
HEADER = struct.Struct("<HHHHHd")  # both sizes, the number of features, the scale
VERSION = 1  # counts changes of this module that change local features


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFeatures:
    """The positions and descriptors of the local features of a picture, and a small grey copy of it."""

    scale: float  # original pixels per pixel of `points`
    points: Floats  # [n, 2]: x, y
    descriptors: Pixels  # [n, 128], as SIFT rounds them
    grey: Pixels  # [height, width]
    size: tuple[int, int]  # height and width that `points` refer to


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The evidence that two pictures show the same thing."""

    inliers: int  # features that match under one scaling, rotation and shift
    coverage: float  # of the pictures by these features: the smaller area of the two convex hulls
    agreement: float  # correlation of the details where the pictures overlap: the median of a grid's cells
    scale: float  # of the second picture's pixels to the first's
    rotation_degrees: float
    is_mirrored: bool

    @property
    def is_confirmed(self) -> bool:
        return (
            self.inliers >= MIN_INLIERS and self.coverage >= MIN_COVERAGE and self.agreement >= MIN_AGREEMENT
        )

    @property
    def is_same_photograph(self) -> bool:
        return self.is_confirmed and self.agreement >= SAME_PHOTOGRAPH_AGREEMENT


def extract_local_features(pixels: Pixels) -> LocalFeatures:
    """Return the local features of decoded, upright RGB pixels."""
    cv2.setNumThreads(1)  # the work is spread over processes
    grey: Pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    original_height = grey.shape[0]
    grey = _shrink(grey, SIDE)
    keypoints, descriptors = cv2.SIFT.create(nfeatures=MAX_FEATURES).detectAndCompute(grey, NO_MASK)
    # The number can exceed the limit where features have the same strength.
    points = np.array([keypoint.pt for keypoint in keypoints[:MAX_FEATURES]], dtype=np.float32)
    found = np.zeros((0, DESCRIPTOR)) if descriptors is None else descriptors[:MAX_FEATURES]
    return LocalFeatures(
        scale=original_height / grey.shape[0],
        points=points.reshape(-1, 2),
        descriptors=found.astype(np.uint8),
        grey=_shrink(grey, GREY_SIDE),
        size=(grey.shape[0], grey.shape[1]),
    )


def _shrink(grey: Pixels, side: int) -> Pixels:
    factor = side / min(grey.shape)
    if factor >= 1:
        return grey
    height, width = (max(1, round(factor * length)) for length in grey.shape)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def root_sift(descriptors: Pixels) -> Floats:
    values = descriptors.astype(np.float32)
    values /= np.maximum(values.sum(axis=1, keepdims=True), 1)
    return np.sqrt(values)


def _mirrored_bins() -> NDArray[np.intp]:
    """Return the order of the bins in the descriptor of a mirrored feature.

    Relative to the feature's direction, mirroring swaps its left and right: the rows of cells are reversed,
    and each direction becomes its negative.
    """
    bins = np.arange(DESCRIPTOR).reshape(4, 4, 8)
    return bins[::-1, :, (-np.arange(8)) % 8].ravel()


MIRRORED = _mirrored_bins()


def match_pictures(first: LocalFeatures, second: LocalFeatures) -> Match | None:
    """Return the evidence if it confirms that both pictures show the same thing, else None."""
    match = match_features(first, second)
    if match is None or match.is_confirmed or match.inliers < MIN_INLIERS:
        return match if match and match.is_confirmed else None
    # Matching in the other direction can find more pairs of features.
    reverse = match_features(second, first)
    if reverse is None or not reverse.is_confirmed:
        return None
    # A mirrored transform has the same rotation as its inverse.
    rotation = reverse.rotation_degrees if reverse.is_mirrored else -reverse.rotation_degrees
    return replace(reverse, scale=1 / reverse.scale, rotation_degrees=rotation)


def match_features(first: LocalFeatures, second: LocalFeatures) -> Match | None:
    """Return the evidence for the better of a plain and a mirrored match, or None if nothing fits."""
    if min(len(first.points), len(second.points)) < MIN_MATCHES:
        return None
    one, other = root_sift(first.descriptors), root_sift(second.descriptors)
    best: tuple[int, bool, Floats, Floats, Floats] | None = None
    for is_mirrored in (False, True):
        ours = one[:, MIRRORED] if is_mirrored else one
        is_match, nearest = _find_matches(ours @ other.T)
        if is_match.sum() < MIN_MATCHES:
            continue
        here, there = first.points[is_match], second.points[nearest[is_match]]
        if is_mirrored:
            here = _mirror(here, first.size[1])
        cv2.setRNGSeed(0)
        transform, mask = ESTIMATE(
            here, there, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE, maxIters=2000, confidence=0.99
        )
        if transform is None:
            continue
        is_inlier = mask.ravel() > 0
        inliers = int(is_inlier.sum())
        if best is None or inliers > best[0]:
            best = inliers, is_mirrored, transform.astype(np.float32), here[is_inlier], there[is_inlier]
    if best is None:
        return None
    inliers, is_mirrored, transform, here, there = best
    # The scale and the rotation of [[s cos a, -s sin a, x], [s sin a, s cos a, y]].
    scale = math.hypot(transform[0, 0], transform[1, 0])
    coverage = min(_hull_share(here, first.size), _hull_share(there, second.size))
    agreement = 0.0
    if inliers >= MIN_INLIERS and coverage >= MIN_COVERAGE:  # the pixels take longer than all before
        agreement = _compare_pixels(first, second, transform, is_mirrored=is_mirrored)
    return Match(
        inliers=inliers,
        coverage=coverage,
        agreement=agreement,
        scale=scale * second.scale / first.scale,
        rotation_degrees=math.degrees(math.atan2(transform[1, 0], transform[0, 0])),
        is_mirrored=is_mirrored,
    )


def _find_matches(similarities: Floats) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Return which features have a clearly nearest one in the other picture, and the nearest of each."""
    rows = np.arange(len(similarities))
    nearest = similarities.argmax(axis=1)
    best = similarities[rows, nearest]
    similarities[rows, nearest] = -1
    second = similarities.max(axis=1)
    # The distance of unit vectors is sqrt(2 - 2 cos).
    is_match = 1 - best < RATIO**2 * (1 - second)
    return is_match, nearest


def _mirror(points: Floats, width: int) -> Floats:
    mirrored = points.copy()
    mirrored[:, 0] = width - 1 - mirrored[:, 0]
    return mirrored


def _hull_share(points: Floats, size: tuple[int, int]) -> float:
    return float(cv2.contourArea(cv2.convexHull(points))) / (size[0] * size[1])


def _compare_pixels(
    first: LocalFeatures, second: LocalFeatures, transform: Floats, *, is_mirrored: bool
) -> float:
    """Return how far the details of both pictures agree where they overlap: the median of a grid's cells."""
    # From the pixels of the features to those of the small grey pictures.
    shrink_first = first.grey.shape[0] / first.size[0]
    shrink_second = second.grey.shape[0] / second.size[0]
    small = transform.astype(np.float64)
    small[:, :2] *= shrink_second / shrink_first
    small[:, 2] *= shrink_second
    grey = first.grey[:, ::-1] if is_mirrored else first.grey
    size = second.grey.shape[::-1]
    moved = np.asarray(cv2.warpAffine(grey.astype(np.float32), small, size), dtype=np.float32)
    inside = cv2.warpAffine(_inner_mask(grey), small, size) > ALMOST_WHITE
    inside &= _inner_mask(second.grey) > ALMOST_WHITE
    enlarged = abs(float(np.linalg.det(small[:, :2])))
    share = max(inside.mean(), inside.sum() / max(enlarged * grey.size, 1))
    if share < MIN_OVERLAP:
        return 0.0
    one, other = _details(moved), _details(second.grey.astype(np.float32))
    # A grid over the overlap.
    cells = []
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    for row_cell in np.array_split(rows, GRID):
        for column_cell in np.array_split(columns, GRID):
            block = np.ix_(row_cell, column_cell)
            chosen = inside[block]
            if chosen.sum() >= MIN_CELL_PIXELS:
                cells.append(_correlate(one[block][chosen], other[block][chosen]))
    return float(np.median(cells)) if cells else 0.0


def _inner_mask(grey: Pixels) -> Pixels:
    """Return 255 for the pixels that are compared, and 0 near the border, where marks and frames are."""
    mask = np.zeros(grey.shape, np.uint8)
    top, left = (round(MARGIN * length) for length in grey.shape)
    mask[top : grey.shape[0] - top, left : grey.shape[1] - left] = 255
    return mask


def _details(grey: Floats) -> Floats:
    fine: Floats = cv2.GaussianBlur(grey, (0, 0), FINE) - cv2.GaussianBlur(grey, (0, 0), COARSE)
    return fine


def _correlate(one: Floats, other: Floats) -> float:
    """Return the correlation, or 0 if one of them has no detail."""
    a, b = one - one.mean(), other - other.mean()
    if min(a.std(), b.std()) < MIN_CELL_DEVIATION:
        return 0.0
    return float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b))
