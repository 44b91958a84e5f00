"""A rebuilt network answers as the original did, whichever Keras wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.errors import raises_code
from tests.support.keras_files import (
    FILTERS,
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
from tests.support.keras_writers import ENDINGS, example_pictures

pytestmark = pytest.mark.tensorflow

MODELS = ("operators", "rescaling", "caffe", "torch", "teachable", "plain")
MAX_DIFFERENCE = 1e-5


def load(path: Path, *, labels: tuple[str, ...] = LABELS, size: int | None = None, **declared: Any) -> Any:
    from converter.sources.keras.keras_source import load_keras
    from dermpack.inference.foreign_model import DeclaredInput

    return load_keras(path, labels=labels, declared=DeclaredInput(**declared), size=size)


def answers_of(network: Any, pictures: Any) -> Any:
    """Return the probabilities for pictures, uint8 [n, side, side, 3]."""
    inputs = network.normalization.pixels.apply(pictures)
    return np.asarray(network.rebuilt.model(inputs, training=False), np.float64)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_a_rebuilt_network_answers_as_the_original(
    written: dict[str, Path], library: str, ending: str, name: str
) -> None:
    from converter.sources.keras.original import _probabilities
    from dermpack.inference.foreign_model import InputRange

    path = written[library] / f"{name}.{ending}"
    if not path.exists():
        assert (library, name, ending) == ("tf_keras", "caffe", "keras")
        return
    labels = ("no", "yes") if name == "plain" else LABELS
    declared: dict[str, Any] = {"range": InputRange.BYTES} if name == "teachable" else {}
    network = load(path, labels=labels, **declared)
    found = answers_of(network, example_pictures().astype(np.uint8))
    returned = np.array(json.loads((written[library] / "answers.json").read_text())[name])
    expected = _probabilities(returned, network.rebuilt.head)
    assert np.abs(found - expected).max() < MAX_DIFFERENCE
    # A uniform normalization leaves the network; one for each channel stays in it.
    has_map = any(one.name == "input_map" for one in network.rebuilt.model.layers)
    assert has_map == (name in ("caffe", "torch"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_written_by_hand_is_read(ending: str, tmp_path: Path) -> None:
    weights, config = small_weights(), sequential(small_layers())
    if ending == "h5":
        path = write_h5(tmp_path / "m.h5", config, weights)
    else:
        path = write_archive(tmp_path / "m.keras", config, stored(weights))
    network = load(path)
    assert network.normalization.pixels.mean == network.normalization.pixels.std == (127.5,) * 3
    answers = answers_of(network, np.full((1, 32, 32, 3), 200, np.uint8))
    assert answers.shape == (1, 3)
    assert answers.sum() == pytest.approx(1)


NORMALIZATIONS: dict[str, tuple[list[dict[str, Any]], tuple[float, float] | None]] = {
    "0..1": ([layer("Rescaling", scale=1 / 255, offset=0.0)], (0.0, 255.0)),
    "-1..1": ([layer("Rescaling", scale=1 / 127.5, offset=-1)], (127.5, 127.5)),
    "two steps": (
        [layer("Rescaling", "a", scale=1 / 255, offset=0.0), layer("Rescaling", "b", scale=2.0, offset=-1.0)],
        (127.5, 127.5),
    ),
    "one mean": ([layer("Normalization", axis=None, mean=120.0, variance=3600.0)], (120.0, 60.0)),
    "a mean for each channel": (
        [layer("Normalization", axis=[-1], mean=[120.0, 110.0, 100.0], variance=[3600.0] * 3)],
        None,
    ),
    "augmentation between": (
        [
            layer("RandomFlip", mode="horizontal"),
            layer("Rescaling", scale=1 / 255, offset=0.0),
            layer("RandomContrast", factor=[0.1, 0.1]),
        ],
        (0.0, 255.0),
    ),
}


@pytest.mark.parametrize("name", list(NORMALIZATIONS))
def test_the_normalization_at_the_input_becomes_the_pixel_scale(name: str, tmp_path: Path) -> None:
    steps, expected = NORMALIZATIONS[name]
    layers = small_layers()
    config = sequential([layers[0], *steps, *layers[2:]])
    network = load(write_h5(tmp_path / "m.h5", config, small_weights()))
    pixels = network.normalization.pixels
    has_map = any(one.name == "input_map" for one in network.rebuilt.model.layers)
    assert has_map == (expected is None)
    mean, std = expected or (127.5, 127.5)
    assert pixels.mean == pytest.approx((mean,) * 3)
    assert pixels.std == pytest.approx((std,) * 3)


@pytest.mark.parametrize("steps", [[], [layer("Rescaling", scale=2.0, offset=-1.0)]])
def test_an_unknown_normalization_must_be_declared(steps: list[dict[str, Any]], tmp_path: Path) -> None:
    from dermpack.inference.foreign_model import InputRange

    layers = small_layers()
    config = sequential([layers[0], *steps, *layers[2:]])
    path = write_h5(tmp_path / "m.h5", config, small_weights())
    with raises_code("missing-normalization", "--input-range", "--find-input"):
        load(path)
    network = load(path, range=InputRange.UNIT)
    assert network.normalization.given.std == (255.0,) * 3
    # 0..1, and the file's own step to -1..1 if it has one
    assert network.normalization.pixels.limits == ((-1.0, 1.0) if steps else (0.0, 1.0))


def test_a_file_that_normalizes_its_pixels_takes_no_other_numbers(tmp_path: Path) -> None:
    from dermpack.inference.foreign_model import InputRange

    path = write_h5(tmp_path / "m.h5", sequential(small_layers()), small_weights())
    for declared in ({"range": InputRange.UNIT}, {"mean": (1.0,) * 3, "std": (2.0,) * 3}):
        with raises_code("option-not-applicable", path, "0 to 255", "--input-range"):
            load(path, **declared)
    assert load(path, range=InputRange.BYTES).normalization.pixels.limits == (-1.0, 1.0)


def test_a_file_that_normalizes_its_pixels_can_take_blue_first(tmp_path: Path) -> None:
    from dermpack.contract import ColorOrder

    path = write_h5(tmp_path / "m.h5", sequential(small_layers()), small_weights())
    rows = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    red_first, blue_first = load(path), load(path, color=ColorOrder.BGR)
    assert answers_of(blue_first, rows) == pytest.approx(answers_of(red_first, rows[..., ::-1]), abs=1e-5)


@pytest.mark.parametrize("step", [(2.0, -1.0), (1 / 255, 0.0)])
def test_the_file_that_is_searched_takes_the_numbers_of_the_original(
    step: tuple[float, float], tmp_path: Path
) -> None:
    from converter.sources.keras.keras_source import describe_float_file
    from dermpack.inference.classifier import load_classifier
    from dermpack.inference.foreign_model import DeclaredInput, InputRange
    from dermpack.inference.interpreter_host import first_installed_runtime, open_host
    from dermpack.inference.model_files import ModelSettings

    layers = small_layers()
    layers[1] = layer("Rescaling", scale=step[0], offset=step[1])
    path = write_h5(tmp_path / "m.h5", sequential(layers), small_weights())
    numbers = InputRange.UNIT if step[0] == 2 else InputRange.BYTES
    model = describe_float_file(load(path, range=InputRange.BYTES), LABELS, DeclaredInput())
    # Only the numbers of a file that normalizes them are known.
    assert model.declared.range is (None if step[0] == 2 else InputRange.BYTES)
    interface = model.interface(DeclaredInput(range=numbers))
    rows = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    with open_host(first_installed_runtime()) as host:
        settings = ModelSettings(labels=LABELS, interface=interface)
        found = load_classifier(host, model.data, where=path, sidecar=settings).run(rows)
    assert found.probabilities == pytest.approx(answers_of(load(path, range=numbers), rows), abs=1e-4)


def test_a_layer_in_training_mode_is_refused(tmp_path: Path) -> None:
    config = {
        "class_name": "Functional",
        "config": {
            "name": "m",
            "layers": [
                {**input_layer(), "name": "picture", "inbound_nodes": []},
                {
                    **layer("Dropout", "drop", rate=0.5),
                    "name": "drop",
                    "inbound_nodes": [[["picture", 0, 0, {"training": True}]]],
                },
            ],
            "input_layers": [["picture", 0, 0]],
            "output_layers": [["drop", 0, 0]],
        },
    }
    with raises_code("unsupported-layer", "drop", "training=True"):
        load(write_h5(tmp_path / "m.h5", config, {}))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"class_name": "LSTM"}, "unsupported-layer"),
        ({"config": {"data_format": "channels_first"}}, "unsupported-layer"),
        ({"config": {"activation": "my_activation"}}, "unsupported-layer"),
        ({"config": {"filters": 5}}, "weights-mismatch"),
        ({"config": {"kernel_size": "large"}}, "unsupported-layer"),
    ],
)
def test_what_is_not_supported_is_refused_with_the_layer(
    changes: dict[str, Any], code: str, tmp_path: Path
) -> None:
    layers = small_layers()
    convolution = layers[2]
    layers[2] = {**convolution, **changes, "config": {**convolution["config"], **changes.get("config", {})}}
    with raises_code(code, "conv"):
        load(write_h5(tmp_path / "m.h5", sequential(layers), small_weights()))


def test_independent_sigmoids_are_refused(tmp_path: Path) -> None:
    layers = small_layers()
    layers[-1]["config"]["activation"] = "sigmoid"
    with raises_code("unsupported-network", "sigmoid"):
        load(write_h5(tmp_path / "m.h5", sequential(layers), small_weights()))


def test_each_output_needs_a_label(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "m.h5", sequential(small_layers()), small_weights())
    with raises_code("labels-mismatch", 3, 2):
        load(path, labels=("a", "b"))


def test_a_file_without_a_size_needs_one(tmp_path: Path) -> None:
    layers = small_layers()
    layers[0] = layer("InputLayer", "picture", batch_input_shape=[None, None, None, 3])
    path = write_h5(tmp_path / "m.h5", sequential(layers), small_weights())
    with raises_code("unknown-size", "--size"):
        load(path)
    assert load(path, size=40).rebuilt.model.inputs[0].shape[1:] == (40, 40, 3)
    with raises_code("conflicting-options", "--size"):
        load(write_h5(tmp_path / "n.h5", sequential(small_layers()), small_weights()), size=40)


def test_layers_may_have_the_names_that_dermpack_gives_to_its_own(tmp_path: Path) -> None:
    """A separable convolution and some activations become layers of their own."""
    weights, rng, answers = small_weights(), np.random.default_rng(1), []
    pictures = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    weights["sep"] = {
        "depthwise_kernel:0": rng.normal(0, 0.3, (3, 3, FILTERS, 1)),
        "pointwise_kernel:0": rng.normal(0, 0.3, (1, 1, FILTERS, len(LABELS))),
        "bias:0": rng.normal(0, 0.1, len(LABELS)),
    }
    del weights["answer"]
    generated = ("conv_activation", "sep_depthwise", "sep_shift", "sep_gate", "predictions")
    for number, names in enumerate((generated, [f"other_{name}" for name in generated])):
        _, scale, convolution, pool, _ = small_layers()
        convolution["config"]["activation"] = "relu6"
        separable = layer(
            "SeparableConv2D", "sep", filters=len(LABELS), kernel_size=[3, 3], activation="hard_swish"
        )
        dropped = [layer("Dropout", name, rate=0.1) for name in names]
        softmax = layer("Activation", "answer", activation="softmax")
        layers = [input_layer(), scale, *dropped, convolution, separable, pool, softmax]
        network = load(write_h5(tmp_path / f"{number}.h5", sequential(layers), weights))
        answers.append(answers_of(network, pictures))
    np.testing.assert_array_equal(*answers)


def test_a_last_layer_that_is_called_twice_keeps_its_variables(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    weights = small_weights()
    weights["answer"] = {"kernel:0": rng.normal(0, 1, (FILTERS, FILTERS)), "bias:0": np.zeros(FILTERS)}
    first, scale, convolution, pool, dense = small_layers()
    dense["config"] |= {"units": FILTERS, "activation": "linear"}
    chain = zip(("picture", "scale", "conv"), (scale, convolution, pool), strict=True)
    twice = after(["pool"], dense)
    twice["inbound_nodes"].append([["answer", 0, 0, {}]])
    config = functional([first, *(after([name], one) for name, one in chain), twice], last="answer")
    config["config"]["output_layers"] = [["answer", 1, 0]]
    network = load(write_h5(tmp_path / "m.h5", config, weights), labels=("a", "b", "c", "d"))
    layers = [one for one in network.rebuilt.model.layers if one.name.startswith("answer")]
    assert len(layers) == 2
    for one in layers:
        np.testing.assert_allclose(one.get_weights()[0], weights["answer"]["kernel:0"], rtol=1e-6)
