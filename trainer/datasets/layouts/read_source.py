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
from trainer.datasets import label_mapping as mapping
from trainer.datasets.layouts import cifar10, dermnet, folders, ham10000, hmnist, isic
from trainer.datasets.layouts import csv_table as csvfile
from trainer.datasets.layouts.listing import Listing
from trainer.datasets.layouts.omission import OmissionReason
from trainer.datasets.layouts.source_request import SourceFormat, SourceRequest
from trainer.datasets.layouts.source_walk import entries_of, walk


class Layout(Protocol):
    """A module that knows one layout."""

    def recognises(self, source: Path) -> bool: ...

    def read(self, source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing: ...


LAYOUTS: dict[SourceFormat, Layout] = {
    SourceFormat.DERMNET: dermnet,
    SourceFormat.ISIC: isic,
    SourceFormat.CSV: csvfile,
    SourceFormat.HAM10000: ham10000,
    SourceFormat.HMNIST: hmnist,
    SourceFormat.CIFAR10: cifar10,
    SourceFormat.FOLDERS: folders,
}
BETTER = {
    SourceFormat.FOLDERS: frozenset(LAYOUTS) - {SourceFormat.FOLDERS},  # nothing is less particular
    SourceFormat.HMNIST: frozenset(
        {SourceFormat.HAM10000}
    ),  # a download has both: pictures, and tables of their pixels
}
WITH_METADATA = frozenset({SourceFormat.CSV, SourceFormat.HAM10000, SourceFormat.HMNIST})
PICTURES_FOLDER = "Give the folder that contains the pictures."
EXPECTED = {
    SourceFormat.FOLDERS: folders.SHAPE,
    SourceFormat.CSV: f"a {csvfile.SHAPE}",
    SourceFormat.HAM10000: "HAM10000_metadata.csv with pictures",
    SourceFormat.HMNIST: "hmnist_28_28_RGB.csv",
    SourceFormat.CIFAR10: "CIFAR-10 batches",
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
    if (
        layout in (SourceFormat.FOLDERS, SourceFormat.DERMNET, SourceFormat.ISIC, SourceFormat.HAM10000)
        and not source.is_dir()
    ):
        what = f"not a directory, which the format {layout.value} requires"
        raise InputError(source, what, PICTURES_FOLDER, code="not-a-directory")
    if request.metadata_file is not None and layout not in WITH_METADATA:
        what = f"{request.metadata_file} cannot be used, because the source is read as {layout.value}"
        hint = "Choose another --format, or omit --metadata."
        raise InputError("--metadata", what, hint, code="option-not-applicable")
    listing = LAYOUTS[layout].read(source, request, pictures=pictures, track=track)
    if not listing.pictures:
        what = f"no picture that the format {layout.value} can use ({_reasons(listing)})"
        hint = f"Expected: {EXPECTED.get(layout, folders.SHAPE)}."
        raise InputError(source, what, hint, code="no-pictures")
    listing = mapping.apply_task(listing, request)
    _refuse_labels_that_differ_in_case(source, listing)
    ordered = tuple(sorted(listing.pictures, key=lambda picture: picture.path))
    return replace(listing, pictures=ordered)


def _layout(source: Path, request: SourceRequest) -> SourceFormat:
    """A table given apart that names pictures and labels says how the source is to be read."""
    if request.format is not SourceFormat.AUTO:
        return request.format
    names_pictures = request.metadata_file is not None and csvfile.recognises(request.metadata_file)
    return SourceFormat.CSV if names_pictures else recognised(source)


def _refuse_unreadable(source: Path) -> None:
    try:
        is_folder = stat.S_ISDIR(source.stat().st_mode)
    except FileNotFoundError as error:
        raise InputError(
            source, "the source does not exist", "Check the path.", code="file-not-found"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or str(error)
        what = f"the source cannot be read ({why})"
        raise InputError(source, what, "Check the path.", code="cannot-read") from error
    if is_folder:
        entries_of(source)


def recognised(source: Path) -> SourceFormat:
    """The one layout that fits; a lesser one only where its better does not."""
    fitting = [layout for layout, module in LAYOUTS.items() if module.recognises(source)]
    fitting = [layout for layout in fitting if not BETTER.get(layout, frozenset()) & set(fitting)]
    if not fitting:
        csvfile.refuse_other_table(source)
        _refuse_unsorted(source)
        *some, last = EXPECTED.values()
        hint = f"Expected: {', '.join(some)}, or {last}."
        raise InputError(source, "unknown layout", hint, code="unknown-layout")
    if len(fitting) > 1:
        names = " or ".join(layout.value for layout in fitting)
        hint = f"Choose one with --format, for example --format {fitting[0].value}."
        raise InputError(source, f"the layout can be {names}", hint, code="ambiguous-layout")
    return fitting[0]


def _refuse_archive(source: Path) -> None:
    """Nothing is read out of an archive: what it unpacks to is seen on a disk, not here."""
    begins = b""
    with suppress(OSError), source.open("rb") as file:  # the layout says why it cannot be read
        begins = file.read(ARCHIVE_BYTES)
    kind = next((kind for magic, kind in ARCHIVES.items() if begins.startswith(magic)), None)
    if kind:
        hint = "Unpack it, and give the unpacked folder."
        raise InputError(source, f"the source is an archive ({kind})", hint, code="source-is-archive")


def _refuse_unsorted(source: Path) -> None:
    """A folder without classes: nothing in it, one straight from a phone, or one heap of pictures."""
    if not source.is_dir():
        return
    walked = walk(source)
    unread = [finding for finding in walked.refused if finding.kind == OmissionReason.UNREAD.value]
    if unread:
        what = f"{len(unread)} pictures in unsupported formats, for example {unread[0].picture}"
        raise InputError(source, what, "Convert them to JPEG or PNG.", code="unsupported-picture-format")
    if walked.pictures:
        count = f"{len(walked.pictures)} picture{'s' if len(walked.pictures) > 1 else ''}"
        what = f"{count}, but neither class folders nor a table with the labels"
        hint = f"Expected: {folders.SHAPE}, or {EXPECTED[SourceFormat.CSV]}."
        raise InputError(source, what, hint, code="no-labels")
    if not walked.others and not walked.refused:
        what = "the folder is empty" if not walked.folders else "the folder contains only empty folders"
        raise InputError(source, what, PICTURES_FOLDER, code="no-pictures")


def _reasons(listing: Listing) -> str:
    counted = Counter(finding.kind for finding in listing.refused)
    return ", ".join(f"{kind}: {count}" for kind, count in sorted(counted.items())) or "the source is empty"


def _refuse_labels_that_differ_in_case(source: Path, listing: Listing) -> None:
    spelling: dict[str, str] = {}
    for picture in listing.pictures:
        first = spelling.setdefault(picture.label.casefold(), picture.label)
        if first != picture.label:
            what = f"the classes {first!r} and {picture.label!r} differ in case only"
            hint = "Rename one, or merge them with --map."
            raise InputError(source, what, hint, code="labels-differ-in-case")
