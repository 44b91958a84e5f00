"""Draw stripes in eight directions, and build a small network of MobileNet blocks that classifies them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Keras = Any
DIRECTIONS = 8
SIDE = 24
NOISE = 100.0


def stripes(count: int, *, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return noisy pictures, and the direction of the stripes of each."""
    draw = np.random.default_rng(seed)
    truth = np.arange(count) % DIRECTIONS
    y, x = np.mgrid[:SIDE, :SIDE]
    angles = truth[:, None, None] * np.pi / DIRECTIONS
    along = np.cos(angles) * x + np.sin(angles) * y
    waves = 128 + 50 * np.sin(along * 1.5 + draw.uniform(0, 2 * np.pi, (count, 1, 1)))
    pictures = waves[..., None] + draw.normal(0, NOISE, (count, SIDE, SIDE, 3))
    return np.asarray(np.clip(pictures, 0, 255), np.uint8), truth.astype(np.int64)


def examples(count: int, *, seed: int) -> Any:
    from trainer.data.examples import Examples

    pictures, truth = stripes(count, seed=seed)
    names = tuple(f"{seed}-{index}" for index in range(count))
    classes = tuple("abcdefgh")
    return Examples(copies=pictures[np.newaxis], truth=truth, classes=classes, names=names, groups=names)


def feed(*, train: int = 320, validation: int = 64) -> Any:
    from trainer.data.batches import Feed

    parts = {"train": examples(train, seed=1), "validation": examples(validation, seed=2)}
    return Feed(batch=16, seed=0, **parts)


def network() -> Keras:
    """Return an untrained flat functional network."""
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    pixels = tf_keras.Input((SIDE, SIDE, 3), name="pixels")
    tensor = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(pixels)
    tensor = _normed(tensor, "stem")
    for block in ("one", "two"):
        shortcut = tensor
        tensor = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{block}_depthwise")(tensor)
        tensor = _normed(tensor, f"{block}_depthwise")
        tensor = layers.Conv2D(8, 1, use_bias=False, name=f"{block}_project")(tensor)
        tensor = layers.BatchNormalization(momentum=0.8, name=f"{block}_project_bn")(tensor)
        tensor = layers.Add(name=f"{block}_add")([shortcut, tensor])
    tensor = layers.GlobalAveragePooling2D(name="pool")(tensor)
    tensor = layers.Dropout(0.1, name="dropout")(tensor)
    outputs = layers.Dense(DIRECTIONS, activation="softmax", name="predictions")(tensor)
    return tf_keras.Model(pixels, outputs, name="small")


def trained_network(folder: Any) -> Keras:
    """Return the network after a short float training."""
    from trainer.fitting.loop import fit
    from trainer.fitting.plan import FitPlan

    model = network()
    fit(model, feed(), FitPlan(name="float", epochs=8, rate=0.02, seed=0), folder)
    return model


def _normed(tensor: Any, name: str) -> Any:
    import tf_keras

    tensor = tf_keras.layers.BatchNormalization(momentum=0.8, name=f"{name}_bn")(tensor)
    return tf_keras.layers.ReLU(6.0, name=f"{name}_relu")(tensor)
