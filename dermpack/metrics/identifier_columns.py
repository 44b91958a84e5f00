"""Which metadata columns name a person, a lesion or a picture: they are no slice, and stand in no card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dermpack.dataset.manifest import Dataset
from dermpack.metrics.slices import MISSING, banded

GROUP_OPTION = "group"  # of dataset.json: the column that was asked to be the group
NAMES_SHARE = 0.5  # so many values a group, or more: the column names the groups
ALONE_SHARE = 0.9  # of the values stand in one group and in no other
NAME = re.compile(
    r"(patient(en)?|lesion|l(ä|ae?)sion(s|en)?|subject|person(en)?|case|fall|participant|proband(en)?|image|picture)"
    r"s?[\s_-]*(id|nr|no|num|number|nummer|name|kennung|code)?\W*",
    re.IGNORECASE,
)


def identifies(dataset: Dataset, column: str) -> bool:
    """Whether the column is the group, or as good as: by its name, or by nearly one value a group."""
    if _is_called_so(column, dataset.options):
        return True
    cells = dataset.manifest.column(column)
    pairs = [(cell, of.group) for cell, of in zip(cells, dataset.pictures, strict=True) if cell.strip()]
    if pairs and all(cell == group for cell, group in pairs):
        return True
    kinds = zip(banded(cells), (of.group for of in dataset.pictures), strict=True)
    return _names_groups([(kind, group) for kind, group in kinds if kind != MISSING])


def told_apart(column: str, groups: Sequence[int], options: Mapping[str, Any]) -> bool:
    """The same of a report, which has no dataset: `groups` counts those of each value but the missing."""
    alone = sum(count == 1 for count in groups)
    return _is_called_so(column, options) or alone > NAMES_SHARE * len(groups)


def _is_called_so(column: str, options: Mapping[str, Any]) -> bool:
    asked = str(options.get(GROUP_OPTION, ""))
    return column.strip().casefold() == asked.strip().casefold() or NAME.fullmatch(column.strip()) is not None


def _names_groups(pairs: Sequence[tuple[str, str]]) -> bool:
    """_names_groups([("P1", "g1"), ("P1", "g1"), ("P2", "g2")]) → True."""
    distinct, values = set(pairs), {value for value, _ in pairs}
    groups = {group for _, group in pairs}
    shared = len(distinct) - len(values)  # a value once more for each further group
    few = len(values) < max(2, NAMES_SHARE * len(groups))
    return not few and shared <= (1 - ALONE_SHARE) * len(values)
