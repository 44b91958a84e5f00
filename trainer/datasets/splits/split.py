"""Split pictures by label without parting what belongs together."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dermpack.dataset.manifest import Split
from trainer.datasets.splits.split_shares import Shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A picture as the splitting sees it; the members of one unit never part."""

    path: str
    label: str
    unit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    name: str  # its first path: the order that no input order changes
    number: int
    labels: Counter[str]

    @property
    def size(self) -> int:
        return self.labels.total()


def split(members: Sequence[Member], *, shares: Shares, seed: int) -> tuple[Split, ...]:
    """A split for each member; each label's shares come as near to the asked ones as its units allow.

    Units are drawn in an order shuffled by the seed, the large ones first. Each goes where its labels lack
    most. Before that, each label with as many units as splits are asked for gets one unit in each.
    """
    units = _units(members)
    random.Random(seed).shuffle(units)
    units.sort(key=lambda unit: -unit.size)
    plan = _Plan(units, shares)
    plan.place_in_every_split()
    plan.place_the_rest()
    return tuple(plan.placed[member.unit] for member in members)


def _units(members: Sequence[Member]) -> list[_Unit]:
    labels: dict[int, Counter[str]] = defaultdict(Counter)
    names: dict[int, str] = {}
    for member in members:
        labels[member.unit][member.label] += 1
        names[member.unit] = min(member.path, names.get(member.unit, member.path))
    units = [_Unit(name=names[number], number=number, labels=labels[number]) for number in labels]
    return sorted(units, key=lambda unit: unit.name)


class _Plan:
    """What each split still lacks of each label while units are placed."""

    def __init__(self, units: Sequence[_Unit], shares: Shares) -> None:
        self.units, self.wanted = units, shares.wanted()
        totals: Counter[str] = sum((unit.labels for unit in units), Counter())
        self.lacks = {
            split: {label: shares.of(split) * totals[label] for label in totals} for split in self.wanted
        }
        self.small_first = sorted(self.wanted, key=shares.of)
        self.placed: dict[int, Split] = {}
        self.has: set[tuple[Split, str]] = set()

    def place_in_every_split(self) -> None:
        """One small unit of each label in each split, the rarest labels first."""
        of_label: dict[str, list[_Unit]] = defaultdict(list)
        for unit in reversed(self.units):  # the small ones first
            for label in unit.labels:
                of_label[label].append(unit)
        for label in sorted(of_label, key=lambda name: (len(of_label[name]), name)):
            if len(of_label[label]) >= len(self.wanted):
                self._place_one_in_each(label, of_label[label])

    def _place_one_in_each(self, label: str, units: Sequence[_Unit]) -> None:
        free = (unit for unit in units if unit.number not in self.placed)
        for split in self.small_first:
            if (split, label) not in self.has:
                unit = next(free, None)
                if unit is not None:
                    self._place(unit, split)

    def place_the_rest(self) -> None:
        for unit in self.units:
            if unit.number not in self.placed:
                self._place(unit, max(self.wanted, key=lambda split: self._lack(split, unit)))

    def _lack(self, split: Split, unit: _Unit) -> float:
        return sum(count * self.lacks[split][label] for label, count in unit.labels.items())

    def _place(self, unit: _Unit, split: Split) -> None:
        self.placed[unit.number] = split
        for label, count in unit.labels.items():
            self.lacks[split][label] -= count
            self.has.add((split, label))
