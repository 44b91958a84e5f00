"""Generate the pictures that the tests of `make android-screens` use, and the sheet of its screens."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from dermpack.imaging.decoding import ORIENTATION_TAG
from dermpack.synthetic.scenes import render

EXPORT = Path("models/lesions7-small")
# Scenes that this model takes for its kind of picture: one it answers with 86 %, the other less surely than
# it may answer.
SURE, UNSURE, SIDE = 117, 143, 600
SMALL_SIDE = 64
ROWS = (("start-phone", "sure-phone", "unsure-phone"), ("sure-dark", "check-dark", "card-phone"))
SHEET_HEIGHT, GAP, SHADES = 560, 16, 256


def bundle(into: str, export: str = str(EXPORT)) -> None:
    """Package an export, or the shipped small model, as the module `skin`."""
    command = [sys.executable, "-m", "dermpack", "package", export, "-o", into, "--name", "skin"]
    subprocess.run([*command, "--overwrite", "--quiet"], check=True, stdout=subprocess.DEVNULL)


def pictures(into: str) -> None:
    """Write pictures for the screens, and one in each format with the pixels that Pillow reads."""
    folder = Path(into)
    (folder / "formats").mkdir(parents=True)
    for name, number, side in (("sure", SURE, SIDE), ("unsure", UNSURE, SIDE), ("small", SURE, SMALL_SIDE)):
        scene = Image.fromarray(render(number, classes=7, size=side))
        scene.save(folder / f"{name}.jpg", quality=95)
    scene = Image.fromarray(render(SURE, classes=7, size=240)).crop((0, 0, 240, 161))
    for name, image, options in _formats(scene):
        data = io.BytesIO()
        image.save(data, name.rpartition(".")[2].replace("jpg", "jpeg"), **options)
        (folder / "formats" / name).write_bytes(data.getvalue())
        # As it is stored: neither decoder turns a picture by its EXIF.
        stored = Image.open(io.BytesIO(data.getvalue()))
        if stored.mode.startswith("I"):
            stored = Image.fromarray((np.asarray(stored) >> 8).astype(np.uint8))
        pixels = np.asarray(stored.convert("RGBA"))
        head = struct.pack("<ii", stored.width, stored.height)
        (folder / "formats" / f"{name}.rgba").write_bytes(head + pixels.tobytes())


def _formats(scene: Image.Image) -> list[tuple[str, Image.Image, dict[str, object]]]:
    grey, alpha = scene.convert("L"), scene.convert("RGBA")
    alpha.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 240).astype(np.uint8), (161, 1))))
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    turned: list[tuple[str, Image.Image, dict[str, object]]] = []
    for number in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = number
        turned += [(f"turned-{number}.{suffix}", scene, {"exif": exif}) for suffix in ("jpg", "png", "webp")]
    return [
        ("444.jpg", scene, {"quality": 95, "subsampling": 0}),
        ("422.jpg", scene, {"quality": 85, "subsampling": 1}),
        ("420.jpg", scene, {"quality": 90, "subsampling": 2}),
        ("progressive.jpg", scene, {"quality": 90, "progressive": True}),
        ("grey.jpg", grey, {"quality": 90}),
        ("cmyk.jpg", scene.convert("CMYK"), {"quality": 90}),
        ("profile.jpg", scene, {"quality": 90, "icc_profile": profile}),
        ("plain.png", scene, {}),
        ("palette.png", scene.quantize(64), {}),
        ("alpha.png", alpha, {}),
        ("deep.png", deep, {}),
        ("lossy.webp", scene, {"quality": 85}),
        ("lossless.webp", scene, {"lossless": True}),
        *turned,
    ]


def sheet(screens: str, into: str) -> None:
    """Draw six of the screens in two rows, small enough for a page."""
    rows = []
    for names in ROWS:
        images = [Image.open(Path(screens) / f"{name}.png").convert("RGB") for name in names]
        rows.append(
            [image.resize((image.width * SHEET_HEIGHT // image.height, SHEET_HEIGHT)) for image in images]
        )
    width = max(sum(image.width + GAP for image in row) for row in rows) + GAP
    whole = Image.new("RGB", (width, (SHEET_HEIGHT + GAP) * len(rows) + GAP), "#8a8f98")
    for y, row in enumerate(rows):
        x = GAP
        for image in row:
            whole.paste(image, (x, GAP + y * (SHEET_HEIGHT + GAP)))
            x += image.width + GAP
    whole.quantize(SHADES).save(into, optimize=True)


COMMANDS: dict[str, Callable[..., None]] = {
    function.__name__: function for function in (bundle, pictures, sheet)
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
