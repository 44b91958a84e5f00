"""A dataset folder of plain pictures, dark to bright, for what scores and evaluates."""

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
    """n test pictures, two of each group, with age and sex; and one picture to train on."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows = [_picture(pictures, at, labels[at // 2 % len(labels)], generator) for at in range(n + 1)]
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


def _picture(folder: Path, at: int, label: str, generator: np.random.Generator) -> Picture:
    path = folder / f"{at:03}.png"
    noise = generator.integers(-40, 40, size=(SIZE, SIZE, 3))
    Image.fromarray((BRIGHTNESS[label] + noise).clip(0, 255).astype(np.uint8)).save(path)
    return Picture(
        path=path.name,
        sha256=sha256_file(path),
        width=SIZE,
        height=SIZE,
        label=label,
        split=Split.TRAIN if at == 0 else Split.TEST,
        group=f"lesion{at // 2}" if at else "another",
        cluster="",
        metadata=(f"{5 * at}", ("f", "m", "")[at % 3], f"somebody {at}"),
    )
