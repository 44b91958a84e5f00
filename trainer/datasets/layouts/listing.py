"""What a layout found in a source folder, before any picture is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dermpack.dataset.manifest import Finding, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPicture:
    """A file that a layout takes for a picture; nothing of it is believed yet."""

    path: str  # relative to the listing's root, with forward slashes
    label: str
    split: Split | None = None  # as given by the source
    group: str = ""  # as given by the source; a picture without one is a group of its own
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Everything a layout claims; `format` is the layout that recognised the source."""

    root: Path  # the pictures lie below it
    format: str
    pictures: tuple[ListedPicture, ...]
    columns: tuple[str, ...] = ()
    group_column: str = ""  # where the source's groups come from; empty where it has none
    refused: tuple[Finding, ...] = ()  # links, paths that leave the source, rows without a file …
