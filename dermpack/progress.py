"""How long work says where it stands: the library counts, the command line shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Track(Protocol):
    """Pass items through, and tell somebody how many of the total have passed."""

    def __call__(self, items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]: ...


def silent(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:  # noqa: ARG001 - a Track
    """Tell nobody."""
    return iter(items)
