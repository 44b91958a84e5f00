"""Join things into sets that hold together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence


class Unions:
    """Disjoint sets of the numbers below `size`; each set is named by its smallest member."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))

    def find(self, member: int) -> int:
        while self.parent[member] != member:
            self.parent[member] = self.parent[self.parent[member]]
            member = self.parent[member]
        return member

    def join(self, first: int, second: int) -> None:
        low, high = sorted((self.find(first), self.find(second)))
        self.parent[high] = low

    def join_equal(self, keys: Sequence[Hashable]) -> None:
        """Join the members whose keys are equal; a key of None joins nothing."""
        first: dict[Hashable, int] = {}
        for member, key in enumerate(keys):
            if key is not None:
                self.join(first.setdefault(key, member), member)

    def roots(self) -> list[int]:
        return [self.find(member) for member in range(len(self.parent))]


def members_of(roots: Iterable[int]) -> dict[int, list[int]]:
    """Root → its members in order, smallest root first."""
    members: dict[int, list[int]] = {}
    for member, root in enumerate(roots):
        members.setdefault(root, []).append(member)
    return members
