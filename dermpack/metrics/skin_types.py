"""Recognise metadata columns with Fitzpatrick skin types, and group the six types in three.

Datasets write the types in many ways: 1 to 6, 3.0, I to VI, FST1, "type 4"; -1, 0 or a word means unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

NAME = re.compile(r"(?:.*[\W_])?(?:skin[\W_]?types?|fit[zs]patrick|fst)(?:[\W_].*)?", re.IGNORECASE)
TYPE = re.compile(
    r"(?:(?:fst|type|fitzpatrick)[\s_-]*)?(?:([1-6])(?:\.0+)?|(I|II|III|IV|V|VI))", re.IGNORECASE
)
OTHER_NUMBER = re.compile(r"[-+]?\d*\.?\d+")
UNKNOWN_NUMBERS = frozenset({"-1", "-1.0", "0", "0.0"})
MIN_SHARE = 0.5  # of the filled cells must be skin types; the others are words for unknown

SKIN_TYPES = ("I", "II", "III", "IV", "V", "VI")
SKIN_TYPE_GROUPS = ("I–II", "III–IV", "V–VI")  # single types are often too rare to be scored


def parse_skin_type(cell: str) -> int:
    """Return the skin type, or 0 if it is unknown: parse_skin_type("FST4") → 4, parse_skin_type("-1") → 0."""
    match = TYPE.fullmatch(cell.strip())
    if match is None:
        return 0
    return int(match[1]) if match[1] else SKIN_TYPES.index(match[2].upper()) + 1


def is_skin_type_column(name: str, cells: Sequence[str]) -> bool:
    """Return whether the column has skin types, by its name and by its cells."""
    if NAME.fullmatch(name.strip()) is None:
        return False
    filled = [cell.strip() for cell in cells if cell.strip()]
    others = [cell for cell in filled if not parse_skin_type(cell) and cell not in UNKNOWN_NUMBERS]
    known = sum(parse_skin_type(cell) > 0 for cell in filled)
    has_other_numbers = any(OTHER_NUMBER.fullmatch(cell) for cell in others)
    return known > 0 and known >= MIN_SHARE * (known + len(others)) and not has_other_numbers


def group_skin_type(cell: str) -> str:
    """Return the group of the skin type in the cell, "" if it is unknown: group_skin_type("3") → "III–IV"."""
    number = parse_skin_type(cell)
    return SKIN_TYPE_GROUPS[(number - 1) // 2] if number else ""
