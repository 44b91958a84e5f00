"""A worker pool: run one function on many tasks in several processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from dermpack.errors import DermpackError, InputError
from dermpack.processes.child_process import describe_exit

Task = TypeVar("Task")
Result = TypeVar("Result")
SPAWN = get_context("spawn")  # a forked copy of a process with threads may hang


class WorkerLostError(InputError):
    """A worker process died; `task` is the index of its task."""

    def __init__(self, task: int, ending: str) -> None:
        what = f"the worker process ended unexpectedly ({ending})"
        super().__init__(f"task {task}", what, "Try again with --jobs 1.", code="worker-died")
        self.task, self.ending = task, ending

    def __reduce__(self) -> tuple[type[WorkerLostError], tuple[object, ...]]:
        return type(self), (self.task, self.ending)


def available_jobs() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_in_processes(
    work: Callable[[Task], Result], tasks: Sequence[Task], *, jobs: int
) -> Iterator[tuple[int, Result]]:
    """Yield the index and result of each task in the order of completion.

    DermpackError and OSError of the work are raised here. No process outlives the iterator.
    """
    if min(jobs, len(tasks)) <= 1:
        yield from ((index, work(task)) for index, task in enumerate(tasks))
        return
    pool = _WorkerPool(work, min(jobs, len(tasks)))
    try:
        yield from pool.run(tasks)
    finally:
        pool.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """An error of the work on its way to the parent."""

    error: DermpackError | OSError


class _WorkerPool(Generic[Task, Result]):
    """Worker processes with one pipe each: a shared queue would not show which worker died."""

    def __init__(self, work: Callable[[Task], Result], size: int) -> None:
        self.workers: dict[Connection, BaseProcess] = {}
        self.running: dict[Connection, int] = {}  # the index of the task that a worker has now
        try:
            with _interrupt_later():
                for _ in range(size):
                    ours, theirs = SPAWN.Pipe()
                    process = SPAWN.Process(target=_serve, args=(work, theirs), daemon=True)
                    process.start()
                    theirs.close()  # only the worker has it open now, so its death ends the pipe
                    self.workers[ours] = process
        except BaseException:
            self.close()
            raise

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
        waiting = iter(range(len(tasks)))
        for pipe in self.workers:
            self._send_next(pipe, waiting, tasks)
        # One task per worker at a time: if a worker dies, its task is known.
        while self.running:
            ready = wait(list(self.running))
            for pipe in [pipe for pipe in self.running if pipe in ready]:
                index, result = self.running[pipe], self._receive(pipe)
                self._send_next(pipe, waiting, tasks)  # before the yield: the worker must not idle
                yield index, result

    def _send_next(self, pipe: Connection, waiting: Iterator[int], tasks: Sequence[Task]) -> None:
        self.running.pop(pipe, None)
        index = next(waiting, None)
        if index is None:
            return
        self.running[pipe] = index
        with suppress(BrokenPipeError):  # a dead worker is reported by _receive
            pipe.send(tasks[index])

    def _receive(self, pipe: Connection) -> Result:
        try:
            result: Result | _Failed = pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            process = self.workers[pipe]
            process.join()
            raise WorkerLostError(self.running[pipe], describe_exit(process.exitcode)) from error
        if isinstance(result, _Failed):
            raise result.error
        return result

    def close(self) -> None:
        for process in self.workers.values():
            process.kill()  # workers only read files, so nothing can be left half written
        for pipe, process in self.workers.items():
            process.join()
            pipe.close()


@contextmanager
def _interrupt_later() -> Iterator[None]:
    """Delay Ctrl-C until the workers have started, and start them so that they ignore it.

    Children inherit the blocked signal, so only the parent reacts to Ctrl-C; a half-started child would print
    a traceback. The handler is needed too: another thread of the parent may receive the signal, and Python
    then raises KeyboardInterrupt in the main thread although the signal is blocked there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    resource_tracker.ensure_running()  # its start, at the first worker, would unblock the signal again
    received: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    if received:
        raise KeyboardInterrupt


def _serve(work: Callable[[Task], Result], pipe: Connection) -> None:
    """Run the worker: do task after task until the parent closes the pipe or dies."""
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            task = pipe.recv()
            try:
                result: Result | _Failed = work(task)
            except (DermpackError, OSError) as error:  # anything else is a bug and ends the worker
                result = _Failed(error=error)
            pipe.send(result)
