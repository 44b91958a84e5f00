"""Progress of long work: the library counts items, the caller shows the count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Track(Protocol):
    """A callback that passes items through and reports how many of the total have passed."""

    def __call__(self, items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]: ...


def silent(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:  # noqa: ARG001 - a Track
    """Pass the items through without reporting anything: the default Track."""
    return iter(items)


def ignore(event: object) -> None:
    """Do nothing with an event: the default callback."""
    del event
