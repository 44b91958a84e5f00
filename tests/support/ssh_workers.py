"""Workers that do what a test needs, and a look at the processes of this machine."""

from __future__ import annotations

import os
import select
from dataclasses import dataclass
from pathlib import Path

PATIENCE_SECONDS = 30.0

OBEDIENT = """
import json, sys
print(json.dumps({"job": json.load(open(sys.argv[1])), "folder": __file__}))
"""
CRASHING = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
COMPLAINING = "import sys; print('first', file=sys.stderr); sys.exit('ValueError: last words')"
BABBLING = "print('not JSON')"
MUTE = ""
ENDLESS = "import time; time.sleep(600)"
FLOOD = "import sys; sys.stdout.write('x' * (65 << 20))"


def lingering(fifo: Path) -> str:
    """Tells of itself through the fifo, starts a child, and stays."""
    return f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open({str(fifo)!r}, "w") as told:
    told.write(f"{{os.getppid()}} {{os.getpid()}} {{child.pid}} {{os.getcwd()}}")
time.sleep(600)
"""


@dataclass(frozen=True)
class Lingering:
    """What a lingering worker tells of itself."""

    processes: tuple[int, ...]  # keeper, worker, the worker's child
    folder: Path


def told(fifo: Path) -> Lingering:
    """Waits until the worker runs."""
    *processes, folder = fifo.read_text().split(" ")
    return Lingering(tuple(map(int, processes)), Path(folder))


def ends(process: int) -> bool:
    """Whether the process ends in good time; a zombie has."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], PATIENCE_SECONDS)[0])
    finally:
        os.close(handle)
