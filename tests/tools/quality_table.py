"""Print which share of pictures the quality limits refuse: python -m tests.tools.quality_table FOLDER...

The pictures of each folder are measured as they are, and blurred, darkened and brightened, at three sizes.
docs/unknown-pictures.md has the table for HAM10000 and for a part of Fitzpatrick17k.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from dermpack.contract import QualityGates
from dermpack.imaging.preprocessing import Policy, resize_image
from dermpack.imaging.quality import (
    LEAST_BRIGHTNESS,
    LEAST_SHARPNESS,
    MOST_WHITE_PERCENT,
    measure_quality,
)

SIZES, PICTURES, SEED = (96, 160, 224), 400, 0
BLURS, LIGHTS = (0.01, 0.015, 0.02), (0.35, 0.25, 2.2, 3.0)  # share of the side; factor
GATES = QualityGates(
    least_sharpness=LEAST_SHARPNESS,
    least_brightness=LEAST_BRIGHTNESS,
    most_white_percent=MOST_WHITE_PERCENT,
    accepted=1.0,
    n=1,
    split="none",
)


def changed(image: Image.Image, *, blur: float = 0.0, light: float = 1.0) -> Image.Image:
    """Return the picture with less detail or another exposure."""
    blurred = image.filter(ImageFilter.GaussianBlur(blur * min(image.size))) if blur else image
    return blurred.point([min(255, int(value * light)) for value in range(256)] * 3)


def refused_share(files: list[Path], size: int, *, blur: float = 0.0, light: float = 1.0) -> float:
    """Return the share of the pictures that have a fault."""
    faults = 0
    for file in files:
        image = changed(Image.open(file).convert("RGB"), blur=blur, light=light)
        pixels = np.asarray(resize_image(image, size, policy=Policy.CENTRE_SQUARE))
        faults += measure_quality(pixels).find_fault(GATES) is not None
    return faults / len(files)


def main(folders: list[str]) -> None:
    """Print a line for each folder and size."""
    for folder in folders:
        found = sorted(Path(folder).rglob("*.jpg"))
        chosen = np.random.default_rng(SEED).permutation(len(found))[:PICTURES]
        files = [found[index] for index in chosen]
        for size in SIZES:
            shares = [
                refused_share(files, size),
                *(refused_share(files, size, blur=blur) for blur in BLURS),
                *(refused_share(files, size, light=light) for light in LIGHTS),
            ]
            cells = (Path(folder).name, str(size), str(len(files)), *(f"{share:.1%}" for share in shares))
            sys.stdout.write(" ".join(cells) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
