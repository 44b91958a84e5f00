"""Wait until all workers of a cluster are there: TensorFlow would wait without end, and not say for whom."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from dermpack.errors import InputError, WorkerError
from trainer.distributed.cluster import VARIABLE, Cluster

PAUSE_S, CONNECT_S = 0.2, 5.0
START = "Start the same command on all workers, and check that their ports can be reached from this host."


def meet(cluster: Cluster, *, limit_s: float) -> None:
    """Listen at the own port until every other worker listens at its own; TensorFlow takes it over then."""
    own = cluster.workers[cluster.index]
    end = time.monotonic() + limit_s
    with _listening(own):
        for index, address in enumerate(cluster.workers):
            while index != cluster.index and not _listens(address):
                if time.monotonic() > end:
                    what = f"did not start within {limit_s:g} seconds"
                    raise WorkerError(cluster.name(index), what, START, code="worker-timeout")
                time.sleep(PAUSE_S)


def _listening(address: str) -> socket.socket:
    port = int(address.rpartition(":")[2])
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("", port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        what = f"cannot bind to port {port} ({error.strerror or error})"
        raise InputError(VARIABLE, what, "Choose a free port on this host.", code="cannot-bind") from error
    return listener


def _listens(address: str) -> bool:
    """A name that cannot be found yet, and a host that refuses, may still come."""
    host, _, port = address.rpartition(":")
    with suppress(OSError, UnicodeError), socket.create_connection((host.strip("[]"), int(port)), CONNECT_S):
        return True
    return False
