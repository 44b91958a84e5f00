"""A worker pool: run one function on many tasks in several processes.

What libraries print in a worker is discarded. An error of the work is raised here; a bug keeps its traceback.
`map_each` also survives items that end their worker, as a hostile picture can.
"""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
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
    """An error of the work on its way to the parent; the traceback is that of a bug."""

    error: DermpackError | OSError | RuntimeError
    traceback: str = ""


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
    lost: Callable[[int, str], Result] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Yield the index and result of each task in the order of completion.

    DermpackError and OSError of the work are raised here. No process outlives the iterator. With a limit of
    the memory of a worker, even a single task runs in a process. `lost` gets the index of a task whose worker
    died, and how it died, and returns a result for it; by default, WorkerLostError is raised.
    """
    count = min(jobs, len(tasks))
    if count == 0 or (count == 1 and most_memory_bytes is None):
        yield from ((index, work(task)) for index, task in enumerate(tasks))
        return
    waiting = iter(range(len(tasks)))
    running: dict[int, tuple[ChildProcess, int]] = {}  # by the output: a worker and the index of its task
    with ExitStack() as workers:  # killed at the end: they only read files, so nothing is left half written
        memory_bytes = divide_memory(count, most=most_memory_bytes) if most_memory_bytes else 0

        def start() -> ChildProcess:
            # In a session of its own, the worker does not get the Ctrl-C that interrupts the parent.
            return workers.enter_context(ChildProcess(__name__, memory_bytes=memory_bytes, new_session=True))

        for _ in range(count):
            worker, index = start(), next(waiting)
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
                    if lost is None:
                        raise WorkerLostError(index, str(error)) from error
                    worker.close()
                    result = lost(index, str(error))
                if isinstance(result, _Failed):
                    raise result.error from (_WorkerBugError(result.traceback) if result.traceback else None)
                # The next task comes before the yield: the worker must not idle.
                if (following := next(waiting, None)) is not None:
                    worker = worker if worker.is_running else start()
                    worker.send(pickle.dumps((work, tasks[following])))
                    running[worker.output_descriptor] = (worker, following)
                yield index, result


def map_each(
    work: Callable[[Task], Result],
    items: Sequence[Task],
    *,
    chunk: int,
    jobs: int,
    most_memory_bytes: int,
    lost: Callable[[int, str], Result],
) -> Iterator[tuple[int, Result]]:
    """Yield the index and result of each item; `lost` returns the result of one that ends its worker.

    A task contains `chunk` items, because one message for each would cost more than the work.
    """
    starts = range(0, len(items), chunk)
    chunks = [tuple(items[start : start + chunk]) for start in starts]
    in_lost_chunks = list[int]()

    def note_lost(task: int, _ending: str) -> list[Result]:
        in_lost_chunks.extend(range(starts[task], starts[task] + len(chunks[task])))
        return []

    mapped = map_in_processes(
        partial(_work_on_chunk, work),
        chunks,
        jobs=jobs,
        most_memory_bytes=most_memory_bytes,
        lost=note_lost,
    )
    for task, results in mapped:
        yield from enumerate(results, start=starts[task])
    # One of the items of such a chunk is to blame: alone, each one shows whether it is.
    alone = sorted(in_lost_chunks)
    singles = map_in_processes(
        work,
        [items[index] for index in alone],
        jobs=jobs,
        most_memory_bytes=most_memory_bytes,
        lost=lambda task, ending: lost(alone[task], ending),
    )
    yield from ((alone[task], result) for task, result in singles)


def _work_on_chunk(work: Callable[[Task], Result], chunk: Sequence[Task]) -> list[Result]:
    return [work(item) for item in chunk]


class _WorkerBugError(Exception):
    """The traceback of a bug in a worker, as the cause of the error in the parent."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def main(channel: Channel) -> None:
    """Run the worker: do task after task until the parent kills it, or has ended."""
    with suppress(BrokenPipeError):
        while frame := channel.receive():
            try:
                work, task = pickle.loads(frame)
                result = work(task)
            except (DermpackError, OSError) as error:
                result = _Failed(error=error)
            except MemoryError:
                raise  # the worker ends: what is left of its memory is unknown
            except Exception as error:  # noqa: BLE001 - a bug: the parent raises it with its traceback
                text = f"{type(error).__name__} in a worker process"
                result = _Failed(error=RuntimeError(text), traceback=traceback.format_exc())
            channel.send(pickle.dumps(result))
