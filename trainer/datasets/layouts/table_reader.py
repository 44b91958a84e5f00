"""Read CSV files of unknown origin: delimiter, encoding and size are checked, errors name the line."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermpack.dataset.manifest import FIXED_COLUMNS, MAX_CELL_CHARACTERS, PHOTOGRAPH_COLUMN
from dermpack.errors import TableError
from dermpack.storage.files import read_bytes
from dermpack.storage.regular_files import open_regular

# Limits against a table that fills the memory: a row costs some 350 bytes, however short it is.
MAX_TABLE_BYTES, MAX_ROWS, MAX_COLUMNS = 64 << 20, 1_000_000, 1000
DELIMITERS = (",", "\t", ";")  # the most frequent one in the header is used, or a comma
LINE_BREAKING_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control, undecodable, line, paragraph
COLLISION_PREFIX = "source_"  # for metadata columns that are named like a column of the manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """The stripped cells of one row, and the line where it ends."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """A header without repeated names and at least one row, each as wide as the header."""

    where: Path
    header: tuple[str, ...]
    index_of: Mapping[str, int]  # of the column names in lower case
    rows: tuple[SourceRow, ...]

    def cell(self, row: SourceRow, name: str) -> str:
        """Return the cell in the column, or "" without such a column."""
        return row.cells[self.index_of[name]] if name in self.index_of else ""

    def error(
        self, row: SourceRow, what: str, hint: str = "Fix the line.", *, code: str = "invalid-table"
    ) -> TableError:
        """Return an error in the line of the row."""
        return TableError(f"{self.where}:{row.line}", what, hint, code=code)


def read_table(path: Path) -> SourceTable:
    """Read a whole table, or raise TableError with the line that is invalid."""
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    data = read_bytes(path, most=MAX_TABLE_BYTES, hint="Split the table.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        hint = "Save the table as UTF-8."
        raise TableError(f"{path}:{line}", "not UTF-8", hint, code="invalid-table") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        hint = "Save the table as UTF-8 text."
        raise TableError(f"{path}:{line}", "contains a NUL byte", hint, code="invalid-table")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_find_delimiter(text), strict=True)
    try:
        header = _check_header(next(reader, []), path)
        rows = tuple(_read_rows(reader, len(header), path))
    except csv.Error as error:
        place, what = f"{path}:{reader.line_num}", f"not valid CSV ({error})"
        raise TableError(place, what, "Fix the line.", code="invalid-table") from error
    if not rows:
        what = "the table has a header but no rows"
        raise TableError(path, what, "Add a row for each picture.", code="invalid-table")
    index_of = {name.casefold(): index for index, name in enumerate(header)}
    return SourceTable(where=path, header=header, index_of=index_of, rows=rows)


def read_header(path: Path) -> tuple[str, ...]:
    """Return the column names in lower case, or none if the file does not begin with a line of text."""
    try:
        with open_regular(path) as file:
            first_line = file.readline(MAX_CELL_CHARACTERS).decode("utf-8-sig")
        cells = next(csv.reader([first_line], delimiter=_find_delimiter(first_line)), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return ()
    return tuple(cell.strip().casefold() for cell in cells)


def is_single_line(text: str) -> bool:
    """Return whether a terminal shows the text on one line, and UTF-8 can encode it."""
    return not any(unicodedata.category(character) in LINE_BREAKING_CATEGORIES for character in text)


def require_columns(table: SourceTable, *names: str) -> None:
    """Raise TableError that lists the existing columns if one is missing."""
    for name in names:
        if name not in table.index_of:
            what = f"no column {name} (the columns are {', '.join(table.header[:10])})"
            hint = f"Add a column {name}, or rename one."
            raise TableError(f"{table.where}:1", what, hint, code="missing-column")


def select_metadata(table: SourceTable, used: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return indices and names of all columns that are not `used`: "Width" → "source_Width"."""
    kept = {index: name for index, name in enumerate(table.header) if name.casefold() not in used}
    return tuple(kept), rename_metadata(table.where, tuple(kept.values()))


def rename_metadata(where: Path, names: Sequence[str], made: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of metadata columns, with a prefix if one is of the manifest or among `made`."""
    taken = {*FIXED_COLUMNS, PHOTOGRAPH_COLUMN, *made}
    renamed = tuple(COLLISION_PREFIX * (name.casefold() in taken) + name for name in names)
    repeated = _find_repeated((*renamed, *made))
    if repeated:
        what = f"two columns would both be imported as {repeated}"
        raise TableError(f"{where}:1", what, "Rename one of them.", code="invalid-table")
    return renamed


def _find_delimiter(text: str) -> str:
    first_line = text.partition("\n")[0]
    return max(DELIMITERS, key=first_line.count)


def _check_header(cells: list[str], path: Path) -> tuple[str, ...]:
    header = tuple(cell.strip() for cell in cells)
    if not header:
        hint = "Give a table with a header and a row for each picture."
        raise TableError(path, "the table is empty", hint, code="invalid-table")
    place = f"{path}:1"
    if len(header) > MAX_COLUMNS:
        what = f"more than {MAX_COLUMNS:,} columns"
        raise TableError(place, what, "Remove some of them.", code="table-too-large")
    if not all(name and is_single_line(name) for name in header):
        what = "a column name is empty or contains a control character"
        raise TableError(place, what, "Give each column a name.", code="invalid-table")
    repeated = _find_repeated(header)
    if repeated:
        what = f"two columns have the name {repeated}"
        raise TableError(place, what, "Rename one of them.", code="invalid-table")
    return header


def _find_repeated(names: Sequence[str]) -> str | None:
    counts = Counter(name.casefold() for name in names)
    return next((name for name in names if counts[name.casefold()] > 1), None)


def _read_rows(reader: Any, width: int, path: Path) -> Iterator[SourceRow]:  # csv exports no reader type
    for cells in reader:
        if reader.line_num > MAX_ROWS:
            what = f"more than {MAX_ROWS:,} lines"
            raise TableError(path, what, "Split the table.", code="table-too-large")
        stripped = tuple(cell.strip() for cell in cells)
        if not any(stripped):
            continue  # spreadsheets leave empty lines
        if len(stripped) != width:
            what = f"{len(stripped)} cells, but the header has {width}"
            raise TableError(f"{path}:{reader.line_num}", what, "Fix the line.", code="invalid-table")
        yield SourceRow(line=reader.line_num, cells=stripped)
