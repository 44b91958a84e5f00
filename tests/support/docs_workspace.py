"""Make a smaller version of the folder of `make demo`, and stand-ins for the machines in docs/."""

from __future__ import annotations

import csv
import os
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from converter.quantize.litert_quantizing import open_float_file
from dermpack.cli import main
from tests.conftest import OPTIONS
from tests.support.adb_stand_in import StandIn
from tests.support.foreign_files import LABELS, foreign_file, levelled_pictures, write_levelled
from tests.support.keras_files import sequential, small_layers, small_weights, stored, write_archive

SSH = """\
#!/bin/sh
# Behave like ssh to a Raspberry Pi whose home is {home}: skip options and address, run the rest there.
while [ "$1" != "--" ]; do shift; done
shift 2
cd {home} && HOME={home} TMPDIR={home} exec /bin/sh -c "$*"
"""
CLASSES_CSV = "class,pattern,label\neczema,,inflamed\npsoriasis,,inflamed\n*,demo_0001*,\n*,,other\n"


def make_demo(folder: Path) -> None:
    """Write pictures, dataset, run, exports and export, the names that the pages use."""
    pictures, dataset, run = (str(folder / name) for name in ("pictures", "dataset", "run"))
    assert main(["data", "demo", "-o", pictures, "--pictures", "120", "--size", "48", "-q"]) == 0
    assert main(["data", "import", pictures, "-o", dataset, "-q"]) == 0
    assert main(["train", dataset, "-o", run, *OPTIONS, "--epochs", "2"]) == 0
    recipes = (
        "--float32",
        "--float16",
        "--int8",
        "--method",
        "ptq",
        "--max-drop",
        "100",
        "--calibration",
        "20",
    )
    assert main(["convert", run, "-o", str(folder / "exports"), *recipes, "-q"]) == 0
    shutil.copytree(folder / "exports" / "int8", folder / "export")
    write_notebook_model(folder / "notebook.keras")


def write_notebook_model(path: Path) -> None:
    """Write a Keras file of two labels, as on the page about other people's models."""
    layers, weights = small_layers(), small_weights()
    layers[-1]["config"]["units"] = 2
    weights["answer"] = {name: values[..., :2] for name, values in weights["answer"].items()}
    # Keras 3 finds a class by its module, and has another name than Keras 2 for the shape of the input.
    options = layers[0]["config"]
    options["batch_shape"] = options.pop("batch_input_shape")
    modern = [{"module": "keras.layers", "registered_name": None, **layer} for layer in layers]
    config = {"module": "keras", "registered_name": None, **sequential(modern)}
    write_archive(path, config, stored(weights))


def make_own_pictures(folder: Path) -> None:
    """Write the pictures of a reader: class folders, and a table that names patients."""
    seven = folder / "seven"
    arguments = ["--classes", "7", "--pictures", "84", "--size", "48", "-q"]
    assert main(["data", "demo", "-o", str(seven), *arguments]) == 0
    with (seven / "pictures.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if "broken" not in row["picture"]]
    (folder / "my-table" / "files").mkdir(parents=True)
    with (folder / "my-table" / "pictures.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("picture", "label", "patient", "age", "localization"))
        for row in rows:
            path = seven / row["picture"]
            (folder / "my-pictures" / row["label"]).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / "my-pictures" / row["label"] / path.name)
            shutil.copy(path, folder / "my-table" / "files" / path.name)
            table.writerow(
                (f"files/{path.name}", row["label"], row["group"], row["age"], row["localization"])
            )
    (folder / "my-pictures" / "notes.avif").write_bytes(b"\0\0\0\x18ftypavif" + bytes(64))
    (folder / "classes.csv").write_text(CLASSES_CSV, encoding="utf-8")
    shutil.rmtree(seven)


def make_foreign_models(folder: Path) -> None:
    """Write models of another program: a float and a quantized one, their labels, and pictures for them."""
    write_levelled(folder / "my-dataset")
    (folder / "my-labels.txt").write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
    data = foreign_file(mean=(0.0,) * 3, std=(255.0,) * 3)
    (folder / "my-model.tflite").write_bytes(data)
    pictures = np.asarray(levelled_pictures(24)[0] / 255, np.float32)
    with open_float_file(data, where=folder) as file:
        limits = file.measure(pictures)
        lows, highs = limits[:, 0].min(axis=0).tolist(), limits[:, 1].max(axis=0).tolist()
        ranges = dict(zip(file.tensors, zip(lows, highs, strict=True), strict=True))
        ranges[file.input] = (0.0, 1.0)
        quantized = file.quantize(
            "int8", io="uint8", input_limits=(0.0, 1.0), output_limits=(0.0, 1.0), ranges=ranges
        )
    (folder / "my-quantized.tflite").write_bytes(quantized)


def connect_phone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect a stand-in phone, and copy the tool to the path that the page uses."""
    stand_in_folder = folder / "phone"
    stand_in_folder.mkdir()
    stand_in = StandIn(stand_in_folder)
    stand_in.install(monkeypatch)
    stand_in.phone("R58M")
    shutil.copy(stand_in.tool, folder / "android_aarch64_benchmark_model")


def connect_pi(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in ssh on the PATH; it reaches this machine, with a Python in ~/bench."""
    home, path = folder / "pi", folder / "pi-path"
    _write_program(path / "ssh", SSH.format(home=home))
    _write_program(home / "bench/bin/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")


def _write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
