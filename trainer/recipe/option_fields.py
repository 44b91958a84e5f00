"""Declare fields of a dataclass as options, and decode their values from the command line, TOML or JSON.

Each field of `Recipe` is declared with `option`: its default, the values that it accepts, its section and its
help. The command line, the help and the tables in docs/options.md are derived from these declarations.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from dermpack.storage.files import path_exists
from dermpack.storage.toml_text import read_toml
from trainer.recipe.augmentation import AUGMENTATIONS, Augmentation, parse_augmentation
from trainer.recipe.network_spec import Weights
from trainer.runs import RUN_FILE

ALL, NO_TEACHER = "all", "none"
HINT = 'See "dermpack train --help".'
NO_LIMIT = 1 << 31
MAX_LISTED_FILES = 3  # in a message
DECLARATION = "option"  # the key of the field's metadata


class OptionValueError(ValueError):
    """A value of an option is invalid; the text completes "--alpha 0.3: …"."""

    def __init__(self, what: str, hint: str = HINT) -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueKind:
    """The values that an option accepts."""

    decode: Callable[[Any], Any]  # from text, or a value of TOML or JSON; raises ValueError or TypeError
    metavar: str
    values: str  # as the table of options describes them
    words: tuple[str, ...] = ()  # that a shell completes
    is_path: bool = False  # in a TOML file, what is not one of the words is relative to the file
    is_repeatable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionDescription(ValueKind):
    """An option of a training as the command line, the help and the documentation show it."""

    name: str = ""  # the TOML key; the command line has dashes for underscores
    section: str  # of `dermpack train --help`
    help: str
    default_text: str  # "" where the default is nothing at all
    decides_weights: bool  # options of the machine do not: the record of a run leaves them out


def option(
    section: str,
    default: Any,
    kind: ValueKind,
    help: str,  # noqa: A002 - click's name for it
    *,
    default_text: str | None = None,
    decides_weights: bool = True,
) -> Any:
    """Return a dataclass field that declares an option; `default_text` describes an unclear default."""
    description = OptionDescription(
        **{item.name: getattr(kind, item.name) for item in fields(kind)},
        section=section,
        help=help,
        default_text=_format_default(default) if default_text is None else default_text,
        decides_weights=decides_weights,
    )
    return field(default=default, metadata={DECLARATION: description})


def number(metavar: str, *, least: float = 0, most: float) -> ValueKind:
    """Accept a finite number of this range."""
    return _range(float, "a number", metavar, least, most, f"{least:g} to {most:g}")


def integer(metavar: str = "N", *, least: int = 0, most: int = NO_LIMIT) -> ValueKind:
    """Accept an integer of this range."""
    values = f"{least} to {most}" if most < NO_LIMIT else f"{least} up"
    return _range(int, "an integer", metavar, least, most, values)


def word(vocabulary: type[Enum], metavar: str | None = None) -> ValueKind:
    """Accept the value of one member of an enum; the metavar lists all of them if there is no other."""
    known = tuple(str(member.value) for member in vocabulary)

    def decode(value: Any) -> Enum:
        try:
            return vocabulary(value)
        except ValueError:
            near = difflib.get_close_matches(str(value), known, n=1)
            hint = f"Did you mean {near[0]}?" if near else HINT
            raise OptionValueError(f"must be one of {', '.join(known)}", hint) from None

    kind = _words(decode, known)
    return replace(kind, metavar=metavar) if metavar else kind


def _words(
    decode: Callable[[Any], Any], words: Iterable[str], *others: str, is_path: bool = False
) -> ValueKind:
    """Accept one of the words, or another value; help and docs show `others` for such values."""
    words = tuple(words)
    names = (*words, *others)
    metavar, values = "|".join(names), ", ".join(names)
    return ValueKind(decode=decode, metavar=metavar, values=values, words=words, is_path=is_path)


def _range(
    kind: type[int] | type[float], noun: str, metavar: str, least: float, most: float, values: str
) -> ValueKind:
    def decode(value: Any) -> int | float:
        # Python converts True to 1 and 1.5 to 1 without an error: both are mistakes in an option.
        if isinstance(value, bool) or (kind is int and isinstance(value, float)):
            raise OptionValueError(f"must be {noun}")
        try:
            decoded = kind(value)
        except (ValueError, OverflowError):  # OverflowError: a file may contain an integer of any length
            raise OptionValueError(f"must be {noun}") from None
        if not least <= decoded <= most:  # NaN fails both comparisons
            raise OptionValueError(f"must be {noun} from {values}")
        return decoded

    return ValueKind(decode=decode, metavar=metavar, values=values)


def _decode_integers(value: Any) -> tuple[int, ...]:
    """Decode 128,64 from the command line, [128, 64] from a file."""
    parts = [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    decode = integer(least=1).decode
    return tuple(decode(part) for part in ([parts] if isinstance(parts, int) else parts))


def _decode_names(value: Any) -> tuple[str, ...]:
    """Decode age,sex from the command line, ["age", "sex"] from a file; a repeatable option gives a tuple."""
    parts = value.split(",") if isinstance(value, str) else value
    names = tuple(str(part).strip() for part in parts)
    if not all(names) or len(set(names)) != len(names):
        raise OptionValueError("must be different names of columns, such as age,sex")
    return names


def _decode_weights(value: Any) -> Weights | Path:
    words = {member.value: member for member in Weights}
    if value in words:
        return words[value]
    path = Path(value)
    if not path_exists(path):
        raise OptionValueError(f"must be a file, a run folder, or one of {', '.join(words)}")
    # A folder of downloaded files is a frequent mistake: list what the user may have meant.
    files = [] if (path / RUN_FILE).is_file() else sorted(file.name for file in path.glob("*.h5"))
    if files:
        more = ", …" if len(files) > MAX_LISTED_FILES else ""
        hint = f"Give the one for your arch and alpha: {', '.join(files[:MAX_LISTED_FILES])}{more}."
        raise OptionValueError("a folder of .h5 files, not a run", hint)
    return path


def _decode_runs(value: Any) -> tuple[Path, ...]:
    """Decode one run or several; "none", which overrides a file, is the only value."""
    values = [value] if isinstance(value, str | Path) else list(value)
    if values == [NO_TEACHER]:
        return ()
    paths = tuple(Path(each) for each in values)
    if not all(path.is_dir() for path in paths) or len(set(paths)) < len(paths):
        hint = 'Give folders that "dermpack train" wrote, or none.'
        raise OptionValueError("must be different run folders, or none", hint)
    return paths


def _decode_augmentation(value: Any) -> Augmentation:
    """Decode a name, the path of a TOML file, or the values themselves."""
    if isinstance(value, Mapping):
        return parse_augmentation(value, where="augment")
    if value in AUGMENTATIONS:
        return AUGMENTATIONS[value]
    path = Path(value)
    if not path.is_file():
        raise OptionValueError(f"must be a file, or one of {', '.join(AUGMENTATIONS)}")
    return parse_augmentation(read_toml(path), where=path)


def _decode_sensitivities(value: Any) -> tuple[tuple[str, float], ...]:
    """Decode ("mel=0.95",) from the command line, {mel = 0.95} from a file."""
    # The last "=" separates: a label may contain the sign.
    is_table = isinstance(value, Mapping)
    pairs = list(value.items()) if is_table else [item.rpartition("=")[::2] for item in value]
    decode = number("SHARE", most=1).decode
    decoded = tuple((str(label), float(decode(share))) for label, share in pairs if label)
    if len(decoded) < len(pairs) or not all(share > 0 for _, share in decoded):
        raise OptionValueError("must be LABEL=SHARE, such as mel=0.95")
    return decoded


def _format_default(value: Any) -> str:
    match value:
        case Enum():
            return str(value.value)
        case Augmentation():
            return next(name for name, values in AUGMENTATIONS.items() if values == value)
        case tuple():
            return ",".join(map(str, value))
        case float():
            return f"{value:g}"
    return str(value)


# The kinds that one option has, or several share.
RATE = number("RATE", least=1e-9, most=10)
INTEGERS = ValueKind(decode=_decode_integers, metavar="N,N", values="integers with commas between")
COLUMNS = ValueKind(decode=_decode_names, metavar="COLUMN,COLUMN", values="columns with commas between")
COLUMN = ValueKind(
    decode=lambda value: "".join(_decode_names([value])) if value else "", metavar="COLUMN", values="COLUMN"
)
REPEATED_COLUMNS = ValueKind(
    decode=_decode_names, metavar="COLUMN", values="COLUMN, repeatable", is_repeatable=True
)
LAYERS = ValueKind(
    decode=lambda value: None if value == ALL else integer().decode(value),
    metavar="N|all",
    values="0 up, all",
    words=(ALL,),
)
WEIGHTS = _words(_decode_weights, [member.value for member in Weights], "FILE.h5", "RUN", is_path=True)
RUNS = ValueKind(
    decode=_decode_runs,
    metavar="RUN",
    values="none, RUN, repeatable",
    words=(NO_TEACHER,),
    is_path=True,
    is_repeatable=True,
)
AUGMENTATION = _words(_decode_augmentation, AUGMENTATIONS, "FILE.toml", is_path=True)
SENSITIVITIES = ValueKind(
    decode=_decode_sensitivities, metavar="LABEL=SHARE", values="LABEL=SHARE, repeatable", is_repeatable=True
)
