"""Encode the patient metadata of many pictures: of a dataset, a table, or the options of a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dermpack.contract import MetadataColumn, encode_metadata_row
from dermpack.dataset.blank_cells import is_missing
from dermpack.errors import InputError

if TYPE_CHECKING:
    from dermpack.dataset.manifest import Dataset, Picture, Split

Rows = NDArray[np.float32]
MAX_CHARACTERS = 80  # of a category; the rest is cut off


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedMetadata:
    """The metadata of several pictures: float32 [n, width], in which each column has its slots."""

    columns: tuple[MetadataColumn, ...]
    rows: Rows
    ignored: Mapping[str, int]  # for each column, cells with a value that the model was not trained on

    @property
    def blank(self) -> Rows:
        return blank_row(self.columns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetadataVariant:
    """Rows of metadata to predict the same pictures with, float32 [n, width]."""

    rows: Rows
    hides_picture: bool = False  # the network gets a mid-grey picture


def column_slices(columns: Sequence[MetadataColumn]) -> dict[str, slice]:
    """Return the slots of each column by its name: age → slice(0, 2), sex → slice(2, 5)."""
    slices, start = {}, 0
    for column in columns:
        slices[column.name] = slice(start, start + column.slots)
        start += column.slots
    return slices


def blank_row(columns: Sequence[MetadataColumn]) -> Rows:
    """Return the row of a picture about which nothing is known."""
    return encode_values(columns, {}, where="")


def encode_values(columns: Sequence[MetadataColumn], values: Mapping[str, str], *, where: object) -> Rows:
    """Return the row of one picture, float32 [width]; words such as "unknown" mean a missing value.

    Raise InputError for a column that the model does not take, and for a value that it was not trained on.
    """
    cells = {name: clean_cell(cell) for name, cell in values.items()}
    return np.array(encode_metadata_row(columns, cells, where=where), np.float32)


def encode_cells(
    columns: Sequence[MetadataColumn], cells: Mapping[str, Sequence[str]], *, n: int
) -> EncodedMetadata:
    """Return the rows of n pictures whose values the model need not have seen.

    A value that `encode_values` refuses counts as missing here; so does a column that is not given.
    """
    rows = np.tile(blank_row(columns), (n, 1))
    ignored = {}
    for column, (name, slots) in zip(columns, column_slices(columns).items(), strict=True):
        own = cells.get(name, ())
        # Encode each different cell once.
        encoded: dict[str, Rows] = {}
        refused: set[str] = set()
        for cell in set(own):
            try:
                encoded[cell] = encode_values([column], {name: cell}, where=name)
            except InputError:
                encoded[cell] = blank_row([column])
                refused.add(cell)
        for index, cell in enumerate(own):
            rows[index, slots] = encoded[cell]
        ignored[name] = sum(cell in refused for cell in own)
    return EncodedMetadata(columns=tuple(columns), rows=rows, ignored=ignored)


def encode_split(dataset: Dataset, split: Split, columns: Sequence[MetadataColumn]) -> EncodedMetadata:
    """Return the metadata of the pictures of a split, in their order."""
    return encode_pictures(dataset.manifest.of(split), dataset.manifest.columns, columns)


def encode_pictures(
    pictures: Sequence[Picture], names: Sequence[str], columns: Sequence[MetadataColumn]
) -> EncodedMetadata:
    """Return the metadata of pictures of a dataset that has columns of these names."""
    cells = {
        column.name: [picture.metadata[names.index(column.name)] for picture in pictures]
        for column in columns
        if column.name in names
    }
    return encode_cells(columns, cells, n=len(pictures))


def clean_cell(cell: str) -> str:
    """Return the text of a cell, "" where it means a missing value: " unknown" → ""."""
    text = " ".join(cell.split())[:MAX_CHARACTERS]
    return "" if is_missing(text) else text
