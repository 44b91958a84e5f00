"""Build a network: a backbone, and the head that tells the classes apart.

Every model is flat and functional, takes float32 [n, size, size, 3] in [-1, 1], and gives
probabilities: [n, classes] after a softmax, [n, 1] (that of the second class) after a sigmoid.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from trainer.model.backbones import OWN_CHANCE, backbone
from trainer.model.freezing import POOL
from trainer.model.initial_weights import initialise
from trainer.model.weights import load_backbone, load_imagenet, load_weights
from trainer.recipe.network_spec import Head, NetworkSpec, Weights
from trainer.recipe.recipe import WEIGHTS_FILE

PREDICTIONS = "predictions"  # the last layer

Keras = Any  # tf_keras ships no types


def build(spec: NetworkSpec, *, weights: Path | Weights, seed: int) -> Keras:
    """The network; the same arguments give the same weights, whatever was drawn before.

    A file of weights fills the backbone, a run folder the head too.
    """
    pixels = tf_keras.Input((spec.size, spec.size, 3), name="pixels")
    features = backbone(spec, pixels)
    model = tf_keras.Model(pixels, _head(spec, features), name=spec.arch.value)
    initialise(model, seed=seed)
    match weights:
        case Weights.NONE:
            pass
        case Weights.IMAGENET:
            load_imagenet(tf_keras.Model(pixels, features), spec)
        case path if path.is_dir():
            load_weights(model, path / WEIGHTS_FILE)
        case path:
            load_backbone(tf_keras.Model(pixels, features), path)
    return model


def as_softmax(model: Keras) -> Keras:
    """The same function with two outputs: sigmoid(w·x + b) is the second of softmax(0, w·x + b)."""
    last = model.get_layer(PREDICTIONS)
    if last.units != 1:
        return model
    both = tf_keras.layers.Dense(2, activation="softmax", dtype="float32", name=PREDICTIONS)
    wide = tf_keras.Model(model.inputs, both(last.get_input_at(0)), name=model.name)
    kernel, bias = last.get_weights()
    both.set_weights([_after_zeros(kernel), _after_zeros(bias)])
    return wide


def _after_zeros(weight: Keras) -> Keras:
    """[…, 1] → […, 2], the first of them zero."""
    return np.concatenate([np.zeros_like(weight), weight], axis=-1)


def _head(spec: NetworkSpec, features: Keras) -> Keras:
    """Global average pooling, dropout, dense layers, probabilities (float32 in mixed precision too)."""
    layers = tf_keras.layers
    tensor = layers.GlobalAveragePooling2D(name=POOL)(features)
    if spec.dropout > 0:
        tensor = layers.Dropout(spec.dropout, name="dropout", **OWN_CHANCE)(tensor)
    for number, units in enumerate(spec.dense, start=1):
        tensor = layers.Dense(units, activation="relu", name=f"dense_{number}")(tensor)
    units = spec.classes if spec.head is Head.SOFTMAX else 1
    return layers.Dense(units, activation=spec.head.value, dtype="float32", name=PREDICTIONS)(tensor)
