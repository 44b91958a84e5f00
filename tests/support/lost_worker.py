"""Run the program as a worker that is lost: it gets SIGKILL or SIGSTOP at the start of a step."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pytest


def main() -> int:
    from dermpack.cli import main as program
    from trainer.fitting.train_step import TrainStep

    ending, last, real_step = signal.Signals[sys.argv[1]], int(sys.argv[2]), TrainStep.step
    done = 0

    def step(self: TrainStep, *batch: Any, rate: float) -> float:
        nonlocal done
        if done == last:
            os.kill(os.getpid(), ending)
        done += 1
        return real_step(self, *batch, rate=rate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainStep, "step", step)
        return program(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
