"""The predictions of one model for a set of pictures, with the true classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dermpack.errors import InputError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
SUM_ERROR = 0.02  # an 8-bit output has steps of 1/256: each class may be off by half a step


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """One row per picture; a class may have no pictures, but every picture has a class."""

    classes: tuple[str, ...]
    pictures: tuple[str, ...]
    groups: tuple[str, ...]  # an empty name is a group of its own
    truth: Integers  # [n], indices into classes
    probabilities: Floats  # [n, k]

    def __post_init__(self) -> None:
        n, k = len(self.pictures), len(self.classes)
        if k < 2 or len(set(self.classes)) != k:
            what = f"the {k} classes are fewer than two, or one is repeated"
            raise _invalid(what, "Give two or more different classes.")
        if n == 0:
            raise _invalid("there are no pictures", "Choose a split that has pictures.")
        shapes = (len(self.groups), self.truth.shape, self.probabilities.shape)
        if shapes != (n, (n,), (n, k)):
            raise _invalid(f"the shapes do not fit {n} pictures and {k} classes", "Give one row per picture.")
        if self.truth.min() < 0 or self.truth.max() >= k:
            raise _invalid(f"a true class is outside of 0 to {k - 1}", "Number the classes from 0.")
        finite = np.isfinite(self.probabilities).all(axis=1)
        inside = (self.probabilities >= -1e-6) & (self.probabilities <= 1 + 1e-6)
        # With many classes, the rounding of an 8-bit output adds up to more than SUM_ERROR.
        sums = np.abs(np.where(finite, self.probabilities.sum(axis=1), np.nan) - 1) <= max(SUM_ERROR, k / 256)
        bad = np.flatnonzero(~(finite & inside.all(axis=1) & sums))
        if bad.size:
            values = [round(float(value), 4) for value in self.probabilities[bad[0]]]
            what = f"the values for {self.pictures[bad[0]]} are not a probability distribution: {values[:8]}"
            raise _invalid(what, "End the model with a softmax, or train it with a lower learning rate.")

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def predicted(self) -> Integers:
        """The most probable class of each picture; the first one of equals, as on a device."""
        return np.asarray(np.argmax(self.probabilities, axis=1), dtype=np.int64)

    @property
    def confidence(self) -> Floats:
        """The probability of the predicted class."""
        return np.asarray(self.probabilities.max(axis=1), dtype=np.float64)

    @property
    def correct(self) -> Flags:
        return np.asarray(self.predicted == self.truth)

    def group_codes(self) -> Integers:
        """Return one number per picture, from 0; pictures of the same group share it."""
        codes: dict[object, int] = {}
        # A tuple cannot equal a name, so a picture without a group never joins a named group.
        names = (group or (index,) for index, group in enumerate(self.groups))
        return np.array([codes.setdefault(name, len(codes)) for name in names], dtype=np.int64)

    def take(self, rows: Sequence[int] | Integers) -> Predictions:
        """Return the predictions for some of the pictures, in the given order."""
        indices = np.asarray(rows, dtype=np.int64)
        return Predictions(
            classes=self.classes,
            pictures=tuple(self.pictures[index] for index in indices),
            groups=tuple(self.groups[index] for index in indices),
            truth=self.truth[indices],
            probabilities=self.probabilities[indices],
        )


def as_truth(values: Any) -> Integers:
    """Return class indices in the integer type that Predictions expects."""
    return np.asarray(values, dtype=np.int64)


def _invalid(what: str, hint: str) -> InputError:
    return InputError("predictions", what, hint, code="invalid-predictions")
