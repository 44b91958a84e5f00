"""Provide examples with their labels: pictures, or features that a frozen trunk computed from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dermpack.metrics.predictions import Floats, Integers, Predictions

Rows = NDArray[Any]


class Copies(Protocol):
    """The same examples in several augmented copies: bytes [0, 255] for pictures, float16 for features."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, copy: int) -> Rows:
        """Return [n, …], mapped from the disk or in memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SingleCopy:
    """One copy of rows that exist already."""

    rows: Rows

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rows.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.rows.dtype

    def __len__(self) -> int:
        return 1

    def __getitem__(self, copy: int) -> Rows:
        return self.rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """Rows, each with its class, name and group."""

    copies: Copies
    truth: Integers  # [n], positions in classes
    classes: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def counts(self) -> Integers:
        """The number of examples of each class."""
        return np.bincount(self.truth, minlength=len(self.classes)).astype(np.int64)

    def with_copies(self, copies: Copies) -> Examples:
        return replace(self, copies=copies)

    def predictions(self, probabilities: Floats) -> Predictions:
        """Return the probabilities [n, k] of these examples together with their labels."""
        return Predictions(
            classes=self.classes,
            pictures=self.names,
            groups=self.groups,
            truth=self.truth,
            probabilities=probabilities,
        )
