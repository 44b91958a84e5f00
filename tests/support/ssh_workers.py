"""Provide a stand-in ssh, workers with different behaviour, and a check whether a process ends."""

from __future__ import annotations

import os
import select
from dataclasses import dataclass
from pathlib import Path

import pytest

PATIENCE_SECONDS = 30.0

# Stand-in scripts of ssh: the first one runs the remote command here, the second one only reads its mark.
RUN_HERE = 'shift $(($# - 1))\nexec sh -c "$1"'
TAKE_MARK = (
    "mark=$(dd bs=8192 count=1 iflag=fullblock status=none | sed -n 's/^mark=\\([0-9a-f]*\\).*/\\1/p')"
)

# Programs of workers.
OBEDIENT = """
import json, os, sys
print(json.dumps({"job": json.load(open(sys.argv[1])), "folder": os.getcwd()}))
"""
CRASHING = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
COMPLAINING = "import sys; print('first', file=sys.stderr); sys.exit('ValueError: last words')"
BABBLING = "print('not JSON')"
MUTE = ""
ENDLESS = "import time; time.sleep(600)"
FLOOD = "import sys; sys.stdout.write('x' * (65 << 20))"


def install_ssh(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str = RUN_HERE) -> Path:
    """Put a stand-in ssh first on the PATH and return the folder for the remote side's temporary folders.

    It writes its arguments to folder/arguments and its process id to folder/script.
    """
    for name in ("bin", "tmp"):
        (folder / name).mkdir()
    log = f'echo "$@" >{folder}/arguments\necho $$ >{folder}/script'
    (folder / "bin/ssh").write_text(f"#!/bin/sh\n{log}\n{script}\n")
    (folder / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    return folder / "tmp"


def lingering(fifo: Path) -> str:
    """Return a worker that writes its process ids to the fifo, starts a child, and stays."""
    return f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
script = open(f"/proc/{{os.getppid()}}/stat").read().rpartition(")")[2].split()[1]
with open({str(fifo)!r}, "w") as file:
    file.write(f"{{script}} {{os.getppid()}} {{os.getpid()}} {{child.pid}} {{os.getcwd()}}")
time.sleep(600)
"""


@dataclass(frozen=True)
class Lingering:
    """The process ids and the folder that a lingering worker writes."""

    processes: tuple[int, ...]  # the remote script, timeout, the worker, the worker's child
    folder: Path


def read_lingering(fifo: Path) -> Lingering:
    """Wait until the worker runs, and return what it writes."""
    *processes, folder = fifo.read_text().split(" ")
    return Lingering(tuple(map(int, processes)), Path(folder))


def ends(process: int) -> bool:
    """Whether the process ends within PATIENCE_SECONDS; a zombie has ended."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], PATIENCE_SECONDS)[0])
    finally:
        os.close(handle)
