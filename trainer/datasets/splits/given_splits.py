"""Keep the splits that a source gives, and find the pictures that leak between splits.

A picture leaks if another one of its group or cluster is in a split that is held out further: a model that
is trained on it is then tested on a picture that it knows from training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dermpack.dataset.manifest import Picture, Split
from trainer.datasets.duplicates.disjoint_sets import DisjointSets, members_by_root
from trainer.datasets.splits.split import Member, Shares, assign_splits

ORDER = (Split.TRAIN, Split.VALIDATION, Split.TEST)  # a later split is held out further

NameOf = Callable[[Picture], str]  # the group or cluster of a picture; "" without one


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenSplits:
    """A split for each member, and the members that leak with the split that they leak into."""

    splits: tuple[Split, ...]
    leaks: dict[int, Split]


def group_of(picture: Picture) -> str:
    """Return the group of the picture."""
    return picture.group


def cluster_of(picture: Picture) -> str:
    """Return the duplicate cluster of the picture; "" without one."""
    return picture.cluster


def find_leaks(pictures: Sequence[Picture], *names_of: NameOf) -> dict[int, Split]:
    """Return index → split that it leaks into, for the pictures that `--mend` leaves out."""
    sets = DisjointSets(len(pictures))
    for name_of in names_of:
        sets.join_equal([name_of(picture) or None for picture in pictures])
    return _find_unit_leaks(sets.roots(), [picture.split for picture in pictures])


def keep_given_splits(
    members: Sequence[Member], given: Sequence[Split | None], *, shares: Shares, seed: int
) -> GivenSplits:
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
    leaks = _find_unit_leaks([member.unit for member in members], splits)
    return GivenSplits(splits=tuple(splits), leaks=leaks)


def _find_unit_leaks(units: Sequence[int], splits: Sequence[Split]) -> dict[int, Split]:
    leaks: dict[int, Split] = {}
    for members in members_by_root(units).values():
        furthest = max((splits[index] for index in members), key=ORDER.index)
        leaks |= {index: furthest for index in members if splits[index] is not furthest}
    return dict(sorted(leaks.items()))
