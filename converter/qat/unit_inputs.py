"""Change the input of a network from any pixel scale to [-1, 1], which the trainer uses, or to bytes."""

from __future__ import annotations

import tf_keras

from converter._private import Keras
from converter.pixel_scale import PIXEL_MIDDLE, UNIT_SCALE, PixelScale


def take_unit_inputs(model: Keras, pixels: PixelScale) -> Keras:
    """Return a model with the same variables that scales its inputs first; the model itself if it need not.

    [-1, 1] → [0, 1]: x · 0.5 + 0.5. Channels have one scale, because other normalizations are in the network.
    """
    if pixels == UNIT_SCALE:
        return model
    (mean, *_), (std, *_) = pixels.mean, pixels.std
    return _rescale(model, PIXEL_MIDDLE / std, (PIXEL_MIDDLE - mean) / std, name="unit_pixels")


def take_byte_inputs(model: Keras, pixels: PixelScale) -> Keras:
    """Return a model with the same variables that takes pixels from 0 to 255: (x - mean) / std."""
    (mean, *_), (std, *_) = pixels.mean, pixels.std
    return _rescale(model, 1 / std, -mean / std, name="byte_pixels")


def _rescale(model: Keras, scale: float, offset: float, *, name: str) -> Keras:
    inputs = tf_keras.Input(model.inputs[0].shape[1:], name=name)
    scaled = tf_keras.layers.Rescaling(scale, offset)(inputs)
    return tf_keras.Model(inputs, model(scaled), name=f"{model.name}_on_{name}")
