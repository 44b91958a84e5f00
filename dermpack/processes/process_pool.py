"""Run one function over many tasks, in as many processes as asked."""

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

Task = TypeVar("Task")
Answer = TypeVar("Answer")
SPAWN = get_context("spawn")  # a forked copy of a process with threads may hang


class WorkerLostError(InputError):
    """A worker process died; `task` is the index of what it was at."""

    def __init__(self, task: int, ending: str) -> None:
        what = f"the worker process ended unexpectedly ({ending})"
        super().__init__(f"task {task}", what, "Try again with --jobs 1.", code="worker-died")
        self.task, self.ending = task, ending

    def __reduce__(self) -> tuple[type[WorkerLostError], tuple[object, ...]]:
        return type(self), (self.task, self.ending)


def available_jobs() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def answers(
    work: Callable[[Task], Answer], tasks: Sequence[Task], *, jobs: int
) -> Iterator[tuple[int, Answer]]:
    """Each task's index and answer, as they come; no process outlives the iterator."""
    if min(jobs, len(tasks)) <= 1:
        yield from ((at, work(task)) for at, task in enumerate(tasks))
        return
    crew = _WorkerPool(work, min(jobs, len(tasks)))
    try:
        yield from crew.run(tasks)
    finally:
        crew.dismiss()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """What the work raised, on its way to the parent."""

    error: DermpackError | OSError


class _WorkerPool(Generic[Task, Answer]):
    """Worker processes with a pipe each, so that a death is seen, and seen to be whose."""

    def __init__(self, work: Callable[[Task], Answer], size: int) -> None:
        self.workers: dict[Connection, BaseProcess] = {}
        self.at: dict[Connection, int] = {}  # the task that a worker has now
        try:
            with _undisturbed():
                for _ in range(size):
                    self._hire(work)
        except BaseException:
            self.dismiss()
            raise

    def _hire(self, work: Callable[[Task], Answer]) -> None:
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=_serve, args=(work, theirs), daemon=True)
        process.start()
        theirs.close()  # only the worker holds it now: its death ends the pipe
        self.workers[ours] = process

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]:
        waiting = iter(range(len(tasks)))
        for pipe in self.workers:
            self._give(pipe, waiting, tasks)
        while self.at:
            ready = wait(list(self.at))
            for pipe in [pipe for pipe in self.at if pipe in ready]:
                at, answer = self.at[pipe], self._take(pipe)
                self._give(pipe, waiting, tasks)
                yield at, answer

    def _give(self, pipe: Connection, waiting: Iterator[int], tasks: Sequence[Task]) -> None:
        self.at.pop(pipe, None)
        at = next(waiting, None)
        if at is None:
            return
        self.at[pipe] = at
        with suppress(BrokenPipeError):  # a dead worker is reported when its answer is awaited
            pipe.send(tasks[at])

    def _take(self, pipe: Connection) -> Answer:
        try:
            answer: Answer | _Failed = pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            process = self.workers[pipe]
            process.join()
            raise WorkerLostError(self.at[pipe], _ending(process.exitcode)) from error
        if isinstance(answer, _Failed):
            raise answer.error
        return answer

    def dismiss(self) -> None:
        for process in self.workers.values():
            process.kill()  # it only reads: nothing of it can be half done
        for pipe, process in self.workers.items():
            process.join()
            pipe.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the workers stand: they are born deaf to it, and a half-started one would complain.

    Blocking the signal makes the children deaf; the handler is needed too, since another thread of this
    process may take the signal, and Python then raises it here all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    resource_tracker.ensure_running()  # its start, at the first worker, would unblock the signal again
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    if came:
        raise KeyboardInterrupt


def _serve(work: Callable[[Task], Answer], pipe: Connection) -> None:
    """Answer task after task; the parent's end or death ends it."""
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            pipe.send(_answer(work, pipe.recv()))


def _answer(work: Callable[[Task], Answer], task: Task) -> Answer | _Failed:
    """The answer, or what a person should be told instead; a bug ends the worker, with its traceback."""
    try:
        return work(task)
    except (DermpackError, OSError) as error:
        return _Failed(error=error)


def _ending(exitcode: int | None) -> str:
    """How a process ended, in words: _ending(-9) → "SIGKILL, possibly out of memory"."""
    if exitcode == -signal.SIGKILL:
        return "SIGKILL, possibly out of memory"
    if exitcode is not None and exitcode < 0:
        return signal.Signals(-exitcode).name
    return f"exit code {exitcode}"
