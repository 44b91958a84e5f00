"""Import a source of pictures: read, examine, compare, split, and write a dataset folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from dermpack.contract import check_meanings
from dermpack.dataset.manifest import (
    DATASET_FILE,
    Dataset,
    DuplicateSearch,
    Finding,
    Manifest,
    Picture,
    relative_root,
    write_dataset,
)
from dermpack.errors import InputError, PictureError
from dermpack.imaging.metadata_removal import MetadataPolicy, apply_policy
from dermpack.imaging.rejection import DEFAULT_LIMITS, DecodingLimits
from dermpack.progress import Track, silent
from dermpack.storage.files import check_output_folder, new_folder, sha256_of
from dermpack.storage.regular_files import open_regular
from dermpack.storage.toml_text import read_toml
from trainer.datasets.duplicates.search import choose_search, require_libraries, search_duplicates
from trainer.datasets.examine import examine_pictures
from trainer.datasets.findings import FAULTLESS
from trainer.datasets.layouts.listing import Listing, SourceFormat, SourceRequest
from trainer.datasets.layouts.read_source import read_source
from trainer.datasets.splits.arrange import SplitPolicy, arrange_pictures, join_groups
from trainer.datasets.splits.split import DEFAULT_SHARES, Shares

PICTURES_FOLDER = "pictures"
MAX_NAMED = 3  # unusable pictures that an error names
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
METADATA_REMOVED = "metadata-removed"  # the kind of the note on a copy that differs from its source


class PictureStorage(Enum):
    """Where the pictures are after the import."""

    IN_PLACE = "in place"
    COPIED = "copied"


class UnusablePolicy(Enum):
    """What to do when a picture cannot be used."""

    LISTED = "listed"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """The options of one import; `shares=None` means 70/15/15, `jobs=None` all processors."""

    source: Path
    output: Path
    reading: SourceRequest = field(default_factory=SourceRequest)
    shares: Shares | None = None
    seed: int = 0
    group_column: str = ""
    splits: SplitPolicy = SplitPolicy.AS_GIVEN
    storage: PictureStorage = PictureStorage.IN_PLACE
    metadata: MetadataPolicy = MetadataPolicy.REMOVE  # of copied pictures
    refusals: UnusablePolicy = UnusablePolicy.LISTED
    overwrite: bool = False
    licence: str = ""
    caution: str = ""
    meanings_file: Path | None = None  # TOML: class = "what it means, in words"
    limits: DecodingLimits = DEFAULT_LIMITS
    duplicates: DuplicateSearch | None = None  # None: thorough, unless there are very many pictures
    jobs: int | None = None


def import_dataset(request: ImportRequest, *, track: Track = silent) -> Dataset:
    """Write the dataset folder and return it; the folder appears complete or not at all."""
    # An unusable output is an error before the long work begins.
    check_output_folder(request.output, marker=DATASET_FILE, overwrite=request.overwrite)
    require_output_outside(request.source, request.output)
    if request.source.resolve().is_relative_to(request.output.resolve()):
        what = f"the output contains the source {request.source}"
        raise InputError(request.output, what, "Choose another output.", code="output-contains-input")
    with new_folder(request.output, marker=DATASET_FILE, overwrite=request.overwrite) as folder:
        # Some layouts (CIFAR-10, hmnist) have no picture files: they are written into this folder.
        pictures = folder / PICTURES_FOLDER
        pictures.mkdir()
        listing = read_source(request.source, request.reading, pictures=pictures, track=track)
        listing = join_groups(listing, column=request.group_column)
        dataset = _create_dataset(request, listing, pictures, track)
        if request.storage is PictureStorage.COPIED and listing.root != pictures:
            dataset = _copy_pictures(dataset, listing.root, pictures, policy=request.metadata, track=track)
        # The folder is empty if the pictures stay in the source.
        if dataset.root != PICTURES_FOLDER:
            pictures.rmdir()
        sha256 = write_dataset(dataset, folder)
    return replace(dataset, sha256=sha256)


def require_output_outside(source: Path, output: Path) -> None:
    """Raise InputError if the output is inside the source, in which it would be taken for pictures."""
    if output.resolve().is_relative_to(source.resolve()):
        what = f"the output is inside the source {source}"
        hint = "Choose an output outside of the source."
        raise InputError(output, what, hint, code="output-inside-input")


def _create_dataset(request: ImportRequest, listing: Listing, pictures: Path, track: Track) -> Dataset:
    search = choose_search(request.duplicates, pictures=len(listing.pictures))
    require_libraries(search)  # before the long work begins
    meanings = _read_meanings(request.meanings_file, {listed.label for listed in listing.pictures})
    # Decode every listed picture once.
    paths = [listed.path for listed in listing.pictures]
    examined, refused = examine_pictures(
        listing.root, paths, limits=request.limits, jobs=request.jobs, track=track
    )
    refused = (*listing.refused, *refused)
    unusable = [finding for finding in refused if finding.kind not in FAULTLESS]
    if unusable and request.refusals is UnusablePolicy.FATAL:
        what = f"unusable pictures: {len(unusable)}, that is {_list_findings(unusable)}"
        hint = "Remove them, or omit --strict to leave them out."
        raise InputError(request.source, what, hint, code="unusable-pictures")
    # Find duplicates and assign splits, in the order of the paths.
    duplicates = search_duplicates(
        examined, root=listing.root, search=search, limits=request.limits, jobs=request.jobs, track=track
    )
    listed_of_path = {listed.path: listed for listed in listing.pictures}
    rows, left_out, notes = arrange_pictures(
        [listed_of_path[each.path] for each in examined],
        examined,
        duplicates,
        policy=request.splits,
        shares=request.shares,
        seed=request.seed,
    )
    refused = (*refused, *left_out)
    kept = {picture.path for picture in rows}
    _check_classes(request, listing, rows, refused)
    picture_notes = [
        Finding(kind=note, picture=each.path, detail=NOTE_TEXTS.get(note, "kept"))
        for each in examined
        for note in each.notes
    ]
    root = PICTURES_FOLDER
    if request.storage is not PictureStorage.COPIED and listing.root != pictures:
        root = relative_root(listing.root, request.output)
        if _to_utf8(root) != root:
            what = "the path is not valid UTF-8, so dataset.json cannot contain it"
            raise InputError(listing.root, what, "Rename the folder, or add --copy.", code="path-not-utf8")
    classes = tuple(sorted({picture.label for picture in rows}))
    return Dataset(
        folder=request.output,
        root=root,
        classes=classes,
        manifest=Manifest(pictures=rows, columns=listing.columns),
        format=listing.format,
        source=_to_utf8(request.source.resolve().name),
        licence=_to_utf8(request.licence),
        caution=_to_utf8(request.caution),
        meanings={label: words for label, words in meanings.items() if label in classes},
        options=_recorded_options(request, listing),
        refused=refused,
        notes=(*picture_notes, *notes),
        search=search,
        pairs=tuple(pair for pair in duplicates.pairs if {pair.first, pair.second} <= kept),
    )


def _read_meanings(path: Path | None, classes: Collection[str]) -> Mapping[str, str]:
    """Return what the classes mean, from a TOML file with one line for each: mel = "melanoma"."""
    if path is None:
        return {}
    meanings = {
        label: words.strip() if isinstance(words, str) else "" for label, words in read_toml(path).items()
    }
    if unknown := sorted(meanings.keys() - set(classes)):
        hint = f"Choose one of: {', '.join(sorted(classes))}."
        raise InputError(
            path, f"{unknown[0][:80]!r} is not a class of the pictures", hint, code="unknown-label"
        )
    try:
        check_meanings(meanings, sorted(classes))
    except ValueError as error:
        raise InputError(
            path, str(error), 'Write it like mel = "melanoma".', code="invalid-option"
        ) from error
    return meanings


def _check_classes(
    request: ImportRequest, listing: Listing, pictures: Sequence[Picture], refused: Sequence[Finding]
) -> None:
    classes = {picture.label for picture in pictures}
    if not classes:
        what = "no usable picture" + (f": {_list_findings(refused)}" if refused else "")
        raise InputError(request.source, what, "Check the source and --format.", code="no-pictures")
    if len(classes) == 1:
        what = f"all usable pictures have the same class, {min(classes)!r} (read as {listing.format})"
        hint = "Give pictures of at least two classes, or check --positive and --map."
        # The most likely reason is that the class folders are one level deeper.
        paths = [picture.path.split("/") for picture in pictures]
        subfolders = sorted({parts[1] for parts in paths if len(parts) > 2})
        has_task = request.reading.positive or request.reading.map_file
        if listing.format == SourceFormat.FOLDERS.value and len(subfolders) > 1 and not has_task:
            names = ", ".join(subfolders[:MAX_NAMED]) + (", …" if len(subfolders) > MAX_NAMED else "")
            folder = listing.root / paths[0][0]
            hint = f"If its folders ({names}) are the classes, give {folder} as the source."
        raise InputError(request.source, what, hint, code="single-class")


def _list_findings(findings: Sequence[Finding]) -> str:
    named = ", ".join(f"{finding.picture} ({finding.kind})" for finding in findings[:MAX_NAMED])
    return named + (f" and {len(findings) - MAX_NAMED} more" if len(findings) > MAX_NAMED else "")


def _to_utf8(text: str) -> str:
    """Return the text with undecodable bytes escaped: command lines and folder names may contain any."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _recorded_options(request: ImportRequest, listing: Listing) -> dict[str, str]:
    """Return the options named as on the command line, without those that were not given."""
    reading = request.reading
    has_splits = any(listed.split for listed in listing.pictures)
    options = {
        "split": str(request.shares or DEFAULT_SHARES),
        "seed": str(request.seed),
        "splits": request.splits.value if has_splits else SplitPolicy.NEW.value,
        "group": request.group_column,
        "positive": ", ".join(reading.positive),
        "negative": ", ".join(reading.negative),
        "name": reading.name,
        "negative_name": reading.negative_name,
        "min_weight": "" if reading.min_weight is None else f"{reading.min_weight:g}",
        "label": reading.label_column,
        "map": reading.map_file.name if reading.map_file else "",
        "metadata": reading.metadata_file.name if reading.metadata_file else "",
        "max_pixels": "" if request.limits == DEFAULT_LIMITS else f"{request.limits.max_pixels:,}",
    }
    return {name: _to_utf8(value) for name, value in options.items() if value}


