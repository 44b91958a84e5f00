"""Networks: what is built, what is refused, and that it computes what its source computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dermpack.storage.codec import decode, encode
from tests.support.errors import raises_code
from trainer.recipe.network_spec import ALPHAS, Arch, Head, NetworkSpec, Weights

pytestmark = pytest.mark.tensorflow

SIZE = 96
slow = pytest.mark.slow  # more than a second or two each
BACKBONES = [
    pytest.param(NetworkSpec(alpha=0.35, size=SIZE, classes=3), id="mobilenet_v2"),
    pytest.param(NetworkSpec(arch=Arch.EFFICIENTNET_B0, size=SIZE, classes=3), id="efficientnet", marks=slow),
    pytest.param(NetworkSpec(arch=Arch.RESNET50, size=SIZE, classes=3), id="resnet50", marks=slow),
]
LITE = pytest.param(NetworkSpec(arch=Arch.EFFICIENTNET_LITE0, size=SIZE, classes=3), id="lite", marks=slow)
PLAIN = NetworkSpec(arch=Arch.SCRATCH_CNN, size=28, classes=3, filters=(8, 12), kernel=2, dense=(5,))


def made(spec: NetworkSpec, *, seed: int = 0) -> Any:
    from trainer.model.network import build_network

    return build_network(spec, weights=Weights.NONE, seed=seed)


def pixels_of(size: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)


def mapped(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (pixels / 127.5 - 1).astype(np.float32)


def reference_of(spec: NetworkSpec) -> tuple[Any, Callable[[Any], Any]]:
    """Keras's own model, and the preprocessing that its documentation asks for."""
    import tf_keras.applications as keras

    shape = {
        "include_top": False,
        "weights": None,
        "input_shape": (spec.size, spec.size, 3),
        "pooling": "avg",
    }
    if spec.arch is Arch.RESNET50:
        return keras.ResNet50(**shape), keras.resnet50.preprocess_input
    if spec.arch is Arch.EFFICIENTNET_B0:
        model = keras.EfficientNetB0(**shape)
        normalization = model.layers[2]
        normalization.mean = np.reshape([0.485, 0.456, 0.406], (1, 1, 1, 3)).astype(np.float32)
        normalization.variance = np.square(np.reshape([0.229, 0.224, 0.225], (1, 1, 1, 3))).astype(np.float32)
        return model, keras.efficientnet.preprocess_input
    return keras.MobileNetV2(alpha=spec.alpha, **shape), keras.mobilenet_v2.preprocess_input


@pytest.mark.parametrize("spec", BACKBONES)
def test_a_backbone_computes_what_keras_computes_after_its_own_preprocessing(spec: NetworkSpec) -> None:
    from trainer.model.freezing import POOL, backbone_layers, split_model

    reference, preprocess = reference_of(spec)
    model = made(spec)
    for layer in backbone_layers(model):
        if layer.weights:
            reference.get_layer(layer.name).set_weights(layer.get_weights())
    pixels = pixels_of(spec.size)
    expected = reference(preprocess(pixels.astype(np.float32)), training=False).numpy()
    assert np.ptp(expected) > 0
    found = split_model(model, POOL)[0](mapped(pixels), training=False).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("spec", [*BACKBONES, PLAIN, LITE])
def test_a_network_is_flat_and_leaves_normalization_and_augmentation_outside(spec: NetworkSpec) -> None:
    import tf_keras

    layers = tf_keras.layers
    unwanted = (tf_keras.Model, layers.Rescaling, layers.Normalization, layers.RandomFlip)
    assert not [layer.name for layer in made(spec).layers if isinstance(layer, unwanted)]


@pytest.mark.parametrize("spec", [BACKBONES[0], BACKBONES[2], PLAIN, LITE])
def test_quantization_aware_training_accepts_it(spec: NetworkSpec) -> None:
    import tensorflow_model_optimization as tfmot

    assert spec.arch.qat_refusal is None
    model = made(spec)
    quantized = tfmot.quantization.keras.quantize_model(model)
    assert quantized.output_shape == model.output_shape


def test_the_error_for_efficientnet_has_the_reason_against_quantization_aware_training() -> None:
    refusals = {arch.qat_refusal for arch in Arch if arch.is_efficientnet}
    assert refusals == {"tfmot cannot quantize the Multiply of EfficientNet"}


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before() -> None:
    import tf_keras

    from trainer.model.weights import named_weights

    first = named_weights(made(PLAIN, seed=3))
    tf_keras.utils.set_random_seed(77)
    second = named_weights(made(PLAIN, seed=3))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_another_seed_gives_other_weights() -> None:
    from trainer.model.weights import named_weights

    first, second = (named_weights(made(PLAIN, seed=seed)) for seed in (3, 4))
    assert not np.array_equal(first["predictions/kernel"], second["predictions/kernel"])


