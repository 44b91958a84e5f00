"""Wait until all workers of a cluster are there: TensorFlow would wait without end, and not say for whom."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from dermpack.errors import InputError, WorkerError
from trainer.cluster import VARIABLE, Cluster

PAUSE_S, CONNECT_S = 0.2, 5.0
START = "start the same command on all workers, and see that their ports can be reached from here"


def meet(cluster: Cluster, *, limit_s: float) -> None:
    """Listen at the own port until every other worker listens at its own; TensorFlow takes it over then."""
    own = cluster.workers[cluster.index]
    end = time.monotonic() + limit_s
    with _listening(own):
        for index, address in enumerate(cluster.workers):
            while index != cluster.index and not _listens(address):
                if time.monotonic() > end:
                    raise WorkerError(cluster.name(index), f"did not come within {limit_s:g} seconds", START)
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
        what = f"port {port} cannot be listened at ({error.strerror or error})"
        raise InputError(VARIABLE, what, "choose a free port on this host") from error
    return listener


def _listens(address: str) -> bool:
    """A name that cannot be found yet, and a host that refuses, may still come."""
    host, _, port = address.rpartition(":")
    with suppress(OSError, UnicodeError), socket.create_connection((host.strip("[]"), int(port)), CONNECT_S):
        return True
    return False
