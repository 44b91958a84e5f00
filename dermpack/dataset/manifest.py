"""The dataset folder: manifest.csv with one row per picture, and dataset.json about all of them."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any

from dermpack.contract import check_meanings
from dermpack.errors import DatasetError, TableError, count_noun
from dermpack.storage.codec import decode, encode
from dermpack.storage.files import (
    format_csv,
    format_json,
    normalize_path,
    parse_relative_path,
    path_exists,
    read_bytes,
    read_json,
    sha256_of,
    unescape_cell,
    write_bytes,
    write_text,
)

SCHEMA = 2
FIRST_SCHEMA = 1  # without photographs, the search and its pairs
DATASET_FILE = "dataset.json"
MANIFEST_FILE = "manifest.csv"
FIXED_COLUMNS = ("picture", "sha256", "width", "height", "label", "split", "group", "cluster")
PHOTOGRAPH_COLUMN = "photograph"  # after the fixed columns, if a picture has one
MAX_CELL_CHARACTERS = 1 << 16
MAX_MANIFEST_BYTES = 256 << 20  # a million pictures
MAX_SIDE_DIGITS = 6
MAX_ROOT_CHARACTERS = 4096  # the longest path on Linux
AGAIN = "Import the pictures again."
CREATE = 'Create one with "dermpack data import".'


class Split(Enum):
    """The use of a picture: fitting weights, choosing settings, or measuring the result."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class DuplicateSearch(Enum):
    """How thoroughly an import searches for duplicates; each search includes the ones below."""

    THOROUGH = "thorough"  # by features of a network, confirmed by geometry: crops, colours, other shots
    FAST = "fast"  # by perceptual hashes: copies of another size, compression or orientation
    OFF = "off"  # identical pixels only


