"""SIGINT and SIGTERM interrupt a command, wherever it is when they come."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager
from types import FrameType

REPEAT_S = 0.05  # until a signal whose exception was lost or would be is sent again
CLEANUP_S = 1.0  # after SIGTERM, in which another one is ignored: GNU timeout sends two
IMPORT_MACHINERY = "<frozen importlib._bootstrap>"


class SignalError(KeyboardInterrupt):
    """A signal interrupts the work.

    The subclass keeps the exit code: once KeyboardInterrupt itself has left an `exec`, as in the imports of
    many libraries, Python ends by SIGINT even if it was caught.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def interruptible() -> Iterator[Container[int]]:
    """Raise SignalError in the block when SIGINT or SIGTERM comes; yield the set of the signals that came.

    An exception of a signal can be lost: Python drops those of destructors and of callbacks of C code, and
    libraries with C code replace those of their imports by an ImportError. So a lost signal is sent again,
    and one that comes during an import is sent again until the import ends. A second Ctrl-C does not wait.
    """
    # Python runs handlers in the main thread only. A handler of a program that calls `main` is kept.
    is_main = threading.current_thread() is threading.main_thread()
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    replaced = {
        number: handler
        for number, handler in defaults.items()
        if is_main and signal.getsignal(number) is handler
    }
    signals = _Signals()
    previous = sys.unraisablehook

    def repeat_lost(lost: sys.UnraisableHookArgs) -> None:
        if isinstance(lost.exc_value, KeyboardInterrupt):
            signals.repeat(getattr(lost.exc_value, "number", signal.SIGINT))
        else:
            previous(lost)

    sys.unraisablehook = repeat_lost
    for number in replaced:
        signal.signal(number, signals.receive)
    try:
        yield signals.times
    finally:
        signals.stop()
        for number, handler in replaced.items():
            signal.signal(number, handler)
        sys.unraisablehook = previous


class _Signals:
    """The signals that came, and those that are sent again."""

    def __init__(self) -> None:
        self.times: dict[int, float] = {}  # when each first came
        self._timers: dict[int, threading.Timer] = {}
        self._repeated: set[int] = set()  # sent by a timer, and not received yet
        self._imports_around = _count_imports(sys._getframe())
        self._is_stopped = False

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Raise SignalError, or send the signal again if its exception would be lost here."""
        now = time.monotonic()
        is_first = number in self._repeated or number not in self.times
        self._repeated.discard(number)
        is_within_cleanup = now - self.times.setdefault(number, now) <= CLEANUP_S
        if self._is_stopped or (number == signal.SIGTERM and not is_first and is_within_cleanup):
            return
        if is_first and _count_imports(frame) > self._imports_around:
            self.repeat(number)
            return
        self._cancel(number)
        raise SignalError(number)

    def repeat(self, number: int) -> None:
        """Send the signal again soon; not at once, because an exception would be lost here too."""
        timer = threading.Timer(REPEAT_S, self._send, (number,))
        timer.daemon = True
        self._cancel(number)
        self._timers[number] = timer
        timer.start()

    def stop(self) -> None:
        """Send and raise nothing any more."""
        self._is_stopped = True
        for number in [*self._timers]:
            self._cancel(number)

    def _cancel(self, number: int) -> None:
        if number in self._timers:
            self._timers.pop(number).cancel()

    def _send(self, number: int) -> None:
        if not self._is_stopped:
            self._repeated.add(number)
            os.kill(os.getpid(), number)


def _count_imports(frame: FrameType | None) -> int:
    """Return how many calls of the import machinery lie on the stack of the frame."""
    count = 0
    while frame is not None:
        count += frame.f_code.co_filename == IMPORT_MACHINERY
        frame = frame.f_back
    return count
