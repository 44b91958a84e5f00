"""The JSON codec of all records: frozen dataclasses, read and written by their annotations.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Point:
        label: str
        threshold: float | None = None

    encode(Point(label="nv"))               → {"label": "nv", "threshold": None}
    decode(Point, {"label": 1}, "points")   → ValueError: points.label must be text, not 1

Fields can be str, int, float, bool, Path, enums, other records, `X | None`, tuples, and Mapping from str to
any of these; a value of type Any is taken as it is. A field with a default may be missing. Limits of values
are checked by `__post_init__` with `check`. The records of a union each declare one field of the same name as
a Literal, whose value in the JSON object selects the record: `role: Literal["picture"] = "picture"`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Record = TypeVar("Record")
EXPECTED = {
    str: "text",
    Path: "a path",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
}
MAX_TEXT_CHARACTERS = 1 << 16
MAX_ITEMS = 1_000_000  # a dataset can have a note on each of its pictures
LARGEST = 2**63
ROUNDING = 1e-6  # a softmax in float32 can exceed 1 by its last digits
SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def decode(record_type: type[Record], value: object, place: str = "") -> Record:
    """Return the record that a JSON object describes; raise ValueError with the path of the invalid value."""
    if not isinstance(value, dict):
        raise ValueError(f"{place or 'the content'} must be a JSON object")
    # Unknown keys come first: a misspelled key is also a missing one, and the misspelling is the better hint.
    known = {field.name: field for field in fields(record_type)}  # type: ignore[arg-type] # always a dataclass
    if unknown := sorted(set(value) - set(known)):
        raise ValueError(f"{_join(place, unknown[0])} is not a known key")
    hints = _resolve_hints(record_type)  # type: ignore[arg-type] # every class is hashable
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name in value:
            values[name] = _decode_value(hints[name], value[name], _join(place, name))
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{_join(place, name)} is missing")
    try:
        return record_type(**values)
    except ValueError as error:  # of __post_init__; its message begins with the name of the field
        raise ValueError(_join(place, str(error))) from error


def encode(value: Any) -> Any:
    """Return the JSON value of a record: an object of its fields; an enum becomes its value."""
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {name: encode(item) for name, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    return value.value if isinstance(value, Enum) else value


def check(is_valid: bool, name: str, value: object, expected: str) -> None:
    """Raise ValueError with the name of the field unless its value is valid."""
    if not is_valid:
        raise ValueError(f"{name} must be {expected}, not {value!r}")


def check_share(name: str, value: float) -> None:
    """Check that the value is a share, from 0 to 1."""
    check(0 <= value <= 1 + ROUNDING, name, value, "between 0 and 1")


def check_sha256(name: str, value: str) -> None:
    """Check that the text is a SHA-256 as dermpack writes it."""
    expected = "the 64 lower-case hexadecimal digits of a SHA-256"
    check(SHA256.match(value) is not None, name, value[:80], expected)


@cache  # annotations are text: evaluating them takes longer than decoding a small record
def _resolve_hints(record_type: Any) -> dict[str, Any]:
    return get_type_hints(record_type)


def _decode_value(hint: Any, value: object, place: str) -> Any:
    origin = get_origin(hint)
    if hint is Any or origin is Literal:  # the tag by which a record of a union was chosen
        return value
    if origin is UnionType:
        return _decode_union(get_args(hint), value, place)
    if origin is tuple:
        return _decode_items(get_args(hint), value, place)
    if origin is not None:  # Mapping[str, X]
        if not isinstance(value, dict) or len(value) > MAX_ITEMS:
            raise ValueError(f"{place} must be a JSON object")
        inner = get_args(hint)[1]
        return {
            _decode_scalar(str, name, place): _decode_value(inner, item, _join(place, name))
            for name, item in value.items()
        }
    if hint is Path and isinstance(value, str):
        # Only messages between processes contain paths; a file name need not be UTF-8, so it is not checked.
        return Path(value)
    if is_dataclass(hint):
        return decode(hint, value, place)  # type: ignore[arg-type] # a class, since it is an annotation
    if issubclass(hint, Enum):
        choices = {choice.value: choice for choice in hint}
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{place} must be one of {', '.join(choices)}, not {_shorten(value)}")
        return choices[value]
    return _decode_scalar(hint, value, place)


def _decode_union(hints: tuple[Any, ...], value: object, place: str) -> Any:
    """Decode X | None, or a union of records: the one whose Literal field has the stated value."""
    options = [option for option in hints if option is not NoneType]
    if value is None and len(options) < len(hints):
        return None
    if len(options) == 1:
        return _decode_value(options[0], value, place)
    # The field is the same for all of them.
    first = _resolve_hints(options[0])
    tag = next(name for name, hint in first.items() if get_origin(hint) is Literal)
    choices = {get_args(_resolve_hints(option)[tag])[0]: option for option in options}
    stated = value.get(tag) if isinstance(value, dict) else None
    if not isinstance(stated, str) or stated not in choices:
        raise ValueError(f"{_join(place, tag)} must be one of {', '.join(choices)}, not {_shorten(stated)}")
    return _decode_value(choices[stated], value, place)


def _decode_items(hints: tuple[Any, ...], value: object, place: str) -> tuple[Any, ...]:
    """Decode tuple[X, ...] of any length, or tuple[X, Y] of its own length."""
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise ValueError(f"{place} must be a list of at most {MAX_ITEMS} items")
    if hints[-1] is not Ellipsis and len(value) != len(hints):
        raise ValueError(f"{place} must be a list of {len(hints)} items")
    each = hints[:1] * len(value) if hints[-1] is Ellipsis else hints
    pairs = zip(each, value, strict=True)
    return tuple(_decode_value(hint, item, f"{place}[{index}]") for index, (hint, item) in enumerate(pairs))


def _decode_scalar(hint: type, value: object, place: str) -> Any:
    if hint is str and isinstance(value, str) and len(value) <= MAX_TEXT_CHARACTERS:
        # JSON can contain half of a surrogate pair, which cannot be written to any file.
        if any(0xD800 <= ord(character) < 0xE000 for character in value):
            raise ValueError(f"{place} contains an unpaired surrogate")
        return value
    if hint is bool and isinstance(value, bool):
        return value
    # bool is a subclass of int; numbers beyond 64 bits would overflow in numpy later.
    is_integer = isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST
    if hint is int and is_integer:
        return value
    # JSON has one kind of number: 1 is a valid float, but 1.0 is not a valid int.
    if hint is float and (is_integer or isinstance(value, float)) and isfinite(value):  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    raise ValueError(f"{place} must be {EXPECTED[hint]}, not {_shorten(value)}")


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _join(place: str, name: str) -> str:
    return f"{place}.{name[:80]}" if place else name[:160]