class PairRelation(Enum):
    """The relation of two pictures."""

    SAME_PHOTOGRAPH = "same photograph"  # cropped, scaled, recoloured, mirrored, with text …
    SAME_SCENE = "same scene or lesion"  # another shot


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicatePair:
    """Two related pictures and the evidence; without `inliers`, the perceptual hashes are the evidence."""

    first: str
    second: str
    relation: PairRelation
    inliers: int = 0  # local features that match under one scaling, rotation and shift
    agreement: float = 0.0  # correlation of the details, the median over the cells of a grid
    scale: float = 1.0  # pixels of the second picture per pixel of the first
    rotation_degrees: int = 0
    is_mirrored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One row of the manifest; `path` is relative to the dataset's root, with forward slashes."""

    path: str
    sha256: str  # of the file's bytes
    width: int  # after EXIF orientation
    height: int
    label: str
    split: Split
    group: str  # pictures of one group (a lesion, a patient) are always in the same split
    cluster: str  # pictures of one photograph, scene or lesion; empty for a picture without any
    metadata: tuple[str, ...]  # one cell per metadata column; empty if missing
    photograph: str = ""  # pictures of one photograph, a part of the cluster; empty without any


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A remark about a picture: `kind` is a fixed word, `detail` a sentence."""

    kind: str
    picture: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The pictures in the order of their paths, and the names of the metadata columns."""

    pictures: tuple[Picture, ...]
    columns: tuple[str, ...] = ()

    def of(self, split: Split) -> tuple[Picture, ...]:
        """Return the pictures of one split."""
        return tuple(picture for picture in self.pictures if picture.split is split)

    def column(self, name: str) -> tuple[str, ...]:
        """Return the cells of one metadata column, one per picture."""
        index = self.columns.index(name)
        return tuple(picture.metadata[index] for picture in self.pictures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A manifest and the facts about it; `folder` is where it was read from."""

    folder: Path
    root: str  # the folder of the pictures, relative to `folder`
    classes: tuple[str, ...]  # sorted; the order of every model's outputs
    manifest: Manifest
    format: str
    source: str  # the name of the imported folder; not an absolute path
    licence: str = ""
    caution: str = ""  # what the pictures do not show; every model card repeats it
    meanings: Mapping[str, str] = field(default_factory=dict)  # class → what it means, in words
    options: Mapping[str, str] = field(default_factory=dict)  # of the import: split, seed, group column …
    refused: tuple[Finding, ...] = ()  # pictures left out, each with its reason
    notes: tuple[Finding, ...] = ()  # pictures kept with a remark: duplicates, given splits that leak …
    search: DuplicateSearch = DuplicateSearch.FAST  # of the import; older versions had no other one
    pairs: tuple[DuplicatePair, ...] = ()  # related pictures with the evidence, without identical ones
    sha256: str = ""  # of manifest.csv: identifies the dataset in every artifact made from it

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return self.manifest.pictures

    @property
    def pictures_folder(self) -> Path:
        """The folder of the pictures, in the short form that messages show."""
        return normalize_path(self.folder / self.root)

    def file(self, picture: Picture) -> Path:
        """Return the path of a picture's file."""
        return self.pictures_folder / picture.path

    def counts(self) -> dict[str, dict[str, int]]:
        """Return split → class → number of pictures, with zeros."""
        counted = Counter((picture.split, picture.label) for picture in self.pictures)
        return {split.value: {name: counted[split, name] for name in self.classes} for split in Split}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRecord:
    """The content of dataset.json."""

    schema: int = SCHEMA
    root: str
    classes: tuple[str, ...]
    format: str
    source: str
    licence: str
    caution: str = ""  # missing in older datasets
    meanings: Mapping[str, str] = field(default_factory=dict)  # missing in older datasets
    options: Mapping[str, str]
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # for people; never read
    refused: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    manifest_sha256: str
    search: DuplicateSearch = DuplicateSearch.FAST  # missing in schema 1, as are the pairs
    pairs: tuple[DuplicatePair, ...] = ()

    def __post_init__(self) -> None:
        if "\0" in self.root or len(self.root) > MAX_ROOT_CHARACTERS:
            raise ValueError("root is not a valid path")
        # The outputs of a model have this order: another one would swap the labels.
        if list(self.classes) != sorted(set(self.classes)):
            raise ValueError("classes is not a sorted list of names")
        check_meanings(self.meanings, self.classes)


SHARED_FIELDS = {each.name for each in fields(Dataset)} & {each.name for each in fields(DatasetRecord)}


def write_dataset(dataset: Dataset, folder: Path) -> str:
    """Write manifest.csv and dataset.json into the folder and return the manifest's SHA-256."""
    table = manifest_text(dataset.manifest).encode("utf-8")
    write_bytes(folder / MANIFEST_FILE, table)
    shared: dict[str, Any] = {name: getattr(dataset, name) for name in SHARED_FIELDS}
    record = DatasetRecord(counts=dataset.counts(), manifest_sha256=sha256_of(table), **shared)
    write_text(folder / DATASET_FILE, format_json(encode(record)))
    return record.manifest_sha256


def read_dataset(folder: Path) -> Dataset:
    """Return the dataset in a folder after checking both files; the pictures are not opened."""
    if not path_exists(folder):
        raise DatasetError(folder, "the folder does not exist", CREATE, code="dataset-not-found")
    if not path_exists(folder / DATASET_FILE):
        what = f"not a dataset (no {DATASET_FILE})"
        raise DatasetError(folder, what, CREATE, code="dataset-not-found")
    content = read_json(folder / DATASET_FILE)
    if content.get("schema") not in range(FIRST_SCHEMA, SCHEMA + 1):
        what = f"the schema is {content.get('schema')!r}, but this version reads {FIRST_SCHEMA} to {SCHEMA}"
        raise DatasetError(folder / DATASET_FILE, what, AGAIN, code="unsupported-schema")
    try:
        record = decode(DatasetRecord, content)
    except ValueError as error:
        what = f"invalid format ({error})"
        raise DatasetError(folder / DATASET_FILE, what, AGAIN, code="invalid-format") from error
    path = folder / MANIFEST_FILE
    table = read_bytes(path, most=MAX_MANIFEST_BYTES, hint=AGAIN)
    try:
        text = table.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TableError(path, f"not UTF-8 ({error})", AGAIN, code="invalid-format") from error
    manifest = parse_manifest(text, where=path, schema=record.schema)
    if unknown := {picture.label for picture in manifest.pictures} - set(record.classes):
        what = f"the class {min(unknown)!r} of {MANIFEST_FILE} is missing"
        raise DatasetError(folder / DATASET_FILE, what, AGAIN, code="invalid-format")
    # The hash is checked last: an error in the file itself explains more than "was edited".
    if record.manifest_sha256 != sha256_of(table):
        what = f"the SHA-256 differs from the one in {DATASET_FILE}, so the file was edited"
        raise DatasetError(path, what, AGAIN, code="invalid-format")
    shared: dict[str, Any] = {name: getattr(record, name) for name in SHARED_FIELDS}
    return Dataset(folder=folder, manifest=manifest, sha256=record.manifest_sha256, **shared)


def require_pictures(dataset: Dataset, splits: Collection[Split]) -> None:
    """Raise DatasetError if a picture of these splits is missing; call it before long work."""
    pictures = [picture for picture in dataset.pictures if picture.split in splits]
    missing = [picture.path for picture in pictures if not dataset.file(picture).is_file()]
    if missing:
        count = count_noun(len(pictures), "picture")
        what = f"{len(missing):,} of {count} not found in {dataset.pictures_folder}, for example {missing[0]}"
        hint = "Put them there, or import again (with --copy, the dataset contains its pictures)."
        raise DatasetError(dataset.folder, what, hint, code="pictures-missing")


def manifest_text(manifest: Manifest) -> str:
    """Return the text of manifest.csv; it has the column "photograph" if a picture has one."""
    has_photographs = any(picture.photograph for picture in manifest.pictures)
    fixed = (*FIXED_COLUMNS, PHOTOGRAPH_COLUMN) if has_photographs else FIXED_COLUMNS
    rows = [(*fixed, *manifest.columns)]
    for picture in manifest.pictures:
        size = (str(picture.width), str(picture.height))
        names = (picture.label, picture.split.value, picture.group, picture.cluster)
        photograph = (picture.photograph,) if has_photographs else ()
        rows.append((picture.path, picture.sha256, *size, *names, *photograph, *picture.metadata))
    return format_csv(rows)


def parse_manifest(text: str, *, where: Path, schema: int = SCHEMA) -> Manifest:
    """Return the manifest in the text of manifest.csv; a TableError names the file and the line."""
    # The limit is global, but no other reader of CSV here needs more.
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    unescape = unescape_cell if schema > FIRST_SCHEMA else str  # schema 1 had no escaped cells
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = tuple(map(unescape, next(reader, ())))
        if header[: len(FIXED_COLUMNS)] != FIXED_COLUMNS or len(set(header)) != len(header):
            raise TableError(where, "the header is not that of a manifest", AGAIN, code="invalid-format")
        columns = header[len(FIXED_COLUMNS) :]
        # In schema 1, a column of this name comes from the source.
        has_photographs = schema > FIRST_SCHEMA and columns[:1] == (PHOTOGRAPH_COLUMN,)
        rows = _parse_rows(reader, len(header), where, unescape=unescape, has_photographs=has_photographs)
        pictures = tuple(rows)
    except csv.Error as error:
        what = f"not valid CSV ({error})"
        raise TableError(f"{where}:{reader.line_num}", what, AGAIN, code="invalid-format") from error
    if len({picture.path for picture in pictures}) != len(pictures):
        raise TableError(where, "a picture is listed twice", AGAIN, code="invalid-format")
    return Manifest(pictures=pictures, columns=columns[1:] if has_photographs else columns)


def relative_root(pictures: Path, folder: Path) -> str:
    """Return the root for dataset.json: relative_root("/a/pictures", "/a/sets/x") → "../../pictures"."""
    return Path(os.path.relpath(pictures.resolve(), folder.resolve())).as_posix()


def _parse_rows(
    rows: Any, cells: int, where: Path, *, unescape: Callable[[str], str], has_photographs: bool
) -> Iterator[Picture]:
    for row in rows:
        place = f"{where}:{rows.line_num}"
        if len(row) != cells:
            what = f"{len(row)} cells, but the header has {cells}"
            raise TableError(place, what, AGAIN, code="invalid-format")
        try:
            path, sha256, width, height, label, split, group, cluster, *metadata = map(unescape, row)
            if parse_relative_path(path) is None:
                raise ValueError(f"the path {path!r} is not inside the root")
            if not label:
                raise ValueError("the label is empty")
            yield Picture(
                path=path,
                sha256=sha256,
                width=_parse_side(width),
                height=_parse_side(height),
                label=label,
                split=Split(split),
                group=group,
                cluster=cluster,
                photograph=metadata.pop(0) if has_photographs else "",
                metadata=tuple(metadata),
            )
        except ValueError as error:
            raise TableError(place, str(error), AGAIN, code="invalid-format") from error


def _parse_side(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > MAX_SIDE_DIGITS:
        raise ValueError(f"{text[:20]!r} is not a width or height in pixels")
    return int(text)
