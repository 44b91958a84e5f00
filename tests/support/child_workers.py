"""Behave as child processes that end in different ways: the argument selects one."""

from __future__ import annotations

import os
import signal
import sys
import time

from dermpack.processes.child_process import Channel


def main(channel: Channel, way: str) -> None:
    match way:
        case "echo":
            print("a library prints to stdout")  # noqa: T201 - it must not end up between frames
            while (frame := channel.receive()) is not None:
                channel.send(frame)
        case "crash" | "killed":
            os.kill(os.getpid(), signal.SIGSEGV if way == "crash" else signal.SIGKILL)
        case "bug":
            raise RuntimeError("out of ideas")
        case "memory":
            channel.send(str(len(bytearray(4 << 30))).encode())
        case "spin":
            while way:
                pass
        case "sleep":
            time.sleep(60)
        case "half" | "huge":
            frame = (
                (100).to_bytes(8, "little") + b"half" if way == "half" else (1 << 60).to_bytes(8, "little")
            )
            os.write(channel._output.fileno(), frame)
    sys.exit(0)
