"""Which pictures, which labels, which split, which group: a dataset folder, written and read back."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from dermpack.errors import DatasetError, TableError
from dermpack.storage.files import (
    is_there,
    json_text,
    read_bytes,
    read_json,
    safe_relative,
    sha256_of,
    tidy,
    write_bytes,
    write_text,
)

SCHEMA = 1
DATASET_FILE = "dataset.json"
MANIFEST_FILE = "manifest.csv"
FIXED_COLUMNS = ("picture", "sha256", "width", "height", "label", "split", "group", "cluster")
MAX_CELL_CHARACTERS = 1 << 16
MAX_MANIFEST_BYTES = 256 << 20  # a million pictures
MAX_SIDE_DIGITS = 6
MAX_ROOT_CHARACTERS = 4096  # what Linux opens
AGAIN = "Import the pictures again."
CREATE = 'Create one with "dermpack data import".'


class Split(Enum):
    """What a picture is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One row of the manifest; `path` is relative to the dataset's root, with forward slashes."""

    path: str
    sha256: str  # of the file's bytes
    width: int  # after EXIF orientation
    height: int
    label: str
    split: Split
    group: str  # pictures of one group (a lesion, a patient) never part
    cluster: str  # near duplicates of each other; empty for a picture without any
    metadata: tuple[str, ...]  # one cell a metadata column; empty where missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a person should know of a picture: `kind` is a fixed word, `detail` a sentence."""

    kind: str
    picture: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The pictures in the order of their paths, and the names of the metadata columns."""

    pictures: tuple[Picture, ...]
    columns: tuple[str, ...] = ()

    def of(self, split: Split) -> tuple[Picture, ...]:
        return tuple(picture for picture in self.pictures if picture.split is split)

    def column(self, name: str) -> tuple[str, ...]:
        """The cells of one metadata column, a picture each."""
        at = self.columns.index(name)
        return tuple(picture.metadata[at] for picture in self.pictures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A manifest with what a person must know of it; `folder` is where it was read from."""

    folder: Path
    root: str  # where the pictures are, relative to the folder
    classes: tuple[str, ...]  # sorted; the order of every model's outputs
    manifest: Manifest
    format: str
    source: str  # the name of the imported folder; no absolute path
    licence: str = ""
    caution: str = ""  # what the pictures do not show; every card of a model tells it
    options: Mapping[str, str] = field(default_factory=dict)  # split, seed, group column … as given
    refused: tuple[Finding, ...] = ()  # pictures left out, each with its reason
    notes: tuple[Finding, ...] = ()  # kept, but worth knowing: duplicates, given splits that leak …
    sha256: str = ""  # of manifest.csv: the dataset's name in every artifact made from it

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return self.manifest.pictures

    @property
    def pictures_folder(self) -> Path:
        """Where the pictures are looked for, in the words of a person."""
        return tidy(self.folder / self.root)

    def file(self, picture: Picture) -> Path:
        return self.pictures_folder / picture.path

    def counts(self) -> dict[str, dict[str, int]]:
        """Split → class → pictures, with the empty ones."""
        counted = Counter((picture.split, picture.label) for picture in self.pictures)
        return {split.value: {name: counted[split, name] for name in self.classes} for split in Split}


def write_dataset(dataset: Dataset, folder: Path) -> str:
    """Write manifest.csv and dataset.json into the folder; answer the manifest's sha256."""
    table = manifest_text(dataset.manifest).encode("utf-8")
    write_bytes(folder / MANIFEST_FILE, table)
    sha256 = sha256_of(table)
    write_text(folder / DATASET_FILE, json_text(_record(dataset, sha256)))
    return sha256


def read_dataset(folder: Path) -> Dataset:
    """Read a dataset folder, hostile until checked; the pictures themselves are not opened."""
    if not is_there(folder):
        raise DatasetError(folder, "the folder does not exist", CREATE, code="dataset-not-found")
    if not is_there(folder / DATASET_FILE):
        what = f"not a dataset (no {DATASET_FILE})"
        raise DatasetError(folder, what, CREATE, code="dataset-not-found")
    record = read_json(folder / DATASET_FILE)
    path = folder / MANIFEST_FILE
    table = read_bytes(path, most=MAX_MANIFEST_BYTES, hint=AGAIN)
    try:
        text = table.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TableError(path, f"not UTF-8 ({error})", AGAIN, code="invalid-format") from error
    dataset = _dataset(folder, record, parse_manifest(text, where=path), sha256_of(table))
    if record.get("manifest_sha256") != dataset.sha256:
        what = f"the SHA-256 differs from the one in {DATASET_FILE}, so the file was edited"
        raise DatasetError(path, what, AGAIN, code="invalid-format")
    return dataset


def manifest_text(manifest: Manifest) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow((*FIXED_COLUMNS, *manifest.columns))
    writer.writerows(_cells(picture) for picture in manifest.pictures)
    return buffer.getvalue()


