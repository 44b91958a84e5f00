"""Read the patient metadata of pictures: from options for all of them, or from a table with rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dermpack.contract import MetadataColumn
from dermpack.errors import InputError, TableError
from dermpack.inference.metadata_rows import Rows, blank_row, encode_values
from dermpack.inference.model_files import OpenedModel
from dermpack.storage.files import read_bytes, unescape_cell

PICTURE_COLUMN = "picture"
MAX_TABLE_BYTES = 64 << 20
AGAIN = f"Give a CSV table in UTF-8 with the column {PICTURE_COLUMN!r} and one column for each field."


def read_patient_rows(
    model: OpenedModel, pictures: Sequence[Path], *, table: Path | None, values: Sequence[str]
) -> Rows | None:
    """Return the rows of the pictures, float32 [n, width], or None for a model without metadata.

    `values` are options such as "age=34", which apply to every picture; a row of the table has precedence.
    A picture without a row has blank fields. Raise InputError or TableError for everything that does not fit.
    """
    columns = _columns(model)
    if not columns:
        if table is not None or values:
            option = f"--metadata {table}" if table is not None else f"--with {values[0]}"
            what = "the model takes no patient metadata"
            raise InputError(option, what, "Omit it.", code="option-not-applicable")
        return None
    common = _parse_values(columns, values)
    if table is None:
        return np.tile(encode_values(columns, common, where="--with"), (len(pictures), 1))
    rows = _read_table(table, columns)
    encoded = np.tile(blank_row(columns), (len(pictures), 1))
    for index, picture in enumerate(pictures):
        # The whole path wins over the name: two folders may have pictures of the same name.
        line, cells = rows.get(str(picture)) or rows.get(picture.name) or (0, {})
        given = {**common, **{name: cell for name, cell in cells.items() if cell.strip()}}
        encoded[index] = encode_values(columns, given, where=f"{table}:{line}" if line else "--with")
    return encoded


def count_without_row(model: OpenedModel, pictures: Sequence[Path], *, table: Path) -> int:
    """Return how many pictures the table has no row for."""
    rows = _read_table(table, _columns(model))
    return sum(str(picture) not in rows and picture.name not in rows for picture in pictures)


def _columns(model: OpenedModel) -> tuple[MetadataColumn, ...]:
    return model.interface.metadata.columns if model.interface and model.interface.metadata else ()


def _parse_values(columns: Sequence[MetadataColumn], values: Sequence[str]) -> dict[str, str]:
    """Return {"age": "34"} for ("age=34",)."""
    parsed: dict[str, str] = {}
    for value in values:
        name, sign, text = value.partition("=")
        if not sign or not name.strip() or name.strip() in parsed:
            what = "must be FIELD=VALUE, with each field once"
            hint = f"Give for example --with {columns[0].name}=…"
            raise InputError(f"--with {value}", what, hint, code="invalid-option")
        parsed[name.strip()] = text
    return parsed


def _read_table(path: Path, columns: Sequence[MetadataColumn]) -> Mapping[str, tuple[int, dict[str, str]]]:
    """Return line and cells of each row by its picture."""
    data = read_bytes(path, most=MAX_TABLE_BYTES, hint=AGAIN)
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        header = [unescape_cell(cell).strip() for cell in next(reader, [])]
        for name in (PICTURE_COLUMN, *(column.name for column in columns)):
            if name not in header:
                hint = f"The cells of {name!r} may be empty. {AGAIN}"
                what = f"there is no column {name!r}, only {', '.join(header[:12]) or 'nothing'}"
                raise TableError(path, what, hint, code="missing-column")
        rows: dict[str, tuple[int, dict[str, str]]] = {}
        for row in reader:
            if not row:
                continue
            cells = dict(zip(header, map(unescape_cell, row), strict=True))
            picture = cells[PICTURE_COLUMN]
            if picture in rows:
                what = f"{picture} is listed already in line {rows[picture][0]}"
                where = f"{path}:{reader.line_num}"
                raise TableError(where, what, "Keep one of the rows.", code="conflicting-rows")
            rows[picture] = (reader.line_num, {column.name: cells[column.name] for column in columns})
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise TableError(path, f"not a table ({error})", AGAIN, code="invalid-table") from error
    return rows
