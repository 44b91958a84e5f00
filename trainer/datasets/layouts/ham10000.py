"""Read HAM10000: HAM10000_metadata.csv with its pictures in one folder or several."""

from __future__ import annotations

from pathlib import Path

from dermpack.errors import InputError
from dermpack.progress import Track
from trainer.datasets.layouts.listing import ListedPicture, Listing, SourceRequest
from trainer.datasets.layouts.source_walk import NamedRow, is_regular_file, match_files, walk_source
from trainer.datasets.layouts.table_reader import (
    SourceTable,
    is_single_line,
    read_table,
    require_columns,
    select_metadata,
)

METADATA_NAMES = ("ham10000_metadata.csv", "ham10000_metadata.tab", "ham10000_metadata")  # Kaggle, Dataverse
GROUP_COLUMN = "lesion_id"
OWN_COLUMNS = (GROUP_COLUMN, "image_id", "dx")
UNKNOWN = "unknown"  # in the published table: a missing sex or localization


def recognises(source: Path) -> bool:
    """Return whether the folder contains the metadata, and pictures below it."""
    return find_metadata(source) is not None and bool(walk_source(source).pictures)


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:  # noqa: ARG001 - a Layout
    """Return a picture for each row with a file; rows without file and files without row are refused."""
    metadata_file = request.metadata_file or find_metadata(source)
    if metadata_file is None:
        hint = "Put it into the folder that contains the picture folders, or give it with --metadata."
        raise InputError(source, "no HAM10000_metadata.csv found", hint, code="table-not-found")
    lesions, columns = read_lesions(read_table(metadata_file))
    listed, findings = match_files(source, lesions, track=track)
    return Listing(
        root=source,
        pictures=tuple(listed),
        columns=columns,
        group_column=GROUP_COLUMN,
        refused=tuple(findings),
    )


def find_metadata(source: Path) -> Path | None:
    """Return the metadata file in the folder, by any of its published names, or None."""
    if not source.is_dir():
        return None
    files = {path.name.casefold(): path for path in sorted(source.iterdir()) if is_regular_file(path)}
    return next((files[name] for name in METADATA_NAMES if name in files), None)


def read_lesions(table: SourceTable) -> tuple[tuple[NamedRow, ...], tuple[str, ...]]:
    """Return the rows in their order and the names of the metadata columns; "unknown" becomes empty."""
    require_columns(table, "image_id", "dx", GROUP_COLUMN)
    indices, columns = select_metadata(table, OWN_COLUMNS)
    lesions: dict[str, NamedRow] = {}
    for row in table.rows:
        group, name, label = (table.cell(row, column) for column in OWN_COLUMNS)
        if not all(cell and is_single_line(cell) for cell in (group, name, label)):
            raise table.error(row, "image_id, dx or lesion_id is empty or contains a control character")
        if name in lesions:
            what = f"{name} is listed already in line {lesions[name][0]}"
            raise table.error(row, what, "Keep one of the rows.", code="conflicting-rows")
        cells = ("" if row.cells[i].casefold() == UNKNOWN else row.cells[i] for i in indices)
        picture = ListedPicture(path=name, label=label, group=group, metadata=tuple(cells))
        lesions[name] = (row.line, picture)
    return tuple(lesions.values()), columns
