"""Bring the replicas together that a recipe asks for; say it in one line when one of them is lost."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import tensorflow as tf
from tensorflow.compiler.xla.tsl.protobuf.coordination_config_pb2 import CoordinatedJob
from tensorflow.python.eager import context

from dermpack.errors import InputError, WorkerError
from trainer.distributed.cluster import START_MINUTES, VARIABLE, Cluster
from trainer.distributed.rendezvous import meet
from trainer.distributed.replicas import ALONE, ReplicaGroup
from trainer.recipe.recipe import DistributionStrategy

SILENCE_S = 30  # without a heartbeat, a worker is lost; one whose process ended is missed at once
AGAIN = "Rerun the same command on all workers to resume from the chief's last checkpoint."
BROKEN = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


def mustered(strategy: DistributionStrategy, cluster: Cluster | None) -> ReplicaGroup:
    """The team, when all of it is there; nothing of TensorFlow's may have run before."""
    match strategy:
        case DistributionStrategy.SINGLE:
            return ALONE
        case DistributionStrategy.MIRRORED:
            return ReplicaGroup(distribution=_mirrored()) if len(_devices()) > 1 else ALONE
        case DistributionStrategy.MULTIWORKER:
            assert cluster is not None
            return ReplicaGroup(distribution=_workers(cluster), part=cluster.part)


@contextmanager
def unbroken(cluster: Cluster | None) -> Iterator[None]:
    """Within the block, what a lost worker does to the others is an error of ours."""
    try:
        yield
    except BROKEN as error:
        if cluster is None:
            raise
        what = "connection lost, or the worker stopped responding"
        raise WorkerError(_whose(str(error), cluster), what, AGAIN, code="worker-died") from error


def let_go(team: ReplicaGroup) -> None:
    """The run is written: a worker that is lost now takes nothing with it."""
    with suppress(*BROKEN):
        team.wait()


@lru_cache(maxsize=1)  # TensorFlow numbers the exchanges of each anew, and mistakes those of two for one
def _mirrored() -> Any:
    return tf.distribute.MirroredStrategy(_devices())


def _devices() -> list[str]:
    """The graphics processors that are visible, else the processors (one, if nobody divided it)."""
    kinds = (tf.config.list_logical_devices(kind) for kind in ("GPU", "CPU"))
    return [str(device.name) for device in next(filter(None, kinds))]


def _workers(cluster: Cluster) -> Any:
    meet(cluster, limit_s=START_MINUTES * 60)
    _bound_silence(cluster)
    kept = signal.getsignal(signal.SIGTERM)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.UnknownError as error:
        where = f"{VARIABLE} worker {cluster.workers[cluster.index]}"
        what, hint = "cannot bind to this address", "Choose a free port on this host."
        raise InputError(where, what, hint, code="cannot-bind") from error
    finally:
        signal.signal(signal.SIGTERM, kept)  # TensorFlow lets nobody else hear it


def _bound_silence(cluster: Cluster) -> None:
    """Before the strategy sets the same up with limits of its own."""
    jobs = [CoordinatedJob(name="worker", num_tasks=len(cluster.workers))]
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        heartbeat_timeout_in_ms=SILENCE_S * 1000,
        coordinated_jobs=jobs,
    )


def _whose(said: str, cluster: Cluster) -> str:
    """The worker that TensorFlow names, if it names one of the others."""
    named = {int(found) for found in re.findall(r"/task:(\d+)", said)} - {cluster.index}
    others = [index for index in range(len(cluster.workers)) if index != cluster.index]
    suspects = [index for index in others if index in named] or others
    return cluster.name(suspects[0]) if len(suspects) == 1 else "a worker"
