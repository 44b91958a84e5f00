"""Fit the distance of a picture's pooled features to those of the training pictures.

The distance is Mahalanobis's with one mean and one covariance for all labels, of the square roots of the
features, divided by their number, so that the training pictures have a mean of 1. Features after a ReLU are
many small and few large numbers, and their roots are distributed more evenly. A full inverse covariance of
1280 features would take 1.6 MB in int8. The covariance has this form instead (probabilistic PCA, Tipping and
Bishop 1999):

    covariance = U · diag(λ) · Uᵀ on the k directions of largest variance, σ² in every other direction

    x = √max(features, 0) - mean
    distance = (Σ over i < k of (uᵢ · x)² · (1/λᵢ - 1/σ²) + |x|² / σ²) / number of features

It needs k rows of weights and no others, because |x|² needs none. In int8, the rows are not quite orthogonal,
and together they could subtract more than |x|²: a picture far from all others would get a distance of 0 or
less. So the subtracted part is limited to a share of |x|². docs/unknown-pictures.md compares it with
the energy of the logits and with other forms of the distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError

DIRECTIONS = 64
PICTURES_PER_DIRECTION = 4  # with fewer, the variance of a direction is that of single pictures
LARGEST = 127  # the largest step of an int8 with zero point 0
# The least variance of a direction, as a share of the mean variance of a feature. If the training pictures do
# not vary in a direction, any deviation is unlike them. With a smaller variance, the distance would be the
# difference of large numbers, which float32 cannot represent exactly.
LEAST_VARIANCE = 1e-4
# The least distance in any direction, as a share of |x|²/features. Rounding in float32 changes less.
LEAST_SHARE = 1e-3
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureDistance:
    """The mean and the covariance of the features; `directions` times `step` are the uᵢ, rounded to int8."""

    mean: NDArray[np.float32]  # [features], of the square roots
    deviation: float  # σ
    directions: NDArray[np.int8]  # [k, features]
    step: float
    weights: NDArray[np.float32]  # [k], (σ²/λᵢ - 1) / features

    def __call__(self, features: NDArray[np.float32]) -> Floats:
        """Return the distance of each row of features, as the tail of a file computes it."""
        x = (_square_roots(features) - self.mean) / self.deviation
        along = x @ (self.directions.astype(np.float64) * self.step).T
        return np.asarray(np.square(x).mean(axis=1) + np.square(along) @ self.weights)


def fit_distance(features: NDArray[np.float32], *, directions: int = DIRECTIONS) -> FeatureDistance:
    """Return the distance to these features, float32 [n, features], or raise InputError if all are equal.

    The directions are rounded first, and everything else is fitted to the rounded ones.
    """
    roots = _square_roots(features)
    mean = roots.mean(axis=0).astype(np.float32)
    x = roots - mean
    total = float(np.square(x).mean())
    if not np.isfinite(total) or total <= 0:
        what = "the network has the same features for all training pictures"
        raise InputError("--familiarity", what, "Train it for more epochs.", code="no-features")
    pictures, count = x.shape
    k = min(directions, pictures // PICTURES_PER_DIRECTION, count // 2)
    # 1. The directions of largest variance, each with a sign that does not depend on the library.
    _, basis = np.linalg.eigh(x.T @ x / pictures)
    rows = basis[:, ::-1][:, :k].T
    rows = rows * np.sign(rows[np.arange(k), np.abs(rows).argmax(axis=1)])[:, None]
    step = float(np.float32(np.abs(rows).max(initial=0.0) / LARGEST)) or 1.0
    rounded = np.rint(rows / step).astype(np.int8)
    # 2. The variance along them, and the mean variance of what remains. Rounded rows are not of length 1.
    lengths = np.square(rounded * step).sum(axis=1)
    variances = np.square(x @ (rounded * step).T).mean(axis=0) / lengths
    rest = max((total * count - variances.sum()) / (count - k), LEAST_VARIANCE * total)
    weights = (rest / np.maximum(variances, rest) - 1) / lengths / count
    # 3. They are not quite orthogonal either. The subtracted part is a quadratic form of x, whose largest
    # eigenvalue is the largest share of |x|²/features that it can have.
    scaled = rounded * step * np.sqrt(-weights * count)[:, None]
    share = float(np.linalg.eigvalsh(scaled @ scaled.T).max(initial=0.0))
    weights *= min(1.0, (1 - LEAST_SHARE) / max(share, LEAST_SHARE))
    # 4. The mean over the training pictures is set to 1.
    mean_distance = (total + float((variances * lengths) @ weights)) / rest
    return FeatureDistance(
        mean=mean,
        deviation=float(np.float32(np.sqrt(rest * mean_distance))),
        directions=rounded,
        step=step,
        weights=weights.astype(np.float32),
    )


def _square_roots(features: NDArray[np.float32]) -> Floats:
    """Return the roots; negative features, which some activations have, count as 0."""
    return np.asarray(np.sqrt(np.maximum(features, 0, dtype=np.float64)))