def test_layers_of_one_shape_start_differently() -> None:
    from trainer.model.weights import named_weights

    spec = NetworkSpec(arch=Arch.SCRATCH_CNN, size=28, classes=3, dense=(16, 16, 16))
    weights = named_weights(made(spec))
    assert not np.array_equal(weights["dense_2/kernel"], weights["dense_3/kernel"])


def test_a_sigmoid_is_exported_as_the_equal_softmax() -> None:
    from trainer.model.network import convert_to_softmax

    model = made(NetworkSpec(alpha=0.35, size=SIZE, classes=2, head=Head.SIGMOID))
    model.get_layer("predictions").bias.assign([0.7])
    pixels = mapped(pixels_of(SIZE))
    second = model(pixels, training=False).numpy()[:, 0]
    both = convert_to_softmax(model)(pixels, training=False).numpy()
    np.testing.assert_allclose(both, np.stack([1 - second, second], axis=1), atol=1e-6)


def test_a_softmax_stays_as_it_is() -> None:
    from trainer.model.network import convert_to_softmax

    model = made(PLAIN)
    assert convert_to_softmax(model) is model


@pytest.mark.parametrize("spec", [PLAIN, NetworkSpec(size=224, classes=2, head=Head.SIGMOID)])
def test_a_description_survives_json(spec: NetworkSpec) -> None:
    import json

    assert decode(NetworkSpec, json.loads(json.dumps(encode(spec)))) == spec


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ({"arch": "vgg"}, "vgg"),
        ({"size": "160"}, "'160'"),
        ({"size": True}, "True"),
        ({"dense": 3}, ""),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_broken_description_is_refused(change: dict[str, Any], value: str) -> None:
    with pytest.raises(ValueError, match=f"network.*{value}"):
        decode(NetworkSpec, {**encode(PLAIN), **change}, "network")


@pytest.mark.parametrize(
    ("wanted", "code", "values"),
    [
        ({"size": 95}, "invalid-option", ("--size 95", "mobilenet_v2", "96 to 600 px")),
        ({"size": 601}, "invalid-option", ("--size 601", "96 to 600 px")),
        ({"size": 27, "arch": Arch.SCRATCH_CNN}, "invalid-option", ("--size 27", "28 to 600 px")),
        ({"alpha": 0.6}, "invalid-option", ("--alpha 0.6", "mobilenet_v2", "0.35, 0.5")),
        ({"alpha": 0.5, "arch": Arch.RESNET50}, "option-not-applicable", ("--alpha 0.5", "resnet50")),
        ({"classes": 1}, "too-few-classes", ("1 classes",)),
        ({"head": Head.SIGMOID}, "option-not-applicable", ("--head sigmoid", "3", "--head softmax")),
        ({"dropout": 1.0}, "invalid-option", ("--dropout 1.0",)),
        ({"dense": (64, 0)}, "invalid-option", ("--dense 64,0", "8192")),
        ({"filters": (8,)}, "option-not-applicable", ("--filters", "--kernel", "mobilenet_v2")),
        ({"filters": (), "arch": Arch.SCRATCH_CNN}, "invalid-option", ("--filters", "8192")),
        (
            {"filters": (8,) * 8, "arch": Arch.SCRATCH_CNN},
            "invalid-option",
            ("--filters 8,8,8,8,8,8,8,8", "96 px"),
        ),
        (
            {"dense": (8192,) * 3},
            "network-too-large",
            ("--dense", "134 million weights"),
        ),
        (
            {"filters": (4096, 4096), "arch": Arch.SCRATCH_CNN},
            "network-too-large",
            ("151 million weights",),
        ),
        ({"kernel": 0, "arch": Arch.SCRATCH_CNN}, "invalid-option", ("--kernel 0", "1 to 11")),
    ],
)
def test_an_impossible_network_is_refused(wanted: dict[str, Any], code: str, values: tuple[str, ...]) -> None:
    with raises_code(code, *values):
        NetworkSpec(**{"size": SIZE, "classes": 3, **wanted})


@pytest.mark.parametrize("alpha", ALPHAS)
def test_every_published_width_can_be_asked_for(alpha: float) -> None:
    assert NetworkSpec(alpha=alpha, size=SIZE, classes=2).alpha == alpha


def test_imagenet_weights_are_refused_where_there_are_none() -> None:
    from trainer.model.network import build_network

    with raises_code("option-not-applicable", "imagenet", "scratch_cnn"):
        build_network(PLAIN, weights=Weights.IMAGENET, seed=0)
