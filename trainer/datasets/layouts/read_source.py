"""Read a source in the layout that it has, and apply the requested task to its classes."""

from __future__ import annotations

import stat
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from dermpack.errors import InputError, count_noun
from dermpack.progress import Track, silent
from dermpack.storage.regular_files import read_beginning
from trainer.datasets.findings import OmissionReason
from trainer.datasets.layouts import (
    cifar10,
    csv_table,
    fitzpatrick17k,
    folders,
    ham10000,
    hmnist,
    pad_ufes,
    scin,
)
from trainer.datasets.layouts.label_mapping import apply_task
from trainer.datasets.layouts.listing import Listing, SourceFormat, SourceRequest
from trainer.datasets.layouts.source_walk import list_entries, walk_source


class Layout(Protocol):
    """The functions of a module, or the methods of an object, that read one layout."""

    def recognises(self, source: Path) -> bool: ...

    def read(self, source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing: ...


LAYOUTS: dict[SourceFormat, Layout] = {
    SourceFormat.DERMNET: folders.DERMNET,
    SourceFormat.ISIC: folders.ISIC,
    SourceFormat.CSV: csv_table,
    SourceFormat.HAM10000: ham10000,
    SourceFormat.HMNIST: hmnist,
    SourceFormat.CIFAR10: cifar10,
    SourceFormat.FITZPATRICK17K: fitzpatrick17k,
    SourceFormat.SCIN: scin,
    SourceFormat.PAD_UFES: pad_ufes,
    SourceFormat.FOLDERS: folders.FOLDERS,
}
NEEDS_FOLDER = frozenset(LAYOUTS) - {SourceFormat.CSV, SourceFormat.HMNIST, SourceFormat.CIFAR10}
WITH_METADATA = frozenset(
    {
        *(SourceFormat.CSV, SourceFormat.HAM10000, SourceFormat.HMNIST),
        *(SourceFormat.FITZPATRICK17K, SourceFormat.PAD_UFES),
    }
)
PICTURES_FOLDER_HINT = "Give the folder that contains the pictures."
EXPECTED = {
    SourceFormat.FOLDERS: folders.SHAPE,
    SourceFormat.CSV: f"a {csv_table.SHAPE}",
    SourceFormat.HAM10000: "HAM10000_metadata.csv with pictures",
    SourceFormat.HMNIST: "hmnist_28_28_RGB.csv",
    SourceFormat.CIFAR10: "CIFAR-10 batches",
    SourceFormat.FITZPATRICK17K: fitzpatrick17k.SHAPE,
    SourceFormat.SCIN: scin.SHAPE,
    SourceFormat.PAD_UFES: pad_ufes.SHAPE,
}
ARCHIVE_SIGNATURES = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x1f\x8b": "gzip",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "RAR",
}


def read_source(source: Path, request: SourceRequest, *, pictures: Path, track: Track = silent) -> Listing:
    """Return everything that the source lists, in the order of its paths.

    Layouts without picture files write the pictures into the folder `pictures`.
    """
    check_source(source)
    layout = _choose_layout(source, request)
    if layout in NEEDS_FOLDER and not source.is_dir():
        what = f"not a directory, which the format {layout.value} requires"
        raise InputError(source, what, PICTURES_FOLDER_HINT, code="not-a-directory")
    if request.metadata_file is not None and layout not in WITH_METADATA:
        what = f"{request.metadata_file} cannot be used, because the source is read as {layout.value}"
        hint = "Choose another --format, or omit --metadata."
        raise InputError("--metadata", what, hint, code="option-not-applicable")
    if request.min_weight is not None and layout is not SourceFormat.SCIN:
        what = f"the source is read as {layout.value}, which has no weighted labels"
        raise InputError("--min-weight", what, "Omit the option.", code="option-not-applicable")
    listing = LAYOUTS[layout].read(source, request, pictures=pictures, track=track)
    in_order = sorted(listing.pictures, key=lambda picture: picture.path)
    listing = replace(listing, format=layout.value, pictures=tuple(in_order))
    if not listing.pictures:
        counts = sorted(Counter(finding.kind for finding in listing.refused).items())
        reasons = ", ".join(f"{kind}: {count}" for kind, count in counts) or "the source is empty"
        what = f"no picture that the format {layout.value} can use ({reasons})"
        hint = f"Expected: {EXPECTED.get(layout, folders.SHAPE)}."
        raise InputError(source, what, hint, code="no-pictures")
    listing = apply_task(listing, request)
    # Such classes are almost always one class with two spellings.
    first_spelling: dict[str, str] = {}
    for picture in listing.pictures:
        first = first_spelling.setdefault(picture.label.casefold(), picture.label)
        if first != picture.label:
            what = f"the classes {first!r} and {picture.label!r} differ in case only"
            hint = "Rename one, or merge them with --map."
            raise InputError(source, what, hint, code="labels-differ-in-case")
    return listing


