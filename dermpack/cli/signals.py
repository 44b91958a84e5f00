"""SIGINT and SIGTERM interrupt a command, whatever code is running."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from math import inf
from types import FrameType

REPEAT_S = 0.05  # delay before a lost or postponed signal is sent again
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
    """Raise SignalError in the block when SIGINT or SIGTERM comes; yield the signals that came.

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

    try:
        if replaced:
            sys.unraisablehook = repeat_lost
        for number in replaced:
            signal.signal(number, signals.receive)
        yield signals.came
    finally:
        try:
            signals.stop()
        finally:
            for number, handler in replaced.items():
                signal.signal(number, handler)
            if replaced:
                sys.unraisablehook = previous


class _Signals:
    """The signals that came, and those that are sent again."""

    def __init__(self) -> None:
        self.came: set[int] = set()
        self._raised_at: dict[int, float] = {}
        self._timers: dict[int, threading.Timer] = {}
        self._repeated: set[int] = set()  # sent by a timer, and not received yet
        self._imports_around = _count_imports(sys._getframe())
        self._is_stopped = False

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Raise SignalError, or send the signal again if its exception would be lost here."""
        if self._is_stopped:
            return
        is_new = number in self._repeated or number not in self.came
        self._repeated.discard(number)
        self.came.add(number)
        now = time.monotonic()
        if number == signal.SIGTERM and not is_new and now - self._raised_at.get(number, -inf) <= CLEANUP_S:
            return
        is_importing = _count_imports(frame) > self._imports_around
        if is_importing and (is_new or number == signal.SIGTERM):
            self.repeat(number)
            return
        self._cancel(number)
        self._raised_at[number] = now
        raise SignalError(number)

    def repeat(self, number: int) -> None:
        """Send the signal again soon; not at once, because an exception would be lost here too."""
        timer = threading.Timer(REPEAT_S, self._send, (number,))
        timer.daemon = True
        self._cancel(number)
        self._timers[number] = timer
        try:
            timer.start()
        except RuntimeError:  # no thread can be started
            raise SignalError(number) from None

    def stop(self) -> None:
        """Send and raise nothing any more."""
        self._is_stopped = True
        for timer in [*self._timers.values()]:
            timer.cancel()
            with suppress(RuntimeError):  # it was never started
                timer.join()  # a signal that it has just sent is received before the handlers are restored

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
