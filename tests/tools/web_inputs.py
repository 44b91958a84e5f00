"""Write what `make web` needs: two bundles, pictures, and the answers of dermpack predict to them.

    python -m tests.tools.web_inputs build/web

`skin` is the bundle of the small reference model, `tiny` that of a network with patient metadata, evidence
maps, distances and a label that is reported for every picture. Its training takes seconds, and its run is
kept for the next call.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dermpack.bundle.zip_archive import unpack_files
from dermpack.contract import OperatingPoint, format_contract, read_contract
from dermpack.storage.files import format_json, write_text
from dermpack.synthetic.scenes import render
from tests.support.joined_export import convert_joined, train_both

MODEL = Path("models/lesions7-small")
MEANINGS = {
    "akiec": "actinic keratosis, Bowen's disease",
    "bcc": "basal cell carcinoma",
    "bkl": "benign keratosis",
    "df": "dermatofibroma",
    "mel": "melanoma",
    "nv": "melanocytic nevus, a mole",
    "vasc": "vascular lesion",
}
# Generated scenes that the model accepts as pictures of its kind: for one its confidence is 86 %, for the
# other it is below the threshold, so that the model abstains.
SURE, UNSURE = 117, 143
TINY_PICTURES = 3
KNOWN: tuple[Mapping[str, str], ...] = ({}, {"age": "34"}, {"age": "71", "sex": "female"})


def main(folder: Path) -> None:
    """Write everything into the folder; only the trained network of an earlier call is kept."""
    pictures = folder / "pictures"
    tiny = folder / "tiny-export"
    if not (tiny / "model.json").is_file():
        training = folder / "training"
        shutil.rmtree(training, ignore_errors=True)
        _, run = train_both(training)
        convert_joined(run, tiny)
    call_first_label(tiny / "model.json")
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    skin_pictures, tiny_pictures = write_pictures(pictures, training=folder / "training")
    described = [f"--describe={label}={words}" for label, words in MEANINGS.items()]
    write_bundle(MODEL, folder / "skin", *described)
    write_bundle(tiny, folder / "tiny")
    expected = {
        "meanings": MEANINGS,
        "skin": predict(MODEL, skin_pictures),
        "tiny": [answer for known in KNOWN for answer in predict(tiny, tiny_pictures, known)],
    }
    write_text(folder / "expected.json", format_json(expected))


def call_first_label(path: Path) -> None:
    """Give the first label of a contract a threshold that every picture reaches."""
    contract = read_contract(path)
    shares = {"threshold": 0.0, "wanted_sensitivity": 1.0, "sensitivity": 1.0, "specificity": 0.0}
    point = OperatingPoint(label=contract.labels[0], **shares, positives=1, n=2)
    write_text(path, format_contract(replace(contract, thresholds=(point,))))


def write_pictures(folder: Path, *, training: Path) -> tuple[list[Path], list[Path]]:
    """Write a file of each kind, and return those for either model."""
    sure = Image.fromarray(render(SURE, classes=7, size=600))
    sure.save(folder / "sure.jpg", quality=95)
    sure.save(folder / "sure.png")
    sure.save(folder / "sure.webp", quality=90)
    Image.fromarray(render(UNSURE, classes=7, size=600)).save(folder / "unsure.jpg", quality=95)
    # Large enough that JPEG decoders reduce it.
    large = render(SURE, classes=7, size=600).repeat(4, axis=0).repeat(4, axis=1)
    Image.fromarray(large[:1800]).save(folder / "large.jpg", quality=90)
    skin = [folder / name for name in ("sure.jpg", "sure.png", "sure.webp", "unsure.jpg", "large.jpg")]
    for number, path in enumerate(sorted((training / "dataset").rglob("*.png"))[:TINY_PICTURES]):
        shutil.copyfile(path, folder / f"tiny-{number}.png")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "unlike.png")
    Image.new("RGB", (64, 64)).save(folder / "dark.png")
    tiny = [*sorted(folder.glob("tiny-*.png")), folder / "unlike.png", folder / "dark.png"]
    return skin, tiny


def write_bundle(export: Path, folder: Path, *options: str) -> None:
    """Package an export for the web, verify the bundle and unpack it."""
    bundle = folder.with_suffix(".zip")
    packaged = ("--name", folder.name, "--format", "web", "--overwrite")
    dermpack("package", str(export), "-o", str(bundle), *packaged, *options)
    dermpack("verify", str(bundle), "--pictures", "2")
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in unpack_files(bundle.read_bytes(), where=str(bundle)).items():
        path = folder / name.partition("/")[2]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def predict(export: Path, pictures: list[Path], known: Mapping[str, str] = {}) -> list[dict[str, Any]]:
    """Return the answers that `dermpack predict --json` prints, with the metadata that it was given."""
    fields = [word for name, value in known.items() for word in ("--with", f"{name}={value}")]
    answered = dermpack("predict", str(export), *map(str, pictures), "--json", "--top", "100", *fields)
    answers = json.loads(answered)["pictures"]
    return [{**answer, "picture": Path(answer["picture"]).name, "with": dict(known)} for answer in answers]


def dermpack(*arguments: str) -> str:
    """Run a command as its user would, and return what it prints."""
    command = [sys.executable, "-m", "dermpack", *arguments, "--quiet"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))