def _copy_pictures(
    dataset: Dataset, root: Path, folder: Path, *, policy: MetadataPolicy, track: Track
) -> Dataset:
    """Copy the pictures, and return the dataset of the copies; raise InputError if one has changed."""
    hint = "Import again when no other program changes the source."
    copies: list[Picture] = []
    notes: list[Finding] = []
    for picture in track(dataset.pictures, total=len(dataset.pictures), what="copy"):
        file, target = root / picture.path, folder / picture.path
        try:
            with open_regular(file) as opened:
                data = opened.read()
        except OSError as error:
            what = f"the picture cannot be read any more ({error.strerror})"
            raise InputError(file, what, hint, code="picture-changed") from error
        if sha256_of(data) != picture.sha256:
            raise InputError(file, "the picture changed during the import", hint, code="picture-changed")
        try:
            copy = apply_policy(data, policy, where=str(file))
        except PictureError as error:
            remedy = "Remove the picture, or add --keep-metadata."
            raise InputError(file, error.what, remedy, code=error.code) from error
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(copy.data)
        copies.append(replace(picture, sha256=sha256_of(copy.data)))
        if copy.had_metadata:
            detail = "the copy has the same pixels and orientation; of a HEIC, previews and depth maps remain"
            notes.append(Finding(kind=METADATA_REMOVED, picture=picture.path, detail=detail))
    manifest = Manifest(pictures=tuple(copies), columns=dataset.manifest.columns)
    return replace(dataset, manifest=manifest, notes=(*dataset.notes, *notes))
