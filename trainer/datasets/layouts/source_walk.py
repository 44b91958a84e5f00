"""Walk a source folder without following links, sort its files, and find the files that a table names."""

from __future__ import annotations

import filecmp
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from dermpack.dataset.manifest import Finding
from dermpack.errors import InputError
from dermpack.imaging.containers import SUFFIXES, begins_like_picture
from dermpack.progress import Track
from trainer.datasets.findings import OmissionReason, create_finding
from trainer.datasets.layouts.listing import ListedPicture
from trainer.datasets.layouts.table_reader import is_single_line

# Pictures in these formats are reported instead of being skipped silently.
UNSUPPORTED_SUFFIXES = frozenset(
    (
        *(".avif", ".jp2", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw"),
        *(".raf", ".orf", ".raw", ".rw2", ".dcm", ".psd", ".svg"),
    )
)
NamedRow = tuple[int, ListedPicture]  # the line of a row, and its picture with a file's name as its path


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """All visible files and folders below a folder: relative paths with forward slashes, sorted."""

    pictures: tuple[str, ...]  # by their extension, or by their first bytes if they have none
    folders: tuple[str, ...]
    others: tuple[str, ...]  # files that are not pictures
    refused: tuple[Finding, ...]


def walk_source(folder: Path) -> SourceFiles:
    """Return the pictures, folders and other files below the folder, and what is refused by its name."""
    pictures: list[str] = []
    others: list[str] = []
    folders, findings = [], []
    for path, entry in _walk_entries(folder):
        suffix = _suffix(entry.name)
        if not is_valid_name(entry.name):
            findings.append(refuse_path(OmissionReason.NAME, path))
        elif entry.is_symlink():
            findings.append(refuse_path(OmissionReason.LINK, path))
        elif entry.is_dir(follow_symlinks=False):
            folders.append(path)
        elif not entry.is_file(follow_symlinks=False):  # a pipe, a socket or a device
            if suffix in SUFFIXES or suffix in UNSUPPORTED_SUFFIXES:
                findings.append(refuse_path(OmissionReason.NOT_A_FILE, path))
        elif suffix in UNSUPPORTED_SUFFIXES:
            findings.append(refuse_path(OmissionReason.UNREAD, path))
        elif suffix in SUFFIXES or (not suffix and begins_like_picture(Path(entry.path))):
            pictures.append(path)
        else:
            others.append(path)
    return SourceFiles(
        pictures=tuple(sorted(pictures)),
        folders=tuple(sorted(folders)),
        others=tuple(sorted(others)),
        refused=tuple(sorted(findings, key=lambda finding: finding.picture)),
    )


def match_files(
    source: Path, rows: Sequence[NamedRow], *, passed_over: Collection[str] = (), track: Track
) -> tuple[list[ListedPicture], list[Finding]]:
    """Return the rows with the paths of their files, which are in any folder and have any extension.

    Refused are rows without file, files without row and second files of one name; files that are named in
    `passed_over` have a row that another finding describes.
    """
    files = walk_source(source)
    # The first file of each name is the picture of the row; `repeated` pairs each further file with it.
    path_of_name: dict[str, str] = {}
    repeated = []
    for path in files.pictures:
        first = path_of_name.setdefault(PurePosixPath(path).stem, path)
        if path != first:
            repeated.append((path, first))
    findings = list(files.refused)
    if repeated:
        findings += _report_repeated(source, track(repeated, total=len(repeated), what="compare copies"))
    # Match rows and files by name; what has no counterpart is refused.
    listed = []
    for line, picture in rows:
        if path := path_of_name.pop(picture.path, ""):
            listed.append(replace(picture, path=path))
        else:
            detail = f"is in line {line} of the metadata, but has no file"
            findings.append(create_finding(OmissionReason.NO_FILE, picture.path, detail))
    for name, path in path_of_name.items():
        if name not in passed_over:
            findings.append(create_finding(OmissionReason.NO_ROW, path, "has no row in the metadata"))
    return listed, findings


def _report_repeated(source: Path, pairs: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Yield a finding for each folder of identical copies, and for each different file of one name."""
    copies: Counter[str] = Counter()
    for path, first in pairs:
        try:
            is_copy = filecmp.cmp(source / path, source / first, shallow=False)
        except OSError:
            is_copy = False
        if is_copy:
            copies[path.rpartition("/")[0]] += 1
        else:
            yield create_finding(OmissionReason.REPEATED, path, f"has the name of {first}, which is kept")
    for folder, count in sorted(copies.items()):
        detail = f"contains {count:,} byte-for-byte copies of other files"
        yield create_finding(OmissionReason.COPIES, folder, detail)


def list_entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, or raise InputError if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        what = f"the folder cannot be read ({error.strerror})"
        raise InputError(folder, what, "Check the path.", code="cannot-read") from error


def file_mode(path: Path) -> int:
    """Return the mode of the file, or of the link itself; 0 if the path does not exist."""
    try:
        return path.lstat().st_mode
    except (OSError, ValueError):
        return 0


def is_regular_file(path: Path) -> bool:
    """Return whether the path is a regular file and not a link to one."""
    return stat.S_ISREG(file_mode(path))


def is_valid_name(name: str) -> bool:
    """Return whether a table and a terminal can show the name on one line."""
    return "\\" not in name and is_single_line(name)


def refuse_path(reason: OmissionReason, path: str) -> Finding:
    """Return the finding for a link, a pipe, an invalid name or an unsupported format."""
    # The path is written to dataset.json, so undecodable bytes are escaped.
    details = {
        OmissionReason.LINK: "is a symbolic link; only files within the source are read",
        OmissionReason.NOT_A_FILE: "is a pipe, a socket or a device",
        OmissionReason.NAME: "has a backslash, a line break or an undecodable byte in its name",
        OmissionReason.UNREAD: f"{_suffix(path)[1:].upper()} is not read; convert it to JPEG or PNG",
    }
    return create_finding(reason, path.encode("utf-8", "backslashreplace").decode("utf-8"), details[reason])


def _walk_entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    # A stack instead of recursion: folders may be nested deeper than Python allows calls.
    stack = [""]
    while stack:
        prefix = stack.pop()
        for entry in list_entries(folder / prefix):
            if entry.name.startswith("."):
                continue
            path = f"{prefix}{entry.name}"
            yield path, entry
            if entry.is_dir(follow_symlinks=False) and is_valid_name(entry.name):
                stack.append(f"{path}/")


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].casefold()  # noqa: PTH122 - faster than Path, for many names
