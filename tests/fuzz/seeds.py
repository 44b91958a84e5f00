"""Write the valid inputs of the corpus, all of them generated and small: `python -m tests.fuzz.seeds`.

What is committed is the result; run this again only to add an input, or after a format has changed.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.corpus import CORPUS
from tests.fuzz.readers import made_source

RUN_WEIGHTS = b"weights"  # what the reader of training.json puts beside it


def main() -> None:
    """Write every seed; what once failed stays."""
    makers = {
        "pictures": _pictures,
        "models": _models,
        "records": _records,
        "settings": _settings,
        "tables": _tables,
        "bundles": _bundles,
        "apps": _apps,
        "weights": _weights,
        "pickles": _pickles,
        "replies": _replies,
    }
    for class_name, make in makers.items():
        folder = CORPUS / class_name
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_file():
                path.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in make():
            (folder / name).write_bytes(data)


Seeds = Iterator[tuple[str, bytes]]


def _pictures() -> Seeds:
    from PIL import Image

    from tests.support.hostile_pictures import encoded, interlaced_png, scene, with_jpeg_segment

    pixels = scene(24, 16)
    for form in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"):
        yield f"plain.{form.lower()}", encoded(pixels, form)
    for form in ("JPEG", "PNG", "WEBP", "TIFF"):
        yield f"turned.{form.lower()}", encoded(pixels, form, orientation=6)
    yield "palette.png", encoded(pixels, "PNG", mode="P")
    yield "alpha.png", encoded(pixels, "PNG", mode="RGBA")
    yield "deep.png", encoded(pixels[..., 0].astype(np.uint16) * 257, "PNG")
    yield "interlaced.png", interlaced_png(207)
    yield "cmyk.jpeg", encoded(pixels, "JPEG", mode="CMYK")
    yield "grey.jpeg", with_jpeg_segment(encoded(pixels, "JPEG", mode="L"), 0xE2, b"ICC_PROFILE\0\1\1x")
    options: dict[str, dict[str, Any]] = {
        "progressive.jpeg": {"format": "JPEG", "progressive": True},
        "lossless.webp": {"format": "WEBP", "lossless": True},
        "lzw.tiff": {"format": "TIFF", "compression": "tiff_lzw"},
        "deflate.tiff": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
        "interlaced.gif": {"format": "GIF", "interlace": 1},
    }
    for name, chosen in options.items():
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, **chosen)
        yield name, buffer.getvalue()
    import pillow_heif

    heif = pillow_heif.from_pillow(Image.fromarray(pixels))
    buffer = io.BytesIO()
    heif.save(buffer, quality=50)
    yield "plain.heic", buffer.getvalue()


def _models() -> Seeds:
    from tests.support.runnable_models import LABELS, float_model, integer_model
    from tests.support.small_export import described

    yield "float.tflite", float_model()
    yield "integer.tflite", integer_model()
    yield "described.tflite", described(integer_model(), labels=LABELS)


def _records() -> Seeds:
    from benchmarks.report.build_record import build_record
    from benchmarks.report.record_file import record_text
    from dermpack.contract import format_contract
    from dermpack.dataset.manifest import DATASET_FILE, write_dataset
    from dermpack.storage.files import format_json
    from tests.support import measured_examples as examples
    from tests.support.contracts import contract_for
    from tests.support.training_dataset import dataset

    host = examples.measured(
        timed=(examples.timed(), examples.timed(model="int8", around_ms=5)),
        answered=(examples.saying(examples.TRUTH), examples.saying(examples.TRUTH, model="int8")),
        profiled=(examples.profiled(),),
    )
    arm = examples.measured("qemu:cortex-a72", counted=(examples.counted(),), refused=(examples.refused(),))
    yield "model.json", format_contract(contract_for()).encode()
    yield "sidecar.json", b'{"labels": ["a", "b", "c"]}'
    yield "benchmark.json", record_text(build_record([host, arm], examples.a_plan())).encode()
    yield "training.json", format_json(_run_record()).encode()
    yield "evaluation.json", format_json(_evaluation_record()).encode()
    steps = {"import": {"key": ["data", "import"], "is_finished": True, "seconds": 1.5, "printed": "x"}}
    yield "build.json", format_json({"schema": 2, "dermpack": "0.2.0", "steps": steps}).encode()
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(dataset(Path(folder), ["a", "b"] * 4, {"site": ["arm", "leg"] * 4}), Path(folder))
        yield DATASET_FILE, (Path(folder) / DATASET_FILE).read_bytes()


def _run_record() -> Mapping[str, Any]:
    from dermpack.imaging.preprocessing import Policy
    from dermpack.storage.codec import encode
    from dermpack.storage.files import sha256_of
    from tests.support.contracts import LABELS, contract_for
    from trainer.fitting.events import Epoch
    from trainer.recipe.network_spec import Arch, NetworkSpec
    from trainer.recipe.recipe import Recipe, recipe_to_options
    from trainer.runs.run_folder import SCHEMA, Phase, Run

    contract = contract_for()
    assert contract.probabilities.temperature is not None and contract.abstention is not None
    history = (Epoch(number=1, loss=0.9, rate=1e-3, validation={"accuracy": 0.5}),)
    run = Run(
        spec=NetworkSpec(arch=Arch.SCRATCH_CNN, size=32, classes=3, filters=(4, 8)),
        policy=Policy.CENTRE_SQUARE,
        classes=LABELS,
        recipe=recipe_to_options(Recipe()),
        dataset={"manifest_sha256": "0" * 64, "path": "../dataset"},
        licence="CC0",
        counts=dict.fromkeys(LABELS, 9),
        class_weights=dict.fromkeys(LABELS, 1.0),
        phases=(Phase(name="everything", plan={}, history=history, best_epoch=1, stop="all epochs"),),
        validation={"n": 9, "accuracy": 0.5},
        temperature=contract.probabilities.temperature,
        thresholds=contract.thresholds,
        abstention=contract.abstention,
        versions={"tensorflow": "2.21.0"},
        weights_sha256=sha256_of(RUN_WEIGHTS),
    )
    record = encode(run)
    del record["folder"]
    record["network"] = record.pop("spec")
    return {**record, "schema": SCHEMA}


def _evaluation_record() -> Mapping[str, Any]:
    """Return what model cards take from an evaluation."""
    from dermpack.evaluation.evaluate import SCHEMA
    from dermpack.metrics.definitions import OVERALL
    from tests.support.contracts import contract_for

    names = (
        "accuracy",
        "balanced_accuracy",
        "sensitivity",
        "specificity",
        "recall",
        "precision",
        "f1",
        "auroc",
    )
    figures: dict[str, Any] = {}
    for name in (*OVERALL, *names):
        figures |= {name: 0.75, f"{name}_ci95": [0.5, 1.0]}
    row = {"n": 12, "groups": 9, **figures}
    answered = {"coverage": 0.8, "coverage_ci95": None, "accuracy": 0.9, "accuracy_ci95": [0.8, 1.0]}
    return {
        "schema": SCHEMA,
        "model": {"sha256": contract_for().sha256},
        "split": "test",
        "bootstrap": {"resamples": 1000, "seed": 0},
        "dataset": {"source": "demo", "format": "folders", "license": "CC0", "manifest_sha256": "0" * 64},
        "per_class": {"nv": row, "mel": row},
        "slices": [{"column": "site", "value": "arm", **row}, {"column": "site", "value": "leg", **row}],
        "answered": answered,
        "notes": ["few pictures"],
        **row,
    }


def _settings() -> Seeds:
    yield (
        "recipe.toml",
        b'arch = "scratch_cnn"\nsize = 28\nfilters = [4, 8]\nepochs = 6\nrate = 0.005\n'
        + (b'balance = "weights"\nsensitivity = ["a=0.9"]\naugment = { brightness = 0.1 }\n'),
    )
    yield (
        "space.toml",
        b"rate = { low = 1e-4, high = 1e-2, log = true }\nsize = [96, 128]\n"
        + (b"batch = { low = 8, high = 64, step = 8 }\n"),
    )
    yield (
        "study.toml",
        b'base = "plain"\n[common]\nepochs = 2\n[recipes.plain]\n[recipes.large]\nsize = 128\n',
    )
    yield "build.toml", b'[train]\nepochs = 2\narch = "scratch_cnn"\n[convert]\nint8 = true\n[package]\n'


def _tables() -> Seeds:
    from dermpack.dataset.manifest import MANIFEST_FILE, write_dataset
    from tests.support.training_dataset import dataset

    tables = ("pictures.csv", "HAM10000_metadata.csv", "hmnist_28_28_L.csv", "scin_cases.csv")
    for name in (*tables, "scin_labels.csv", "metadata.csv"):
        (path,) = made_source(name).rglob(name)
        yield name, path.read_bytes()
    yield "map.csv", b"class,pattern,label\nno,*,healthy\nyes,1.png,ill\n*,*,other\n"
    yield "labels.txt", "akiec\nnävus\nmel\n".encode()
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(dataset(Path(folder), ["a", "b"] * 4, {"site": ["arm", "leg"] * 4}), Path(folder))
        yield MANIFEST_FILE, (Path(folder) / MANIFEST_FILE).read_bytes()


def _bundles() -> Seeds:
    from dermpack.bundle.build_bundle import BundleRequest, build_bundle
    from dermpack.bundle.bundle_record import BundleFormat
    from dermpack.bundle.variants import read_variants
    from tests.support.bundle_exports import write_export

    with tempfile.TemporaryDirectory() as folder:
        write_export(Path(folder) / "int8")
        variants = read_variants(Path(folder) / "int8")
        request = BundleRequest(format=BundleFormat.ASSETS, name="Skin", version="1.0")
        yield "assets.bundle", build_bundle(variants, request).data


def _apps() -> Seeds:
    from tests.support.android_apps import usual_files, write_app

    with tempfile.TemporaryDirectory() as folder:
        for name in ("app.apk", "module.aar"):
            yield name, write_app(Path(folder) / name, usual_files(), aligned=False).read_bytes()


def _weights() -> Seeds:
    import h5py

    from trainer.data.array_file import write_arrays

    with tempfile.TemporaryDirectory() as folder:
        for name, chosen in (("plain.h5", {}), ("packed.h5", {"chunks": True, "compression": "gzip"})):
            with h5py.File(Path(folder) / name, "w") as file:
                file.attrs["layer_names"] = [b"conv", b"dense", b"none"]
                for layer in ("conv", "dense"):
                    group = file.create_group(layer)
                    group.attrs["weight_names"] = [f"{layer}/kernel:0".encode(), f"{layer}/bias:0".encode()]
                    group.create_dataset(f"{layer}/kernel:0", data=np.ones((3, 4), np.float32), **chosen)
                    group.create_dataset(f"{layer}/bias:0", data=np.zeros(4, np.float32))
                file.create_group("none").attrs["weight_names"] = np.zeros(0, "S1")
            yield name, (Path(folder) / name).read_bytes()
        path = Path(folder) / "weights.npz"
        write_arrays(path, {"conv/kernel": np.ones((3, 4), np.float32), "step": np.array(7, np.int64)})
        yield "weights.npz", path.read_bytes()
        record = json.dumps({"identity": "x", "history": [], "best_epoch": 0, "stop": "all epochs"}).encode()
        arrays: dict[str, Any] = {
            "record": np.frombuffer(record, np.uint8),
            "now/a": np.ones(3),
            "best/a": np.ones(3),
        }
        write_arrays(path, arrays)
        yield "checkpoint.npz", path.read_bytes()


def _pickles() -> Seeds:
    from tests.support.picture_sources import CIFAR, cifar_pixels, published_pickle

    yield "data_batch_1.pickle", published_pickle(cifar_pixels(0, 2), [1, 0])
    yield "batches.meta.pickle", pickle.dumps({"label_names": list(CIFAR)}, protocol=2)


def _replies() -> Seeds:
    from tests.support.adb_stand_in import PROGRAMS

    outputs = base64.b64encode(np.tile(np.array([200, 28, 28], np.uint8), 10).tobytes()).decode()
    model = {
        **{"model": "float32", "load_ms": 1.0, "first_ms": 2.0, "warm_up_rounds": 3, "turns": 2},
        **{"rounds_ms": [1.0, 2.0, 1.5, 2.5], "delegated": "all"},
    }
    answered = {"dtype": "uint8", "shape": [10, 3], "scale": 1 / 256, "zero_point": 0, "outputs": outputs}
    operators = {"operators": [{"name": "ADD", "count": 2, "share": 1.0, "is_delegated": True}]}
    machine = {"environment": {"machine": "aarch64", "cores": "4", "/proc/cpuinfo": "x"}, "runtimes": {}}
    machine["runtimes"] = {"ai-edge-litert": "2.3.0"}
    after = {"environment_after": {"/proc/loadavg": "0.1 0.2"}, "peak_bytes": 4096}
    for name, parts in (
        ("time", model),
        ("answer", answered),
        ("profile", operators),
        ("refused", {"refused": "x"}),
    ):
        entry = {**parts, "model": "float32"}
        yield f"{name}.json", json.dumps({"models": [entry], **machine, **after}).encode()
    for name in ("new", "old", "profile", "refused"):
        yield f"tool-{name}.txt", (PROGRAMS / f"{name}.txt").read_bytes()
    yield "counts.txt", b"begin 1 10 100 1000\nend 4 12 101 1000\nbegin 4 12 110 1000\nend 4 12 110 1001\n"


if __name__ == "__main__":
    main()
