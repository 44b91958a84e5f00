"""Kill a command at random moments of its work, and list violations of the guarantees about interruptions.

A kill counts only if it came in the middle: the command had begun its work (a library that only the bodies
of commands import was in its memory), it was still running, and its result did not exist yet.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dermpack.storage.files import sha256_file

MARK = "DERMPACK_TEST_KILL"  # the environment variable by which the processes of a command are found
POLL_S = 0.01
CHILDREN_S = 25.0  # for the child processes of a killed command to end; a training has 15 s to clean up
ENDING_S = 60.0  # for a command to end after SIGTERM
ATTEMPTS = 6  # to kill a command before it has finished
SIGNALS = (signal.SIGKILL, signal.SIGTERM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Killable:
    """A command that runs in an empty folder; all names are relative to it.

    `result` exists as soon as the command has finished. `compared` are patterns of the files that have the
    same bytes after every run, and `kept` those of the hidden folders from which the command resumes.
    `earlier` are the arguments of a command whose result this one replaces. The work has begun when the
    command has a library whose file has `library` in its name, and when a file of the pattern `begun` exists.
    """

    arguments: tuple[str, ...]
    result: str
    compared: tuple[str, ...]
    kept: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    library: str = "numpy"
    begun: str = ""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """The kills that came in the middle, the state of the folder at these moments, and the problems."""

    kills: int = 0
    moments_s: list[float] = field(default_factory=list)
    had_files: int = 0  # kills after the command had written something
    had_children: int = 0
    problems: list[str] = field(default_factory=list)


def kill_and_finish(command: Killable, folder: Path, *, kills: int, chain: int, seed: int) -> Outcome:
    """Kill the command `kills` times, half of them with SIGTERM, and finish it after every `chain` kills."""
    rng, outcome = random.Random(seed), Outcome()
    whole = folder / "whole"
    work_s = _run(command, whole).work_s
    expected, names = _digests(command, whole), _names(whole)
    for number in range(kills):
        cwd = folder / f"killed-{number // chain}"
        if number % chain == 0:
            _prepare(command, cwd)
        # Of the commands in a chain, each one resumes what the one before it left, and so takes less time.
        for attempt in range(ATTEMPTS):
            within_s = work_s * rng.random() * 0.8 ** (attempt + number % chain)
            if _kill(command, cwd, SIGNALS[number % 2], within_s, expected, outcome):
                break
            _prepare(command, cwd)
        if number % chain == chain - 1 or number == kills - 1:
            done = _run(command, cwd)
            if done.code:
                outcome.problems.append(f"kill {number}: the next run failed ({done.stderr[-300:]})")
            elif _digests(command, cwd) != expected or _names(cwd) != names:
                outcome.problems.append(f"kill {number}: other files than after an undisturbed run")
    return outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finished:
    code: int
    work_s: float
    stderr: str


def _run(command: Killable, cwd: Path) -> _Finished:
    process = _start(command.arguments, cwd, mark="")
    _wait_for_work(process, command, cwd)
    started = time.monotonic()
    _, stderr = process.communicate()
    return _Finished(code=process.returncode, work_s=time.monotonic() - started, stderr=stderr)


def _start(arguments: tuple[str, ...], cwd: Path, *, mark: str) -> subprocess.Popen[str]:
    cwd.mkdir(exist_ok=True)
    program = [sys.executable, "-m", "dermpack"]
    environment = {**os.environ, MARK: mark}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen([*program, *arguments], cwd=cwd, env=environment, text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def _wait_for_work(process: subprocess.Popen[str], command: Killable, cwd: Path) -> None:
    maps = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and command.library not in maps.read_text():
        time.sleep(POLL_S)
    while process.poll() is None and command.begun and not any(cwd.glob(command.begun)):
        time.sleep(POLL_S)


def _kill(
    command: Killable,
    cwd: Path,
    number: signal.Signals,
    within_s: float,
    expected: dict[str, str],
    outcome: Outcome,
) -> bool:
    """Kill the command and record problems; return False if it had finished already."""
    mark = uuid.uuid4().hex
    before = _digests(command, cwd)
    process = _start(command.arguments, cwd, mark=mark)
    _wait_for_work(process, command, cwd)
    # The pipe must not fill up meanwhile: the commands run with --quiet.
    with suppress(subprocess.TimeoutExpired):
        process.wait(within_s)
    is_done = process.poll() is not None or (not command.earlier and (cwd / command.result).exists())
    children = len(list(_processes(mark))) - 1
    files = [path for path in cwd.rglob("*") if path.is_file()]
    process.send_signal(number)
    try:
        _, stderr = process.communicate(timeout=ENDING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        _, stderr = process.communicate()
        outcome.problems.append(f"{number.name} after {within_s:.2f} s: still running after {ENDING_S:.0f} s")
    deadline = time.monotonic() + CHILDREN_S
    while list(_processes(mark)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    # The result can also have appeared between the check and the signal.
    after = _digests(command, cwd)
    is_done |= process.returncode == 0 or ((cwd / command.result).exists() and after == expected)
    if is_done:
        return False
    outcome.kills += 1
    outcome.moments_s.append(round(within_s, 2))
    outcome.had_files += bool(files)
    outcome.had_children += children > 0
    found = list(_find_problems(command, cwd, number, process.returncode, stderr))
    if survivors := list(_processes(mark)):
        found.append(f"processes {survivors} survive")
        for pid in survivors:
            os.kill(pid, signal.SIGKILL)
    if command.earlier and after != before:
        found.append("neither the old result nor the new one")
    outcome.problems += [f"{number.name} after {within_s:.2f} s: {problem}" for problem in found]
    return True


def _find_problems(
    command: Killable, cwd: Path, number: signal.Signals, code: int, stderr: str
) -> Iterator[str]:
    is_term = number is signal.SIGTERM
    if code != (128 + number if is_term else -number):
        yield f"exit code {code}: {stderr[-500:]}"
    last_line = stderr.strip().rpartition("\n")[2]
    if is_term and ("Traceback" in stderr or not last_line.startswith("interrupted")):
        yield f"stderr: {stderr[-500:]}"
    if not command.earlier and (cwd / command.result).exists():
        yield "a result exists"
    # SIGKILL leaves temporary files, which the next run of the same command removes.
    allowed = (*command.kept, *(() if is_term else (".*.partial",)))
    for path in cwd.iterdir():
        if path.name.startswith(".") and not any(path.match(pattern) for pattern in allowed):
            yield f"{path.name} remains"


def _prepare(command: Killable, cwd: Path) -> None:
    """Empty the folder, and write the earlier result that the command replaces."""
    shutil.rmtree(cwd, ignore_errors=True)
    cwd.mkdir()
    if command.earlier:
        _start(command.earlier, cwd, mark="").communicate()


def _digests(command: Killable, cwd: Path) -> dict[str, str]:
    paths = sorted(path for pattern in command.compared for path in cwd.glob(pattern) if path.is_file())
    return {str(path.relative_to(cwd)): sha256_file(path) for path in paths}


def _names(cwd: Path) -> list[str]:
    return sorted(path.name for path in cwd.iterdir())


def _processes(mark: str) -> Iterator[int]:
    """Yield the processes, except zombies, that have the mark in their environment."""
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                yield int(folder.name)
        except OSError:  # it has ended, or belongs to another user
            continue
