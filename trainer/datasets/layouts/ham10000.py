"""Read HAM10000: HAM10000_metadata.csv, and its pictures in one folder or several."""

from __future__ import annotations

import filecmp
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dermpack.dataset.manifest import Finding
from dermpack.errors import InputError, TableError
from dermpack.progress import Track
from trainer.datasets.layouts.listing import ListedPicture, Listing
from trainer.datasets.layouts.omission import OmissionReason, refused
from trainer.datasets.layouts.source_request import SourceFormat, SourceRequest
from trainer.datasets.layouts.source_walk import is_own_file, walk
from trainer.datasets.layouts.table_reader import SourceTable, is_one_line, metadata_columns, need, read_table

METADATA_NAMES = ("ham10000_metadata.csv", "ham10000_metadata.tab", "ham10000_metadata")  # Kaggle, Dataverse
GROUP_COLUMN = "lesion_id"
TAKEN = (GROUP_COLUMN, "image_id", "dx")
UNKNOWN = "unknown"  # what the original writes for a missing sex or localization


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """One row of the metadata, without its picture."""

    line: int
    name: str  # image_id
    label: str  # dx
    group: str  # lesion_id
    metadata: tuple[str, ...]


def recognises(source: Path) -> bool:
    """Whether the metadata lies in the folder, and pictures below it."""
    return find_metadata(source) is not None and bool(walk(source).pictures)


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:  # noqa: ARG001 - a Layout
    """One picture each row that has its file; rows and files without each other are refused."""
    path = request.metadata_file or find_metadata(source)
    if path is None:
        hint = "Put it into the folder that contains the picture folders, or give it with --metadata."
        raise InputError(source, "no HAM10000_metadata.csv found", hint, code="table-not-found")
    lesions, columns = read_lesions(read_table(path))
    walked = walk(source)
    files, others = _by_name(walked.pictures)
    found = [_found(lesion, files[lesion.name]) for lesion in lesions if lesion.name in files]
    repeated = _repeated(source, track(others, total=len(others), what="compare copies"))
    findings = [*walked.refused, *repeated, *_without_each_other(lesions, files)]
    return Listing(
        root=source,
        format=SourceFormat.HAM10000.value,
        pictures=tuple(sorted(found, key=lambda picture: picture.path)),
        columns=columns,
        group_column=GROUP_COLUMN,
        refused=tuple(findings),
    )


def find_metadata(source: Path) -> Path | None:
    """The metadata file beside the picture folders, by any of its names."""
    if not source.is_dir():
        return None
    files = {path.name.casefold(): path for path in sorted(source.iterdir()) if is_own_file(path)}
    return next((files[name] for name in METADATA_NAMES if name in files), None)


def read_lesions(table: SourceTable) -> tuple[tuple[Lesion, ...], tuple[str, ...]]:
    """The rows in their order, and the names of their metadata columns; "unknown" becomes empty."""
    name, label, group = need(table, "image_id"), need(table, "dx"), need(table, GROUP_COLUMN)
    kept, columns = metadata_columns(table, TAKEN)
    lesions = tuple(
        Lesion(
            line=row.line,
            name=row.cells[name],
            label=row.cells[label],
            group=row.cells[group],
            metadata=tuple("" if row.cells[at].casefold() == UNKNOWN else row.cells[at] for at in kept),
        )
        for row in table.rows
    )
    _refuse_broken(table, lesions)
    return lesions, columns


def _refuse_broken(table: SourceTable, lesions: tuple[Lesion, ...]) -> None:
    lines: dict[str, int] = {}
    for lesion in lesions:
        place = f"{table.where}:{lesion.line}"
        words = (lesion.name, lesion.label, lesion.group)
        if not all(word and is_one_line(word) for word in words):
            what = "image_id, dx or lesion_id is empty or contains a control character"
            raise TableError(place, what, "Fix the line.", code="invalid-table")
        first = lines.setdefault(lesion.name, lesion.line)
        if first != lesion.line:
            what = f"{lesion.name} is listed already in line {first}"
            raise TableError(place, what, "Keep one of the rows.", code="conflicting-rows")


def _by_name(pictures: tuple[str, ...]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The first file of each name, and every further one with its first."""
    files: dict[str, str] = {}
    pairs = [(path, files.setdefault(PurePosixPath(path).stem, path)) for path in pictures]
    return files, [(path, first) for path, first in pairs if path != first]


def _repeated(source: Path, pairs: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """A finding for each folder of mere copies, and for each file that only has the name of another."""
    copies: Counter[str] = Counter()
    for path, first in pairs:
        if _same_bytes(source / path, source / first):
            copies[path.rpartition("/")[0]] += 1
        else:
            yield refused(OmissionReason.REPEATED, path, f"has the name of {first}, which is kept")
    for folder, count in sorted(copies.items()):
        yield refused(
            OmissionReason.COPIES, folder, f"holds {count:,} files that are there already, byte for byte"
        )


def _same_bytes(first: Path, second: Path) -> bool:
    try:
        return filecmp.cmp(first, second, shallow=False)
    except OSError:
        return False


def _found(lesion: Lesion, path: str) -> ListedPicture:
    return ListedPicture(path=path, label=lesion.label, group=lesion.group, metadata=lesion.metadata)


def _without_each_other(lesions: tuple[Lesion, ...], files: dict[str, str]) -> list[Finding]:
    named = {lesion.name for lesion in lesions}
    rows = [
        refused(
            OmissionReason.NO_FILE, lesion.name, f"is in line {lesion.line} of the metadata, but has no file"
        )
        for lesion in lesions
        if lesion.name not in files
    ]
    alone = (path for name, path in files.items() if name not in named)
    return [*rows, *(refused(OmissionReason.NO_ROW, path, "has no row in the metadata") for path in alone)]
