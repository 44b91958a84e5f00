"""Read a source in whichever layout it has, and make the asked task of it."""

from __future__ import annotations

import stat
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from dermpack.errors import InputError
from dermpack.progress import Track, silent
from trainer.datasets import mapping
from trainer.datasets.layouts import cifar10, csvfile, dermnet, folders, ham10000, hmnist, isic
from trainer.datasets.layouts.refusal import Refusal
from trainer.datasets.layouts.request import Format, SourceRequest
from trainer.datasets.layouts.walk import entries_of, walk
from trainer.datasets.listing import Listing


class Layout(Protocol):
    """A module that knows one layout."""

    def recognises(self, source: Path) -> bool: ...

    def read(self, source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing: ...


LAYOUTS: dict[Format, Layout] = {
    Format.DERMNET: dermnet,
    Format.ISIC: isic,
    Format.CSV: csvfile,
    Format.HAM10000: ham10000,
    Format.HMNIST: hmnist,
    Format.CIFAR10: cifar10,
    Format.FOLDERS: folders,
}
BETTER = {
    Format.FOLDERS: frozenset(LAYOUTS) - {Format.FOLDERS},  # nothing is less particular
    Format.HMNIST: frozenset({Format.HAM10000}),  # a download has both: pictures, and tables of their pixels
}
WITH_METADATA = frozenset({Format.CSV, Format.HAM10000, Format.HMNIST})
LOOKED_FOR = {
    Format.FOLDERS: folders.SHAPE,
    Format.CSV: "a CSV with the columns picture and label",
    Format.HAM10000: "HAM10000_metadata.csv with pictures",
    Format.HMNIST: "hmnist_28_28_RGB.csv",
    Format.CIFAR10: "CIFAR-10 batches",
}
ARCHIVES = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x1f\x8b": "gzip",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "RAR",
}
ARCHIVE_BYTES = max(map(len, ARCHIVES))


def read_source(source: Path, request: SourceRequest, *, pictures: Path, track: Track = silent) -> Listing:
    """Everything the source claims, in the order of its paths; `pictures` takes those that no file holds."""
    _refuse_unreadable(source)
    if source.is_file():  # opening a pipe would wait for its writer
        _refuse_archive(source)
    layout = _layout(source, request)
    if layout in (Format.FOLDERS, Format.DERMNET, Format.ISIC, Format.HAM10000) and not source.is_dir():
        raise InputError(
            source, f"is no folder, as {layout.value} needs", "name the folder that holds the pictures"
        )
    if request.metadata_file is not None and layout not in WITH_METADATA:
        problem = f"is no table for {layout.value}, as the source was read"
        raise InputError(request.metadata_file, problem, "choose another --format, or leave --metadata away")
    listing = LAYOUTS[layout].read(source, request, pictures=pictures, track=track)
    if not listing.pictures:
        problem = f"holds no picture that {layout.value} can use ({_reasons(listing)})"
        raise InputError(source, problem, f"looked for {LOOKED_FOR.get(layout, folders.SHAPE)}")
    listing = mapping.apply_task(listing, request)
    _refuse_labels_that_differ_in_case(source, listing)
    ordered = tuple(sorted(listing.pictures, key=lambda picture: picture.path))
    return replace(listing, pictures=ordered)


def _layout(source: Path, request: SourceRequest) -> Format:
    """A table given apart that names pictures and labels says how the source is to be read."""
    if request.format is not Format.AUTO:
        return request.format
    names_pictures = request.metadata_file is not None and csvfile.recognises(request.metadata_file)
    return Format.CSV if names_pictures else recognised(source)


def _refuse_unreadable(source: Path) -> None:
    try:
        is_folder = stat.S_ISDIR(source.stat().st_mode)
    except (OSError, ValueError) as error:
        raise InputError(source, "does not exist, or cannot be reached", "check the path") from error
    if is_folder:
        entries_of(source)


def recognised(source: Path) -> Format:
    """The one layout that fits; a lesser one only where its better does not."""
    fitting = [layout for layout, module in LAYOUTS.items() if module.recognises(source)]
    fitting = [layout for layout in fitting if not BETTER.get(layout, frozenset()) & set(fitting)]
    if not fitting:
        csvfile.refuse_other_table(source)
        _refuse_unsorted(source)
        *some, last = LOOKED_FOR.values()
        cure = f"looked for {', '.join(some)}, or {last}"
        raise InputError(source, "has no layout that dermpack knows", cure)
    if len(fitting) > 1:
        names = " and ".join(layout.value for layout in fitting)
        raise InputError(source, f"fits {names}", f"choose one with --format {fitting[0].value}")
    return fitting[0]


def _refuse_archive(source: Path) -> None:
    """Nothing is read out of an archive: what it unpacks to is seen on a disk, not here."""
    begins = b""
    with suppress(OSError), source.open("rb") as file:  # the layout says why it cannot be read
        begins = file.read(ARCHIVE_BYTES)
    kind = next((kind for magic, kind in ARCHIVES.items() if begins.startswith(magic)), None)
    if kind:
        cure = "unpack it, and give the folder that comes out"
        raise InputError(source, f"is an archive ({kind})", cure)


def _refuse_unsorted(source: Path) -> None:
    """A folder without classes: nothing in it, one straight from a phone, or one heap of pictures."""
    if not source.is_dir():
        return
    walked = walk(source)
    unread = [finding for finding in walked.refused if finding.kind == Refusal.UNREAD.value]
    if unread:
        problem = f"holds {len(unread)} pictures of formats that are not read, e.g. {unread[0].picture}"
        raise InputError(source, problem, "convert them to JPEG or PNG")
    if walked.pictures:
        count = f"{len(walked.pictures)} picture{'s' if len(walked.pictures) > 1 else ''}"
        problem = f"holds {count}, but no folders of classes and no table"
        raise InputError(source, problem, f"needs {folders.SHAPE}, or {LOOKED_FOR[Format.CSV]}")
    if not walked.others and not walked.refused:
        what = "is an empty folder" if not walked.folders else "holds only empty folders"
        raise InputError(source, what, "give the folder that holds the pictures")


def _reasons(listing: Listing) -> str:
    counted = Counter(finding.kind for finding in listing.refused)
    return ", ".join(f"{kind}: {count}" for kind, count in sorted(counted.items())) or "it is empty"


def _refuse_labels_that_differ_in_case(source: Path, listing: Listing) -> None:
    spelling: dict[str, str] = {}
    for picture in listing.pictures:
        first = spelling.setdefault(picture.label.casefold(), picture.label)
        if first != picture.label:
            problem = f"has the classes {first!r} and {picture.label!r}, which differ in case only"
            raise InputError(source, problem, "rename one, or merge them with --map")
