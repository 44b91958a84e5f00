"""A pool does every task once, and survives what ends a worker where the caller wants that."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Sequence

import pytest

from dermpack.processes.limits import allow_cpu_seconds
from dermpack.processes.process_pool import WorkerLostError, map_each, map_in_processes
from tests.support.paths import REPOSITORY

MEMORY_BYTES = 1 << 30
ENDINGS = {
    "SIGXCPU": "SIGXCPU",
    "SIGSEGV": "SIGSEGV",
    "SIGKILL": "SIGKILL, possibly out of memory",
    "MemoryError": "exit code 1",
}


def slain(task: int) -> int:
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def without_room(task: int) -> int:
    if task == 1:
        raise OSError(errno.ENOSPC, "No space left on device")
    return task


def process_of(_task: int) -> int:
    return os.getpid()


def test_a_killed_worker_is_named_with_its_task() -> None:
    with pytest.raises(WorkerLostError, match="SIGKILL") as caught:
        list(map_in_processes(slain, [0, 1, 2, 3], jobs=2))
    assert caught.value.task == 1


def test_a_full_disk_in_a_worker_is_the_parents_error() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        list(map_in_processes(without_room, [0, 1, 2, 3], jobs=2))
    assert caught.value.errno == errno.ENOSPC


def test_no_worker_outlives_an_abandoned_iteration() -> None:
    running = map_in_processes(process_of, list(range(50)), jobs=2)
    worker = next(running)[1]
    assert worker != os.getpid()
    running.close()  # type: ignore[attr-defined]  # a generator
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def end_on_request(item: str) -> str:
    """Return the item in lower case, unless it is the name of an end."""
    if item == "MemoryError":
        raise MemoryError
    if item == "SIGXCPU":
        allow_cpu_seconds(0)
        while True:
            pass
    if item in ENDINGS:
        os.kill(os.getpid(), signal.Signals[item])
    return item.lower()


def ends(items: Sequence[str], *, chunk: int, jobs: int) -> list[str]:
    results = dict(
        map_each(
            end_on_request,
            items,
            chunk=chunk,
            jobs=jobs,
            most_memory_bytes=MEMORY_BYTES,
            lost=lambda index, ending: f"{items[index]} lost: {ending}",
        )
    )
    return [results[index] for index in range(len(items))]


@pytest.mark.parametrize(("chunk", "jobs"), [(4, 1), (3, 2), (1, 2), (100, 2)])
def test_an_item_that_ends_its_worker_costs_no_other_item(chunk: int, jobs: int) -> None:
    items = ["A", "SIGSEGV", "B", "C", "D", "MemoryError", "E", "SIGKILL", "F"]
    expected = [f"{item} lost: {ENDINGS[item]}" if item in ENDINGS else item.lower() for item in items]
    assert ends(items, chunk=chunk, jobs=jobs) == expected


def test_an_item_with_too_much_processor_time_is_distinguished_from_a_crash() -> None:
    assert ends(["A", "SIGXCPU"], chunk=1, jobs=1) == ["a", "SIGXCPU lost: SIGXCPU"]


def test_no_item_is_no_work() -> None:
    assert ends([], chunk=4, jobs=2) == []


def divide(number: int) -> float:
    return 1 / number


def test_a_bug_in_a_worker_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError") as caught:
        list(map_in_processes(divide, [1, 0], jobs=2))
    assert "in divide" in str(caught.value.__cause__)


def test_what_libraries_print_in_a_worker_is_not_shown() -> None:
    program = (
        "from dermpack.processes.process_pool import map_in_processes\n"
        "from tests.dermpack.processes.test_process_pool import chatter\n"
        "print(list(map_in_processes(chatter, [0, 1, 2], jobs=2)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stderr == "" and done.stdout.count("(") == 3


def chatter(task: int) -> int:
    """Write as Python's warnings and as a C library do."""
    warnings.warn("a warning", stacklevel=1)
    os.write(2, b"TIFFFillStrip: Read error.\n")
    os.write(1, b"and on stdout\n")
    return task
