"""Read HAM10000 as a table of pixels: hmnist_28_28_RGB.csv, or hmnist_28_28_L.csv."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from dermpack.errors import InputError, TableError
from dermpack.progress import Track
from trainer.datasets.layouts.ham10000 import GROUP_COLUMN, Lesion, find_metadata, read_lesions
from trainer.datasets.layouts.listing import ListedPicture, Listing
from trainer.datasets.layouts.source_request import SourceFormat, SourceRequest
from trainer.datasets.layouts.source_walk import is_own_file
from trainer.datasets.layouts.table_reader import read_table

NAMES = ("hmnist_28_28_RGB.csv", "hmnist_28_28_L.csv")  # the better one first
SIDE = 28
MODE_OF_PIXELS = {SIDE * SIDE * 3: "RGB", SIDE * SIDE: "L"}
LABELS = ("akiec", "bcc", "bkl", "df", "nv", "vasc", "mel")  # the published order of the numbers 0 to 6
BYTE_OF_TEXT = {str(value).encode(): value for value in range(256)}  # stricter than int(), and quicker
MAX_LINE_BYTES = 1 << 16  # 2,352 pixels of three digits need 9,410
MAX_ROWS = 1_000_000  # the published table has 10,015


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """One row of the table."""

    line: int
    values: bytes
    label: str


def recognises(source: Path) -> bool:
    return _table(source) is not None


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:
    """Write one PNG a row, named by its number; lesions come along from the metadata, if there is one."""
    table = _table(source)
    if table is None:
        what, hint = f"no {NAMES[0]} found", "Give the table itself as the source."
        raise InputError(source, what, hint, code="table-not-found")
    metadata = request.metadata_file or find_metadata(table.parent)
    lesions, columns = read_lesions(read_table(metadata)) if metadata is not None else (None, ())
    found: list[ListedPicture] = []
    for row in track(_rows(table), total=None if lesions is None else len(lesions), what="write"):
        lesion = None if lesions is None else _lesion(table, row, lesions, len(found))
        path = f"{len(found) + 1:06d}.png"
        Image.frombytes(MODE_OF_PIXELS[len(row.values)], (SIDE, SIDE), row.values).save(pictures / path)
        found.append(_found(path, row, lesion))
    if lesions is not None and len(found) != len(lesions):
        raise _disagree(table, f"{len(found)} rows, but the metadata has {len(lesions)}")
    return Listing(
        root=pictures,
        format=SourceFormat.HMNIST.value,
        pictures=tuple(found),
        columns=columns,
        group_column="" if lesions is None else GROUP_COLUMN,
    )


def _table(source: Path) -> Path | None:
    if source.is_file():
        return source if source.name.casefold() in {name.casefold() for name in NAMES} else None
    return next((source / name for name in NAMES if is_own_file(source / name)), None)


def _rows(table: Path) -> Iterator[Pixels]:
    """The rows one by one: memory stays the same whatever their number."""
    with table.open("rb") as file:
        header = file.readline(MAX_LINE_BYTES).strip().split(b",")
        if header[-1].strip(b'"') != b"label" or len(header) - 1 not in MODE_OF_PIXELS:
            what = f"{len(header)} columns, not 2,352 or 784 pixels followed by a column label"
            hint = f"Give {NAMES[0]} as it was downloaded."
            raise TableError(f"{table}:1", what, hint, code="invalid-table")
        line = 1
        while text := file.readline(MAX_LINE_BYTES):
            line += 1
            if text.strip():
                yield _pixels(text, len(header), line, f"{table}:{line}")
            if line > MAX_ROWS:
                what = f"more than {MAX_ROWS:,} rows"
                raise TableError(table, what, "Split the table.", code="table-too-large")


def _pixels(text: bytes, width: int, line: int, place: str) -> Pixels:
    cells = text.strip().split(b",")
    if len(cells) != width:
        what = f"{len(cells)} cells, but the header has {width}"
        raise TableError(place, what, "Fix the line.", code="invalid-table")
    try:
        values = bytes(map(BYTE_OF_TEXT.__getitem__, cells))
        return Pixels(line=line, values=values[:-1], label=LABELS[values[-1]])
    except LookupError as error:
        what = "a cell is not a pixel (0 to 255), or the last one not a label (0 to 6)"
        raise TableError(place, what, "Fix the line.", code="invalid-table") from error


def _lesion(table: Path, row: Pixels, lesions: tuple[Lesion, ...], at: int) -> Lesion:
    if at >= len(lesions):
        what = f"a further row, but the metadata has {len(lesions)}"
        raise _disagree(f"{table}:{row.line}", what)
    if lesions[at].label != row.label:
        what = f"the label is {row.label}, but {lesions[at].label} in line {lesions[at].line} of the metadata"
        raise _disagree(f"{table}:{row.line}", what)
    return lesions[at]


def _disagree(where: object, what: str) -> TableError:
    hint = "Give the metadata that belongs to this table, or move the metadata elsewhere."
    return TableError(where, what, hint, code="metadata-mismatch")


def _found(path: str, row: Pixels, lesion: Lesion | None) -> ListedPicture:
    if lesion is None:
        return ListedPicture(path=path, label=row.label)
    return ListedPicture(path=path, label=row.label, group=lesion.group, metadata=lesion.metadata)
