"""Build a dataset folder of noisy squares in three colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermpack.dataset.manifest import Dataset, Manifest, Picture, Split, write_dataset
from dermpack.storage.files import sha256_file

COLOURS = {"blue": (40, 60, 200), "green": (40, 190, 70), "red": (200, 50, 50)}
COUNTS = {"blue": 12, "green": 18, "red": 30}
SIDE = 28


def write_coloured(folder: Path, *, seed: int = 0) -> None:
    """Write pictures and manifest: of five pictures of a class three train, one validates, one tests."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    pictures = []
    for label, count in COUNTS.items():
        for index in range(count):
            path = folder / f"{label}-{index:02}.png"
            Image.fromarray(square(label, rng)).save(path)
            pictures.append(_picture(path, label, index))
    manifest = Manifest(pictures=tuple(sorted(pictures, key=lambda picture: picture.path)))
    dataset = Dataset(
        folder=folder,
        root=".",
        classes=tuple(COLOURS),
        manifest=manifest,
        format="folders",
        source="coloured",
        licence="CC0",
    )
    write_dataset(dataset, folder)


def square(label: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a noisy picture in the colour of the label."""
    noise = rng.normal(0, 40, (SIDE, SIDE, 3))
    return np.asarray(np.clip(np.array(COLOURS[label]) + noise, 0, 255), np.uint8)


def _picture(path: Path, label: str, index: int) -> Picture:
    splits = (Split.TRAIN, Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.TEST)
    return Picture(
        path=path.name,
        sha256=sha256_file(path),
        width=SIDE,
        height=SIDE,
        label=label,
        split=splits[index % len(splits)],
        group=path.stem,
        cluster="",
        metadata=(),
    )
