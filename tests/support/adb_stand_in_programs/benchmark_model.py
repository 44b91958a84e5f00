"""Behave like the native benchmark_model: its flags, its outputs, its exit codes.

A model's first byte is its pace. ADB_STAND_IN says where recorded outputs are (`texts`), and may say `tool`:
"old" for a build that tells no percentiles, "mute" for one that tells nothing, "crashing", "endless"
(which first writes its number into `fifo`, if there is one).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time


def main(arguments: list[str]) -> int:
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    told, model = json.loads(read(os.environ["ADB_STAND_IN"])), read(flags["graph"])
    texts = told["texts"]
    build = told.get("tool", "new")
    if build == "crashing":
        os.kill(os.getpid(), signal.SIGSEGV)
    if build == "endless":
        if "fifo" in told:
            fifo = os.open(told["fifo"], os.O_WRONLY)
            os.write(fifo, str(os.getpid()).encode())
            os.close(fifo)
        time.sleep(600)
    if model[4:8] != b"TFL3":
        return say(f"{texts}/refused.txt", flags["graph"], pace=1) or 1
    if build != "mute":
        say(f"{texts}/{'old' if build == 'old' else 'new'}.txt", flags["graph"], pace=model[0])
    if flags.get("enable_op_profiling") == "true":
        say(f"{texts}/profile.txt", flags["graph"], pace=1)
    return 0


def say(recorded: str, graph: str, *, pace: int) -> int:
    """The recorded output; with another pace, every median is that many times as long."""
    text = read(recorded).decode().replace("model-0.tflite", graph.rpartition("/")[2])
    sys.stderr.write(text.replace("median=11960", f"median={11960 * pace}"))
    return 0


def read(path: str) -> bytes:
    return os.read(os.open(path, os.O_RDONLY), 1 << 20)  # importing pathlib takes longer than all of this


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
