"""Write the golden vectors: python -m tests.golden.make

Run it only after an intended change of the pixels, and then increase the number in the name of the policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermpack.imaging.preprocessing import Policy, prepare
from dermpack.imaging.quality import measure_quality
from dermpack.storage.files import format_json, sha256_of, write_bytes, write_text
from tests.support.hostile_pictures import encoded, scene

FOLDER = Path(__file__).resolve().parent
INDEX_FILE = "golden.json"


def make(folder: Path) -> None:
    """Write each picture, its pixels by each policy, and the index."""
    vectors = []
    for name, data, size in pictures():
        write_bytes(folder / name, data)
        for policy in Policy:
            pixels = prepare(data, size, policy=policy)
            output, quality = pixels.tobytes(), measure_quality(pixels)
            output_name = f"{Path(name).stem}.{policy.value}.rgb"
            write_bytes(folder / output_name, output)
            vectors.append(
                {
                    "picture": name,
                    "picture_sha256": sha256_of(data),
                    "policy": policy.value,
                    "size": size,
                    "output": output_name,
                    "output_sha256": sha256_of(output),
                    "quality": [quality.sharpness, quality.brightness, quality.white_percent],
                }
            )
    write_text(folder / INDEX_FILE, format_json({"schema": 1, "vectors": vectors}))


def pictures() -> Iterator[tuple[str, bytes, int]]:
    """Yield name, PNG and target size of each picture."""
    yield "odd.png", encoded(textured(61, 47), "PNG"), 32
    yield "grey.png", encoded(textured(50, 50)[..., 0].copy(), "PNG"), 24
    yield "palette.png", encoded(textured(40, 56), "PNG", mode="P"), 24
    yield "alpha.png", encoded(with_alpha(textured(48, 40)), "PNG"), 24
    yield "turned-6.png", encoded(textured(45, 30), "PNG", orientation=6), 20
    yield "turned-7.png", encoded(textured(45, 30), "PNG", orientation=7), 20
    yield "tiny.png", encoded(textured(3, 2), "PNG"), 16
    yield "wide.png", encoded(textured(200, 9), "PNG"), 16
    yield "tall.png", encoded(textured(9, 200), "PNG"), 16
    yield "sixteen-bit.png", encoded(textured(33, 33)[..., 0].astype(np.uint16) * 257, "PNG"), 16
    yield "large.png", encoded(textured(260, 196), "PNG"), 96


def textured(width: int, height: int) -> NDArray[np.uint8]:
    """Return the scene with noise, so that every weight of the filter matters."""
    noise = np.random.default_rng(width * 1000 + height).integers(0, 64, (height, width, 3), dtype=np.uint8)
    return scene(width, height) ^ noise


def with_alpha(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([pixels, pixels[..., :1]], axis=2)


if __name__ == "__main__":
    make(FOLDER)
