"""Keep the splits that a source gives, cut the missing ones, and see where the given ones leak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dermpack.dataset.manifest import Split
from trainer.datasets.splits.leaks import ORDER, lesser
from trainer.datasets.splits.split import Member, split
from trainer.datasets.splits.split_shares import Shares


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenSplits:
    """A split for each member, and the members that a mend takes out, each with what it leaks into."""

    splits: tuple[Split, ...]
    leaks: dict[int, Split]


def keep_given(
    members: Sequence[Member], given: Sequence[Split | None], *, shares: Shares, seed: int
) -> GivenSplits:
    """Validation and test stay as given; one that is not given is cut from the training pictures.

    A picture without a given split goes with its unit, or else counts as a training picture.
    """
    held = _held_out_furthest(members, given)
    cut = _cut_shares(shares, {each for each in given if each is not None})
    cuttable = [at for at, member in enumerate(members) if held[member.unit] is Split.TRAIN]
    fresh = split([members[at] for at in cuttable], shares=cut, seed=seed) if cuttable else ()
    splits = [given[at] or held[member.unit] for at, member in enumerate(members)]
    for at, chosen in zip(cuttable, fresh, strict=True):
        splits[at] = chosen
    return GivenSplits(splits=tuple(splits), leaks=lesser([member.unit for member in members], splits))


def _held_out_furthest(members: Sequence[Member], given: Sequence[Split | None]) -> dict[int, Split]:
    held: dict[int, Split] = {}
    for member, each in zip(members, given, strict=True):
        held[member.unit] = max(held.get(member.unit, Split.TRAIN), each or Split.TRAIN, key=ORDER.index)
    return held


def _cut_shares(shares: Shares, given: set[Split]) -> Shares:
    for each in (Split.VALIDATION, Split.TEST):
        if each in given:
            shares = shares.without(each)
    return shares if shares.wanted() else Shares(train=1, validation=0, test=0)
