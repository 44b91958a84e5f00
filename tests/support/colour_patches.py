"""Build small pictures that differ from each other, and files of them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def patch(seed: int, *, size: int = 48) -> Pixels:
    """Return coloured blotches; another seed gives another picture."""
    grid = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.array(Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC))


def detailed_patch(seed: int, *, size: int = 256) -> Pixels:
    """Return coloured blotches of several sizes, with the details that photographs have."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size, size, 3))
    for cells in (4, 12, 36, 90):
        grid = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC), dtype=float) / 4
    return total.astype(np.uint8)


def png(pixels: Pixels) -> bytes:
    """Return the pixels as a PNG file."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(pixels: Pixels, *, quality: int = 90) -> bytes:
    """Return the pixels as a JPEG file."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> Path:
    """Write a file, with its folders; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def class_folders(root: Path, *, classes: int = 2, each: int = 6) -> Path:
    """Write `root/<class>/<number>.png`, all pictures different."""
    for label in range(classes):
        for number in range(each):
            write(root / f"class{label}" / f"{number}.png", png(patch(100 * label + number)))
    return root
