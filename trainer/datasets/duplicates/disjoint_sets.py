"""Disjoint sets (union-find): join items that belong together into sets."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence


class DisjointSets:
    """Disjoint sets of the numbers below `size`; each set is named by its smallest member, its root."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))

    def find(self, member: int) -> int:
        """Return the root of the member's set."""
        while self.parent[member] != member:
            # Path halving: each step lets a member point to its grandparent, which keeps chains short.
            self.parent[member] = self.parent[self.parent[member]]
            member = self.parent[member]
        return member

    def join(self, first: int, second: int) -> None:
        """Join the sets of two members."""
        low, high = sorted((self.find(first), self.find(second)))
        self.parent[high] = low

    def join_equal(self, keys: Sequence[Hashable]) -> None:
        """Join the members whose keys are equal; a key of None joins nothing."""
        first_of_key: dict[Hashable, int] = {}
        for member, key in enumerate(keys):
            if key is not None:
                self.join(first_of_key.setdefault(key, member), member)

    def roots(self) -> list[int]:
        """Return the root of every member."""
        return [self.find(member) for member in range(len(self.parent))]


def members_by_root(roots: Iterable[int]) -> dict[int, list[int]]:
    """Return root → its members in order, the smallest root first."""
    members: dict[int, list[int]] = {}
    for member, root in enumerate(roots):
        members.setdefault(root, []).append(member)
    return members
