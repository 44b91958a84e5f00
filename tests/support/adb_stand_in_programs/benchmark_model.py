"""Behave like the native benchmark_model: its flags, its outputs, its exit codes.

The first byte of a model multiplies the times. ADB_STAND_IN names the folder of recorded outputs (`texts`),
and may name the behaviour (`tool`): "old" for a build that prints no percentiles, "mute" for one that prints
nothing, "crashing", or "endless" (which first writes its process id into `fifo`, if there is one).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time


def main(arguments: list[str]) -> int:
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    configuration, model = json.loads(read(os.environ["ADB_STAND_IN"])), read(flags["graph"])
    texts = configuration["texts"]
    build = configuration.get("tool", "new")
    if build == "crashing":
        os.kill(os.getpid(), signal.SIGSEGV)
    if build == "endless":
        if "fifo" in configuration:
            fifo = os.open(configuration["fifo"], os.O_WRONLY)
            os.write(fifo, str(os.getpid()).encode())
            os.close(fifo)
        time.sleep(600)
    if model[4:8] != b"TFL3":
        return print_recorded(f"{texts}/refused.txt", flags["graph"], pace=1) or 1
    if build != "mute":
        print_recorded(f"{texts}/{'old' if build == 'old' else 'new'}.txt", flags["graph"], pace=model[0])
    if flags.get("enable_op_profiling") == "true":
        print_recorded(f"{texts}/profile.txt", flags["graph"], pace=1)
    return 0


def print_recorded(recorded: str, graph: str, *, pace: int) -> int:
    """Print a recorded output, with each median multiplied by `pace`."""
    text = read(recorded).decode().replace("model-0.tflite", graph.rpartition("/")[2])
    sys.stderr.write(text.replace("median=11960", f"median={11960 * pace}"))
    return 0


def read(path: str) -> bytes:
    return os.read(os.open(path, os.O_RDONLY), 1 << 20)  # importing pathlib would take longer than the rest


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
