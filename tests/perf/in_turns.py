"""Run programs in turns on one processor, so that a slow moment of the machine slows all of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from math import comb
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from time import sleep

TURN_NS = 40_000_000  # of processor time: some thirty inferences
POLL_SECONDS = 0.002
UNLIKELY = 0.05


def run_in_turns(*commands: Sequence[str], folder: Path, cpu: int) -> tuple[bytes, ...]:
    """Return what each program printed; all of them have ended when this returns."""
    with ExitStack() as stack:
        programs = [stack.enter_context(_start_stopped(command, folder, cpu)) for command in commands]
        try:
            while any(program.poll() is None for program in programs):
                for program in programs:
                    _take_turn(program)
        finally:
            for program in programs:
                program.kill()
        outputs = tuple(program.communicate()[0] for program in programs)
    assert [program.returncode for program in programs] == [0] * len(programs)
    return outputs


def median_ci95(values: Sequence[float]) -> tuple[float, float]:
    """Return a 95 % interval of the median from order statistics.

    Of six values, it reaches from the smallest to the largest; of nine, from the second to the eighth.
    """
    ordered, n = sorted(values), len(values)
    # The chance that the median is outside of the interval without so many values at either end.
    outside = [sum(comb(n, k) for k in range(left_out + 1)) / 2 ** (n - 1) for left_out in range(n // 2)]
    left_out = max(number for number, chance in enumerate(outside) if chance <= UNLIKELY)
    return ordered[left_out], ordered[n - 1 - left_out]


def _start_stopped(command: Sequence[str], folder: Path, cpu: int) -> Popen[bytes]:
    program = Popen(command, cwd=folder, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    os.sched_setaffinity(program.pid, {cpu})
    program.send_signal(signal.SIGSTOP)
    return program


def _take_turn(program: Popen[bytes]) -> None:
    """Let the program run until it has used TURN_NS of processor time, however long it waits for it."""
    if program.poll() is not None:
        return
    end = _spent_ns(program) + TURN_NS
    program.send_signal(signal.SIGCONT)
    while program.poll() is None and _spent_ns(program) < end:
        sleep(POLL_SECONDS)
    program.send_signal(signal.SIGSTOP)  # without effect on a program that has ended


def _spent_ns(program: Popen[bytes]) -> int:
    """Return the processor time of the first thread, on which the programs compute."""
    return int(Path(f"/proc/{program.pid}/schedstat").read_text(encoding="ascii").split()[0])
