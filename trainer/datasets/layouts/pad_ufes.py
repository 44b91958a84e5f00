"""Read PAD-UFES-20: metadata.csv, and its pictures in the folders imgs_part_1 to imgs_part_3."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from dermpack.errors import InputError
from dermpack.progress import Track
from trainer.datasets.layouts.csv_table import find_tables
from trainer.datasets.layouts.listing import ListedPicture, Listing, SourceRequest
from trainer.datasets.layouts.source_walk import NamedRow, is_valid_name, match_files, walk_source
from trainer.datasets.layouts.table_reader import (
    SourceTable,
    is_single_line,
    read_table,
    require_columns,
    select_metadata,
)
from trainer.datasets.splits.arrange import join_group_names

SHAPE = "metadata.csv of PAD-UFES-20 with pictures"
PATIENT, LESION = "patient_id", "lesion_id"
OWN_COLUMNS = (PATIENT, LESION, "img_id", "diagnostic")
UNKNOWN = "UNK"  # in the published table: the patient does not know


def recognises(source: Path) -> bool:
    """Return whether the folder contains the metadata, and pictures below it."""
    return source.is_dir() and bool(find_tables(source, OWN_COLUMNS)) and bool(walk_source(source).pictures)


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:  # noqa: ARG001 - a Layout
    """Return a picture for each row with a file; a group is all that patients and lesions connect."""
    metadata_file = request.metadata_file or next(iter(find_tables(source, OWN_COLUMNS)), None)
    if metadata_file is None:
        what = f"no table with the columns {', '.join(OWN_COLUMNS)} found"
        hint = "Put metadata.csv into the folder that contains the pictures, or give it with --metadata."
        raise InputError(source, what, hint, code="table-not-found")
    rows, columns = _read_rows(read_table(metadata_file))
    listed, findings = match_files(source, rows, track=track)
    return Listing(
        root=source,
        pictures=tuple(listed),
        columns=columns,
        group_column=PATIENT,
        refused=tuple(findings),
    )


def _read_rows(table: SourceTable) -> tuple[list[NamedRow], tuple[str, ...]]:
    """Return the rows in their order, named by their pictures, and the names of the metadata columns."""
    require_columns(table, *OWN_COLUMNS)
    indices, columns = select_metadata(table, OWN_COLUMNS)
    rows: dict[str, NamedRow] = {}
    patients, lesions = [], []
    for row in table.rows:
        patient, lesion, file_name, label = (table.cell(row, column) for column in OWN_COLUMNS)
        name = PurePosixPath(file_name).stem
        if not label or not is_valid_name(name) or not is_single_line(patient + lesion + label) or not name:
            raise table.error(row, "img_id or diagnostic is empty, or a cell contains a control character")
        if name in rows:
            what = f"{file_name} is listed already in line {rows[name][0]}"
            raise table.error(row, what, "Keep one of the rows.", code="conflicting-rows")
        cells = tuple("" if row.cells[index] == UNKNOWN else row.cells[index] for index in indices)
        rows[name] = row.line, ListedPicture(path=name, label=label, metadata=cells)
        patients.append(patient)
        lesions.append(lesion)
    groups = join_group_names(lesions, patients)
    grouped = [
        (line, replace(picture, group=group))
        for (line, picture), group in zip(rows.values(), groups, strict=True)
    ]
    return grouped, columns
