"""Chance within a network: dropout that can be taken up again, and that no number of replicas changes."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tf_keras

from trainer.distributed.replicas import ReplicaGroup

Keras = Any  # tf_keras ships no types
Tensor = Any
PHILOX = 1  # the algorithm
COUNTER = 2  # so many numbers of its state count; the one after them is its key


def chances(model: Keras, team: ReplicaGroup) -> list[Any]:
    """The generators of the model's random layers, made ready for the team."""
    layers = (layer for layer in model._flatten_layers() if hasattr(layer, "_random_generator"))
    random = [layer for layer in layers if not isinstance(layer, tf_keras.Model)]
    return [_own_generator(layer) if team.replicas == 1 else SharedDropout(layer, team) for layer in random]


def _own_generator(layer: Keras) -> Any:
    """Give the layer a generator whose state can be set; Keras's own way to draw cannot be taken up again."""
    source = layer._random_generator
    if getattr(source, "_generator", None) is None:
        source._rng_type, source._built = source.RNG_STATEFUL, False
        source._maybe_init()
    return source._generator


class SharedDropout:
    """Draws for the whole batch what one replica would; each then takes the rows of its own pictures."""

    def __init__(self, layer: Keras, team: ReplicaGroup) -> None:
        self._team, self._numbers = team, _numbers_each(layer)
        self._generator = tf.random.Generator.from_seed(0, alg="philox")
        source = layer._random_generator
        source._rng_type, source._built, source._generator = source.RNG_STATEFUL, True, self

    def reset_from_seed(self, seed: int) -> None:
        self._generator.reset_from_seed(seed)

    def begin_step(self, batch: int) -> None:
        """Outside of the replicas: where the step's draws begin, once for all of them."""
        self._rows = tf.constant(self._team.rows(batch), tf.int32)
        count = tf.constant(batch * self._numbers, tf.uint64)
        handle = self._generator.state.handle
        self._state = tf.bitcast(
            tf.raw_ops.RngReadAndSkip(resource=handle, alg=PHILOX, delta=count), tf.uint64
        )

    def uniform(self, *, shape: Tensor, dtype: Any) -> Tensor:
        """Within a replica: what the layer asks for."""
        whole = tf.concat([[tf.size(self._rows)], shape[1:]], axis=0)
        counter, key = self._state[:COUNTER], self._state[COUNTER : COUNTER + 1]
        drawn = tf.raw_ops.StatelessRandomUniformV2(
            shape=whole, key=key, counter=counter, alg=PHILOX, dtype=dtype
        )
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return tf.gather(drawn, tf.gather(self._rows, replica))


def _numbers_each(layer: Keras) -> int:
    """How many numbers the layer draws for an example."""
    given = layer.get_input_shape_at(0)
    wanted = getattr(layer, "noise_shape", None) or given
    return math.prod(
        size if size is not None else own for size, own in zip(wanted[1:], given[1:], strict=True)
    )
