"""Join patient metadata with the pooled features of a picture."""

from __future__ import annotations

from typing import Any

import tf_keras

from trainer.recipe.network_spec import Join, MetadataBranch

METADATA_INPUT = "metadata"  # the name of the input, and how the names of the layers above it begin
JOIN = "join"  # the layer whose output has both

Keras = Any  # tf_keras ships no types


def add_metadata(branch: MetadataBranch) -> tuple[Keras, Keras]:
    """Return the input for a row of metadata, and the output of the dense layers on it."""
    rows = tf_keras.Input((branch.width,), name=METADATA_INPUT)
    tensor = rows
    for number, units in enumerate(branch.dense, start=1):
        name = f"{METADATA_INPUT}_dense_{number}"
        tensor = tf_keras.layers.Dense(units, activation="relu", name=name)(tensor)
    return rows, tensor


def join_features(features: Keras, known: Keras, join: Join) -> Keras:
    """Return the pooled features [n, f] joined with those of the metadata [n, m].

    Every operation is a builtin of TFLite with int8 kernels.
    """
    layers = tf_keras.layers
    if join is Join.CONCAT:
        return layers.Concatenate(name=JOIN)([features, known])
    # MetaBlock: sigmoid(tanh(features · scale(metadata)) + shift(metadata)).
    units = int(features.shape[-1])
    # With a scale of 1 at first, training starts from the features of the picture.
    scale = layers.Dense(units, bias_initializer="ones", name=f"{METADATA_INPUT}_scale")(known)
    shift = layers.Dense(units, name=f"{METADATA_INPUT}_shift")(known)
    scaled = layers.Multiply(name=f"{METADATA_INPUT}_scaled")([features, scale])
    bounded = layers.Activation("tanh", name=f"{METADATA_INPUT}_bounded")(scaled)
    shifted = layers.Add(name=f"{METADATA_INPUT}_shifted")([bounded, shift])
    return layers.Activation("sigmoid", name=JOIN)(shifted)


def is_metadata_layer(layer: Keras) -> bool:
    """Return whether the layer belongs to the metadata and not to the picture."""
    name: str = layer.name
    return name.partition("_")[0] == METADATA_INPUT
