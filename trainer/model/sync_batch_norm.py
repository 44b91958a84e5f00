"""Batch normalisation that learns from the whole batch, where each replica has a part of it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

Keras = Any  # tf_keras ships no types
Tensor = Any


def see_whole_batch(model: Keras, *, replicas: int) -> None:
    """Of layers that learn; Keras's own way exchanges three times a layer, and counts variances otherwise."""
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization) and layer.trainable:
            _WholeBatch(layer, replicas)


class _WholeBatch:
    """Does for one layer what its fused operation would do, had it all rows."""

    def __init__(self, layer: Keras, replicas: int) -> None:
        self._layer, self._replicas = layer, replicas
        self._keep = type(layer)._assign_moving_average
        layer.fused = False  # it knows its own rows only
        layer._calculate_mean_and_var, layer._assign_moving_average = self._moments, self._kept

    def _moments(self, inputs: Tensor, axes: Any, keep_dims: bool, mask: Any = None) -> tuple[Tensor, Tensor]:
        """Mean and variance over the rows of all replicas, by one exchange."""
        del mask
        own = [tf.reduce_mean(values, axes, keepdims=keep_dims) for values in (inputs, tf.square(inputs))]
        context = tf.distribute.get_replica_context()
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.stack(own))
        mean, square = tf.unstack(total / self._replicas)
        self._count = tf.cast(tf.size(inputs) // tf.size(mean) * self._replicas, tf.float32)
        return mean, tf.maximum(square - tf.square(mean), 0.0)

    def _kept(self, variable: Keras, value: Tensor, momentum: Any, size: Any) -> Tensor:
        """The fused operation keeps n / (n - 1) of a batch's variance: an estimate for all pictures."""
        if variable is self._layer.moving_variance:
            value = value * (self._count / tf.maximum(self._count - 1, 1.0))
        return self._keep(self._layer, variable, value, momentum, size)
