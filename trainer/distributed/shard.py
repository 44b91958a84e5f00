"""Which rows of a batch are whose, when several processes share it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One of equal parts, counted from 0."""

    index: int = 0
    of: int = 1

    def rows(self, n: int) -> Integers:
        """So many of n rows that the mirror of each (mixup takes it) is a row of the same part.

        Part 0 of 2 of 8 rows → 0 1 6 7, part 1 → 2 3 4 5. A part of odd length has no such pairs.
        """
        size = n // self.of
        if size % 2:
            return np.arange(self.index * size, (self.index + 1) * size)
        half = np.arange(self.index * size // 2, (self.index + 1) * size // 2)
        return np.concatenate([half, n - 1 - half[::-1]])

    def span(self, n: int) -> tuple[int, int]:
        """First and end of the rows that this part has of n in their order: (0, 3) and (3, 7) of 7."""
        return self.index * n // self.of, (self.index + 1) * n // self.of


WHOLE = Shard()
