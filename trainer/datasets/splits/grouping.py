"""Join the groups of a source with those of an asked column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dermpack.errors import InputError
from trainer.datasets.duplicates.disjoint_sets import Unions, members_of
from trainer.datasets.layouts.listing import ListedPicture, Listing


def grouped(listing: Listing, *, column: str) -> Listing:
    """What hangs together by the source's groups or by the column is one group; "" leaves all as it is."""
    if not column or column.casefold() == listing.group_column.casefold():
        return listing
    cells = _cells(listing, column)
    own = [found.group for found in listing.pictures]
    names = joined(own, cells)
    at = _position(listing, column)  # what names a patient is the group, and no metadata beside it
    pictures = (
        replace(found, group=name, metadata=_without(found.metadata, at))
        for found, name in zip(listing.pictures, names, strict=True)
    )
    return replace(listing, pictures=tuple(pictures), columns=_without(listing.columns, at))


def joined(own: Sequence[str], asked: Sequence[str]) -> list[str]:
    """A group's name each: joined(["l1", "l1", ""], ["p1", "p2", "p2"]) → ["p1", "p1", "p1"]."""
    unions = Unions(len(own))
    unions.join_equal([name or None for name in own])
    unions.join_equal([name or None for name in asked])
    taken, names = set(asked), [""] * len(own)
    for members in members_of(unions.roots()).values():
        name = _name({asked[at] for at in members}, {own[at] for at in members}, taken)
        for at in members:
            names[at] = name
    return names


def _name(asked: set[str], own: set[str], taken: set[str]) -> str:
    """The first of the asked names, or else the source's, told apart from an asked one spelled alike."""
    if any(asked):
        return min(asked - {""})
    name = max(own)
    return f"{name} (of the source)" if name in taken - {""} else name


def _cells(listing: Listing, column: str) -> tuple[str, ...]:
    at = _position(listing, column)
    return tuple(_cell(found, at) for found in listing.pictures)


def _position(listing: Listing, column: str) -> int:
    names = [name.casefold() for name in listing.columns]
    if column.casefold() not in names:
        what = "not a column of the source"
        raise InputError(f"--group {column}", what, _hint(listing), code="unknown-column")
    return names.index(column.casefold())


def _without(cells: tuple[str, ...], at: int) -> tuple[str, ...]:
    return cells[:at] + cells[at + 1 :]


def _cell(found: ListedPicture, at: int) -> str:
    return found.metadata[at] if found.metadata else ""


def _hint(listing: Listing) -> str:
    if not listing.columns:
        return "Omit the option, or import a CSV file with the columns picture, label and group."
    return f"Choose one of the columns {', '.join(listing.columns)}."
