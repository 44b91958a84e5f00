"""Read the patient metadata of pictures: from options for all of them, or from a table with rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dermpack.contract import MetadataColumn
from dermpack.errors import InputError, TableError
from dermpack.inference.metadata_rows import Rows, encode_values
from dermpack.inference.model_files import OpenedModel
from dermpack.storage.files import read_bytes, unescape_cell

PICTURE_COLUMN = "picture"
MAX_TABLE_BYTES = 64 << 20
AGAIN = f"Give a CSV table in UTF-8 with the column {PICTURE_COLUMN!r} and one column for each field."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatientRows:
    """The metadata of pictures, float32 [n, width]; None for a model that takes none."""

    rows: Rows | None
    unlisted: int = 0  # pictures that the table has no row for


def read_patient_rows(
    model: OpenedModel, pictures: Sequence[Path], *, table: Path | None, values: Sequence[str]
) -> PatientRows:
    """Return the rows of the pictures, in their order.

    `values` are options such as "age=34", which apply to every picture; a row of the table has precedence.
    Any other field is blank. Raise InputError or TableError for everything that does not fit.
    """
    columns = model.interface.metadata_columns if model.interface else ()
    if not columns:
        if table is not None or values:
            option = f"--metadata {table}" if table is not None else f"--with {values[0]}"
            what = "the model takes no patient metadata"
            raise InputError(option, what, "Omit it.", code="option-not-applicable")
        return PatientRows(rows=None)
    common = _parse_values(columns, values)
    encoded = np.tile(encode_values(columns, common, where="--with"), (len(pictures), 1))
    if table is None:
        return PatientRows(rows=encoded)
    rows, unlisted = _read_table(table, columns), 0
    for index, picture in enumerate(pictures):
        # The whole path has precedence over the name: two folders may have pictures of the same name.
        row = rows.get(str(picture)) or rows.get(picture.name)
        if row is None:
            unlisted += 1
            continue
        line, cells = row
        given = {**common, **{name: cell for name, cell in cells.items() if cell.strip()}}
        encoded[index] = encode_values(columns, given, where=f"{table}:{line}")
    return PatientRows(rows=encoded, unlisted=unlisted)


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
                hint = AGAIN if name == PICTURE_COLUMN else f"The cells of {name!r} may be empty. {AGAIN}"
                what = f"no column {name!r} (the columns are {', '.join(header[:12]) or 'missing'})"
                raise TableError(path, what, hint, code="missing-column")
            if header.count(name) > 1:
                what = f"there are two columns {name!r}"
                raise TableError(path, what, "Keep one of them.", code="invalid-table")
        rows: dict[str, tuple[int, dict[str, str]]] = {}
        for row in reader:
            if not row:
                continue
            where = f"{path}:{reader.line_num}"
            if len(row) != len(header):
                what = f"the row has {len(row)} cells, but the table has {len(header)} columns"
                raise TableError(where, what, AGAIN, code="invalid-table")
            cells = dict(zip(header, map(unescape_cell, row), strict=True))
            picture = cells[PICTURE_COLUMN]
            if picture in rows:
                what = f"{picture} is listed already in line {rows[picture][0]}"
                raise TableError(where, what, "Keep one of the rows.", code="conflicting-rows")
            rows[picture] = (reader.line_num, {column.name: cells[column.name] for column in columns})
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise TableError(path, f"not a table ({error})", AGAIN, code="invalid-table") from error
    return rows
