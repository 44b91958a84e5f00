"""Decode the value of one option, said at the command line or in a TOML file."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, TypeAlias, TypeVar

HINT = 'See "dermpack train --help".'
Word = TypeVar("Word", bound=Enum)
Decoder: TypeAlias = Callable[[Any], Any]


class WrongError(ValueError):
    """A value of an option is invalid; the text completes "--alpha 0.3: …"."""

    def __init__(self, what: str, hint: str = HINT) -> None:
        super().__init__(what)
        self.hint = hint


def none_of(value: Any, words: Iterable[str]) -> WrongError:
    """Return an error that lists the words and hints at the nearest one."""
    known = list(words)
    near = difflib.get_close_matches(str(value), known, n=1)
    hint = f"Did you mean {near[0]}?" if near else HINT
    return WrongError(f"must be one of {', '.join(known)}", hint)


def word(vocabulary: type[Word]) -> Decoder:
    def decode(value: Any) -> Word:
        try:
            return vocabulary(value)
        except ValueError:
            raise none_of(value, (str(one.value) for one in vocabulary)) from None

    return decode


def number(*, least: float, most: float) -> Decoder:
    def decode(value: Any) -> float:
        found = float(_parsed(value, float))
        if not least <= found <= most:
            raise WrongError(f"must be a number from {least:g} to {most:g}")
        return found

    return decode


def whole(*, least: int, most: int = 1 << 31) -> Decoder:
    def decode(value: Any) -> int:
        found = int(_parsed(value, int))
        if not least <= found <= most:
            raise WrongError(
                f"must be an integer from {least}" + (f" to {most}" if most < 1 << 31 else " up")
            )
        return found

    return decode


def _parsed(value: Any, kind: type[int] | type[float]) -> Any:
    odd = WrongError("must be an integer" if kind is int else "must be a number")
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):
        raise odd
    try:
        return kind(value)
    except (ValueError, OverflowError):  # a file may hold a whole number of any length
        raise odd from None


def wholes(value: Any) -> tuple[int, ...]:
    """128,64 at the command line, [128, 64] in a file."""
    parts = [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    return tuple(whole(least=1)(part) for part in ([parts] if isinstance(parts, int) else parts))
