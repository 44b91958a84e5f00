"""Build datasets with given labels and columns, without decoding pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dermpack.dataset.manifest import Dataset, Manifest, Picture, Split, write_dataset
from dermpack.storage.files import sha256_of

SPLITS = (Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.TEST)


def picture(index: int, label: str, *, metadata: Sequence[str] = ()) -> Picture:
    """Return a picture in a group of its own; every fourth picture is in the same split."""
    return Picture(
        path=f"{index:05}.png",
        sha256=sha256_of(str(index).encode()),
        width=32,
        height=24,
        label=label,
        split=SPLITS[index % len(SPLITS)],
        group=f"g{index}",
        cluster="",
        metadata=tuple(metadata),
    )


def dataset(
    folder: Path, labels: Sequence[str], columns: Mapping[str, Sequence[str]] | None = None
) -> Dataset:
    """Return a dataset with a picture for each label, and columns with a cell for each picture."""
    cells = list(zip(*(columns or {}).values(), strict=True)) or [()] * len(labels)
    pictures = tuple(
        picture(index, label, metadata=row)
        for index, (label, row) in enumerate(zip(labels, cells, strict=True))
    )
    return of_pictures(folder, pictures, columns=tuple(columns or {}))


def of_pictures(folder: Path, pictures: Sequence[Picture], *, columns: tuple[str, ...] = ()) -> Dataset:
    """Return a dataset of these pictures, with their labels as classes."""
    manifest = Manifest(pictures=tuple(pictures), columns=columns)
    classes = tuple(sorted({picture.label for picture in pictures}))
    return Dataset(folder=folder, root=".", classes=classes, manifest=manifest, format="csv", source="small")


def write(dataset: Dataset) -> Dataset:
    """Write the dataset folder with a picture in one colour for each row; return it with its hash."""
    from PIL import Image

    dataset.folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(dataset.pictures):
        Image.new("RGB", (picture.width, picture.height), (index * 7 % 256, 90, 60)).save(
            dataset.file(picture)
        )
    return replace(dataset, sha256=write_dataset(dataset, dataset.folder))
