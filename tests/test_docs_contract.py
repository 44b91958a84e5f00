"""docs/the-contract.md names every field of a contract, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dermpack.contract import Contract
from tests.support.paths import REPOSITORY

PAGE = REPOSITORY / "docs/the-contract.md"
ROW = re.compile(r"^\| `([^`]+)` \| (.*) \|$", re.MULTILINE)


def paths(record: Any, at: str = "") -> Iterator[str]:
    """Where each field stands: "thresholds[].label"; of a record that is always there, its fields alone."""
    hints = get_type_hints(record)
    for field in fields(record):
        name, hint = f"{at}{field.name}", hints[field.name]
        below = list(_below(hint, name))
        if not below or get_args(hint):
            yield name
        yield from below


def _below(hint: Any, name: str) -> Iterator[str]:
    """The fields of the records that the hint speaks of."""
    if is_dataclass(hint):
        yield from paths(hint, f"{name}.")
    elif get_origin(hint) is tuple:
        yield from _below(get_args(hint)[0], f"{name}[]")
    elif get_origin(hint) is Mapping:
        yield from _below(get_args(hint)[1], name)
    elif get_origin(hint) is UnionType:
        records = [of for of in get_args(hint) if is_dataclass(of)]
        for record in records:
            tag = f"{name}.{_tag(record)}" if len(records) > 1 else name
            yield from _below(record, tag)


def _tag(record: Any) -> str:
    """Which record of a union it is: picture, numeric …"""
    (tag,) = (hint for hint in get_type_hints(record).values() if get_origin(hint) is Literal)
    return str(get_args(tag)[0])


def rows() -> list[tuple[str, str]]:
    return ROW.findall(PAGE.read_text(encoding="utf-8"))


def test_the_page_names_every_field_once_and_no_other() -> None:
    named = [name for name, _ in rows()]
    assert sorted(named) == sorted(paths(Contract))


def test_every_field_is_documented() -> None:
    assert [name for name, meaning in rows() if not meaning.strip()] == []
