"""Rows with their truth: pictures, or what a frozen trunk made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dermpack.metrics.predictions import Floats, Integers, Predictions

Rows = NDArray[Any]


class Copies(Protocol):
    """The same examples, changed anew in each copy: bytes [0, 255] for pictures, float16 for activations."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, copy: int) -> Rows:
        """[n, …], mapped from the disk or held in memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Once:
    """Rows that are there already, once."""

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
    """A row, a truth, a name and a group each."""

    copies: Copies
    truth: Integers  # [n], positions in classes
    classes: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def counts(self) -> Integers:
        return np.bincount(self.truth, minlength=len(self.classes)).astype(np.int64)

    def with_copies(self, copies: Copies) -> Examples:
        return replace(self, copies=copies)

    def predictions(self, probabilities: Floats) -> Predictions:
        return Predictions(
            classes=self.classes,
            pictures=self.names,
            groups=self.groups,
            truth=self.truth,
            probabilities=probabilities,
        )
