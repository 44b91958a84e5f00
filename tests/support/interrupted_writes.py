"""Fail or kill a piece of work at each of its calls that write, in turn."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dermpack.errors import OutputError

# The calls of the standard library through which files are written, renamed and removed.
CALLS: tuple[tuple[Any, str], ...] = ((os, "fsync"), (Path, "replace"), (Path, "rename"), (Path, "unlink"))
MAX_STEPS = 60


def kill_at_each_step(work: Callable[[], object], *, prepare: Callable[[], object]) -> Iterator[int]:
    """Run the work in a child process that is killed before its first, second … call; yield after each."""
    for step in range(MAX_STEPS):
        prepare()
        child = os.fork()
        if child == 0:
            _intercept(step, lambda: os.kill(os.getpid(), signal.SIGKILL), setattr)
            work()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert status == 0
            return
        yield step
    raise AssertionError(f"more than {MAX_STEPS} steps")


def fail_at_each_step(
    work: Callable[[], object], *, prepare: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """Run the work with a full disk at its first, second … call; yield after each failure.

    A failure may be ignored where nothing depends on it, as when a temporary file is removed.
    """
    for step in range(MAX_STEPS):
        failed: list[int] = []

        def fail(failed: list[int] = failed, step: int = step) -> None:
            failed.append(step)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        prepare()
        with monkeypatch.context() as patched:
            _intercept(step, fail, patched.setattr)
            try:
                work()
            except OutputError as error:
                assert error.code == "cannot-write"
        if not failed:
            return
        yield step
    raise AssertionError(f"more than {MAX_STEPS} steps")


def _intercept(step: int, interrupt: Callable[[], object], assign: Callable[[Any, str, Any], object]) -> None:
    calls = iter(range(MAX_STEPS))

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(calls) == step:
                interrupt()
            return original(*arguments, **options)

        return call

    for place, name in CALLS:
        assign(place, name, wrap(getattr(place, name)))
