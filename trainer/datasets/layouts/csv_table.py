"""Read a table that names a picture and its label in each row."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from dermpack.dataset.manifest import Finding, Split
from dermpack.errors import InputError, TableError, printable
from dermpack.progress import Track
from dermpack.storage.files import safe_relative
from trainer.datasets.layouts.listing import ListedPicture, Listing
from trainer.datasets.layouts.omission import OmissionReason, refused
from trainer.datasets.layouts.source_request import SourceFormat, SourceRequest
from trainer.datasets.layouts.source_walk import is_own_file, is_plain_name, mode_of, walk, why_finding
from trainer.datasets.layouts.split_names import split_named
from trainer.datasets.layouts.table_reader import (
    SourceRow,
    SourceTable,
    is_one_line,
    metadata_columns,
    need,
    read_header,
    read_table,
)
from trainer.datasets.layouts.unusable_rows import RowProblem, refuse_all

SHAPE = "CSV file with the columns picture and label"
TAKEN = ("picture", "label", "split", "group")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where the columns stand that a picture is made of."""

    picture: int
    label: int
    split: int | None
    group: int | None
    metadata: tuple[int, ...]


def recognises(source: Path) -> bool:
    """Whether the source is such a table, or a folder with one."""
    return len(_tables(source)) == 1


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:  # noqa: ARG001 - a Layout
    """Paths are relative to the table's folder, or to SOURCE where the table lies elsewhere."""
    path = request.metadata_file or _only_table(source)
    root = source if source.is_dir() else source.parent
    table = read_table(path)
    metadata, names = metadata_columns(table, TAKEN)
    columns = Columns(
        picture=need(table, "picture"),
        label=need(table, "label"),
        split=table.position("split"),
        group=table.position("group"),
        metadata=metadata,
    )
    found, faults = _settle(table, columns, root)
    if not found:
        refuse_all(table, faults, root=root, is_apart=request.metadata_file is not None)
    findings = [fault.finding for fault in faults]
    if source.is_dir():
        known = {picture.path for picture in found} | {finding.picture for finding in findings}
        findings += _passed_over(source, table, known)
    return Listing(
        root=root,
        format=SourceFormat.CSV.value,
        pictures=tuple(sorted(found, key=lambda picture: picture.path)),
        columns=names,
        group_column="" if columns.group is None else "group",
        refused=tuple(findings),
    )


def refuse_other_table(source: Path) -> None:
    """A CSV named as the source, or alone in it, with other columns: say which ones it needs."""
    candidates = _csv_files(source)
    header = read_header(candidates[0]) if len(candidates) == 1 and is_own_file(candidates[0]) else None
    if header:
        lacking = " or ".join(sorted({"picture", "label"} - set(header), reverse=True))
        named = printable(", ".join(header[:10]))
        what = f"no column {lacking} (the columns are {named})"
        hint = "Rename or add columns, so that the table has picture and label."
        raise TableError(f"{candidates[0]}:1", what, hint, code="missing-column")


def _tables(source: Path) -> list[Path]:
    return [
        path
        for path in (_csv_files(source) if source.is_dir() else [source])
        if is_own_file(path) and {"picture", "label"} <= set(read_header(path) or ())
    ]


def _csv_files(source: Path) -> list[Path]:
    if source.is_dir():
        return sorted(source.glob("*.[cC][sS][vV]"))
    return [source] if source.suffix.casefold() == ".csv" else []


def _only_table(source: Path) -> Path:
    if source.is_file():
        return source
    tables = _tables(source)
    if not tables:
        what, hint = f"no {SHAPE} found", "Give the table itself as the source, or choose another --format."
        raise InputError(source, what, hint, code="table-not-found")
    if len(tables) > 1:
        what = f"several tables have the columns picture and label: {', '.join(path.name for path in tables)}"
        raise InputError(source, what, "Give one table itself as the source.", code="ambiguous-layout")
    return tables[0]


def _passed_over(source: Path, table: SourceTable, known: Set[str]) -> Iterator[Finding]:
    """One finding for all pictures that no row names: the table may be a stray one among class folders."""
    others = [path for path in walk(source).pictures if path not in known]
    if not others:
        return
    who = f"the first of {len(others)} pictures that are" if len(others) > 1 else "is"
    is_stray = len(others) > len(known) and "/" in others[0]  # fewer are a choice that somebody made
    hint = "; --format folders reads class folders" if is_stray else ""
    detail = f"{who} in no row of {table.where.name}, which was read{hint}"
    yield refused(OmissionReason.NOT_IN_TABLE, others[0], detail)


