"""Run two programs in turns on one processor: a slow moment of the machine is one of both."""

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
LOOK_SECONDS = 0.002
UNLIKELY = 0.05


def run_in_turns(*commands: Sequence[str], folder: Path, cpu: int) -> tuple[bytes, ...]:
    """What each one printed; none of them outlives this call."""
    with ExitStack() as stack:
        programs = [stack.enter_context(_stopped(command, folder, cpu)) for command in commands]
        try:
            while any(program.poll() is None for program in programs):
                for program in programs:
                    _take_turn(program)
        finally:
            for program in programs:
                program.kill()
        said = tuple(program.communicate()[0] for program in programs)
    assert [program.returncode for program in programs] == [0] * len(programs)
    return said


def median_ci95(values: Sequence[float]) -> tuple[float, float]:
    """Of the median, by order alone: of six values from the least to the greatest, of nine without both."""
    among, n = sorted(values), len(values)
    beyond = [sum(comb(n, at) for at in range(left_out + 1)) / 2 ** (n - 1) for left_out in range(n // 2)]
    left_out = max(at for at, chance in enumerate(beyond) if chance <= UNLIKELY)
    return among[left_out], among[n - 1 - left_out]


def _stopped(command: Sequence[str], folder: Path, cpu: int) -> Popen[bytes]:
    program = Popen(command, cwd=folder, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    os.sched_setaffinity(program.pid, {cpu})
    program.send_signal(signal.SIGSTOP)
    return program


def _take_turn(program: Popen[bytes]) -> None:
    """Until it has had its time on the processor, however long it waits for that."""
    if program.poll() is not None:
        return
    end = _spent_ns(program) + TURN_NS
    program.send_signal(signal.SIGCONT)
    while program.poll() is None and _spent_ns(program) < end:
        sleep(LOOK_SECONDS)
    program.send_signal(signal.SIGSTOP)  # one that has ended takes no harm


def _spent_ns(program: Popen[bytes]) -> int:
    """On the processor, as the kernel counts it for the first thread: both compute on that one."""
    return int(Path(f"/proc/{program.pid}/schedstat").read_text(encoding="ascii").split()[0])
