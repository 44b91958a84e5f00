"""A dataset folder by hand, for tests that read one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dermpack.dataset.manifest import Dataset, Manifest, Picture, Split, write_dataset
from dermpack.storage.files import sha256_of

SPLITS = (Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.TEST)


def picture(at: int, label: str, *, metadata: Sequence[str] = ()) -> Picture:
    """The `at`-th picture, of a group of its own; the splits take turns."""
    return Picture(
        path=f"{at:05}.png",
        sha256=sha256_of(str(at).encode()),
        width=32,
        height=24,
        label=label,
        split=SPLITS[at % len(SPLITS)],
        group=f"g{at}",
        cluster="",
        metadata=tuple(metadata),
    )


def dataset(
    folder: Path, labels: Sequence[str], columns: Mapping[str, Sequence[str]] | None = None
) -> Dataset:
    """A picture a label, with columns of as many cells."""
    cells = list(zip(*(columns or {}).values(), strict=True)) or [()] * len(labels)
    pictures = tuple(
        picture(at, label, metadata=row) for at, (label, row) in enumerate(zip(labels, cells, strict=True))
    )
    return of_pictures(folder, pictures, columns=tuple(columns or {}))


def of_pictures(folder: Path, pictures: Sequence[Picture], *, columns: tuple[str, ...] = ()) -> Dataset:
    manifest = Manifest(pictures=tuple(pictures), columns=columns)
    classes = tuple(sorted({picture.label for picture in pictures}))
    return Dataset(folder=folder, root=".", classes=classes, manifest=manifest, format="csv", source="small")


def write(dataset: Dataset) -> Dataset:
    """The folder on the disk, with a picture in one colour for each row."""
    from PIL import Image

    dataset.folder.mkdir(parents=True, exist_ok=True)
    for at, picture in enumerate(dataset.pictures):
        Image.new("RGB", (picture.width, picture.height), (at * 7 % 256, 90, 60)).save(dataset.file(picture))
    return replace(dataset, sha256=write_dataset(dataset, dataset.folder))
