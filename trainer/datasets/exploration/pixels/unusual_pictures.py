"""Find pictures that may not belong in a dataset: unlike all others, blurred, too dark or too bright.

Unlike others: the distance of a picture's features from the mean of the dataset, over all features and over
the leading directions, as standard deviations of the logarithm (median and median deviation, so that the
unusual pictures do not hide themselves). It finds photographs of other things; it does not find another kind
of picture of skin in a varied dataset, such as dermoscopic pictures among clinical photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dermpack.dataset.manifest import Picture
from dermpack.metrics.predictions import Floats
from trainer.datasets.exploration.pixels.picture_measures import Measured
from trainer.datasets.picture_features import Features

MIN_DEVIATIONS = 3.0
DIRECTIONS = 16
MIN_PICTURES = 50  # a dataset with fewer has no usual picture
# Sharpness of 300 pictures of HAM10000 and 300 of fitzpatrick21: at least 3.5, half of them above 8 and 10.
# Blurred by a Gaussian of 1.5 to 4 pixels at 224 × 224, all of 120 pictures were below 2.5.
MIN_SHARPNESS = 2.5
# The 99th percentile of the grey levels: at least 117 in the same pictures, and 65 in generated pictures of
# the darkest skin, which must not count as a fault. Photographs with three stops less light had a median of
# 72 to 79, so only nearly black pictures are below this.
MIN_BRIGHTEST = 60.0
# The 99th percentile of the share of white pixels in the clinical photographs is 0.17.
MAX_WHITE = 0.25
MAX_LISTED = 200  # of each kind, in report.json


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusualPicture:
    """A picture and the measure by which it was found."""

    picture: str
    label: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusualKind:
    """The pictures beyond one threshold, the most unusual first."""

    threshold: float
    found: int
    pictures: tuple[UnusualPicture, ...]  # at most MAX_LISTED


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusualPictures:
    """Pictures to look at, of `n` measured ones."""

    n: int
    blurred: UnusualKind
    dark: UnusualKind
    white: UnusualKind
    unlike_others: UnusualKind | None  # None without features or with few pictures


def find_unusual_pictures(
    pictures: Sequence[Picture], measures: Sequence[Measured], features: Features | None
) -> UnusualPictures:
    """Return the unusual ones of the pictures; all arguments have an item for each picture."""
    sharpness = np.array([one.sharpness for one in measures])
    brightest = np.array([one.brightest for one in measures])
    white = np.array([one.white for one in measures])
    unlike = None
    if features is not None and len(pictures) >= MIN_PICTURES:
        deviations = np.round(measure_distance(features), 2)
        unlike = _collect(pictures, deviations, MIN_DEVIATIONS, is_beyond=np.greater_equal)
    return UnusualPictures(
        n=len(pictures),
        blurred=_collect(pictures, sharpness, MIN_SHARPNESS, is_beyond=np.less),
        dark=_collect(pictures, brightest, MIN_BRIGHTEST, is_beyond=np.less),
        white=_collect(pictures, white, MAX_WHITE, is_beyond=np.greater),
        unlike_others=unlike,
    )


def measure_distance(features: Features) -> Floats:
    """Return how far each picture is from the dataset, in robust standard deviations."""
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    centred /= features.std(axis=0, dtype=np.float64) + 1e-3
    over_all = np.linalg.norm(centred, axis=1)
    # The leading directions come from the covariance: 1,280 × 1,280 numbers for any number of pictures.
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    leading = vectors[:, -DIRECTIONS:]
    scaled = centred @ leading / np.sqrt(np.maximum(values[-DIRECTIONS:], 1e-9))
    over_leading = np.linalg.norm(scaled, axis=1)
    return np.maximum(_standardize_robustly(over_all), _standardize_robustly(over_leading))


def _standardize_robustly(distances: Floats) -> Floats:
    logarithms = np.log(np.maximum(distances, 1e-9))
    centred = logarithms - np.median(logarithms)
    # 1.4826 times the median deviation is the standard deviation of a normal distribution.
    deviation = 1.4826 * np.median(np.abs(centred))
    return np.asarray(centred / max(deviation, 1e-3))


def _collect(
    pictures: Sequence[Picture],
    values: Floats,
    threshold: float,
    *,
    is_beyond: Callable[[Floats, float], Floats],
) -> UnusualKind:
    """Return the pictures whose value is beyond the threshold, the furthest first."""
    found = np.flatnonzero(is_beyond(values, threshold))
    order = sorted(found, key=lambda index: (-abs(values[index] - threshold), pictures[index].path))
    return UnusualKind(
        threshold=threshold,
        found=len(found),
        pictures=tuple(
            UnusualPicture(
                picture=pictures[index].path, label=pictures[index].label, value=float(values[index])
            )
            for index in order[:MAX_LISTED]
        ),
    )
