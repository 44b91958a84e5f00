"""Split pictures by label in given shares, and keep pictures together that belong together."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dermpack.dataset.manifest import Split
from dermpack.errors import InputError

ROUNDING = 0.0101  # relative: 33/33/33 and 63.6/18.2/18.2 are meant as a whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """The shares of the splits, relative to their sum; a share of zero leaves its split empty."""

    train: float
    validation: float
    test: float

    def of(self, split: Split) -> float:
        """Return the share between 0 and 1: 70/15/15 and Split.TRAIN → 0.7."""
        return self._number(split) / (self.train + self.validation + self.test)

    def wanted(self) -> tuple[Split, ...]:
        """Return the splits that get pictures, in the order train, validation, test."""
        return tuple(split for split in Split if self._number(split) > 0)

    def without(self, split: Split) -> Shares:
        """Return the shares with zero for one split."""
        return Shares(**{each.value: 0.0 if each is split else self._number(each) for each in Split})

    def __str__(self) -> str:
        return "/".join(f"{self._number(split):g}" for split in Split)

    def _number(self, split: Split) -> float:
        return {Split.TRAIN: self.train, Split.VALIDATION: self.validation, Split.TEST: self.test}[split]


DEFAULT_SHARES = Shares(train=70, validation=15, test=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A picture that is split; all members of one unit get the same split."""

    path: str
    label: str
    unit: int


def parse_shares(text: str) -> Shares:
    """Parse "70/15/15": train, validation, test."""
    try:
        numbers = [float(part) for part in text.split("/")]
    except ValueError:
        numbers = []
    is_valid = len(numbers) == 3 and all(math.isfinite(n) and n >= 0 for n in numbers) and sum(numbers) > 0
    if not is_valid or not math.isfinite(sum(numbers)):
        hint = "Write train/validation/test, for example 70/15/15."
        raise InputError(f"--split {text}", "must be three shares", hint, code="invalid-option")
    if not any(abs(sum(numbers) - whole) <= whole * ROUNDING for whole in (1, 100)):
        what = f"the shares add up to {sum(numbers):g}, not to 100"
        percentages = "/".join(f"{100 * n / sum(numbers):.3g}" for n in numbers)
        hint = f"Write shares that add up to 100. In this proportion: {percentages}."
        raise InputError(f"--split {text}", what, hint, code="invalid-option")
    return Shares(train=numbers[0], validation=numbers[1], test=numbers[2])


def assign_splits(members: Sequence[Member], *, shares: Shares, seed: int) -> tuple[Split, ...]:
    """Return a split for each member; the shares of each label are as close as its units allow.

    A greedy algorithm on units, the large ones first and those of one size in random order. First, each
    label with at least as many units as there are splits gets one unit in each split. Then each unit goes to
    the split that lacks the most pictures of its labels. The order of the input does not matter.
    """
    labels: dict[int, Counter[str]] = defaultdict(Counter)
    names: dict[int, str] = {}
    for member in members:
        labels[member.unit][member.label] += 1
        names[member.unit] = min(member.path, names.get(member.unit, member.path))
    # Sorted by name before the shuffle, so that the same seed gives the same order for any input.
    units = [_Unit(name=names[number], number=number, labels=labels[number]) for number in labels]
    units.sort(key=lambda unit: unit.name)
    random.Random(seed).shuffle(units)
    units.sort(key=lambda unit: -unit.size)
    plan = _SplitPlan(units, shares)
    plan.place_in_every_split()
    plan.place_remaining()
    return tuple(plan.split_of_unit[member.unit] for member in members)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    name: str  # its first path, which defines an order that does not depend on the input's
    number: int
    labels: Counter[str]

    @property
    def size(self) -> int:
        return self.labels.total()


class _SplitPlan:
    """How many pictures of each label each split lacks, while units are placed one by one."""

    def __init__(self, units: Sequence[_Unit], shares: Shares) -> None:
        self.units, self.splits = units, shares.wanted()
        totals: Counter[str] = sum((unit.labels for unit in units), Counter())
        self.lacks = {
            split: {label: shares.of(split) * totals[label] for label in totals} for split in self.splits
        }
        self.smallest_first = sorted(self.splits, key=shares.of)
        self.split_of_unit: dict[int, Split] = {}
        self.placed_labels: set[tuple[Split, str]] = set()

    def place_in_every_split(self) -> None:
        """Place one small unit of each label in each split, the rarest labels first."""
        units_of_label: dict[str, list[_Unit]] = defaultdict(list)
        for unit in reversed(self.units):  # the small ones first
            for label in unit.labels:
                units_of_label[label].append(unit)
        # Labels with few units go first, because they have the least choice.
        for label in sorted(units_of_label, key=lambda name: (len(units_of_label[name]), name)):
            if len(units_of_label[label]) < len(self.splits):
                continue
            free_units = (unit for unit in units_of_label[label] if unit.number not in self.split_of_unit)
            for split in self.smallest_first:
                if (split, label) not in self.placed_labels:
                    free_unit = next(free_units, None)
                    if free_unit is not None:
                        self._place(free_unit, split)

    def place_remaining(self) -> None:
        """Place every other unit in the split that lacks the most of it."""
        for unit in self.units:
            if unit.number not in self.split_of_unit:
                # The lack of each label is weighted by its pictures in the unit.
                lacks = {
                    split: sum(count * self.lacks[split][label] for label, count in unit.labels.items())
                    for split in self.splits
                }
                self._place(unit, max(self.splits, key=lacks.__getitem__))

    def _place(self, unit: _Unit, split: Split) -> None:
        self.split_of_unit[unit.number] = split
        for label, count in unit.labels.items():
            self.lacks[split][label] -= count
            self.placed_labels.add((split, label))
