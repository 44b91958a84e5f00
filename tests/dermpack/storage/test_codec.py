"""Records are encoded by their annotations, and decoded only if every value fits them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

import pytest

from dermpack.storage.codec import check, decode, encode


class Colour(Enum):
    """One of two colours."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A record inside another one."""

    colour: Colour
    area: float | None = None

    def __post_init__(self) -> None:
        check(self.area is None or self.area > 0, "area", self.area, "above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A record with every kind of field."""

    name: str
    leaves: tuple[Leaf, ...]
    ends: tuple[int, bool]
    lengths: Mapping[str, float] = field(default_factory=dict)


BRANCH = Branch(
    name="é", leaves=(Leaf(colour=Colour.RED, area=1.5), Leaf(colour=Colour.BLUE)), ends=(3, True)
)
RECORD: dict[str, Any] = {
    "name": "é",
    "leaves": [{"colour": "red", "area": 1.5}, {"colour": "blue", "area": None}],
    "ends": [3, True],
    "lengths": {},
}


def test_a_record_is_encoded_by_its_fields() -> None:
    assert encode(BRANCH) == RECORD


def test_a_record_is_decoded_as_it_was_encoded() -> None:
    assert decode(Branch, RECORD) == BRANCH
    assert decode(Branch, {**RECORD, "lengths": {"a": 1}}).lengths == {"a": 1.0}


def test_fields_with_defaults_may_be_missing() -> None:
    assert decode(Leaf, {"colour": "blue"}) == Leaf(colour=Colour.BLUE)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": 1}, "tree.name"),
        ({"name": "\ud800"}, "tree.name"),
        ({"ends": [3]}, "tree.ends"),
        ({"ends": [3.0, True]}, r"tree.ends\[0\]"),
        ({"ends": [True, True]}, r"tree.ends\[0\]"),
        ({"ends": [2**64, True]}, r"tree.ends\[0\]"),
        ({"leaves": {}}, "tree.leaves"),
        ({"leaves": [{"colour": "green"}]}, r"tree.leaves\[0\].colour"),
        ({"leaves": [{"colour": "red", "area": -1.0}]}, r"tree.leaves\[0\].area must be above 0"),
        ({"lengths": {"a": float("inf")}}, "tree.lengths.a"),
        ({"nme": "x"}, "tree.nme is not a known key"),
    ],
)
def test_an_error_names_the_place(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(ValueError, match=place):
        decode(Branch, {**RECORD, **changes}, "tree")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ValueError, match="leaves is missing"):
        decode(Branch, {"name": "x", "ends": [1, False]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One record of a union."""

    kind: Literal["round"] = "round"
    radius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """The other record of a union."""

    kind: Literal["square"] = "square"
    side: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """Records of a union, and one that may be missing."""

    all: tuple[Round | Square, ...]
    first: Round | Square | None = None


def test_a_record_of_a_union_is_chosen_by_its_literal() -> None:
    shapes = Shapes(all=(Square(side=2), Round(radius=1)), first=Round(radius=3))
    assert decode(Shapes, encode(shapes)) == shapes
    assert decode(Shapes, {"all": []}) == Shapes(all=())


@pytest.mark.parametrize("value", [{"kind": "oval"}, {"side": 2}, {"kind": []}, "square"])
def test_a_record_of_no_kind_of_the_union_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"all\[0\].kind must be one of round, square"):
        decode(Shapes, {"all": [value]})
