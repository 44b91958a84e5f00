"""Hostile model files end in an error with a code, and nothing in them runs."""

from __future__ import annotations

import base64
import json
import marshal
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.errors import raises_code
from tests.support.keras_files import (
    LABELS,
    after,
    functional,
    input_layer,
    layer,
    sequential,
    small_layers,
    small_weights,
    stored,
    write_archive,
    write_h5,
)

pytestmark = pytest.mark.tensorflow

Writer = Callable[[Path, Path], Path]  # a folder, and the file that hostile code would create → the model
WRITERS: dict[str, tuple[str, Writer]] = {}


class _Touch:
    """A pickle of it creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._path}",)


def hostile(code: str) -> Callable[[Writer], Writer]:
    """Add a file that must end in an error with this code."""

    def add(writer: Writer) -> Writer:
        WRITERS[writer.__name__] = code, writer
        return writer

    return add


def with_layer(one: dict[str, Any]) -> dict[str, Any]:
    """Return the small model with a layer in its middle."""
    layers = small_layers()
    return sequential([*layers[:3], one, *layers[3:]])


def lambda_layer(canary: Path) -> dict[str, Any]:
    code = marshal.dumps(compile(f"open({str(canary)!r}, 'w')", "<lambda>", "exec"))
    function = [base64.b64encode(code).decode(), None, None]
    return layer("Lambda", "harmless", function=function, function_type="lambda")


@hostile("unsupported-layer")
def lambda_in_h5(folder: Path, canary: Path) -> Path:
    return write_h5(folder / "m.h5", with_layer(lambda_layer(canary)), small_weights())


@hostile("unsupported-layer")
def lambda_in_archive(folder: Path, canary: Path) -> Path:
    function = {"class_name": "__lambda__", "config": {"code": lambda_layer(canary)["config"]["function"][0]}}
    config = with_layer({**layer("Lambda", "l", function=function), "module": "keras.layers"})
    return write_archive(folder / "m.keras", config, stored(small_weights()))


@hostile("unsupported-layer")
def lambda_in_a_model_in_a_model(folder: Path, canary: Path) -> Path:
    inner = sequential([sequential([lambda_layer(canary)])])
    return write_h5(folder / "m.h5", with_layer(inner), small_weights())


@hostile("unsupported-layer")
def custom_class(folder: Path, canary: Path) -> Path:
    one = {**layer("Evil", path=str(canary)), "registered_name": "Custom>Evil"}
    return write_h5(folder / "m.h5", with_layer(one), small_weights())


@hostile("unsupported-layer")
def custom_class_with_a_known_name(folder: Path, canary: Path) -> Path:
    one = {**layer("ReLU", path=str(canary)), "module": "evil.layers"}
    return write_archive(folder / "m.keras", with_layer(one), stored(small_weights()))


@hostile("unsupported-layer")
def custom_class_registered_under_a_known_name(folder: Path, canary: Path) -> Path:
    one = {**layer("ReLU", path=str(canary)), "module": "keras.layers", "registered_name": "evil>ReLU"}
    return write_archive(folder / "m.keras", with_layer(one), stored(small_weights()))


@hostile("unsupported-layer")
def activation_that_is_a_command(folder: Path, canary: Path) -> Path:
    function = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    config = with_layer(layer("Activation", "run", activation=function, arguments=f"touch {canary}"))
    return write_archive(folder / "m.keras", config, stored(small_weights()))


@hostile("unsupported-layer")
def operation_that_reads_files(folder: Path, _: Path) -> Path:
    one = layer("TFOpLambda", "read", function="io.read_file")
    return write_h5(folder / "m.h5", with_layer(one), small_weights())


@hostile("unsupported-network")
def subclassed_model(folder: Path, canary: Path) -> Path:
    config = {"class_name": "ReLU", "config": {"path": str(canary)}, "module": "keras.layers"}
    return write_archive(folder / "m.keras", config, stored(small_weights()))


@hostile("invalid-model-file")
def pickle_in_the_archive(folder: Path, canary: Path) -> Path:
    members = {"custom_objects.pkl": pickle.dumps(_Touch(canary))}
    config = sequential(small_layers())
    return write_archive(folder / "m.keras", config, stored(small_weights()), members=members)


@hostile("invalid-model-file")
def pickled_weights(folder: Path, canary: Path) -> Path:
    def change(file: Any) -> None:
        group = file["model_weights/conv/conv"]
        del group["bias:0"]
        group["bias:0"] = np.void(pickle.dumps(_Touch(canary)))

    return write_h5(folder / "m.h5", sequential(small_layers()), small_weights(), change=change)


@hostile("invalid-model-file")
def pickled_configuration(folder: Path, canary: Path) -> Path:
    def change(file: Any) -> None:
        file.attrs["model_config"] = np.void(pickle.dumps(_Touch(canary)))

    return write_h5(folder / "m.h5", sequential(small_layers()), small_weights(), change=change)


@hostile("file-too-large")
def hdf5_bomb(folder: Path, _: Path) -> Path:
    def change(file: Any) -> None:
        group = file["model_weights/conv/conv"]
        del group["kernel:0"]
        group.create_dataset("kernel:0", (1 << 20, 1 << 16), np.float32, chunks=(64, 64), compression="gzip")

    return write_h5(folder / "m.h5", sequential(small_layers()), small_weights(), change=change)


@hostile("hostile-file")
def external_link(folder: Path, _: Path) -> Path:
    import h5py

    with h5py.File(folder / "secret.h5", "w") as file:
        file["bias:0"] = np.zeros(4, np.float32)

    def change(file: Any) -> None:
        group = file["model_weights/conv/conv"]
        del group["bias:0"]
        group["bias:0"] = h5py.ExternalLink("secret.h5", "/bias:0")

    return write_h5(folder / "m.h5", sequential(small_layers()), small_weights(), change=change)


@hostile("hostile-file")
def soft_link_in_the_archive(folder: Path, _: Path) -> Path:
    import h5py

    def change(file: Any) -> None:
        file["layers/link"] = h5py.SoftLink("/layers/conv2d")

    config = sequential(small_layers())
    return write_archive(folder / "m.keras", config, stored(small_weights()), change=change)


@hostile("hostile-file")
def external_storage(folder: Path, _: Path) -> Path:
    (folder / "secret").write_bytes(b"\0" * 16)

    def change(file: Any) -> None:
        group = file["model_weights/conv/conv"]
        del group["bias:0"]
        group.create_dataset("bias:0", (4,), np.float32, external=[(str(folder / "secret"), 0, 16)])

    return write_h5(folder / "m.h5", sequential(small_layers()), small_weights(), change=change)


@hostile("hostile-file")
def groups_in_a_cycle(folder: Path, _: Path) -> Path:
    def change(file: Any) -> None:
        file["layers/again"] = file["layers"]

    config = sequential(small_layers())
    return write_archive(folder / "m.keras", config, stored(small_weights()), change=change)


@hostile("hostile-file")
def zip_traversal(folder: Path, canary: Path) -> Path:
    members = {f"../{canary.name}": b"written outside of the folder"}
    config = sequential(small_layers())
    return write_archive(folder / "m.keras", config, stored(small_weights()), members=members)


@hostile("file-too-large")
def zip_bomb(folder: Path, _: Path) -> Path:
    config = json.dumps(sequential(small_layers())) + " " * (9 << 20)
    weights = stored(small_weights())
    return write_archive(folder / "m.keras", config, weights, compression=zipfile.ZIP_DEFLATED)


@hostile("invalid-model-file")
def member_twice(folder: Path, _: Path) -> Path:
    path = write_archive(folder / "m.keras", sequential(small_layers()), stored(small_weights()))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", "{}")
    return path


@hostile("network-too-large")
def huge_configuration(folder: Path, _: Path) -> Path:
    layers = small_layers()
    many = [layer("ReLU", f"relu_{number}") for number in range(4000)]
    return write_h5(folder / "m.h5", sequential([*layers[:3], *many, *layers[3:]]), small_weights())


@hostile("network-too-large")
def models_in_models(folder: Path, _: Path) -> Path:
    inner = layer("ReLU", "deep")
    for depth in range(40):
        inner = {**sequential([inner]), "config": {"name": f"level_{depth}", "layers": [inner]}}
    return write_h5(folder / "m.h5", with_layer(inner), small_weights())


@hostile("network-too-large")
def models_that_double(folder: Path, _: Path) -> Path:
    """Each level calls the level below twice: 2 ** 11 calls of a few bytes each."""
    inner: dict[str, Any] = sequential([layer("ReLU", "r"), layer("ReLU", "s")])
    for depth in range(11):
        inner["config"]["name"] = f"level_{depth}"
        calls = [[["picture", 0, 0, {}]], [[f"level_{depth}", 1, 0, {}]]]
        twice = {**inner, "name": f"level_{depth}", "inbound_nodes": calls}
        inner = functional([input_layer(), twice], last=f"level_{depth}")
        inner["config"]["output_layers"] = [[f"level_{depth}", 2, 0]]
    return write_h5(folder / "m.h5", with_layer(inner), small_weights())


@hostile("network-too-large")
def models_that_multiply_and_add_nothing(folder: Path, _: Path) -> Path:
    config = functional([input_layer(), after(["picture"], layer("GaussianNoise", "noise"))], last="noise")
    for depth in range(10):
        name = f"level_{depth}"
        calls: list[Any] = [[["picture", 0, 0, {}]], *([[name, number, 0, {}]] for number in range(1, 8))]
        config = functional([input_layer(), {**config, "name": name, "inbound_nodes": calls}], last="picture")
        config["config"]["output_layers"] = [[name, 8, 0]]
    return write_h5(folder / "m.h5", config, small_weights())


@hostile("invalid-model-file")
def size_that_is_a_text(folder: Path, _: Path) -> Path:
    layers = [{**input_layer(), "config": {"batch_input_shape": [None, None, None, 3], "name": "in"}}]
    layers += [layer("Resizing", "resize", height="96", width="96"), *small_layers()[1:]]
    return write_h5(folder / "m.h5", sequential(layers), small_weights())


@hostile("invalid-model-file")
def cyclic_graph(folder: Path, _: Path) -> Path:
    one, two = layer("ReLU", "one"), layer("ReLU", "two")
    config = functional([input_layer(), after(["two"], one), after(["one"], two)], last="two")
    return write_h5(folder / "m.h5", config, small_weights())


@hostile("invalid-model-file")
def deep_json(folder: Path, _: Path) -> Path:
    return write_h5(folder / "m.h5", "[" * 100_000 + "]" * 100_000, small_weights())


@hostile("unsupported-layer")
def more_units_than_memory(folder: Path, _: Path) -> Path:
    layers = small_layers()
    layers[-1]["config"]["units"] = 1 << 40
    return write_h5(folder / "m.h5", sequential(layers), small_weights())


@hostile("network-too-large")
def padding_beyond_memory(folder: Path, _: Path) -> Path:
    one = layer("ZeroPadding2D", "pad", padding=[[0, 60_000], [0, 60_000]])
    return write_h5(folder / "m.h5", with_layer(one), small_weights())


@hostile("invalid-model-file")
def weights_that_are_no_numbers(folder: Path, _: Path) -> Path:
    weights = small_weights()
    weights["conv"]["bias:0"] = np.full(4, np.nan)
    return write_h5(folder / "m.h5", sequential(small_layers()), weights)


@hostile("invalid-model-file")
def truncated_file(folder: Path, _: Path) -> Path:
    path = write_h5(folder / "m.h5", sequential(small_layers()), small_weights())
    path.write_bytes(path.read_bytes()[:3000])
    return path


@hostile("invalid-model-file")
def pipe_instead_of_a_file(folder: Path, _: Path) -> Path:
    os.mkfifo(folder / "m.keras")
    return folder / "m.keras"


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_hostile_file_ends_in_an_error_and_runs_nothing(name: str, tmp_path: Path) -> None:
    from converter.sources.keras.keras_source import load_keras
    from dermpack.inference.foreign_model import DeclaredInput

    code, write = WRITERS[name]
    folder, canary = tmp_path / "model", tmp_path / "canary"
    folder.mkdir()
    path = write(folder, canary)
    with raises_code(code):
        load_keras(path, labels=LABELS, declared=DeclaredInput(), size=None)
    assert not canary.exists()


def test_at_least_twenty_kinds_are_tried() -> None:
    assert len(WRITERS) >= 20


def test_the_pickle_of_these_tests_would_have_created_the_canary(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(_Touch(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()
