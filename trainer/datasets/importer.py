"""Write a dataset folder from pictures as people download them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dermpack.dataset.manifest import (
    DATASET_FILE,
    Dataset,
    Finding,
    Manifest,
    relative_root,
    write_dataset,
)
from dermpack.errors import InputError
from dermpack.imaging import DEFAULT_LIMITS
from dermpack.progress import Track, silent
from dermpack.storage.files import new_folder, refuse_existing
from trainer.datasets.examine import ExaminedPicture, examine
from trainer.datasets.import_request import ImportRequest, PictureStorage, SplitPolicy, UnusablePolicy
from trainer.datasets.layouts import SourceFormat, read_source
from trainer.datasets.layouts.listing import Listing
from trainer.datasets.layouts.omission import FAULTLESS
from trainer.datasets.picture_copies import copy_pictures
from trainer.datasets.splits.arrange import ArrangedPictures, UsablePicture, arrange
from trainer.datasets.splits.grouping import grouped
from trainer.datasets.splits.split_shares import DEFAULT_SHARES

PICTURES_FOLDER = "pictures"
DEEPER = 2  # parts of a path: class and picture
SHOWN = 3  # of many bad pictures, as many stand in the error


def import_dataset(request: ImportRequest, *, track: Track = silent) -> Dataset:
    """Read, examine, compare, split; the folder appears whole or not at all."""
    _check_output(request)
    with new_folder(request.output, marker=DATASET_FILE, overwrite=request.overwrite) as beside:
        pictures = beside / PICTURES_FOLDER
        pictures.mkdir()
        listing = read_source(request.source, request.reading, pictures=pictures, track=track)
        listing = grouped(listing, column=request.group_column)
        dataset = _dataset(request, listing, pictures, track)
        if request.storage is PictureStorage.COPIED and listing.root != pictures:
            copy_pictures(dataset.pictures, listing.root, pictures, track=track)
        if dataset.root != PICTURES_FOLDER:
            pictures.rmdir()
        sha256 = write_dataset(dataset, beside)
    return replace(dataset, sha256=sha256)


def _check_output(request: ImportRequest) -> None:
    """Refuse before long work what cannot end well."""
    refuse_existing(request.output, marker=DATASET_FILE, overwrite=request.overwrite)
    source, output = request.source.resolve(), request.output.resolve()
    if output.is_relative_to(source):
        what = f"the output is inside the source {request.source}"
        hint = "Choose an output outside of the source."
        raise InputError(request.output, what, hint, code="output-inside-input")
    if source.is_relative_to(output):
        what = f"the output contains the source {request.source}"
        raise InputError(request.output, what, "Choose another output.", code="output-contains-input")


def _dataset(request: ImportRequest, listing: Listing, pictures: Path, track: Track) -> Dataset:
    paths = [found.path for found in listing.pictures]
    usable, refused = examine(listing.root, paths, limits=request.limits, jobs=request.jobs, track=track)
    refused = (*listing.refused, *refused)
    _check_refusals(request, refused)
    candidates = _candidates(listing, usable)
    arranged = arrange(candidates, request, track=track)
    _check_classes(request, listing, arranged, refused)
    written = request.storage is PictureStorage.COPIED or listing.root == pictures
    return Dataset(
        folder=request.output,
        root=PICTURES_FOLDER if written else _root(listing.root, request.output),
        classes=tuple(sorted({picture.label for picture in arranged.pictures})),
        manifest=Manifest(pictures=arranged.pictures, columns=listing.columns),
        format=listing.format,
        source=_text(request.source.resolve().name),
        licence=_text(request.licence),
        caution=_text(request.caution),
        options=_options(request, listing),
        refused=(*refused, *arranged.refused),
        notes=(*_picture_notes(candidates), *arranged.notes),
    )


def _candidates(listing: Listing, usable: Sequence[ExaminedPicture]) -> tuple[UsablePicture, ...]:
    """What is known of each usable picture, in the order of the paths."""
    found_at = {found.path: found for found in listing.pictures}
    in_order = sorted(usable, key=lambda each: each.path)
    return tuple(UsablePicture(found=found_at[each.path], examined=each) for each in in_order)


def _check_refusals(request: ImportRequest, refused: Sequence[Finding]) -> None:
    bad = [finding for finding in refused if finding.kind not in FAULTLESS]
    if bad and request.refusals is UnusablePolicy.FATAL:
        what = f"unusable pictures: {len(bad)}, that is {_shown(bad)}"
        hint = "Remove them, or omit --strict to leave them out."
        raise InputError(request.source, what, hint, code="unusable-pictures")


def _check_classes(
    request: ImportRequest, listing: Listing, arranged: ArrangedPictures, refused: Sequence[Finding]
) -> None:
    classes = {picture.label for picture in arranged.pictures}
    if not classes:
        bad = (*refused, *arranged.refused)
        what = "no usable picture" + (f": {_shown(bad)}" if bad else "")
        raise InputError(request.source, what, "Check the source and --format.", code="no-pictures")
    if len(classes) == 1:
        what = f"all usable pictures have the same class, {min(classes)!r} (read as {listing.format})"
        hint = _single_class_hint(request, listing, arranged)
        raise InputError(request.source, what, hint, code="single-class")


def _single_class_hint(request: ImportRequest, listing: Listing, arranged: ArrangedPictures) -> str:
    """Return the hint; the most likely reason is that the class folders are one level deeper."""
    paths = [picture.path.split("/") for picture in arranged.pictures]
    below = sorted({path[1] for path in paths if len(path) > DEEPER})
    asked = request.reading.positive or request.reading.map_file
    if listing.format != SourceFormat.FOLDERS.value or len(below) < 2 or asked:
        return "Give pictures of at least two classes, or check --positive and --map."
    names = ", ".join(below[:SHOWN]) + (", …" if len(below) > SHOWN else "")
    return f"If its folders ({names}) are the classes, give {listing.root / paths[0][0]} as the source."


def _shown(findings: Sequence[Finding]) -> str:
    shown = [f"{finding.picture} ({finding.kind})" for finding in findings[:SHOWN]]
    return ", ".join(shown) + (f" and {len(findings) - SHOWN} more" if len(findings) > SHOWN else "")


def _picture_notes(candidates: Sequence[UsablePicture]) -> list[Finding]:
    return [
        Finding(kind=note, picture=each.examined.path, detail=NOTE_TEXTS.get(note, "kept"))
        for each in candidates
        for note in each.examined.notes
    ]


NOTE_TEXTS = {
    "wrong-extension": "the name says another format than the content",
    "oriented": "turned or mirrored as its EXIF says",
    "broken-exif": "EXIF that cannot be read; taken as upright",
    "grey": "has no colour",
    "palette": "converted from a palette",
    "alpha": "transparency laid over white",
    "cmyk": "converted from CMYK",
    "sixteen-bit": "converted from 16 bits; the high byte is kept",
}


def _root(pictures: Path, output: Path) -> str:
    root = relative_root(pictures, output)
    if _text(root) != root:
        what = "the path is not valid UTF-8, so dataset.json cannot contain it"
        raise InputError(pictures, what, "Rename the folder, or add --copy.", code="path-not-utf8")
    return root


def _text(given: str) -> str:
    """What was given in whatever bytes, as UTF-8 can hold it."""
    return os.fsencode(given).decode("utf-8", "backslashreplace")


def _options(request: ImportRequest, listing: Listing) -> dict[str, str]:
    """What was asked, in the words of the command line; what was left alone is not there."""
    reading = request.reading
    has_splits = any(found.split for found in listing.pictures)
    given = {
        "split": str(request.shares or DEFAULT_SHARES),
        "seed": str(request.seed),
        "splits": request.splits.value if has_splits else SplitPolicy.NEW.value,
        "group": request.group_column,
        "positive": ", ".join(reading.positive),
        "negative": ", ".join(reading.negative),
        "map": reading.map_file.name if reading.map_file else "",
        "metadata": reading.metadata_file.name if reading.metadata_file else "",
        "max_pixels": "" if request.limits == DEFAULT_LIMITS else f"{request.limits.max_pixels:,}",
    }
    return {name: _text(value) for name, value in given.items() if value}
