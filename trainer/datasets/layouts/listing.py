"""The interface of all layouts: the request to read a source, and the listing of its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from dermpack.dataset.manifest import Finding, Split

WORDS_OF_SPLIT = {
    Split.TRAIN: ("train", "training"),
    Split.VALIDATION: ("val", "valid", "validation"),
    Split.TEST: ("test", "testing"),
}


class SourceFormat(Enum):
    """The layouts of a source; with AUTO the layout is recognised."""

    AUTO = "auto"
    FOLDERS = "folders"
    DERMNET = "dermnet"
    ISIC = "isic"
    CSV = "csv"
    HAM10000 = "ham10000"
    HMNIST = "hmnist"
    CIFAR10 = "cifar10"
    FITZPATRICK17K = "fitzpatrick17k"
    SCIN = "scin"
    PAD_UFES = "pad-ufes"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRequest:
    """The layout to read and the task to make of its classes; `metadata_file` is a table elsewhere.

    `name` and `negative_name` replace the names of the two labels that `positive` makes. `min_weight` applies
    to SCIN: the weight that the label of a case must exceed. `label_column` replaces the labels.
    """

    format: SourceFormat = SourceFormat.AUTO
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    name: str = ""
    negative_name: str = ""
    map_file: Path | None = None
    label_column: str = ""
    metadata_file: Path | None = None
    min_weight: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPicture:
    """A file that a layout lists as a picture; it has not been opened yet."""

    path: str  # relative to the listing's root, with forward slashes
    label: str
    split: Split | None = None  # as given by the source
    group: str = ""  # as given by the source; a picture without one is a group of its own
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Everything that a layout read from a source; `format` names the layout."""

    root: Path  # the folder that the paths of the pictures are relative to
    pictures: tuple[ListedPicture, ...]
    columns: tuple[str, ...] = ()
    group_column: str = ""  # the column that gives the groups; empty without groups
    format: str = ""  # set by read_source
    refused: tuple[Finding, ...] = ()  # links, paths that leave the source, rows without a file …


def parse_split(word: str) -> Split | None:
    """Return the split that the word means, in any case: parse_split("Valid") → Split.VALIDATION."""
    name = word.strip().casefold()
    return next((split for split in Split if name in WORDS_OF_SPLIT[split]), None)
