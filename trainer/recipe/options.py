"""Declare the options of a training, and decode their values from the command line, TOML or JSON.

Each field of `Recipe` is declared with `option`: its default, the values that it accepts, its section and its
help. The command line, the help and the tables in docs/options.md are derived from these declarations.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

from dermpack.storage.files import path_exists
from dermpack.storage.toml_file import read_toml
from trainer.recipe.augmentation import AUGMENTATIONS, Augmentation, parse_augmentation
from trainer.recipe.network_spec import Weights

RUN_FILE, WEIGHTS_FILE = "training.json", "weights.npz"  # in a run folder
ALL, NO_TEACHER = "all", "none"
HINT = 'See "dermpack train --help".'
NO_LIMIT = 1 << 31
MAX_LISTED_FILES = 3  # in a message
DECLARATION = "option"  # the key of the field's metadata

Decoder: TypeAlias = Callable[[Any], Any]


class OptionValueError(ValueError):
    """A value of an option is invalid; the text completes "--alpha 0.3: …"."""

    def __init__(self, what: str, hint: str = HINT) -> None:
        super().__init__(what)
        self.hint = hint


class HelpSection(Enum):
    """The headings of `dermpack train --help`."""

    NETWORK = "Network"
    TRAINING = "Training"
    PICTURES = "Pictures and classes"
    MACHINE = "Machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueKind:
    """The values that an option accepts."""

    decode: Decoder  # from text, or from what a TOML or JSON file contains; raises ValueError or TypeError
    values: str  # as the table of options describes them
    words: tuple[str, ...] = ()  # that a shell completes
    is_path: bool = False  # in a TOML file, what is not one of the words is relative to the file


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionDeclaration:
    """Everything about an option but its name and its default, which the field has."""

    kind: ValueKind
    section: HelpSection
    metavar: str
    help: str
    default_text: str | None  # where the default itself is not readable
    decides_weights: bool  # options of the machine do not: the record of a run leaves them out


def option(
    default: Any,
    kind: ValueKind,
    section: HelpSection,
    metavar: str,
    help: str,  # noqa: A002 - click's name for it
    *,
    default_text: str | None = None,
    decides_weights: bool = True,
) -> Any:
    """Return a dataclass field that declares an option."""
    declaration = OptionDeclaration(
        kind=kind,
        section=section,
        metavar=metavar,
        help=help,
        default_text=default_text,
        decides_weights=decides_weights,
    )
    return field(default=default, metadata={DECLARATION: declaration})


def number(*, least: float, most: float) -> ValueKind:
    """Accept a finite number of this range."""

    def decode(value: Any) -> float:
        decoded = float(_convert(value, float))
        if not least <= decoded <= most:  # NaN fails both comparisons
            raise OptionValueError(f"must be a number from {least:g} to {most:g}")
        return decoded

    return ValueKind(decode=decode, values=f"{least:g} to {most:g}")


def integer(*, least: int, most: int = NO_LIMIT) -> ValueKind:
    """Accept an integer of this range."""
    values = f"{least} to {most}" if most < NO_LIMIT else f"{least} up"

    def decode(value: Any) -> int:
        decoded = int(_convert(value, int))
        if not least <= decoded <= most:
            raise OptionValueError(f"must be an integer from {values}")
        return decoded

    return ValueKind(decode=decode, values=values)


def word(vocabulary: type[Enum]) -> ValueKind:
    """Accept the value of one member of an enum."""
    known = tuple(str(member.value) for member in vocabulary)

    def decode(value: Any) -> Enum:
        try:
            return vocabulary(value)
        except ValueError:
            near = difflib.get_close_matches(str(value), known, n=1)
            hint = f"Did you mean {near[0]}?" if near else HINT
            raise OptionValueError(f"must be one of {', '.join(known)}", hint) from None

    return ValueKind(decode=decode, values=", ".join(known), words=known)


def _convert(value: Any, kind: type[int] | type[float]) -> Any:
    error = OptionValueError("must be an integer" if kind is int else "must be a number")
    # Python converts True to 1 and 1.5 to 1 without an error: both are mistakes in an option.
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):
        raise error
    try:
        return kind(value)
    except (ValueError, OverflowError):  # OverflowError: a file may contain an integer of any length
        raise error from None


def _decode_integers(value: Any) -> tuple[int, ...]:
    """Decode 128,64 from the command line, [128, 64] from a file."""
    parts = [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    decode = integer(least=1).decode
    return tuple(decode(part) for part in ([parts] if isinstance(parts, int) else parts))


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


def _decode_teacher(value: Any) -> Path | None:
    if value == NO_TEACHER:
        return None
    path = Path(value)
    if not path.is_dir():
        hint = 'Give a folder that "dermpack train" wrote, or none.'
        raise OptionValueError("must be a run folder, or none", hint)
    return path


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
    error = OptionValueError("must be LABEL=SHARE, such as mel=0.95")
    pairs = list(value.items()) if isinstance(value, Mapping) else []
    for item in () if isinstance(value, Mapping) else value:
        # The last "=" separates: a label may contain the sign.
        label, equals, share = item.rpartition("=")
        if not equals:
            raise error
        pairs.append((label, share))
    decode = number(least=0, most=1).decode
    decoded = tuple((str(label), float(decode(share))) for label, share in pairs)
    if not all(label and share > 0 for label, share in decoded):
        raise error
    return decoded


# The kinds that one option has, or several share.
SHARE_BELOW_ONE = number(least=0, most=0.999999)
RATE = number(least=1e-9, most=10)
INTEGERS = ValueKind(decode=_decode_integers, values="integers with commas between")
LAYERS = ValueKind(
    decode=lambda value: None if value == ALL else integer(least=0).decode(value),
    values="0 up, all",
    words=(ALL,),
)
WEIGHTS = ValueKind(
    decode=_decode_weights,
    values="imagenet, none, FILE.h5, RUN",
    words=tuple(member.value for member in Weights),
    is_path=True,
)
TEACHER = ValueKind(decode=_decode_teacher, values="none, RUN", words=(NO_TEACHER,), is_path=True)
AUGMENTATION = ValueKind(
    decode=_decode_augmentation,
    values=f"{', '.join(AUGMENTATIONS)}, FILE.toml",
    words=tuple(AUGMENTATIONS),
    is_path=True,
)
SENSITIVITIES = ValueKind(decode=_decode_sensitivities, values="LABEL=SHARE, repeatable")
