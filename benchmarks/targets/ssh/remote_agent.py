"""Keep a folder on another machine while somebody listens at the other end of stdin; run the worker there.

Stands alone, on Python 3.9 or later; `ssh_connection.py` sends it through ssh, it is never written to disk.
Frames go both ways: a line of JSON that says how many bytes follow. When stdin ends, or is silent too long,
the worker is killed and the folder is gone; what a keeper that was itself killed left, the next one removes.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PREFIX, NEW = "dermpack-remote-", "dermpack-new-"
LOCK, WORKER, JOB = ".alive", "worker.py", "job.json"
OUT, ERR = ".out", ".err"
SILENCE_SECONDS = 60.0  # the other end says something every quarter of it
CHUNK_BYTES, MOST_LINE_BYTES = 1 << 16, 1 << 16
MOST_WHY_BYTES = 4096
PR_SET_PDEATHSIG = 1  # linux/prctl.h

Frame = dict[str, Any]


class Gone(Exception):  # noqa: N818 - nobody is there to be told an error
    """The other end does not want anything any more."""


def main(greeting: str) -> None:
    """Greet, then do what is asked until stdin ends."""
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    os.umask(0o077)
    folder, other = None, Other()
    try:
        removed = _sweep()
        folder = _private_folder()
        other.say({"greeting": greeting, "removed": removed})
        while True:
            _do(other, other.frame(), folder)
    except (Gone, BrokenPipeError):
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        with contextlib.suppress(OSError):
            other.say({"error": f"{type(error).__name__}: {error}"})
    finally:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


class Other:
    """The other end: stdin, read as far as it was asked for, and stdout."""

    def __init__(self) -> None:
        self.ahead = b""

    def frame(self) -> Frame:
        while b"\n" not in self.ahead:
            if len(self.ahead) > MOST_LINE_BYTES:
                raise ValueError("a line is too long")
            self.ahead += self._more(CHUNK_BYTES)
        line, _, self.ahead = self.ahead.partition(b"\n")
        frame = json.loads(line)
        if not isinstance(frame, dict):
            raise ValueError("a frame is not a JSON object")
        return frame

    def into(self, path: Path, size: int) -> None:
        with path.open("wb") as file:
            while size:
                data = self.ahead[:size] or self._more(min(size, CHUNK_BYTES))
                self.ahead = self.ahead[len(data) :]
                file.write(data)
                size -= len(data)

    def say(self, frame: Frame, data: bytes = b"") -> None:
        text = json.dumps({**frame, "bytes": len(data)}).encode() + b"\n"
        for part in (text, data):
            view = memoryview(part)
            while view:
                view = view[os.write(1, view) :]

    def wait(self, bell: int) -> bool:
        """Until the bell rings; what is said meanwhile is only that somebody is there."""
        ready = select.select([0, bell], [], [], SILENCE_SECONDS)[0]
        if 0 in ready or not ready:
            self.ahead += self._more(CHUNK_BYTES)
            if len(self.ahead) > MOST_LINE_BYTES:
                raise ValueError("too much input while the worker runs")
        return bell in ready

    def _more(self, most: int) -> bytes:
        if not select.select([0], [], [], SILENCE_SECONDS)[0]:
            raise Gone
        data = os.read(0, most)
        if not data:
            raise Gone
        return data


def _do(other: Other, frame: Frame, folder: Path) -> None:
    if frame["do"] == "file":
        name = frame["name"]
        if not name or name != Path(name).name or name.startswith("."):
            raise ValueError(f"not a valid file name: {name}")
        other.into(folder / name, int(frame["bytes"]))
    elif frame["do"] == "run":
        _run(other, folder, float(frame["seconds"]), int(frame["most_bytes"]))


def _run(other: Other, folder: Path, seconds: float, most_bytes: int) -> None:
    """The worker on its job; its answer, or why there is none."""
    code = _ended(other, folder, seconds)
    size = (folder / OUT).stat().st_size
    if size > most_bytes:
        other.say({"code": code, "why": f"the answer of the worker has {size} bytes, more than {most_bytes}"})
        return
    with (folder / ERR).open("rb") as file:
        file.seek(max(0, (folder / ERR).stat().st_size - MOST_WHY_BYTES))
        lines = file.read().decode("utf-8", "replace").split("\n")
    why = next((line.strip() for line in reversed(lines) if line.strip()), "")
    other.say({"code": code, "why": why[:MOST_WHY_BYTES]}, (folder / OUT).read_bytes())


def _ended(other: Other, folder: Path, seconds: float) -> int:
    """Run the worker to its end; whatever ends this, ends it."""
    bell, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGALRM, lambda *_: None)
    with (folder / OUT).open("wb") as out, (folder / ERR).open("wb") as err:
        worker = subprocess.Popen(
            [sys.executable, WORKER, JOB],
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while worker.poll() is None and signal.getitimer(signal.ITIMER_REAL)[0] > 0:
            if other.wait(bell):
                os.read(bell, CHUNK_BYTES)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.set_wakeup_fd(-1)
        _kill(worker)
        os.close(bell)
        os.close(ring)
    return worker.returncode


def _kill(worker: subprocess.Popen[bytes]) -> None:
    """With all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def _die_with_parent() -> None:
    """Where this keeper is killed and cannot clean up, the kernel ends its worker."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _private_folder() -> Path:
    """A folder that nobody else reads, locked for this process's life before others see its name."""
    new = Path(tempfile.mkdtemp(prefix=NEW))
    lock = os.open(new / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return new.rename(new.with_name(PREFIX + new.name[len(NEW) :]))


def _sweep() -> int:
    """Remove the folders of ours whose keeper is no more."""
    removed = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
        except OSError:  # its keeper lives
            pass
        finally:
            os.close(lock)
    return removed


def _leave(*_: object) -> None:
    raise Gone
