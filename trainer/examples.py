"""Rows with their truth: pictures, or what a frozen trunk made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermpack.scores.predictions import Floats, Integers, Predictions

Rows = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """`rows` is [copies, n, …]: bytes [0, 255] for pictures, float16 for activations; mapped, not loaded."""

    rows: Rows
    truth: Integers  # [n], positions in classes
    classes: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return self.rows.shape[2:]

    @property
    def counts(self) -> Integers:
        return np.bincount(self.truth, minlength=len(self.classes)).astype(np.int64)

    def with_rows(self, rows: Rows) -> Examples:
        return replace(self, rows=rows)

    def predictions(self, probabilities: Floats) -> Predictions:
        return Predictions(
            classes=self.classes,
            pictures=self.names,
            groups=self.groups,
            truth=self.truth,
            probabilities=probabilities,
        )
