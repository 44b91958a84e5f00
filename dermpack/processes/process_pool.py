"""A worker pool: run one function on many tasks in several processes."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TypeVar

from dermpack.errors import DermpackError, InputError
from dermpack.processes.child_process import Channel, ChildEndedError, ChildProcess
from dermpack.processes.limits import divide_memory

Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerLostError(InputError):
    """A worker process died; `task` is the index of its task."""

    def __init__(self, task: int, ending: str) -> None:
        what = f"the worker process ended unexpectedly ({ending})"
        super().__init__(f"task {task}", what, "Try again with --jobs 1.", code="worker-died")
        self.task, self.ending = task, ending

    def __reduce__(self) -> tuple[type[WorkerLostError], tuple[object, ...]]:
        return type(self), (self.task, self.ending)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """An error of the work on its way to the parent."""

    error: DermpackError | OSError


def available_jobs() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_in_processes(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    most_memory_bytes: int | None = None,
) -> Iterator[tuple[int, Result]]:
    """Yield the index and result of each task in the order of completion.

    DermpackError and OSError of the work are raised here. No process outlives the iterator. With a limit of
    the memory of a worker, even a single task runs in a process.
    """
    count = min(jobs, len(tasks))
    if count == 0 or (count == 1 and most_memory_bytes is None):
        yield from ((index, work(task)) for index, task in enumerate(tasks))
        return
    waiting = iter(range(len(tasks)))
    running: dict[int, tuple[ChildProcess, int]] = {}  # by the output: a worker and the index of its task
    with ExitStack() as workers:  # killed at the end: they only read files, so nothing is left half written
        memory_bytes = divide_memory(count, most=most_memory_bytes) if most_memory_bytes else 0
        for _ in range(count):
            # In a session of its own, the worker does not get the Ctrl-C that interrupts the parent.
            worker = workers.enter_context(
                ChildProcess(__name__, memory_bytes=memory_bytes, new_session=True, inherit_stderr=True)
            )
            index = next(waiting)
            worker.send(pickle.dumps((work, tasks[index])))
            running[worker.output_descriptor] = (worker, index)
        # One task per worker at a time: if a worker dies, its task is known.
        while running:
            ready = wait(list(running))
            for output in [output for output in running if output in ready]:
                worker, index = running.pop(output)
                try:
                    result: Result | _Failed = pickle.loads(worker.receive())
                except ChildEndedError as error:
                    raise WorkerLostError(index, str(error)) from error
                if isinstance(result, _Failed):
                    raise result.error
                # The next task comes before the yield: the worker must not idle.
                if (following := next(waiting, None)) is not None:
                    worker.send(pickle.dumps((work, tasks[following])))
                    running[output] = (worker, following)
                yield index, result


def main(channel: Channel) -> None:
    """Run the worker: do task after task until the parent kills it, or has ended."""
    with suppress(BrokenPipeError):
        while frame := channel.receive():
            work, task = pickle.loads(frame)
            try:
                result = work(task)
            except (DermpackError, OSError) as error:  # anything else is a bug and ends the worker
                result = _Failed(error=error)
            channel.send(pickle.dumps(result))
