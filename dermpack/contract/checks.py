"""Ranges that values must keep; a ValueError begins with the field's name."""

from __future__ import annotations

import re
from collections.abc import Sequence

SHA256 = re.compile(r"[0-9a-f]{64}\Z")
MAX_LABELS = 10_000
MAX_LABEL_CHARACTERS = 200


def check(is_well: bool, name: str, value: object, wanted: str) -> None:
    if not is_well:
        raise ValueError(f"{name} is {value!r}, not {wanted}")


def check_share(name: str, value: float) -> None:
    check(0 <= value <= 1, name, value, "between 0 and 1")


def check_sha256(name: str, value: str) -> None:
    check(SHA256.match(value) is not None, name, value[:80], "64 digits of a sha256")


def check_labels(name: str, labels: Sequence[str]) -> None:
    """Labels are lines of a file inside the model: printable, unique, two at least."""
    check(2 <= len(labels) <= MAX_LABELS, name, f"a list of {len(labels)}", f"one of 2 to {MAX_LABELS}")
    for label in labels:
        well = bool(label.strip()) and label.isprintable() and len(label) <= MAX_LABEL_CHARACTERS
        check(well, f"a label of {name}", label[:80], "one printable line")
    check(len(set(labels)) == len(labels), name, "a list with a label twice", "one with each label once")
