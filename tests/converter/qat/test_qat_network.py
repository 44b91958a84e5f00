"""Equalizing keeps the function of a network, and every depthwise channel reaches 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.spread_network import spread

pytestmark = pytest.mark.tensorflow
Keras = Any
RELATIVE = 1e-5


@pytest.fixture(scope="module")
def wide() -> Keras:
    """MobileNetV2 0.35 with statistics as after a training, its depthwise channels far apart."""
    from trainer.model.network import build_network
    from trainer.recipe.network_spec import Arch, NetworkSpec, Weights

    spec = NetworkSpec(arch=Arch.MOBILENET_V2, alpha=0.35, size=96, classes=3)
    model = build_network(spec, weights=Weights.NONE, seed=0)
    _settle(model)
    return spread(model)


def _settle(model: Keras) -> None:
    """Give batch normalisation statistics, gains and offsets that differ."""
    import tf_keras

    draw = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            mean, variance = draw.normal(0, 0.1, shape), draw.uniform(0.05, 0.5, shape)
            layer.set_weights([draw.uniform(0.5, 1.5, shape), draw.normal(0, 0.3, shape), mean, variance])


def features(model: Keras) -> NDArray[Any]:
    """Return the input of the last layer for four fixed noisy pictures."""
    import tf_keras

    side = model.input.shape[1]
    inputs = np.random.default_rng(2).uniform(-1, 1, (4, side, side, 3)).astype(np.float32)
    trunk = tf_keras.Model(model.input, model.get_layer("pool").output)
    return np.asarray(trunk(inputs, training=False))


def maxima(model: Keras) -> NDArray[Any]:
    from converter.qat.qat_network import channel_maxima, depthwise_pairs

    return np.concatenate([channel_maxima(depthwise) for depthwise, _ in depthwise_pairs(model)])


def largest_difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.abs(one - other).max() / np.abs(one).max())


def test_every_depthwise_layer_of_mobilenet_has_its_norm(wide: Keras) -> None:
    from converter.qat.qat_network import depthwise_pairs

    assert len(list(depthwise_pairs(wide))) == 17


def test_equalizing_does_not_change_the_function(wide: Keras) -> None:
    from converter.qat.qat_network import equalize

    assert maxima(wide).max() / maxima(wide).min() > 1000
    assert largest_difference(features(wide), features(equalize(wide))) <= RELATIVE


def test_every_equalized_channel_reaches_one(wide: Keras) -> None:
    from converter.qat.qat_network import equalize

    assert maxima(equalize(wide)) == pytest.approx(1.0)


def test_equalizing_does_not_change_the_model(wide: Keras) -> None:
    from converter.qat.qat_network import equalize

    before = wide.get_weights()
    equalize(wide)
    assert all(np.array_equal(one, other) for one, other in zip(before, wide.get_weights(), strict=True))


def test_silent_channels_stay_silent() -> None:
    from converter.qat.qat_network import equalize

    model = _small()
    depthwise = model.get_layer("depthwise")
    kernel, bias = depthwise.get_weights()
    kernel[:, :, 1, :], kernel[0, 0, 2, 0] = 0, 1e-30
    kernel[1:, 1:, 2, 0] = 0
    depthwise.set_weights([kernel, bias])
    even = equalize(model)
    assert np.isfinite(features(even)).all()
    assert largest_difference(features(model), features(even)) <= RELATIVE
    assert not even.get_layer("depthwise").get_weights()[0][:, :, 1].any()


def test_several_kernels_a_channel_and_a_bias_are_kept_apart() -> None:
    from converter.qat.qat_network import equalize

    model = spread(_small())
    even = equalize(model)
    assert maxima(even) == pytest.approx(1.0)
    assert largest_difference(features(model), features(even)) <= RELATIVE


def test_a_depthwise_layer_with_several_readers_is_not_changed() -> None:
    import tf_keras

    from converter.qat.qat_network import equalize

    pixels = tf_keras.Input((8, 8, 3))
    both = tf_keras.layers.DepthwiseConv2D(3)(pixels)
    model = tf_keras.Model(pixels, tf_keras.layers.Add()([both, tf_keras.layers.BatchNormalization()(both)]))
    before = model.get_weights()
    after = equalize(model).get_weights()
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_network_without_depthwise_layers_is_untouched() -> None:
    from converter.qat.qat_network import equalize
    from trainer.model.network import build_network
    from trainer.recipe.network_spec import Arch, NetworkSpec, Weights

    spec = NetworkSpec(arch=Arch.SCRATCH_CNN, size=28, classes=2, filters=(4, 8))
    model = build_network(spec, weights=Weights.NONE, seed=0)
    pairs = zip(model.get_weights(), equalize(model).get_weights(), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def _small() -> Keras:
    """Return a network with two kernels per channel and a bias."""
    import tf_keras

    layers = tf_keras.layers
    pixels = tf_keras.Input((8, 8, 3))
    tensor = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise", bias_initializer="ones")(pixels)
    tensor = layers.BatchNormalization()(tensor)
    model = tf_keras.Model(pixels, layers.GlobalAveragePooling2D(name="pool")(tensor))
    _settle(model)
    return model
