"""A dataset folder of noisy pictures with a known brightness per label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dermpack.dataset.manifest import Dataset, Manifest, Picture, Split, read_dataset, write_dataset
from dermpack.storage.files import sha256_file

SIZE = 32
BRIGHTNESS = {"akiec": 40, "mel": 215, "nv": 128}


def make_dataset(
    folder: Path, *, n: int = 24, labels: Sequence[str] = ("akiec", "mel"), classes: Sequence[str] = ()
) -> Dataset:
    """Write n test pictures, two per group, with age and sex, and one training picture."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows = [_picture(pictures, index, labels[index // 2 % len(labels)], generator) for index in range(n + 1)]
    dataset = Dataset(
        folder=folder,
        root="pictures",
        classes=tuple(classes or sorted(set(labels))),
        manifest=Manifest(pictures=tuple(rows), columns=("age", "sex", "name")),
        format="folders",
        source="small",
    )
    write_dataset(dataset, folder)
    return read_dataset(folder)


def _picture(folder: Path, index: int, label: str, generator: np.random.Generator) -> Picture:
    path = folder / f"{index:03}.png"
    noise = generator.integers(-40, 40, size=(SIZE, SIZE, 3))
    Image.fromarray((BRIGHTNESS[label] + noise).clip(0, 255).astype(np.uint8)).save(path)
    return Picture(
        path=path.name,
        sha256=sha256_file(path),
        width=SIZE,
        height=SIZE,
        label=label,
        split=Split.TRAIN if index == 0 else Split.TEST,
        group=f"lesion{index // 2}" if index else "another",
        cluster="",
        metadata=(f"{5 * index}", ("f", "m", "")[index % 3], f"somebody {index}"),
    )
