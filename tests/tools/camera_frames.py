"""Measure what CameraX's `toBitmap()` changes: `python -m tests.tools.camera_frames PICTURES EXPORT [COUNT]`.

A frame (YUV_420_888) of each picture is made in the full range, the default of Camera2, and in the limited
range of BT.601. libyuv converts it with the function that `toBitmap()` calls. Pixels and labels are compared
with those of a JPEG of the same picture. Needs the library of Debian's package libyuv0.
"""

from __future__ import annotations

import ctypes
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermpack.bundle.variants import read_variants, run_variants
from dermpack.imaging.preprocessing import resize_image

Samples = NDArray[np.uint8]
LIBRARY = "libyuv.so.0"


def make_frame(rgb: Samples, *, is_full: bool) -> tuple[Samples, Samples, Samples]:
    """Return the planes of a frame; one sample of chroma is the mean of four pixels."""
    ycc = np.asarray(Image.fromarray(rgb).convert("YCbCr")).astype(np.float64)
    height, width = rgb.shape[:2]
    luma, chroma = ycc[..., 0], ycc[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean((1, 3))
    if not is_full:
        luma, chroma = 16 + luma * 219 / 255, 128 + (chroma - 128) * 224 / 255
    planes = (luma, chroma[..., 0], chroma[..., 1])
    y, u, v = (np.ascontiguousarray(np.rint(plane).clip(0, 255).astype(np.uint8)) for plane in planes)
    return y, u, v


def to_bitmap(library: Any, frame: tuple[Samples, Samples, Samples]) -> Samples:
    """Convert a frame as CameraX does."""
    height, width = frame[0].shape
    into = np.empty((height, width, 4), np.uint8)
    arguments: list[Any] = []
    for plane in frame:
        arguments += [plane.ctypes.data_as(ctypes.c_void_p), plane.shape[1]]
    arguments += [1, into.ctypes.data_as(ctypes.c_void_p), 4 * width, width, height]
    if library.Android420ToABGR(*arguments):
        raise SystemExit("libyuv refused the frame")
    return into[..., :3].copy()


def read_pictures(folder: Path, count: int) -> Iterator[Samples]:
    """Yield so many pictures from all over a folder, cut to even sides."""
    there = sorted(folder.rglob("*.jpg"))
    for index in range(count):
        rgb = np.asarray(Image.open(there[index * len(there) // count]).convert("RGB"))
        yield np.ascontiguousarray(rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2])


def reread_jpeg(rgb: Samples) -> Samples:
    """Return the pixels after the best JPEG with the chroma of a frame."""
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "jpeg", quality=100, subsampling="4:2:0")
    return np.asarray(Image.open(data).convert("RGB"))


def main() -> None:
    folder, export = Path(sys.argv[1]), Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    library = ctypes.CDLL(LIBRARY)
    (variant,) = read_variants(export)

    def prepare(pixels: Samples) -> Samples:
        size = variant.contract.picture.width
        return np.asarray(resize_image(Image.fromarray(pixels), size, policy=variant.policy))

    seen: dict[str, list[Samples]] = {"JPEG": [], "full range": [], "limited range": []}
    levels: dict[str, list[float]] = {"full range": [], "limited range": []}
    for rgb in read_pictures(folder, count):
        jpeg = reread_jpeg(rgb)
        made = {"JPEG": jpeg}
        for name in levels:
            made[name] = to_bitmap(library, make_frame(rgb, is_full=name == "full range"))
            levels[name].append(float(np.abs(made[name].astype(int) - jpeg).mean()))
        for name, pixels in made.items():
            seen[name].append(prepare(pixels))
    labels = {}
    for name, squares in seen.items():
        (outputs,) = run_variants((variant,), np.stack(squares))
        labels[name] = np.array([int(output.probabilities.argmax()) for output in outputs])
    for name, apart in levels.items():
        others = int((labels[name] != labels["JPEG"]).sum())
        sys.stdout.write(
            f"frame of {name}: {np.mean(apart):.2f} levels apart from the JPEG (at most {np.max(apart):.2f} "
            f"in a picture), another label for {others} of {count}\n"
        )


if __name__ == "__main__":
    main()
