"""Read HAM10000 as a table of pixels: hmnist_28_28_RGB.csv, or hmnist_28_28_L.csv."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL import Image

from dermpack.errors import InputError, TableError
from dermpack.progress import Track
from dermpack.storage.regular_files import open_regular
from trainer.datasets.layouts.ham10000 import GROUP_COLUMN, find_metadata, read_lesions
from trainer.datasets.layouts.listing import ListedPicture, Listing, SourceRequest
from trainer.datasets.layouts.source_walk import is_regular_file
from trainer.datasets.layouts.table_reader import read_table

NAMES = ("hmnist_28_28_RGB.csv", "hmnist_28_28_L.csv")  # colour is preferred
SIDE = 28
MODE_OF_PIXELS = {SIDE * SIDE * 3: "RGB", SIDE * SIDE: "L"}
LABELS = ("akiec", "bcc", "bkl", "df", "nv", "vasc", "mel")  # the published order of the numbers 0 to 6
BYTE_OF_TEXT = {str(value).encode(): value for value in range(256)}  # stricter than int(), and faster
MAX_LINE_BYTES = 1 << 16  # 2,352 pixels of three digits need 9,410
MAX_ROWS = 1_000_000  # the published table has 10,015


def recognises(source: Path) -> bool:
    """Return whether the source is such a table, or a folder with one."""
    return _find_table(source) is not None


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:
    """Write a PNG for each row, named by its number; groups come from the metadata, if there is any."""
    table = _find_table(source)
    if table is None:
        what, hint = f"no {NAMES[0]} found", "Give the table itself as the source."
        raise InputError(source, what, hint, code="table-not-found")
    metadata_file = request.metadata_file or find_metadata(table.parent)
    lesions, columns = read_lesions(read_table(metadata_file)) if metadata_file is not None else (None, ())
    listed: list[ListedPicture] = []
    rows = track(_read_rows(table), total=None if lesions is None else len(lesions), what="write")
    for line, pixels, label in rows:
        path = f"{len(listed) + 1:06d}.png"
        picture = ListedPicture(path=path, label=label)
        if lesions is not None:
            # Both tables have the same order, which the labels confirm.
            if len(listed) >= len(lesions):
                raise _mismatch(f"{table}:{line}", f"a further row, but the metadata has {len(lesions)}")
            known_line, known = lesions[len(listed)]
            if known.label != label:
                what = f"the label is {label}, but {known.label} in line {known_line} of the metadata"
                raise _mismatch(f"{table}:{line}", what)
            picture = replace(known, path=path)
        Image.frombytes(MODE_OF_PIXELS[len(pixels)], (SIDE, SIDE), pixels).save(pictures / path)
        listed.append(picture)
    if lesions is not None and len(listed) != len(lesions):
        raise _mismatch(table, f"{len(listed)} rows, but the metadata has {len(lesions)}")
    group_column = "" if lesions is None else GROUP_COLUMN
    return Listing(root=pictures, pictures=tuple(listed), columns=columns, group_column=group_column)


def _find_table(source: Path) -> Path | None:
    if source.is_file():
        return source if source.name.casefold() in {name.casefold() for name in NAMES} else None
    return next((source / name for name in NAMES if is_regular_file(source / name)), None)


def _read_rows(table: Path) -> Iterator[tuple[int, bytes, str]]:
    """Yield line, pixels and label row by row, so that the memory does not grow with their number."""
    with open_regular(table) as file:
        header = file.readline(MAX_LINE_BYTES).strip().split(b",")
        if header[-1].strip(b'"') != b"label" or len(header) - 1 not in MODE_OF_PIXELS:
            what = f"{len(header)} columns, not 2,352 or 784 pixels followed by a column label"
            hint = f"Give {NAMES[0]} as it was downloaded."
            raise TableError(f"{table}:1", what, hint, code="invalid-table")
        # A limit for each line, because a file without line breaks must not fill the memory.
        for line, text in enumerate(iter(partial(file.readline, MAX_LINE_BYTES), b""), start=2):
            if text.strip():
                yield (line, *_parse_cells(text.strip().split(b","), len(header), f"{table}:{line}"))
            if line > MAX_ROWS:
                what = f"more than {MAX_ROWS:,} rows"
                raise TableError(table, what, "Split the table.", code="table-too-large")


def _parse_cells(cells: Sequence[bytes], width: int, place: str) -> tuple[bytes, str]:
    if len(cells) != width:
        what = f"{len(cells)} cells, but the header has {width}"
        raise TableError(place, what, "Fix the line.", code="invalid-table")
    try:
        values = bytes(map(BYTE_OF_TEXT.__getitem__, cells))
        return values[:-1], LABELS[values[-1]]
    except LookupError as error:
        what = "a cell is not a pixel (0 to 255), or the last one not a label (0 to 6)"
        raise TableError(place, what, "Fix the line.", code="invalid-table") from error


def _mismatch(where: object, what: str) -> TableError:
    hint = "Give the metadata that belongs to this table, or move the metadata elsewhere."
    return TableError(where, what, hint, code="metadata-mismatch")
