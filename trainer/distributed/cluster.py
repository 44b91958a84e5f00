"""Which processes train together, as TF_CONFIG says; checked before any work."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dermpack.errors import InputError
from trainer.distributed.shard import Shard
from trainer.recipe.recipe import DistributionStrategy, Recipe

VARIABLE = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["host-a:2222", "host-b:2222"]}, "task": {"type": "worker", "index": 0}}'
HINT = f"Set it to a value like '{EXAMPLE}'."
START_MINUTES = 10  # for all workers to come: a cluster's queue may start them one after another
MAX_BYTES, MAX_WORKERS = 1 << 20, 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The workers of one training, and which of them this process is."""

    workers: tuple[str, ...]  # host:port
    index: int

    @property
    def is_chief(self) -> bool:
        """The first worker keeps the checkpoints and writes the run."""
        return self.index == 0

    @property
    def part(self) -> Shard:
        return Shard(index=self.index, of=len(self.workers))

    def name(self, index: int) -> str:
        """Counted from 0, as in TF_CONFIG: worker 1 of 0 to 3 (host-b:2222)."""
        return f"worker {index} of 0 to {len(self.workers) - 1} ({self.workers[index]})"


def own_cluster(recipe: Recipe) -> Cluster | None:
    """The cluster that the recipe is trained by, where it asks for one."""
    return read_cluster(os.environ) if recipe.strategy is DistributionStrategy.MULTIWORKER else None


def read_cluster(environment: Mapping[str, str]) -> Cluster:
    """Return the cluster that TF_CONFIG describes, or raise an InputError that names what is invalid."""
    text = environment.get(VARIABLE, "")
    if not text:
        raise _wrong("not set, but --strategy multiworker requires it on every worker")
    cluster, task = (_object(_decoded(text), name) for name in ("cluster", "task"))
    if odd := sorted(set(cluster) - {"worker"}):
        raise _wrong(f"unknown job {odd[0]!r} (only 'worker' is supported; the first worker is the chief)")
    workers = _workers(cluster.get("worker"))
    if task.get("type") != "worker":
        raise _wrong(f"task type is {task.get('type')!r} instead of 'worker'")
    return Cluster(workers=workers, index=_index(task.get("index"), len(workers)))


def _decoded(text: str) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise _wrong(f"longer than {MAX_BYTES >> 20} MiB")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise _wrong("not a JSON object")
    return value


def _object(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    if not isinstance(found, dict):
        raise _wrong(f"missing object {name!r}")
    return found


def _workers(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise _wrong("missing list of workers")
    for address in value:
        if not _is_address(address):
            raise _wrong(f"worker {address!r} is not HOST:PORT")
    if len(set(value)) < len(value):
        raise _wrong("lists the same worker twice")
    if len(value) == 1:
        raise _wrong("lists only one worker", "List all workers, or choose --strategy single.")
    if len(value) > MAX_WORKERS:
        raise _wrong(f"lists more than {MAX_WORKERS} workers")
    return tuple(value)


def _is_address(value: Any) -> bool:
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    plain = host.isprintable() and not any(character in host for character in " ,/;")
    is_number = port.isascii() and port.isdigit() and len(port) <= len("65535")
    return bool(host and colon and plain and is_number and 0 < int(port) < 65536)


def _index(value: Any, count: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(f"task index {value!r} is not a whole number")
    if not 0 <= value < count:
        hint = f"Give each worker its own index from 0 to {count - 1}."
        raise _wrong(f"task index {value} is out of range", hint)
    return value


def _wrong(what: str, hint: str = HINT) -> InputError:
    return InputError(VARIABLE, what, hint, code="invalid-tf-config")