def check_source(source: Path) -> None:
    """Raise InputError for a source that does not exist, cannot be read or is an archive."""
    try:
        is_folder = stat.S_ISDIR(source.stat().st_mode)
    except FileNotFoundError as error:
        what, hint = "the source does not exist", "Check the path."
        raise InputError(source, what, hint, code="file-not-found") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        what = f"the source cannot be read ({reason})"
        raise InputError(source, what, "Check the path.", code="cannot-read") from error
    if is_folder:
        list_entries(source)
    else:
        first_bytes = read_beginning(source, max(map(len, ARCHIVE_SIGNATURES)))
        for signature, kind in ARCHIVE_SIGNATURES.items():
            if first_bytes.startswith(signature):
                hint = "Unpack it, and give the unpacked folder."
                raise InputError(source, f"the source is an archive ({kind})", hint, code="source-is-archive")


def _choose_layout(source: Path, request: SourceRequest) -> SourceFormat:
    if request.format is not SourceFormat.AUTO:
        return request.format
    # A separate table with the columns picture and label means that the source is read as that table.
    if request.metadata_file is not None and csv_table.recognises(request.metadata_file):
        return SourceFormat.CSV
    matching = [layout for layout, module in LAYOUTS.items() if module.recognises(source)]
    # The published HAM10000 has both, the pictures and tables of their pixels.
    if {SourceFormat.HAM10000, SourceFormat.HMNIST} <= set(matching):
        matching.remove(SourceFormat.HMNIST)
    # Class folders are the least specific layout.
    if len(matching) > 1 and SourceFormat.FOLDERS in matching:
        matching.remove(SourceFormat.FOLDERS)
    if not matching:
        csv_table.refuse_other_table(source)
        _refuse_unsorted_folder(source)
        *others, last = EXPECTED.values()
        hint = f"Expected: {', '.join(others)}, or {last}."
        raise InputError(source, "unknown layout", hint, code="unknown-layout")
    if len(matching) > 1:
        names = " or ".join(layout.value for layout in matching)
        hint = f"Choose one with --format, for example --format {matching[0].value}."
        raise InputError(source, f"the layout can be {names}", hint, code="ambiguous-layout")
    return matching[0]


def _refuse_unsorted_folder(source: Path) -> None:
    """Raise InputError for a folder without classes: an empty one, a camera's, unsorted pictures."""
    if not source.is_dir():
        return
    files = walk_source(source)
    unsupported = [finding for finding in files.refused if finding.kind == OmissionReason.UNREAD.value]
    if unsupported:
        count, example = count_noun(len(unsupported), "picture"), unsupported[0].picture
        what = f"{count} in unsupported formats, for example {example}"
        raise InputError(source, what, "Convert them to JPEG or PNG.", code="unsupported-picture-format")
    if files.pictures:
        count = count_noun(len(files.pictures), "picture")
        what = f"{count}, but neither class folders nor a table with the labels"
        hint = f"Expected: {folders.SHAPE}, or {EXPECTED[SourceFormat.CSV]}."
        raise InputError(source, what, hint, code="no-labels")
    if not files.others and not files.refused:
        what = "the folder is empty" if not files.folders else "the folder contains only empty folders"
        raise InputError(source, what, PICTURES_FOLDER_HINT, code="no-pictures")
