"""Canaries: an update of tf_keras that changes a private interface fails here, and names it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

Keras = Any


class OneReplica:
    """A replica group with every row on one replica; `count` above 1 selects the shared generator."""

    count = 2

    def rows(self, n: int) -> Any:
        return np.arange(n)[np.newaxis]


def dropout_model() -> Keras:
    import tf_keras

    pixels = tf_keras.Input((6,))
    hidden = tf_keras.layers.Dropout(0.5, name="dropout", rng_type="stateful", seed=0)(pixels)
    return tf_keras.Model(pixels, hidden)


def test_flatten_layers_yields_the_layers_of_a_model() -> None:
    names = [layer.name for layer in dropout_model()._flatten_layers()]
    assert "dropout" in names


@pytest.mark.parametrize(
    "name", ["_rng_type", "_built", "RNG_STATEFUL", "_maybe_init", "_generator", "random_uniform"]
)
def test_a_random_generator_of_keras_has_the_attribute(name: str) -> None:
    source = dropout_model().get_layer("dropout")._random_generator
    source._maybe_init()
    assert hasattr(source, name)


@pytest.mark.parametrize("name", ["_calculate_mean_and_var", "_assign_moving_average"])
def test_batch_normalization_of_keras_has_the_method(name: str) -> None:
    import tf_keras

    assert callable(getattr(tf_keras.layers.BatchNormalization, name))


def test_a_reset_generator_repeats_the_masks_of_dropout() -> None:
    from trainer._private import prepare_random_layers
    from trainer.distributed.strategy import SINGLE_REPLICA

    model = dropout_model()
    (generator,) = prepare_random_layers(model, SINGLE_REPLICA)
    rows = np.ones((4, 6), np.float32)
    masks = []
    for seed in (3, 3, 4):
        generator.reset_from_seed(seed)
        masks.append(model(rows, training=True).numpy())
    assert (masks[0] == masks[1]).all()
    assert (masks[0] != masks[2]).any()


def test_the_shared_generator_draws_the_masks_of_a_single_device() -> None:
    import tensorflow as tf

    from trainer._private import SharedDropout, prepare_random_layers
    from trainer.distributed.strategy import SINGLE_REPLICA

    rows = np.ones((4, 6), np.float32)
    single, shared = dropout_model(), dropout_model()
    (own,) = prepare_random_layers(single, SINGLE_REPLICA)
    own.reset_from_seed(3)
    group: Any = OneReplica()
    (generator,) = prepare_random_layers(shared, group)
    assert isinstance(generator, SharedDropout)
    generator.reset_from_seed(3)
    generator.begin_step(len(rows))
    found = tf.distribute.get_strategy().run(lambda: shared(rows, training=True))
    np.testing.assert_array_equal(found.numpy(), single(rows, training=True).numpy())


def test_synchronized_statistics_are_those_of_the_fused_operation() -> None:
    import tensorflow as tf
    import tf_keras

    from trainer._private import synchronize_batch_norm

    def normalizer() -> Keras:
        pixels = tf_keras.Input((3, 3, 2))
        return tf_keras.Model(pixels, tf_keras.layers.BatchNormalization(name="norm")(pixels))

    rows = np.random.default_rng(0).normal(size=(4, 3, 3, 2)).astype(np.float32)
    fused, shared = normalizer(), normalizer()
    synchronize_batch_norm(shared, replicas=1)
    expected = fused(rows, training=True)
    found = tf.distribute.get_strategy().run(lambda: shared(rows, training=True))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)
    for first, second in zip(shared.weights, fused.weights, strict=True):
        np.testing.assert_allclose(first.numpy(), second.numpy(), rtol=1e-5)
