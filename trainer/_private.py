"""Use the private interfaces of tf_keras that the trainer needs; tests/trainer/test_private.py checks them.

Two things have no public interface:

- The state of dropout: a fit that resumes must draw what it would have drawn, so each random layer gets a
  generator whose state can be set at the beginning of an epoch.
- Replicas that together compute what one device computes: dropout masks and statistics of batch normalization
  belong to the whole batch. Keras's synchronized batch normalization has no correction of the moving variance
  for the size of the batch, so the validation loss would differ from that of a single device.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tf_keras

from trainer.distributed.strategy import ReplicaGroup

Keras = Any  # tf_keras ships no types
Tensor = Any
PHILOX = 1  # the number of the algorithm in TensorFlow's random operations
COUNTER = 2  # the first numbers of its state are a counter; the one after them is its key


def prepare_random_layers(model: Keras, replicas: ReplicaGroup) -> list[Any]:
    """Give each random layer a generator that can be reset from a seed; return the generators."""
    generators = []
    for layer in model._flatten_layers():
        if not hasattr(layer, "_random_generator") or isinstance(layer, tf_keras.Model):
            continue
        source = layer._random_generator
        if replicas.count > 1:
            generators.append(SharedDropout(layer, replicas))
            continue
        if getattr(source, "_generator", None) is None:  # Keras would draw from the state of the process
            source._rng_type, source._built = source.RNG_STATEFUL, False
            source._maybe_init()
        generators.append(source._generator)
    return generators


class SharedDropout:
    """A generator for replicas: it draws for the whole batch what a single device would draw.

    Each replica then takes the rows of its own examples, so that masks do not depend on the number of
    replicas.
    """

    def __init__(self, layer: Keras, replicas: ReplicaGroup) -> None:
        self._replicas = replicas
        # How many random numbers the layer draws per example.
        input_shape = layer.get_input_shape_at(0)[1:]
        shape = (getattr(layer, "noise_shape", None) or (None, *input_shape))[1:]
        sizes = zip(shape, input_shape, strict=True)
        self._numbers = math.prod(input_size if size is None else size for size, input_size in sizes)
        self._generator = tf.random.Generator.from_seed(0, alg="philox")
        source = layer._random_generator
        source._rng_type, source._built, source._generator = source.RNG_STATEFUL, True, self

    def reset_from_seed(self, seed: int) -> None:
        """Start the stream of random numbers of an epoch."""
        self._generator.reset_from_seed(seed)

    def begin_step(self, batch: int) -> None:
        """Advance the state by what the whole batch needs; called once per step, outside of the replicas."""
        self._rows = tf.constant(self._replicas.rows(batch), tf.int32)
        count = tf.constant(batch * self._numbers, tf.uint64)
        handle = self._generator.state.handle
        state = tf.raw_ops.RngReadAndSkip(resource=handle, alg=PHILOX, delta=count)
        self._state = tf.bitcast(state, tf.uint64)

    def uniform(self, *, shape: Tensor, dtype: Any) -> Tensor:
        """Return the numbers that the layer requests within a replica."""
        batch_shape = tf.concat([[tf.size(self._rows)], shape[1:]], axis=0)
        counter, key = self._state[:COUNTER], self._state[COUNTER : COUNTER + 1]
        drawn = tf.raw_ops.StatelessRandomUniformV2(
            shape=batch_shape, key=key, counter=counter, alg=PHILOX, dtype=dtype
        )
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return tf.gather(drawn, tf.gather(self._rows, replica))


def synchronize_batch_norm(model: Keras, *, replicas: int) -> None:
    """Make the batch normalization that trains compute the statistics of the whole batch."""
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization) and layer.trainable:
            _SynchronizedStatistics(layer, replicas)


class _SynchronizedStatistics:
    """Replaces two methods of a layer, so that it computes what its fused operation would with all rows."""

    def __init__(self, layer: Keras, replicas: int) -> None:
        self._layer, self._replicas = layer, replicas
        self._assign = type(layer)._assign_moving_average
        layer.fused = False  # the fused operation has the rows of one replica only
        layer._calculate_mean_and_var = self._compute_moments
        layer._assign_moving_average = self._assign_moving_average

    def _compute_moments(
        self, inputs: Tensor, axes: Any, keep_dims: bool, mask: Any = None
    ) -> tuple[Tensor, Tensor]:
        """Return mean and variance over the rows of all replicas, with a single exchange between them."""
        del mask
        own = [tf.reduce_mean(values, axes, keepdims=keep_dims) for values in (inputs, tf.square(inputs))]
        context = tf.distribute.get_replica_context()
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.stack(own))
        mean, square = tf.unstack(total / self._replicas)
        self._count = tf.cast(tf.size(inputs) // tf.size(mean) * self._replicas, tf.float32)
        return mean, tf.maximum(square - tf.square(mean), 0.0)

    def _assign_moving_average(self, variable: Keras, value: Tensor, momentum: Any, size: Any) -> Tensor:
        """Multiply a batch's variance by n / (n - 1) as the fused operation does (Bessel's correction)."""
        if variable is self._layer.moving_variance:
            value = value * (self._count / tf.maximum(self._count - 1, 1.0))
        return self._assign(self._layer, variable, value, momentum, size)
