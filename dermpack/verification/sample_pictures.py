"""Gather the pictures that a file is run on: generated ones, and some of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import DatasetError
from dermpack.imaging import Pixels, Policy, prepare
from dermpack.synthetic import render

RENDERED_SIZE = 224
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePictures:
    """Files, the generated ones first."""

    files: tuple[Path, ...]
    generated: int
    dataset: Dataset | None
    split: Split

    def pixels(self, size: int, policy: Policy) -> Pixels:
        """uint8 [n, size, size, 3], as an app would prepare them."""
        return np.stack([prepare(file, size, policy=policy) for file in self.files])

    def __str__(self) -> str:
        added = len(self.files) - self.generated
        chosen = f" and {added} of the {self.split.value} split" if added else ""
        return f"{self.generated} generated pictures{chosen}"


@contextmanager
def gather(*, pictures: int, dataset: Dataset | None, split: Split) -> Iterator[SamplePictures]:
    """So many generated pictures and, of a dataset, so many of the split; the folder ends with the block."""
    with TemporaryDirectory(prefix="dermpack-verify-") as folder:
        generated = tuple(_written(number, Path(folder)) for number in range(pictures))
        chosen = _spread(dataset, split, pictures) if dataset else ()
        yield SamplePictures(
            files=(*generated, *chosen), generated=len(generated), dataset=dataset, split=split
        )


def _written(number: int, folder: Path) -> Path:
    path = folder / f"generated-{number:04}.png"
    Image.fromarray(render(number, size=RENDERED_SIZE, seed=SEED)).save(path)
    return path


def _spread(dataset: Dataset, split: Split, count: int) -> tuple[Path, ...]:
    """Evenly over the split: its order is that of names, not of labels."""
    there = dataset.manifest.of(split)
    if not there:
        what = f"the {split.value} split is empty"
        raise DatasetError(dataset.folder, what, "Choose another --split.", code="empty-split")
    chosen = np.unique(np.linspace(0, len(there) - 1, min(count, len(there))).astype(int))
    return tuple(dataset.file(there[at]) for at in chosen)
