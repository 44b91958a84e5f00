"""Run one training on several replicas: the devices of this machine, or workers on several hosts.

Every replica takes its rows of the same batch. Gradients, losses and the statistics of batch normalization
are those of the whole batch, so the loss curve depends on the batch and not on the number of replicas.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from dermpack.errors import InputError, WorkerError
from dermpack.storage.files import sha256_of, write_bytes
from trainer.distributed.cluster import (
    START_MINUTES,
    VARIABLE,
    WHOLE,
    Cluster,
    Integers,
    Shard,
    wait_for_workers,
)
from trainer.recipe.recipe import DistributionStrategy

Array = NDArray[Any]
Keras = Any  # tf_keras ships no types
Tensor = Any
WORD_BYTES = 4
RESUME = "Rerun the same command on all workers to resume from the chief's last checkpoint."
LOST_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReplicaGroup:
    """The replicas of a model, seen from one process."""

    distribution: Any  # a tf.distribute.Strategy
    shard: Shard = WHOLE  # of the workers, this one's

    @property
    def count(self) -> int:
        """How many replicas there are, on all workers."""
        return int(self.distribution.num_replicas_in_sync)

    @property
    def is_chief(self) -> bool:
        return self.shard.index == 0

    def rows(self, n: int) -> Integers:
        """Return [replicas, n / replicas]: the rows of a batch that each replica has."""
        workers = (Shard(index=index, count=self.shard.count).rows(n) for index in range(self.shard.count))
        return np.array([rows[first :: self._local] for rows in workers for first in range(self._local)])

    def sum_over_replicas(self, function: Callable[..., Tensor], *batch: Tensor) -> Tensor:
        """Run the function on every replica's rows of this worker's batch; return the sum of its results."""
        # The inputs of a network with metadata are two tensors.
        results = self.distribution.run(function, args=tuple(tf.nest.map_structure(self._deal, batch)))
        return self.distribution.reduce(tf.distribute.ReduceOp.SUM, results, axis=None)

    def run_on_replicas(self, function: Callable[[Tensor], Tensor], rows: Tensor) -> tuple[Tensor, ...]:
        """Return the result of the function for the rows of each of this worker's replicas."""
        results = self.distribution.run(function, args=(tf.nest.map_structure(self._deal, rows),))
        local: tuple[Tensor, ...] = self.distribution.experimental_local_results(results)
        return local

    def local_value(self, variable: Keras) -> Array:
        """Return the value of a variable in this process, without communication."""
        return np.asarray(self.distribution.experimental_local_results(variable)[0].numpy())

    def replicate(self, model: Keras) -> Keras:
        """Return the model with variables on every replica."""
        if self.count == 1:
            return model
        # Variables are mirrored where they are created in the scope, so the model is built again in it.
        with self.distribution.scope():
            copy = tf_keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        return copy

    def collect(self, model: Keras) -> Keras:
        """Return a replicated model with its current values in variables of this process alone."""
        if self.count == 1:
            return model
        copy = tf_keras.models.clone_model(model)
        copy.set_weights([self.local_value(variable) for variable in model.weights])
        return copy

    def check_batch(self, *, batch: int, validation: int, is_mixed: bool) -> None:
        """Check that the batch and the validation examples can be shared, and raise InputError.

        Every replica needs as many rows; mixup needs pairs of rows in each worker's part.
        """
        # A step that every condition divides: replicas, and pairs of rows on each worker.
        pairs = 2 * self.shard.count if is_mixed and self.shard.count > 1 else 1
        step = math.lcm(self.count, pairs)
        if batch % step:
            what = f"cannot be divided evenly among {self.count} replicas"
            nearest = max(step, round(batch / step) * step)
            raise InputError(f"--batch {batch}", what, f"Use --batch {nearest}.", code="uneven-batch")
        if validation < self.shard.count:
            what = f"{validation} pictures are fewer than the {self.shard.count} workers"
            hint = "Import the dataset with a larger validation share, or use fewer workers."
            raise InputError("validation split", what, hint, code="split-too-small")

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set on any worker."""
        return bool(self._sum_over_workers(np.array([flag], np.int32))[0])

    def join(self, own: Array, n: int) -> Array:
        """Return [n, …] of all workers, each of which has its span of the rows."""
        # Spans do not overlap: the sum of arrays that are 0 elsewhere puts each row in its place.
        joined = np.zeros((n, *own.shape[1:]), own.dtype)
        first, end = self.shard.span(n)
        joined[first:end] = own
        return self._sum_over_workers(joined)

    def broadcast(self, data: bytes) -> bytes:
        """Return the chief's data on every worker."""
        # Collective operations add numbers: the chief contributes its bytes, and every other worker zeros.
        own_length = len(data) if self.is_chief else 0
        length = int(self._sum_over_workers(np.array([own_length], np.int64))[0])
        words = np.zeros(-(-length // WORD_BYTES), np.int32)
        if self.is_chief:
            words.view(np.uint8)[:length] = np.frombuffer(data, np.uint8)
        return self._sum_over_workers(words).tobytes()[:length] if length else b""

    def broadcast_file(self, path: Path) -> None:
        """Write the chief's file on every worker, if the chief has it."""
        if self.shard.count == 1:
            return
        data = self.broadcast(path.read_bytes() if self.is_chief and path.exists() else b"")
        if data and not self.is_chief:
            write_bytes(path, data)

    def check_agreement(self, training: str) -> None:
        """Check on every worker that all describe the same training as the chief, and raise InputError."""
        own = sha256_of(training.encode()).encode()
        differs = self.broadcast(own) != own
        if self.any(differs):
            where = f"worker {self.shard.index}" if differs else "a worker"
            what = "dataset, options or package versions differ from the chief's"
            hint = "Start all workers with the same command, dataset and environment."
            raise InputError(where, what, hint, code="workers-differ")

    def wait(self) -> None:
        """Wait until every worker has called this."""
        self.any(flag=False)

    @property
    def _local(self) -> int:
        """How many replicas this process has."""
        return self.count // self.shard.count

    def _deal(self, rows: Tensor) -> Any:
        """Give replica i of this worker the rows i, i + k, i + 2k …"""
        if self._local == 1:
            return rows
        distribute = self.distribution.experimental_distribute_values_from_function
        return distribute(lambda context: rows[context.replica_id_in_sync_group % self._local :: self._local])

    def _sum_over_workers(self, array: Array) -> Array:
        """Return the sum of the workers' arrays, which have the same shape."""
        if self.shard.count == 1:
            return array
        own = tf.constant(array)
        first = self.shard.index * self._local
        # The worker's first replica contributes the array, its others zeros.
        values = self.distribution.experimental_distribute_values_from_function(
            lambda context: own if context.replica_id_in_sync_group == first else tf.zeros_like(own)
        )
        total = self.distribution.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)
        return np.asarray(total.numpy())


SINGLE_REPLICA = ReplicaGroup(distribution=tf.distribute.get_strategy())  # TensorFlow's default strategy


def create_replicas(strategy: DistributionStrategy, cluster: Cluster | None) -> ReplicaGroup:
    """Return the replica group of a recipe once all of its workers have started.

    No operation of TensorFlow may have run in this process before.
    """
    match strategy:
        case DistributionStrategy.SINGLE:
            return SINGLE_REPLICA
        case DistributionStrategy.MIRRORED:
            # One device needs no copies: the plain strategy computes the same with less work.
            if len(_list_devices()) == 1:
                return SINGLE_REPLICA
            return ReplicaGroup(distribution=_mirrored_strategy())
        case DistributionStrategy.MULTIWORKER:
            assert cluster is not None
            return ReplicaGroup(distribution=_multiworker_strategy(cluster), shard=cluster.shard)


def interleave(parts: tuple[Tensor, ...]) -> Array:
    """Return the replicas' rows in the order that they had before they were dealt."""
    rows = np.empty((sum(len(part) for part in parts), *parts[0].shape[1:]), np.float32)
    for index, part in enumerate(parts):
        rows[index :: len(parts)] = part.numpy()
    return rows


@contextmanager
def report_lost_workers(cluster: Cluster | None) -> Iterator[None]:
    """Raise WorkerError where TensorFlow fails in the block because another worker was lost.

    TensorFlow notices a worker whose process ended at once, and one that hangs by its missing heartbeats.
    """
    try:
        yield
    except LOST_WORKER_ERRORS as error:
        if cluster is None:
            raise
        named = {int(task) for task in re.findall(r"/task:(\d+)", str(error))}
        others = [index for index in range(len(cluster.workers)) if index != cluster.index]
        # Where there are two workers, it is the other one, even if the message names none.
        suspects = [index for index in others if index in named] or others
        where = cluster.name(suspects[0]) if len(suspects) == 1 else "a worker"
        what = "connection lost, or the worker stopped responding"
        raise WorkerError(where, what, RESUME, code="worker-died") from error


@lru_cache(maxsize=1)  # collectives are numbered per strategy: two of one process would be confused
def _mirrored_strategy() -> Any:
    return tf.distribute.MirroredStrategy(_list_devices())


def _list_devices() -> list[str]:
    """Return the visible GPUs, or else the CPU devices (one, unless the CPU was divided)."""
    kinds = (tf.config.list_logical_devices(kind) for kind in ("GPU", "CPU"))
    return [str(device.name) for device in next(filter(None, kinds))]


def _multiworker_strategy(cluster: Cluster) -> Any:
    wait_for_workers(cluster, limit_s=START_MINUTES * 60)
    sigterm_handler = signal.getsignal(signal.SIGTERM)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.UnknownError as error:
        where = f"{VARIABLE} worker {cluster.workers[cluster.index]}"
        what, hint = "cannot bind to this address", "Choose a free port on this host."
        raise InputError(where, what, hint, code="cannot-bind") from error
    finally:
        signal.signal(signal.SIGTERM, sigterm_handler)  # TensorFlow replaces the handler
