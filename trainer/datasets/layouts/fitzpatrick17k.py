"""Read Fitzpatrick17k: its table, and pictures of any extension that are named by the hashes in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dermpack.dataset.manifest import Finding
from dermpack.errors import InputError
from dermpack.progress import Track
from trainer.datasets.findings import OmissionReason, create_finding
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

SHAPE = "a CSV file with the columns md5hash, label and fitzpatrick_scale, and pictures named by md5hash"
OWN_COLUMNS = ("md5hash", "label")
COLUMNS = (*OWN_COLUMNS, "fitzpatrick_scale")  # by which the table is recognised
SKIN_TYPE_COLUMNS = ("fitzpatrick_scale", "fitzpatrick_centaur")  # two groups of annotators
UNKNOWN_SKIN_TYPES = ("-1", "-1.0", "0")
QUALITY_COLUMN, URL_COLUMN = "qc", "url"
WRONG_MARK = "wrongly"  # "3 Wrongly labelled": dermatologists looked at some 500 of the pictures
WEBSITE_COLUMN = "website"  # the host of the address: the pictures of each web site have a look of their own


def recognises(source: Path) -> bool:
    """Return whether the folder contains such a table, and pictures below it."""
    return source.is_dir() and bool(find_tables(source, COLUMNS)) and bool(walk_source(source).pictures)


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:  # noqa: ARG001 - a Layout
    """Return a picture for each row with a file, without those that the quality mark calls wrong."""
    table = read_table(request.metadata_file or _find_only_table(source))
    require_columns(table, *OWN_COLUMNS)
    rows = _read_rows(table)
    listed, findings = match_files(source, rows.usable, passed_over=rows.left_out, track=track)
    return Listing(
        root=source,
        pictures=tuple(listed),
        columns=rows.columns,
        refused=(*findings, *rows.left_out.values()),
    )


def _find_only_table(source: Path) -> Path:
    tables = find_tables(source, COLUMNS)
    if not tables:
        hint = "Put it into the folder that contains the pictures, or give it with --metadata."
        what = f"no table with the columns {', '.join(COLUMNS)} found"
        raise InputError(source, what, hint, code="table-not-found")
    if len(tables) > 1:
        what = f"several tables of pictures: {', '.join(path.name for path in tables)}"
        raise InputError(source, what, "Choose one with --metadata.", code="ambiguous-layout")
    return tables[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """The rows of the table, and hash → finding for those that are left out."""

    usable: tuple[NamedRow, ...]
    left_out: dict[str, Finding]
    columns: tuple[str, ...]


def _read_rows(table: SourceTable) -> _Rows:
    """Return one row for each hash; rows of one hash with two labels are left out."""
    indices, columns = select_metadata(table, OWN_COLUMNS)
    website_name = WEBSITE_COLUMN if WEBSITE_COLUMN not in table.index_of else f"source_{WEBSITE_COLUMN}"
    first_rows: dict[str, NamedRow] = {}
    left_out: dict[str, Finding] = {}
    for row in table.rows:
        name, label = (table.cell(row, column) for column in OWN_COLUMNS)
        if not name or "/" in name or not is_valid_name(name) or not is_single_line(label):
            raise table.error(row, "md5hash is not the name of a file, or label has a control character")
        cells = [row.cells[index] for index in indices]
        for position, index in enumerate(indices):
            if table.header[index].casefold() in SKIN_TYPE_COLUMNS and cells[position] in UNKNOWN_SKIN_TYPES:
                cells[position] = ""
        website = _website(table.cell(row, URL_COLUMN), table)
        picture = ListedPicture(path=name, label=label, metadata=(*cells, *website))
        line, first = first_rows.setdefault(name, (row.line, picture))
        mark = table.cell(row, QUALITY_COLUMN)
        if first.label != label:
            detail = f"is {first.label} in line {line} and {label} in line {row.line}"
            left_out[name] = create_finding(OmissionReason.TWO_LABELS, name, detail)
        elif not label:
            left_out[name] = create_finding(OmissionReason.NO_LABEL, name, "has an empty label")
        elif WRONG_MARK in mark.casefold():
            detail = f"has the quality mark {mark!r} in line {row.line}"
            left_out[name] = create_finding(OmissionReason.MARKED_WRONG, name, detail)
    usable = tuple(each for name, each in first_rows.items() if name not in left_out)
    added = (website_name,) if URL_COLUMN in table.index_of else ()
    return _Rows(usable=usable, left_out=left_out, columns=(*columns, *added))


def _website(url: str, table: SourceTable) -> Iterator[str]:
    """Yield the host of an address if the table has addresses: "https://www.a.com/1.jpg" → "a.com"."""
    if URL_COLUMN not in table.index_of:
        return
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    yield host.removeprefix("www.") if is_single_line(host) else ""
