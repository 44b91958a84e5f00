"""Define the columns of patient metadata that a network takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from dermpack.storage.codec import check


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericColumn:
    """Two slots: (value - mean) / std and 0.0, or for a missing value 0.0 and 1.0."""

    kind: Literal["numeric"] = "numeric"
    name: str
    mean: float
    std: float
    minimum: float  # a value outside of the range is an error, not an outlier
    maximum: float

    def __post_init__(self) -> None:
        check(self.std > 0, "std", self.std, "above 0")
        check(self.minimum < self.maximum, "minimum", self.minimum, f"below maximum ({self.maximum:g})")

    @property
    def slots(self) -> int:
        return 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalColumn:
    """One slot for each category and one, the last, for an unknown or missing value; a single one is 1.0."""

    kind: Literal["categorical"] = "categorical"
    name: str
    categories: tuple[str, ...]

    def __post_init__(self) -> None:
        is_list = bool(self.categories) and len(set(self.categories)) == len(self.categories)
        check(is_list, "categories", list(self.categories)[:8], "a list of different texts")

    @property
    def slots(self) -> int:
        return len(self.categories) + 1


MetadataColumn: TypeAlias = NumericColumn | CategoricalColumn
