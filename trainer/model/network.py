"""Build a network: a backbone, and a head that classifies.

Every model is flat and functional, takes float32 [n, size, size, 3] in [-1, 1], and returns probabilities:
[n, classes] after a softmax, [n, 1] (that of the second class) after a sigmoid. A network with metadata takes
a second input, float32 [n, width]; the architecture "metadata" takes this one only.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from trainer.model.backbones import INPUT_MAP, STATEFUL_RANDOM, build_backbone
from trainer.model.freezing import POOL
from trainer.model.metadata_join import add_metadata, join_features
from trainer.model.weights import load_backbone, load_imagenet, load_weights
from trainer.recipe.network_spec import Arch, Head, NetworkSpec, Weights
from trainer.runs import WEIGHTS_FILE

PIXELS, PREDICTIONS = "pixels", "predictions"  # the input of the picture, and the last layer

Keras = Any  # tf_keras ships no types


def build_network(spec: NetworkSpec, *, weights: Path | Weights, seed: int) -> Keras:
    """Return the network; the same arguments give the same weights, whatever was drawn before.

    A file of weights fills the backbone, a run folder the head too.
    """
    inputs = []
    pooled = features = None
    if spec.arch is not Arch.METADATA:
        pixels = tf_keras.Input((spec.size, spec.size, 3), name=PIXELS)
        features = build_backbone(spec, pixels)
        pooled = tf_keras.layers.GlobalAveragePooling2D(name=POOL)(features)
        inputs.append(pixels)
    if spec.metadata is not None:
        rows, known = add_metadata(spec.metadata)
        pooled = known if pooled is None else join_features(pooled, known, spec.metadata.join)
        inputs.append(rows)
    model = tf_keras.Model(
        inputs if len(inputs) > 1 else inputs[0], _add_head(spec, pooled), name=spec.arch.value
    )
    # Random weights come first: the head keeps them where a file or ImageNet fills the backbone only.
    _initialise_weights(model, seed=seed)
    match weights:
        case Weights.NONE:
            pass
        case Weights.IMAGENET:
            load_imagenet(tf_keras.Model(inputs[0], features), spec)
        case path if path.is_dir():
            load_weights(model, path / WEIGHTS_FILE)
        case path:
            load_backbone(tf_keras.Model(inputs[0], features), path)
    return model


def convert_to_softmax(model: Keras) -> Keras:
    """Return the same function with two outputs: sigmoid(w·x + b) is the second of softmax(0, w·x + b)."""
    last = model.get_layer(PREDICTIONS)
    if last.units != 1:
        return model
    softmax = tf_keras.layers.Dense(2, activation="softmax", dtype="float32", name=PREDICTIONS)
    converted = tf_keras.Model(model.inputs, softmax(last.get_input_at(0)), name=model.name)
    # The first output gets weights of zero: […, 1] → […, 2].
    softmax.set_weights(
        [np.concatenate([np.zeros_like(weight), weight], axis=-1) for weight in last.get_weights()]
    )
    return converted


def _add_head(spec: NetworkSpec, tensor: Keras) -> Keras:
    """Add dropout, dense layers, and probabilities (always float32) to pooled features."""
    layers = tf_keras.layers
    if spec.dropout > 0:
        tensor = layers.Dropout(spec.dropout, name="dropout", **STATEFUL_RANDOM)(tensor)
    for number, units in enumerate(spec.dense, start=1):
        tensor = layers.Dense(units, activation="relu", name=f"dense_{number}")(tensor)
    # float32 under mixed precision too: probabilities need it.
    units = spec.classes if spec.head is Head.SOFTMAX else 1
    return layers.Dense(units, activation=spec.head.value, dtype="float32", name=PREDICTIONS)(tensor)


def _initialise_weights(model: Keras, *, seed: int) -> None:
    """Draw every random weight again; each depends on the seed and the name of its layer alone.

    The seed of the process is not enough: with it, weights would depend on what was drawn before.
    """
    for layer in model.layers:
        digest = hashlib.sha256(f"{seed}/{layer.name}".encode()).digest()
        layer_seed = int.from_bytes(digest[:4], "little") >> 1  # TensorFlow's seeds are signed
        # A depthwise layer has an unused kernel_initializer too, so it is recognized first.
        if hasattr(layer, "depthwise_initializer"):
            initializer, variable = layer.depthwise_initializer, layer.depthwise_kernel
        elif hasattr(layer, "kernel_initializer") and layer.name != INPUT_MAP:
            initializer, variable = layer.kernel_initializer, layer.kernel
        else:
            continue
        config = {**initializer.get_config(), "seed": layer_seed}
        variable.assign(type(initializer).from_config(config)(variable.shape, dtype=variable.dtype))
