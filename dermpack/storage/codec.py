"""Turn JSON into a frozen dataclass by its own annotations, believing nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from math import isfinite
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Record = TypeVar("Record")
WORDS = {str: "text", int: "a whole number", float: "a finite number", bool: "true or false"}
MAX_TEXT_CHARACTERS = 1 << 16
MAX_ITEMS = 100_000
LARGEST = 2**63


def decode(of: type[Record], value: object, at: str = "") -> Record:
    """The record that the JSON object describes; ValueError names the place and what is wrong there."""
    if not isinstance(value, dict):
        raise ValueError(f"{at or 'the content'} must be a JSON object")
    known = {field.name: field for field in fields(of)}  # type: ignore[arg-type] # only records are asked for
    strange = sorted(set(value) - set(known))
    if strange:
        raise ValueError(f"{_join(at, strange[0])} is not a known key")
    hints = get_type_hints(of)
    given: dict[str, Any] = {}
    for name, field in known.items():
        if name in value:
            given[name] = _value(hints[name], value[name], _join(at, name))
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{_join(at, name)} is missing")
    try:
        return of(**given)
    except ValueError as error:
        raise ValueError(_join(at, str(error))) from error


def encode(value: Any) -> Any:
    """The JSON of a record: its fields by name, enums by value."""
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {name: encode(item) for name, item in value.items()}
    return value.value if isinstance(value, Enum) else value


def _value(hint: Any, value: object, at: str) -> Any:
    origin = get_origin(hint)
    if origin is UnionType:
        return None if value is None else _value(_without_none(hint), value, at)
    if origin is tuple:
        return _items(get_args(hint), value, at)
    if origin is not None:
        return _mapping(get_args(hint)[1], value, at)
    if is_dataclass(hint):
        return decode(hint, value, at)  # type: ignore[arg-type] # a class, as it came from an annotation
    if issubclass(hint, Enum):
        return _choice(hint, value, at)
    return _plain(hint, value, at)


def _without_none(hint: Any) -> Any:
    return next(of for of in get_args(hint) if of is not NoneType)


def _items(hints: tuple[Any, ...], value: object, at: str) -> tuple[Any, ...]:
    """tuple[X, ...] of any length, tuple[X, Y] of its own."""
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise ValueError(f"{at} must be a list of at most {MAX_ITEMS} items")
    if hints[-1] is not Ellipsis and len(value) != len(hints):
        raise ValueError(f"{at} must be a list of {len(hints)} items")
    each = hints[:1] * len(value) if hints[-1] is Ellipsis else hints
    return tuple(_value(of, item, f"{at}[{i}]") for i, (of, item) in enumerate(zip(each, value, strict=True)))


def _mapping(hint: Any, value: object, at: str) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > MAX_ITEMS:
        raise ValueError(f"{at} must be a JSON object")
    return {_plain(str, name, at): _value(hint, item, _join(at, name)) for name, item in value.items()}


def _choice(hint: type[Enum], value: object, at: str) -> Enum:
    known = {of.value: of for of in hint}
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{at} must be one of {', '.join(known)}, not {_shown(value)}")
    return known[value]


def _plain(hint: type, value: object, at: str) -> Any:
    if hint is str and isinstance(value, str) and len(value) <= MAX_TEXT_CHARACTERS:
        if any(0xD800 <= ord(character) < 0xE000 for character in value):
            raise ValueError(f"{at} contains an unpaired surrogate")
        return value
    if hint is bool and isinstance(value, bool):
        return value
    is_whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST
    if hint is int and is_whole:
        return value
    if hint is float and (is_whole or isinstance(value, float)) and isfinite(value):  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    raise ValueError(f"{at} must be {WORDS[hint]}, not {_shown(value)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _join(at: str, name: str) -> str:
    return f"{at}.{name[:80]}" if at else name[:160]
