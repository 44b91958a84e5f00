"""How much of a dataset goes into each split."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dermpack.dataset.manifest import Split
from dermpack.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Three numbers that need not sum to anything; a zero leaves its split empty."""

    train: float
    validation: float
    test: float

    def of(self, split: Split) -> float:
        """The share between 0 and 1: 70/15/15 and Split.TRAIN → 0.7."""
        return self._given(split) / (self.train + self.validation + self.test)

    def wanted(self) -> tuple[Split, ...]:
        """The splits that get pictures, in the order train, validation, test."""
        return tuple(split for split in Split if self._given(split) > 0)

    def without(self, split: Split) -> Shares:
        """The same shares of what remains when `split` is not cut anew."""
        left = {each.value: 0.0 if each is split else self._given(each) for each in Split}
        return Shares(**left)

    def __str__(self) -> str:
        return "/".join(f"{self._given(split):g}" for split in Split)

    def _given(self, split: Split) -> float:
        return {Split.TRAIN: self.train, Split.VALIDATION: self.validation, Split.TEST: self.test}[split]


ROUNDING = 0.0101  # 33/33/33, and 63.6/18.2/18.2, are meant as a whole
DEFAULT_SHARES = Shares(train=70, validation=15, test=15)


def parse_shares(text: str) -> Shares:
    """Read "70/15/15": train, validation, test."""
    try:
        numbers = [float(part) for part in text.split("/")]
    except ValueError:
        numbers = []
    sound = len(numbers) == 3 and all(math.isfinite(n) and n >= 0 for n in numbers) and sum(numbers) > 0
    if not sound or not math.isfinite(sum(numbers)):
        hint = "Write train/validation/test, for example 70/15/15."
        raise InputError(f"--split {text}", "must be three shares", hint, code="invalid-option")
    if not any(abs(sum(numbers) - whole) <= whole * ROUNDING for whole in (1, 100)):
        what = f"the shares add up to {sum(numbers):g}, not to 100"
        of_100 = "/".join(f"{100 * n / sum(numbers):.3g}" for n in numbers)
        hint = f"Write shares that add up to 100. In this proportion: {of_100}."
        raise InputError(f"--split {text}", what, hint, code="invalid-option")
    return Shares(train=numbers[0], validation=numbers[1], test=numbers[2])
