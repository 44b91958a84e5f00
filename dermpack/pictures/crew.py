"""Share work among all cores; the answers come in the order of the tasks."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")
FEW = 100  # tasks; below, starting workers takes longer than the work
CHUNK = 8  # tasks handed over at once


def crew(work: Callable[[Task], Answer], tasks: Sequence[Task]) -> Iterator[Answer]:
    """The answers to all tasks."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if len(tasks) < FEW or cores == 1:
        yield from map(work, tasks)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads can hang
    with ProcessPoolExecutor(cores, mp_context=context, initializer=_leave_interrupts) as pool:
        yield from pool.map(work, tasks, chunksize=CHUNK)


def _leave_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent alone
