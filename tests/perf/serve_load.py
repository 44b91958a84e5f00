"""Measure a server under load: `python -m tests.perf.serve_load EXPORT... [--seconds 15] [--requests 20000]`.

For each export: predictions per second and latency with 1, 4 and 16 clients; the answers to good pictures
while half of 16 clients send hostile bodies; and the memory of the server over many requests. Clients run on
the same machine, and take a part of its processors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dermpack.storage.files import format_json
from tests.support.hostile_pictures import CASES

PREDICTIONS = "/api/v1/predictions"
CLIENTS = (1, 4, 16)
SIZE = (600, 450)  # as in HAM10000
WARMUP = 20  # requests
MEMORY_ROUNDS = 10  # measurements over all requests
TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request: its status (0: no answer), and how long the answer took."""

    status: int
    seconds: float


def main() -> None:
    """Print the figures of each export as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exports", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--requests", type=int, default=20_000)
    options = parser.parse_args()
    picture = photograph()
    figures = {export.name: measure(export, picture, options) for export in options.exports}
    sys.stdout.write(format_json({"picture_bytes": len(picture), "size": SIZE, "models": figures}))


def measure(export: Path, picture: bytes, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one export."""
    with running(export) as (process, port):
        send(port, [picture] * WARMUP, clients=1)
        result: dict[str, Any] = {"load_at_start": os.getloadavg()[0], "clients": {}}
        for clients in CLIENTS:
            start = time.monotonic()
            sent = send(port, until(picture, start + options.seconds), clients=clients)
            result["clients"][clients] = summarize(sent, time.monotonic() - start)
        result["hostile"] = measure_hostile(port, picture, options.seconds)
        result["memory"] = measure_memory(process.pid, port, picture, options.requests)
        result["load_at_end"] = os.getloadavg()[0]
    return result


def measure_hostile(port: int, picture: bytes, seconds: float) -> dict[str, Any]:
    """Return the answers of 8 good clients while 8 others send what is rejected, and bodies that stop."""
    end, hostile = time.monotonic() + seconds, list(hostile_bodies())
    attacked: list[Sent] = []
    numbers = count()
    attackers = [
        threading.Thread(target=lambda: attacked.extend(attack(port, hostile, numbers, end)))
        for _ in range(8)
    ]
    for attacker in attackers:
        attacker.start()
    start = time.monotonic()
    sent = send(port, until(picture, end), clients=8)
    summary = summarize(sent, time.monotonic() - start)
    for attacker in attackers:
        attacker.join()
    statuses = [one.status for one in attacked]
    counted = {str(status): statuses.count(status) for status in sorted(set(statuses))}
    return {**summary, "lost": sum(one.status != 200 for one in sent), "hostile_by_status": counted}


def measure_memory(pid: int, port: int, picture: bytes, requests: int) -> dict[str, Any]:
    """Return the resident memory of the server and its children, in MiB, after each part of the requests."""
    sizes = [resident_mib(pid)]
    statuses = set[int]()
    for _ in range(MEMORY_ROUNDS):
        sent = send(port, [picture] * (requests // MEMORY_ROUNDS), clients=4)
        statuses |= {one.status for one in sent}
        sizes.append(resident_mib(pid))
    return {"requests": requests, "statuses": sorted(statuses), "resident_mib": sizes}


@contextmanager
def running(export: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Yield a server of the export and its port."""
    command = [sys.executable, "-m", "dermpack", "serve", str(export), "--port", "0", "--json", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        text = b"".join(iter(process.stdout.readline, b"}\n")) + b"}"
        try:
            yield process, int(json.loads(text)["url"].strip("/").rpartition(":")[2])
        finally:
            process.terminate()


def until(picture: bytes, end: float) -> Iterator[bytes]:
    """Yield the picture until the time is over."""
    while time.monotonic() < end:
        yield picture


def send(port: int, pictures: Sequence[bytes] | Iterator[bytes], *, clients: int) -> list[Sent]:
    """Send the pictures from several clients, each on a connection that it keeps."""
    source, lock, sent = iter(pictures), threading.Lock(), list[Sent]()

    def work() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        while True:
            with lock:
                picture = next(source, None)
            if picture is None:
                connection.close()
                return
            sent.append(post(connection, picture))

    in_threads(work, clients)
    return sent


def post(connection: HTTPConnection, body: bytes) -> Sent:
    """Send one body, and read its answer."""
    start = time.monotonic()
    try:
        connection.request("POST", PREDICTIONS, body)
        response = connection.getresponse()
        response.read()
        status = response.status
    except (OSError, HTTPException):
        connection.close()
        status = 0
    return Sent(status=status, seconds=time.monotonic() - start)


def attack(port: int, hostile: Sequence[bytes], numbers: Iterator[int], end: float) -> Iterator[Sent]:
    """Yield what happens to hostile bodies; every tenth one stops before its end and is abandoned."""
    while time.monotonic() < end:
        number = next(numbers)
        body = hostile[number % len(hostile)]
        connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        if number % 10 == 0:
            connection.putrequest("POST", PREDICTIONS)
            connection.putheader("Content-Length", str(len(body) + 1))
            connection.endheaders(body)
            yield Sent(status=-1, seconds=0.0)
        else:
            yield post(connection, body)
        connection.close()


def hostile_bodies() -> Iterator[bytes]:
    """Yield the files that are rejected, as the tests write them."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        for case in CASES:
            path = Path(folder) / case.name
            case.plant(path)
            if case.reason is not None and path.is_file() and not path.is_symlink():
                yield path.read_bytes()


def in_threads(work: Callable[[], None], number: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def summarize(sent: Sequence[Sent], seconds: float) -> dict[str, Any]:
    """Return count, rate and percentiles of the answers with status 200."""
    times_ms = [1000 * one.seconds for one in sent if one.status == 200]
    p50, p99 = np.percentile(times_ms, (50, 99)).tolist()
    return {
        "n": len(times_ms),
        "others": len(sent) - len(times_ms),
        "per_second": round(len(times_ms) / seconds, 1),
        "p50_ms": round(p50, 1),
        "p99_ms": round(p99, 1),
    }


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process and of its children."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    pids = [pid, *(int(child) for path in children for child in path.read_text().split())]
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in pids)
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def photograph() -> bytes:
    """Return a JPEG of the size of a usual picture, with some detail."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(90, 220, (45, 60, 3), dtype=np.uint8))
    file = BytesIO()
    small.resize(SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


if __name__ == "__main__":
    main()
