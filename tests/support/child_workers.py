"""Modules of child processes end in many ways: one `main` with a way for each."""

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
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "bug":
            raise RuntimeError("out of ideas")
        case "memory":
            channel.send(str(len(bytearray(4 << 30))).encode())
        case "sleep":
            time.sleep(60)
        case "half":
            os.write(channel._output.fileno(), (100).to_bytes(8, "little") + b"half")
        case "huge":
            os.write(channel._output.fileno(), (1 << 60).to_bytes(8, "little"))
    sys.exit(0)
