"""Which pictures leak: they stand in a lesser split than something that belongs with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dermpack.dataset.manifest import Picture, Split
from trainer.datasets.duplicates.disjoint_sets import Unions, members_of

ORDER = (Split.TRAIN, Split.VALIDATION, Split.TEST)  # what is held out further wins

NameOf = Callable[[Picture], str]  # what the picture belongs to; "" where to nothing


def leaking(pictures: Sequence[Picture], *names_of: NameOf) -> dict[int, Split]:
    """The pictures that leak, each with the split that it leaks into: those that a mend leaves out."""
    unions = Unions(len(pictures))
    for name_of in names_of:
        unions.join_equal([name_of(picture) or None for picture in pictures])
    return lesser(unions.roots(), [picture.split for picture in pictures])


def lesser(units: Sequence[int], splits: Sequence[Split]) -> dict[int, Split]:
    """Each member that stands in a lesser split than another of its unit, and that other's split."""
    leaks: dict[int, Split] = {}
    for unit in members_of(units).values():
        furthest = max((splits[at] for at in unit), key=ORDER.index)
        leaks |= {at: furthest for at in unit if splits[at] is not furthest}
    return dict(sorted(leaks.items()))
