"""Confirm to a person the groups that were asked for by --group."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dermpack.dataset.manifest import Dataset


def group_count(dataset: Dataset) -> int:
    """A picture whose patient or lesion nobody knows is a group of its own."""
    return len({picture.group for picture in dataset.pictures})


def groups_told(dataset: Dataset) -> str:
    """ "28 groups (Patientennr.)"; "" where no column was asked for."""
    column = dataset.options.get("group", "")
    count = group_count(dataset)
    return f"{count} group{'s' if count != 1 else ''} ({column})" if column else ""
