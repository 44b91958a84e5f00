"""Train one model in several places: on the devices of this machine, or by workers on several.

Every replica takes its rows of the same batch, and gradients, losses and the statistics of batch
normalisation are those of the whole: what is learned depends on the batch, not on how many share it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from dermpack.errors import InputError
from dermpack.storage.files import sha256_of, write_bytes
from trainer.distributed.shard import WHOLE, Integers, Shard

Array = NDArray[Any]
Keras = Any  # tf_keras ships no types
Tensor = Any
Distribution = Any  # a tf.distribute.Strategy
WORD_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReplicaGroup:
    """The replicas of a model, seen from one process."""

    distribution: Distribution
    part: Shard = WHOLE  # of the workers, this one's

    @property
    def replicas(self) -> int:
        return int(self.distribution.num_replicas_in_sync)

    @property
    def is_chief(self) -> bool:
        return self.part.index == 0

    def scope(self) -> Any:
        """Within it, variables are made that every replica has."""
        return self.distribution.scope()

    def rows(self, n: int) -> Integers:
        """[replicas, n / replicas]: which rows of a batch each replica has."""
        workers = (Shard(index=index, of=self.part.of).rows(n) for index in range(self.part.of))
        return np.array([rows[first :: self._local] for rows in workers for first in range(self._local)])

    def total(self, function: Callable[..., Tensor], *batch: Tensor) -> Tensor:
        """The sum of what the function answers on every replica's rows of this worker's batch."""
        sum_of = tf.distribute.ReduceOp.SUM
        return self.distribution.reduce(sum_of, self._each(function, *batch), axis=None)

    def of_each(self, function: Callable[[Tensor], Tensor], rows: Tensor) -> tuple[Tensor, ...]:
        """What the function answers on the rows of each of this worker's replicas."""
        found: tuple[Tensor, ...] = self.distribution.experimental_local_results(self._each(function, rows))
        return found

    def value(self, variable: Keras) -> Array:
        """What this process has of a variable; asks nobody."""
        return np.asarray(self.distribution.experimental_local_results(variable)[0].numpy())

    def shared(self, model: Keras) -> Keras:
        """The model with variables that every replica has."""
        if self.replicas == 1:
            return model
        with self.scope():
            copy = tf_keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        return copy

    def unshared(self, model: Keras) -> Keras:
        """The model with variables of this process alone, and the values that they have now."""
        if self.replicas == 1:
            return model
        copy = tf_keras.models.clone_model(model)
        copy.set_weights([self.value(variable) for variable in model.weights])
        return copy

    def check_shares(self, *, batch: int, judged: int, is_mixed: bool) -> None:
        """Every replica learns from as many rows; mixup takes them in pairs from a worker's part."""
        in_pairs = 2 * self.part.of if is_mixed and self.part.of > 1 else 1
        step = math.lcm(self.replicas, in_pairs)
        if batch % step:
            uneven = f"cannot be divided evenly among {self.replicas} replicas"
            nearest = max(step, round(batch / step) * step)
            hint = f"Use --batch {nearest}."
            raise InputError(f"--batch {batch}", uneven, hint, code="uneven-batch")
        if judged < self.part.of:
            few = f"{judged} pictures are fewer than the {self.part.of} workers"
            hint = "Import the dataset with a larger validation share, or use fewer workers."
            raise InputError("validation split", few, hint, code="split-too-small")

    def any(self, flag: bool) -> bool:
        """Whether it holds on any worker."""
        return bool(self._sum(np.array([flag], np.int32))[0])

    def joined(self, own: Array, n: int) -> Array:
        """[n, …] of all workers, each of which has its span of them."""
        whole = np.zeros((n, *own.shape[1:]), own.dtype)
        first, end = self.part.span(n)
        whole[first:end] = own
        return self._sum(whole)

    def from_chief(self, data: bytes) -> bytes:
        """What the chief gives; what others give is left."""
        if self.part.of == 1:
            return data
        length = int(self._sum(np.array([len(data) if self.is_chief else 0], np.int64))[0])
        words = np.zeros(-(-length // WORD_BYTES), np.int32)
        if self.is_chief:
            words.view(np.uint8)[:length] = np.frombuffer(data, np.uint8)
        return self._sum(words).tobytes()[:length] if length else b""

    def hand_out(self, path: Path) -> None:
        """Give every worker the file that the chief has, if it has one."""
        if self.part.of == 1:
            return
        data = self.from_chief(path.read_bytes() if self.is_chief and path.exists() else b"")
        if data and not self.is_chief:
            write_bytes(path, data)

    def agree(self, asked: str) -> None:
        """Raise on every worker where one is asked for something else than the chief."""
        own = sha256_of(asked.encode()).encode()
        differs = self.from_chief(own) != own
        if self.any(differs):
            where = f"worker {self.part.index}" if differs else "a worker"
            what = "dataset, options or package versions differ from the chief's"
            hint = "Start all workers with the same command, dataset and environment."
            raise InputError(where, what, hint, code="workers-differ")

    def wait(self) -> None:
        """Until every worker has come here."""
        self.any(flag=False)

    @property
    def _local(self) -> int:
        """How many replicas this process has."""
        return self.replicas // self.part.of

    def _each(self, function: Callable[..., Tensor], *batch: Tensor) -> Any:
        return self.distribution.run(function, args=tuple(map(self._dealt, batch)))

    def _dealt(self, rows: Tensor) -> Any:
        """Every replica of this worker its rows, by turns."""
        if self._local == 1:
            return rows
        deal = self.distribution.experimental_distribute_values_from_function
        return deal(lambda context: rows[context.replica_id_in_sync_group % self._local :: self._local])

    def _sum(self, array: Array) -> Array:
        """Over the workers, whose arrays are of one shape."""
        if self.part.of == 1:
            return array
        own = tf.constant(array)
        first = self.part.index * self._local
        values = self.distribution.experimental_distribute_values_from_function(
            lambda context: own if context.replica_id_in_sync_group == first else tf.zeros_like(own)
        )
        total = self.distribution.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)
        return np.asarray(total.numpy())


ALONE = ReplicaGroup(distribution=tf.distribute.get_strategy())  # TensorFlow's own default: one replica


def together(parts: tuple[Tensor, ...]) -> Array:
    """The rows in the order that they had before they were dealt by turns."""
    rows = np.empty((sum(len(part) for part in parts), *parts[0].shape[1:]), np.float32)
    for at, part in enumerate(parts):
        rows[at :: len(parts)] = part.numpy()
    return rows
