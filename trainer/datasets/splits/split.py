"""Assign pictures to splits, in given shares or as the source gives them, and find leaks between splits.

A picture leaks if another one of its group or cluster is in a split that is held out further: a model that
is trained on it is then tested on a picture that it knows from training.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from dermpack.dataset.manifest import Picture, Split
from dermpack.errors import InputError

ROUNDING = 0.0101  # relative: 33/33/33 and 63.6/18.2/18.2 are meant as a whole
ORDER = tuple(Split)  # a later split is held out further

NameOf = Callable[[Picture], str]  # the group or cluster of a picture; "" without one
group_of: NameOf = attrgetter("group")
cluster_of: NameOf = attrgetter("cluster")


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
    if len(numbers) != 3 or not all(n >= 0 for n in numbers) or not 0 < sum(numbers) < math.inf:
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
    the split that lacks the largest part of its share of their labels. The order of the input
    does not matter.
    """
    labels: dict[int, Counter[str]] = defaultdict(Counter)
    names: dict[int, str] = {}  # the first path of a unit: an order that does not depend on the input's
    for member in members:
        labels[member.unit][member.label] += 1
        names[member.unit] = min(member.path, names.get(member.unit, member.path))
    # Sorted by name before the shuffle, so that the same seed gives the same order for any input.
    units = sorted(labels, key=names.__getitem__)
    random.Random(seed).shuffle(units)
    units.sort(key=lambda unit: -labels[unit].total())
    split_of_unit = _place_units({unit: labels[unit] for unit in units}, shares)
    return tuple(split_of_unit[member.unit] for member in members)


def _place_units(labels_of_unit: Mapping[int, Counter[str]], shares: Shares) -> dict[int, Split]:
    """Return unit → split for units with the labels of their pictures, the large units first."""
    splits = shares.wanted()
    totals: Counter[str] = sum(labels_of_unit.values(), Counter())
    # How many pictures of each label each split lacks, while units are placed one by one.
    lacks = {split: {label: shares.of(split) * totals[label] for label in totals} for split in splits}
    split_of_unit: dict[int, Split] = {}
    placed_labels: set[tuple[Split, str]] = set()

    def place(unit: int, split: Split) -> None:
        split_of_unit[unit] = split
        for label, count in labels_of_unit[unit].items():
            lacks[split][label] -= count
            placed_labels.add((split, label))

    # Place one small unit of each label in each split; labels with few units come first.
    units_of_label: dict[str, list[int]] = defaultdict(list)
    for unit, labels in reversed(list(labels_of_unit.items())):
        for label in labels:
            units_of_label[label].append(unit)
    for label in sorted(units_of_label, key=lambda name: (len(units_of_label[name]), name)):
        if len(units_of_label[label]) >= len(splits):
            free_units = [unit for unit in units_of_label[label] if unit not in split_of_unit]
            missing = [each for each in sorted(splits, key=shares.of) if (each, label) not in placed_labels]
            for unit, split in zip(free_units, missing, strict=False):
                place(unit, split)
    # Place every other unit in the split that lacks the largest part of its share, so that each split gets
    # units of every size: by the number of pictures, train would get nearly all large ones.
    for unit, labels in labels_of_unit.items():
        if unit not in split_of_unit:
            lack_of = {
                each: sum(n * lacks[each][label] for label, n in labels.items()) / shares.of(each)
                for each in splits
            }
            place(unit, max(splits, key=lack_of.__getitem__))
    return split_of_unit


def keep_given_splits(
    members: Sequence[Member], given: Sequence[Split | None], *, shares: Shares, seed: int
) -> tuple[Split, ...]:
    """Keep validation and test as given; a split that is not given is cut from the training pictures.

    A picture without a given split gets the split of its unit, or else counts as a training picture.
    """
    # The split of each unit that is held out furthest.
    split_of_unit: dict[int, Split] = {}
    for member, split in zip(members, given, strict=True):
        before = split_of_unit.get(member.unit, Split.TRAIN)
        split_of_unit[member.unit] = max(before, split or Split.TRAIN, key=ORDER.index)
    splits = [split or split_of_unit[member.unit] for member, split in zip(members, given, strict=True)]
    # Cut missing splits only from units without any validation or test picture.
    cut_shares = shares
    for split in (Split.VALIDATION, Split.TEST):
        if split in given:
            cut_shares = cut_shares.without(split)
    if not cut_shares.wanted():
        cut_shares = Shares(train=1, validation=0, test=0)
    cuttable = [i for i, member in enumerate(members) if split_of_unit[member.unit] is Split.TRAIN]
    if cuttable:
        new_splits = assign_splits([members[i] for i in cuttable], shares=cut_shares, seed=seed)
        for index, split in zip(cuttable, new_splits, strict=True):
            splits[index] = split
    return tuple(splits)


def find_leaks(pictures: Sequence[Picture], *names_of: NameOf) -> dict[int, Split]:
    """Return index → split that it leaks into, for the pictures that `--mend` leaves out."""
    units = join_equal(*([name_of(picture) for picture in pictures] for name_of in names_of))
    return find_unit_leaks(units, [picture.split for picture in pictures])


def find_unit_leaks(units: Sequence[int], splits: Sequence[Split]) -> dict[int, Split]:
    """Return index → split that it leaks into, for the members whose unit has several splits."""
    leaks: dict[int, Split] = {}
    for members in members_by_root(units).values():
        furthest = max((splits[index] for index in members), key=ORDER.index)
        leaks |= {index: furthest for index in members if splits[index] is not furthest}
    return dict(sorted(leaks.items()))


def join_equal(*keys_of_members: Sequence[str | None]) -> list[int]:
    """Return a set for each member, named by its smallest member: those with an equal key are in one set.

    Keys ["a", "b", "a", ""] and ["", "x", "x", ""] → [0, 0, 0, 3]; an empty key joins nothing.
    """
    pairs: list[tuple[int, int]] = []
    for keys in keys_of_members:
        first_of_key: dict[str, int] = {}
        pairs += [(first_of_key.setdefault(key, member), member) for member, key in enumerate(keys) if key]
    return join_pairs(len(keys_of_members[0]), pairs)


def join_pairs(size: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return a set for each number below `size`, named by its smallest member, that joins the pairs."""
    sets = _DisjointSets(size)
    for first, second in pairs:
        sets.join(first, second)
    return [sets.find(member) for member in range(size)]


def select_joining(size: int, pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the pairs that join two sets, in order: a spanning forest, so fewer than `size`."""
    sets = _DisjointSets(size)
    return [(first, second) for first, second in pairs if sets.join(first, second)]


class _DisjointSets:
    """Union-find: every member points towards its root, the smallest member of its set."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def find(self, member: int) -> int:
        parent = self._parent
        while parent[member] != member:
            # Path halving: each step lets a member point to its grandparent, which keeps chains short.
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    def join(self, first: int, second: int) -> bool:
        """Join the sets of both, and return whether they were different sets."""
        low, high = sorted((self.find(first), self.find(second)))
        self._parent[high] = low
        return low != high


def members_by_root(roots: Iterable[int]) -> dict[int, list[int]]:
    """Return root → its members in order, the smallest root first."""
    members: dict[int, list[int]] = {}
    for member, root in enumerate(roots):
        members.setdefault(root, []).append(member)
    return members