def _settle(table: SourceTable, columns: Columns, root: Path) -> tuple[list[ListedPicture], list[RowProblem]]:
    """Rows to pictures: equal rows count once, rows that contradict each other leave the picture out."""
    kept: dict[str, tuple[SourceRow, ListedPicture]] = {}
    contradicted: dict[str, RowProblem] = {}
    faults: list[RowProblem] = []
    folders: dict[Path, bool] = {}
    for row in table.rows:
        picture = _picture(table, row, columns, root)
        finding = _finding(picture, root, folders)
        if finding is not None:
            faults.append(RowProblem(row=row, finding=finding))
            continue
        first = kept.setdefault(picture.path, (row, picture))
        if first[1].label != picture.label:
            contradicted[picture.path] = RowProblem(row=row, finding=_two_labels(first, row, picture))
        elif first[1] != picture:
            what = f"{picture.path} has other values than in line {first[0].line}"
            raise TableError(
                table.place(row), what, "Keep one row for each picture.", code="conflicting-rows"
            )
    found = [picture for path, (_, picture) in kept.items() if path not in contradicted]
    return found, [*faults, *contradicted.values()]


def _picture(table: SourceTable, row: SourceRow, columns: Columns, root: Path) -> ListedPicture:
    """One row as it stands; its words must be readable, its path is not believed yet."""
    cells = row.cells
    split, group = _cell(row, columns.split), _cell(row, columns.group)
    if not is_one_line(cells[columns.label] + group):
        what = "the label or group contains a control character"
        raise TableError(table.place(row), what, "Fix the line.", code="invalid-table")
    return ListedPicture(
        path=_normal(cells[columns.picture], root),
        label=cells[columns.label],
        split=_split(split, table.place(row)),
        group=group,
        metadata=tuple(cells[at] for at in columns.metadata),
    )


def _cell(row: SourceRow, at: int | None) -> str:
    return "" if at is None else row.cells[at]


def _normal(text: str, root: Path) -> str:
    """The one spelling of a path within the source: "./a//b.jpg" → "a/b.jpg"; any other stays as it is."""
    path = safe_relative(text)
    if path is None and "\\" in text:
        path = _from_windows(text, root)
    return text if path is None else str(path)


def _from_windows(text: str, root: Path) -> PurePosixPath | None:
    """What a table from Windows means by "a\\b.jpg", if that is a file and none is called so itself."""
    path = safe_relative(text.replace("\\", "/"))
    return path if path is not None and is_own_file(root / path) and not mode_of(root / text) else None


def _split(word: str, place: str) -> Split | None:
    split = split_named(word)
    if word and split is None:
        hint = "Write train, validation or test, or leave the cell empty."
        raise TableError(place, f"unknown split {word!r}", hint, code="invalid-table")
    return split


def _finding(picture: ListedPicture, root: Path, folders: dict[Path, bool]) -> Finding | None:
    """Why the row cannot be a picture, if it cannot; `folders` remembers which ones are links."""
    path = picture.path
    file = root / path
    outside = _outside(path)
    if outside and not (safe_relative(path) and is_own_file(file)):  # a folder may be called C:
        return refused(OmissionReason.OUTSIDE, printable(path), outside)
    if not is_plain_name(path):
        return why_finding(OmissionReason.NAME, printable(path))
    if not picture.label:
        return refused(OmissionReason.NO_LABEL, path, "has an empty label")
    if any(_is_link(folder, folders) for folder in _parents(file, root)) or stat.S_ISLNK(mode_of(file)):
        return why_finding(OmissionReason.LINK, path)
    missing = "is listed in the table, but the file does not exist"
    return None if is_own_file(file) else refused(OmissionReason.NO_FILE, path, missing)


def _outside(path: str) -> str:
    """Why the path is none within the source, as Linux or as Windows reads it; "" where it is one."""
    if safe_relative(path.replace("\\", "/")) is None and not path.startswith(("/", "\\")):
        return "is not a path within the source"
    is_absolute = path.startswith(("/", "\\")) or PureWindowsPath(path).drive
    return "is an absolute path, not one within the source" if is_absolute else ""


def _parents(file: Path, root: Path) -> Iterator[Path]:
    return (folder for folder in file.parents if folder != root and folder.is_relative_to(root))


def _is_link(folder: Path, folders: dict[Path, bool]) -> bool:
    if folder not in folders:
        folders[folder] = stat.S_ISLNK(mode_of(folder))
    return folders[folder]


def _two_labels(first: tuple[SourceRow, ListedPicture], row: SourceRow, picture: ListedPicture) -> Finding:
    detail = f"is {first[1].label} in line {first[0].line} and {picture.label} in line {row.line}"
    return refused(OmissionReason.TWO_LABELS, picture.path, detail)
