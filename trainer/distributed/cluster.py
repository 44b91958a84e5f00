"""Provide the workers of a training: TF_CONFIG, checked before any work, and the rows of each worker."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError, WorkerError
from trainer.recipe.recipe import DistributionStrategy, Recipe

VARIABLE = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["host-a:2222", "host-b:2222"]}, "task": {"type": "worker", "index": 0}}'
HINT = f"Set it to a value like '{EXAMPLE}'."
START_HINT = (
    "Start the same command on all workers, and check that their ports can be reached from this host."
)
START_MINUTES = 10  # for all workers to start: the queue of a cluster may start them one after another
MAX_BYTES, MAX_WORKERS = 1 << 20, 1024
POLL_S, CONNECT_TIMEOUT_S = 0.2, 5.0

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One of several equal parts of a batch, counted from 0."""

    index: int = 0
    count: int = 1

    def rows(self, n: int) -> Integers:
        """Return the shard's rows of n; the mirror image of each, which mixup blends it with, is among them.

        Shard 0 of 2 of 8 rows → 0 1 6 7, shard 1 → 2 3 4 5. A shard of odd length has no such pairs.
        """
        size = n // self.count
        if size % 2:
            return np.arange(self.index * size, (self.index + 1) * size)
        # Half of the rows from the front of the batch, and their mirror images from its end.
        half = np.arange(self.index * size // 2, (self.index + 1) * size // 2)
        return np.concatenate([half, n - 1 - half[::-1]])

    def span(self, n: int) -> tuple[int, int]:
        """Return first and end of the shard's consecutive rows of n: (0, 3) and (3, 7) of 7."""
        return self.index * n // self.count, (self.index + 1) * n // self.count


WHOLE = Shard()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The workers of one training, and which of them this process is."""

    workers: tuple[str, ...]  # host:port
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this is the first worker, which keeps the checkpoints and writes the run."""
        return self.index == 0

    @property
    def shard(self) -> Shard:
        return Shard(index=self.index, count=len(self.workers))

    def name(self, index: int) -> str:
        """Return a worker's name, counted from 0 as in TF_CONFIG: worker 1 of 0 to 3 (host-b:2222)."""
        return f"worker {index} of 0 to {len(self.workers) - 1} ({self.workers[index]})"


def read_own_cluster(recipe: Recipe) -> Cluster | None:
    """Return the cluster that TF_CONFIG describes, or None if the recipe does not use one."""
    return read_cluster(os.environ) if recipe.strategy is DistributionStrategy.MULTIWORKER else None


def read_cluster(environment: Mapping[str, str]) -> Cluster:
    """Return the cluster that TF_CONFIG describes, or raise an InputError that names what is invalid."""
    text = environment.get(VARIABLE, "")
    if not text:
        raise _invalid("not set, but --strategy multiworker requires it on every worker")
    config = _parse(text)
    cluster, task = config.get("cluster"), config.get("task")
    for name, value in (("cluster", cluster), ("task", task)):
        if not isinstance(value, dict):
            raise _invalid(f"missing object {name!r}")
    assert isinstance(cluster, dict) and isinstance(task, dict)
    if unknown := sorted(set(cluster) - {"worker"}):
        what = f"unknown job {unknown[0]!r} (only 'worker' is supported; the first worker is the chief)"
        raise _invalid(what)
    workers = _parse_workers(cluster.get("worker"))
    if task.get("type") != "worker":
        raise _invalid(f"task type is {task.get('type')!r} instead of 'worker'")
    index = task.get("index")
    # bool is a subclass of int: `true` is not an index.
    if not isinstance(index, int) or isinstance(index, bool):
        raise _invalid(f"task index {index!r} is not an integer")
    if not 0 <= index < len(workers):
        hint = f"Give each worker its own index from 0 to {len(workers) - 1}."
        raise _invalid(f"task index {index} is out of range", hint)
    return Cluster(workers=workers, index=index)


def wait_for_workers(cluster: Cluster, *, limit_s: float) -> None:
    """Listen on this worker's port until every other worker listens, or raise WorkerError at the limit.

    TensorFlow would wait forever, and not report for which worker. It takes the port over afterwards.
    """
    end = time.monotonic() + limit_s
    own_port = int(cluster.workers[cluster.index].rpartition(":")[2])
    try:
        # The port may still have closed connections of an earlier attempt: create_server reuses it.
        listener = socket.create_server(("", own_port), backlog=128)
    except OSError as error:
        what = f"cannot bind to port {own_port} ({os.strerror(error.errno or 0)})"
        raise InputError(VARIABLE, what, "Choose a free port on this host.", code="cannot-bind") from error
    # Every worker listens while it waits for the others: otherwise each would find the others absent.
    with listener:
        for index, address in enumerate(cluster.workers):
            host, _, port = address.rpartition(":")
            target = (host.strip("[]"), int(port))
            while index != cluster.index:
                # A host that is unknown or refuses the connection may still start.
                with suppress(OSError, UnicodeError), socket.create_connection(target, CONNECT_TIMEOUT_S):
                    break
                if time.monotonic() > end:
                    what = f"did not start within {limit_s:g} seconds"
                    raise WorkerError(cluster.name(index), what, START_HINT, code="worker-timeout")
                time.sleep(POLL_S)


def _parse(text: str) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise _invalid(f"longer than {MAX_BYTES >> 20} MiB")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise _invalid("not a JSON object")
    return value


def _parse_workers(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise _invalid("missing list of workers")
    for address in value:
        host, colon, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
        is_plain = host.isprintable() and not any(character in host for character in " ,/;")
        # The length is limited before int(): a value may have any number of digits.
        is_number = port.isascii() and port.isdigit() and len(port) <= len("65535")
        if not (host and colon and is_plain and is_number and 0 < int(port) < 65536):
            raise _invalid(f"worker {address!r} is not HOST:PORT")
    if len(set(value)) < len(value):
        raise _invalid("lists the same worker twice")
    if len(value) == 1:
        raise _invalid("lists only one worker", "List all workers, or choose --strategy single.")
    if len(value) > MAX_WORKERS:
        raise _invalid(f"lists more than {MAX_WORKERS} workers")
    return tuple(value)


def _invalid(what: str, hint: str = HINT) -> InputError:
    return InputError(VARIABLE, what, hint, code="invalid-tf-config")
