"""Read a CSV table that lists a picture and its label in each row."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from dermpack.dataset.manifest import Finding
from dermpack.errors import InputError, TableError, escape_unprintable
from dermpack.progress import Track
from dermpack.storage.files import parse_relative_path
from trainer.datasets.findings import OmissionReason, create_finding
from trainer.datasets.layouts.listing import ListedPicture, Listing, SourceRequest, parse_split
from trainer.datasets.layouts.source_walk import (
    file_mode,
    is_regular_file,
    is_valid_name,
    list_entries,
    refuse_path,
    walk_source,
)
from trainer.datasets.layouts.table_reader import (
    SourceRow,
    SourceTable,
    is_single_line,
    read_header,
    read_table,
    require_columns,
    select_metadata,
)

SHAPE = "CSV file with the columns picture and label"
OWN_COLUMNS = ("picture", "label", "split", "group")
REQUIRED = frozenset(OWN_COLUMNS[:2])
HINT_OF_KIND: Mapping[str, str] = {
    OmissionReason.NO_LABEL.value: "Write a label into each row.",
    OmissionReason.LINK.value: "Replace the links with the files themselves.",
    OmissionReason.TWO_LABELS.value: "Keep one label for each picture.",
}

RowProblem = tuple[SourceRow, Finding]  # a row that cannot be used, and why


def recognises(source: Path) -> bool:
    """Return whether the source is such a table, or a folder with exactly one."""
    return len(find_tables(source, REQUIRED)) == 1


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:  # noqa: ARG001 - a Layout
    """Return the pictures of the table; paths are relative to its folder, or to SOURCE with --metadata."""
    table = read_table(request.metadata_file or _find_only_table(source))
    metadata, names = select_metadata(table, OWN_COLUMNS)
    require_columns(table, "picture", "label")
    root = source if source.is_dir() else source.parent
    reader = _RowReader(table=table, root=root, metadata=metadata)
    listed, problems = _read_rows(reader)
    if not listed:
        raise _no_usable_row(reader, problems, is_separate=request.metadata_file is not None)
    findings = [finding for _, finding in problems]
    if source.is_dir():
        mentioned = {picture.path for picture in listed} | {finding.picture for finding in findings}
        unlisted = [path for path in walk_source(source).pictures if path not in mentioned]
        if unlisted:
            who = f"the first of {len(unlisted)} pictures that are" if len(unlisted) > 1 else "is"
            # If most pictures are unlisted, the table may be a stray file among class folders. If few are,
            # the author of the table probably left them out on purpose.
            is_stray = len(unlisted) > len(mentioned) and "/" in unlisted[0]
            hint = "; --format folders reads class folders" if is_stray else ""
            detail = f"{who} in no row of {table.where.name}, which was read{hint}"
            findings.append(create_finding(OmissionReason.NOT_IN_TABLE, unlisted[0], detail))
    return Listing(
        root=root,
        pictures=tuple(listed),
        columns=names,
        group_column="group" if "group" in table.index_of else "",
        refused=tuple(findings),
    )


def refuse_other_table(source: Path) -> None:
    """Raise TableError if the source is a CSV file, or has a single one, without the required columns."""
    candidates = _list_csv_files(source)
    header = read_header(candidates[0]) if len(candidates) == 1 and is_regular_file(candidates[0]) else ()
    if header:
        missing = " or ".join(sorted(REQUIRED - set(header), reverse=True))
        columns = escape_unprintable(", ".join(header[:10]))
        what = f"no column {missing} (the columns are {columns})"
        hint = "Rename or add columns, so that the table has picture and label."
        raise TableError(f"{candidates[0]}:1", what, hint, code="missing-column")


def find_tables(source: Path, columns: Collection[str]) -> list[Path]:
    """Return the CSV files of the folder that have the columns, or the source if it is such a file."""
    paths = _list_csv_files(source) if source.is_dir() else [source]
    return [path for path in paths if is_regular_file(path) and set(read_header(path)) >= set(columns)]


def _list_csv_files(source: Path) -> list[Path]:
    if source.is_dir():
        return sorted(source.glob("*.[cC][sS][vV]"))
    return [source] if source.suffix.casefold() == ".csv" else []


def _find_only_table(source: Path) -> Path:
    if source.is_file():
        return source
    tables = find_tables(source, REQUIRED)
    if not tables:
        what, hint = f"no {SHAPE} found", "Give the table itself as the source, or choose another --format."
        raise InputError(source, what, hint, code="table-not-found")
    if len(tables) > 1:
        what = f"several tables have the columns picture and label: {', '.join(path.name for path in tables)}"
        raise InputError(source, what, "Give one table itself as the source.", code="ambiguous-layout")
    return tables[0]


def _read_rows(reader: _RowReader) -> tuple[list[ListedPicture], list[RowProblem]]:
    """Return the pictures and the unusable rows.

    Equal rows count once. A picture with two labels is left out, because either label may be wrong. A
    picture with one label but other values that differ is an error.
    """
    first_rows: dict[str, tuple[SourceRow, ListedPicture]] = {}
    contradicted: dict[str, RowProblem] = {}
    problems: list[RowProblem] = []
    for row in reader.table.rows:
        picture = reader.read_row(row)
        finding = reader.find_problem(picture)
        if finding is not None:
            problems.append((row, finding))
            continue
        first_row, first = first_rows.setdefault(picture.path, (row, picture))
        if first.label != picture.label:
            detail = f"is {first.label} in line {first_row.line} and {picture.label} in line {row.line}"
            finding = create_finding(OmissionReason.TWO_LABELS, picture.path, detail)
            contradicted[picture.path] = (row, finding)
        elif first != picture:
            what = f"{picture.path} has other values than in line {first_row.line}"
            raise reader.table.error(row, what, "Keep one row for each picture.", code="conflicting-rows")
    listed = [picture for path, (_, picture) in first_rows.items() if path not in contradicted]
    return listed, [*problems, *contradicted.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _RowReader:
    """A table, the folder that its paths are relative to, and the indices of its metadata columns."""

    table: SourceTable
    root: Path
    metadata: tuple[int, ...]
    is_link: dict[Path, bool] = field(default_factory=dict)  # a cache: many rows share a folder

    def read_row(self, row: SourceRow) -> ListedPicture:
        """Return the picture of a row; its path is not checked yet. TableError if its text is invalid."""
        text, label, word, group = (self.table.cell(row, column) for column in OWN_COLUMNS)
        split = parse_split(word)
        if not is_single_line(label + group):
            raise self.table.error(row, "the label or group contains a control character")
        if word and split is None:
            hint = "Write train, validation or test, or leave the cell empty."
            raise self.table.error(row, f"unknown split {word!r}", hint)
        # Every path gets the one spelling that it has within the source: "./a//b.jpg" → "a/b.jpg".
        path = parse_relative_path(text)
        if path is None and "\\" in text:
            # "a\b.jpg" was written on Windows if a/b.jpg exists and no file has a backslash in its name.
            windows_path = parse_relative_path(text.replace("\\", "/"))
            if windows_path is not None and is_regular_file(self.root / windows_path):
                path = None if file_mode(self.root / text) else windows_path
        return ListedPicture(
            path=text if path is None else str(path),
            label=label,
            split=split,
            group=group,
            metadata=tuple(row.cells[index] for index in self.metadata),
        )

    def find_problem(self, picture: ListedPicture) -> Finding | None:
        """Return why the row cannot be used, or None."""
        path, file = picture.path, self.root / picture.path
        # The path must be within the source on Linux and on Windows.
        is_inside = parse_relative_path(path.replace("\\", "/")) is not None
        is_absolute = path.startswith(("/", "\\")) or (is_inside and bool(PureWindowsPath(path).drive))
        # "C:/1.jpg" is an absolute path on Windows, but a folder may really have the name "C:".
        if (is_absolute or not is_inside) and not (parse_relative_path(path) and is_regular_file(file)):
            what = "an absolute path, not one" if is_absolute else "not a path"
            detail = f"is {what} within the source"
            return create_finding(OmissionReason.OUTSIDE, escape_unprintable(path), detail)
        if not is_valid_name(path):
            return refuse_path(OmissionReason.NAME, escape_unprintable(path))
        if not picture.label:
            return create_finding(OmissionReason.NO_LABEL, path, "has an empty label")
        if self._is_behind_link(file) or stat.S_ISLNK(file_mode(file)):
            return refuse_path(OmissionReason.LINK, path)
        missing = "is listed in the table, but the file does not exist"
        return None if is_regular_file(file) else create_finding(OmissionReason.NO_FILE, path, missing)

    def _is_behind_link(self, file: Path) -> bool:
        for folder in file.parents:
            if folder == self.root or not folder.is_relative_to(self.root):
                return False
            if folder not in self.is_link:
                self.is_link[folder] = stat.S_ISLNK(file_mode(folder))
            if self.is_link[folder]:
                return True
        return False


def _no_usable_row(reader: _RowReader, problems: Sequence[RowProblem], *, is_separate: bool) -> TableError:
    """Return the error for a table without a usable row, with an example of the commonest problem."""
    table = reader.table
    kind, count = Counter(finding.kind for _, finding in problems).most_common(1)[0]
    row, first = next((row, finding) for row, finding in problems if finding.kind == kind)
    share = f"the same problem in {count} of {len(table.rows)} rows"
    what = f"no usable row in the table: '{first.picture}' {first.detail} ({share})"
    hint = HINT_OF_KIND.get(kind, "")
    if not hint:
        hint = f"Write paths relative to {reader.root}, with / between folders and with the file extension."
        if not is_separate:
            hint += " Or give the folder that they are relative to as SOURCE, and the table with --metadata."
        # The most likely reason is that the paths are relative to a folder below the table.
        inside = parse_relative_path(first.picture.replace("\\", "/"))
        entries = [] if inside is None else list_entries(reader.root)
        folders = sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
        found = next((folder for folder in folders if is_regular_file(folder / str(inside))), None)
        if found is not None:
            hint = f"The file is in {found}: give that folder as SOURCE, and --metadata {table.where}."
    return table.error(row, what, hint, code="no-usable-rows")
