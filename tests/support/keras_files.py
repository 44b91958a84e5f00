"""Write Keras files without Keras: small valid ones, and what a hostile author would write."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SIDE, LABELS, FILTERS = 32, ("blue", "green", "red"), 4
Layer = dict[str, Any]
Hdf5 = Any


def layer(kind: str, name: str = "", **options: Any) -> Layer:
    """Return the configuration of a layer."""
    return {"class_name": kind, "config": {"name": name or kind.lower(), **options}}


def input_layer(side: int = SIDE, channels: int = 3) -> Layer:
    return layer("InputLayer", "picture", batch_input_shape=[None, side, side, channels])


def small_layers() -> list[Layer]:
    """Return a classifier of one convolution, which takes bytes and returns softmax probabilities."""
    return [
        input_layer(),
        layer("Rescaling", "scale", scale=1 / 127.5, offset=-1.0),
        layer("Conv2D", "conv", filters=FILTERS, kernel_size=[3, 3], strides=[2, 2], activation="relu"),
        layer("GlobalAveragePooling2D", "pool"),
        layer("Dense", "answer", units=len(LABELS), activation="softmax"),
    ]


def sequential(layers: Sequence[Layer]) -> Layer:
    return {"class_name": "Sequential", "config": {"name": "model", "layers": list(layers)}}


def functional(layers: Sequence[Layer], *, last: str) -> Layer:
    """Return a model of layers that have inbound_nodes."""
    config = {
        "name": "model",
        "layers": [{"name": one["config"]["name"], "inbound_nodes": [], **one} for one in layers],
        "input_layers": [["picture", 0, 0]],
        "output_layers": [[last, 0, 0]],
    }
    return {"class_name": "Functional", "config": config}


def after(names: Sequence[str], one: Layer) -> Layer:
    """Return the layer, called on the outputs of others."""
    return {**one, "name": one["config"]["name"], "inbound_nodes": [[[name, 0, 0, {}] for name in names]]}


def small_weights(seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return the variables of `small_layers`."""
    rng = np.random.default_rng(seed)
    return {
        "conv": {"kernel:0": rng.normal(0, 0.3, (3, 3, 3, FILTERS)), "bias:0": rng.normal(0, 0.1, FILTERS)},
        "answer": {
            "kernel:0": rng.normal(0, 1, (FILTERS, len(LABELS))),
            "bias:0": rng.normal(0, 0.1, len(LABELS)),
        },
    }


def write_h5(
    path: Path,
    config: Any,
    weights: Mapping[str, Mapping[str, Any]],
    *,
    change: Callable[[Hdf5], None] = lambda _: None,
) -> Path:
    """Write an .h5 file as Keras 2 does; `change` may spoil it."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        file.attrs["keras_version"] = "2.15.0"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            own = group.create_group(name)
            own.attrs["weight_names"] = [f"{name}/{variable}".encode() for variable in arrays]
            for variable, values in arrays.items():
                own.create_dataset(f"{name}/{variable}", data=np.asarray(values, np.float32))
        change(file)
    return path


def write_archive(
    path: Path,
    config: Any,
    weights: Mapping[str, Mapping[str, Any]],
    *,
    members: Mapping[str, bytes] | None = None,
    change: Callable[[Hdf5], None] = lambda _: None,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Write a .keras file; its layers are stored under the names of `weights`."""
    store = io.BytesIO()
    import h5py

    with h5py.File(store, "w") as file:
        for name, arrays in weights.items():
            for number, values in enumerate(arrays.values()):
                data = np.asarray(values, np.float32)
                file.create_dataset(f"layers/{name}/vars/{number}", data=data)
        change(file)
    files = {
        "metadata.json": json.dumps({"keras_version": "3.5.0"}).encode(),
        "config.json": (config if isinstance(config, str) else json.dumps(config)).encode(),
        "model.weights.h5": store.getvalue(),
        **(members or {}),
    }
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def stored(weights: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the variables of the small model under the names of a .keras file."""
    return {"conv2d": weights["conv"], "dense": weights["answer"]}