def parse_manifest(text: str, *, where: Path) -> Manifest:
    """Read manifest.csv; an error names the file and the line."""
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = tuple(next(reader, ()))
        if header[: len(FIXED_COLUMNS)] != FIXED_COLUMNS or len(set(header)) != len(header):
            raise TableError(where, "the header is not that of a manifest", AGAIN, code="invalid-format")
        pictures = tuple(_pictures(reader, len(header), where))
    except csv.Error as error:
        what = f"not valid CSV ({error})"
        raise TableError(f"{where}:{reader.line_num}", what, AGAIN, code="invalid-format") from error
    if len({picture.path for picture in pictures}) != len(pictures):
        raise TableError(where, "a picture is listed twice", AGAIN, code="invalid-format")
    return Manifest(pictures=pictures, columns=header[len(FIXED_COLUMNS) :])


def relative_root(pictures: Path, folder: Path) -> str:
    """The root to keep in dataset.json: relative_root("/a/pictures", "/a/sets/x") → "../../pictures"."""
    return Path(os.path.relpath(pictures.resolve(), folder.resolve())).as_posix()


def _cells(picture: Picture) -> tuple[object, ...]:
    split, size = picture.split.value, (picture.width, picture.height)
    fixed = (picture.path, picture.sha256, *size, picture.label, split, picture.group, picture.cluster)
    return (*fixed, *picture.metadata)


def _pictures(rows: Any, width: int, where: Path) -> Iterator[Picture]:
    for row in rows:
        if len(row) != width:
            what = f"{len(row)} cells, but the header has {width}"
            raise TableError(f"{where}:{rows.line_num}", what, AGAIN, code="invalid-format")
        try:
            yield _picture(row)
        except ValueError as error:
            place = f"{where}:{rows.line_num}"
            raise TableError(place, str(error), AGAIN, code="invalid-format") from error


def _picture(row: list[str]) -> Picture:
    path, sha256, width, height, label, split, group, cluster, *metadata = row
    if safe_relative(path) is None:
        raise ValueError(f"the path {path!r} is not inside the root")
    if not label:
        raise ValueError("the label is empty")
    return Picture(
        path=path,
        sha256=sha256,
        width=_side(width),
        height=_side(height),
        label=label,
        split=Split(split),
        group=group,
        cluster=cluster,
        metadata=tuple(metadata),
    )


def _side(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > MAX_SIDE_DIGITS:
        raise ValueError(f"{text[:20]!r} is not a width or height in pixels")
    return int(text)


def _record(dataset: Dataset, sha256: str) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "root": dataset.root,
        "classes": list(dataset.classes),
        "format": dataset.format,
        "source": dataset.source,
        "licence": dataset.licence,
        "caution": dataset.caution,
        "options": dict(dataset.options),
        "counts": dataset.counts(),
        "refused": [_finding_record(finding) for finding in dataset.refused],
        "notes": [_finding_record(finding) for finding in dataset.notes],
        "manifest_sha256": sha256,
    }


def _finding_record(finding: Finding) -> dict[str, str]:
    return {"kind": finding.kind, "picture": finding.picture, "detail": finding.detail}


def _dataset(folder: Path, record: Mapping[str, Any], manifest: Manifest, sha256: str) -> Dataset:
    where = folder / DATASET_FILE
    if record.get("schema") != SCHEMA:
        what = f"the schema is {record.get('schema')!r}, but this version reads {SCHEMA}"
        raise DatasetError(where, what, AGAIN, code="unsupported-schema")
    try:
        dataset = Dataset(
            folder=folder,
            root=_root(record["root"]),
            classes=_classes(record["classes"]),
            manifest=manifest,
            format=_text(record["format"]),
            source=_text(record["source"]),
            licence=_text(record["licence"]),
            caution=_text(record.get("caution", "")),  # older datasets have none
            options={_text(key): _text(value) for key, value in record["options"].items()},
            refused=tuple(_finding(item) for item in record["refused"]),
            notes=tuple(_finding(item) for item in record["notes"]),
            sha256=sha256,
        )
    except KeyError as error:
        what = f"invalid format (missing key {error})"
        raise DatasetError(where, what, AGAIN, code="invalid-format") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise DatasetError(where, f"invalid format ({error})", AGAIN, code="invalid-format") from error
    strange = {picture.label for picture in manifest.pictures} - set(dataset.classes)
    if strange:
        what = f"the class {min(strange)!r} of {MANIFEST_FILE} is missing"
        raise DatasetError(where, what, AGAIN, code="invalid-format")
    return dataset


def _root(value: object) -> str:
    root = _text(value)
    if "\0" in root or len(root) > MAX_ROOT_CHARACTERS:
        raise ValueError("root is not a valid path")
    return root


def _classes(value: object) -> tuple[str, ...]:
    """The names in their one order: a model's outputs would be mistaken in another."""
    names = [_text(name) for name in value] if isinstance(value, list) else []
    if not isinstance(value, list) or names != sorted(set(names)):
        raise ValueError("classes is not a sorted list of names")
    return tuple(names)


def _finding(item: Mapping[str, Any]) -> Finding:
    return Finding(kind=_text(item["kind"]), picture=_text(item["picture"]), detail=_text(item["detail"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    value.encode("utf-8")  # half a character, as JSON can hold it, could be written nowhere
    return value
