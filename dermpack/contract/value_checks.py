"""Ranges that values must keep; a ValueError begins with the field's name."""

from __future__ import annotations

import re
from collections.abc import Sequence

SHA256 = re.compile(r"[0-9a-f]{64}\Z")
MAX_LABELS = 10_000
MAX_LABEL_CHARACTERS = 200


def check(is_well: bool, name: str, value: object, wanted: str) -> None:
    if not is_well:
        raise ValueError(f"{name} must be {wanted}, not {value!r}")


def check_share(name: str, value: float) -> None:
    check(0 <= value <= 1, name, value, "between 0 and 1")


def check_sha256(name: str, value: str) -> None:
    check(
        SHA256.match(value) is not None, name, value[:80], "the 64 lower-case hexadecimal digits of a SHA-256"
    )


def check_labels(name: str, labels: Sequence[str]) -> None:
    """Labels are lines of a file inside the model: printable, unique, two at least."""
    if not 2 <= len(labels) <= MAX_LABELS:
        raise ValueError(f"{name} must be a list of 2 to {MAX_LABELS} labels, not of {len(labels)}")
    for label in labels:
        well = bool(label.strip()) and label.isprintable() and len(label) <= MAX_LABEL_CHARACTERS
        wanted = f"a single printable line of at most {MAX_LABEL_CHARACTERS} characters"
        check(well, f"each of {name}", label[:80], wanted)
    if len(set(labels)) < len(labels):
        raise ValueError(f"{name} must not contain a label twice")
