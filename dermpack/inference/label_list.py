"""Read the labels of a model's outputs: from a file of --labels, or from the option itself."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermpack.contract.record import MAX_LABELS
from dermpack.errors import InputError, TableError
from dermpack.storage.files import path_exists, read_bytes

if TYPE_CHECKING:
    from dermpack.dataset.manifest import Dataset

MAX_LABELS_BYTES = 1 << 20
HINT = "Write one label per line, in the order of the outputs."
FILE_ENDINGS = (".txt", ".json", ".csv", ".labels")  # such a value is a path, even if the file is missing
INDEXED = re.compile(r"(\d{1,5})(?::|,|\s)\s*(\S.*)")  # "0 eczema", "0: eczema"


def read_labels(given: Path | str) -> tuple[str, ...]:
    """Return the labels in a file, or in a list with commas: "akiec,mel,nv".

    A label of a list that contains a comma is quoted: '"benign, flat",melanoma'.
    """
    text = str(given)
    if "," in text and not text.lower().endswith(FILE_ENDINGS) and not path_exists(Path(text)):
        return check_label_list(_split_list(text), "--labels")
    return read_label_file(Path(text))


def read_label_file(path: Path) -> tuple[str, ...]:
    """Return the labels in a file: one per line, with or without their indices, or a JSON list."""
    data = read_bytes(path, most=MAX_LABELS_BYTES, hint=HINT)
    try:
        text = data.decode("utf-8-sig")
        labels = json.loads(text) if text.lstrip().startswith("[") else _split_lines(text)
    except (ValueError, RecursionError) as error:
        raise TableError(path, f"not a list of labels ({error})", HINT, code="invalid-labels") from error
    return check_label_list(labels, path)


def _split_lines(text: str) -> list[str]:
    """Return the lines that are not blank, without the indices that some programs write before the labels.

    Only the numbers from 0 on, each exactly once, are indices: they are then the order of the outputs. The
    numbers in "2 weeks", "4 weeks" are parts of the labels.
    """
    lines = [_unquote(line.strip()) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    lines = [line for line in lines if line]
    matches = [INDEXED.fullmatch(line) for line in lines]
    indexed = {int(match[1]): _unquote(match[2]) for match in matches if match}
    if len(lines) > 1 and sorted(indexed) == list(range(len(lines))):
        return [indexed[index] for index in range(len(lines))]
    return lines


def _unquote(line: str) -> str:
    """Return a label without the quotation marks in which a spreadsheet writes one with a comma."""
    if len(line) > 1 and line.startswith('"') and line.endswith('"'):
        return line[1:-1].replace('""', '"').strip()
    return line


def _split_list(text: str) -> list[str]:
    try:
        (row,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as error:
        raise TableError(
            "--labels", f"not a list of labels ({error})", "Separate labels by commas.", code="invalid-labels"
        ) from error
    return [label.strip() for label in row]


def check_label_list(value: object, where: object) -> tuple[str, ...]:
    """Return the labels if they are a list of different texts, at least two; else raise TableError."""
    labels: list[Any] = value if isinstance(value, list) else []
    if not all(isinstance(label, str) and label.strip() for label in labels):
        raise TableError(where, "a label is empty or not a text", HINT, code="invalid-labels")
    if not 2 <= len(labels) <= MAX_LABELS:
        what = f"must contain a list of 2 to {MAX_LABELS} labels, not of {len(labels)}"
        raise TableError(where, what, HINT, code="invalid-labels")
    if repeated := [label for label, count in Counter(labels).items() if count > 1]:
        raise TableError(where, f"contains the label {repeated[0]!r} twice", HINT, code="invalid-labels")
    return tuple(labels)


def require_known_labels(dataset: Dataset, labels: Sequence[str], *, where: object) -> None:
    """Raise InputError if the dataset has a label that the model does not have; it may have fewer."""
    missing = [label for label in dataset.classes if label not in labels]
    if missing:
        what = f"the dataset has the label {missing[0]!r}, which the model does not have"
        hint = "Correct --labels, or import the dataset with the labels of the model (data import --map CSV)."
        raise InputError(where, what, hint, code="unknown-label")
