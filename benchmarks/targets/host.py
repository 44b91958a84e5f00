"""Measure models on this machine, each job in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.protocol.jobs import (
    JOB_FILE,
    WORKER_FILE,
    Carry,
    JobKind,
    TargetDescription,
    WorkerDied,
    ask,
    describe,
    lay_out,
)
from benchmarks.protocol.plan import BenchmarkPlan, Setting
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.statistics.slow_operators import reasons
from benchmarks.targets.breakdown import MODULE, break_down
from benchmarks.targets.environment import around, warnings
from benchmarks.targets.settings import settings_of
from dermpack.errors import InputError, printable
from dermpack.processes.process_pool import available_jobs
from dermpack.progress import Track, silent
from dermpack.storage.files import write_bytes

NAME = "host"
INSTALL = 'Run: pip install "dermpack[device]"'
ANSWER_FILE, COMPLAINT_FILE = "answer.json", "complaint.txt"
MOST_COMPLAINT_BYTES = 1 << 16
GRACE_SECONDS = 10.0  # the worker ends itself first
KINDS = (JobKind.TIME, JobKind.ANSWER, JobKind.PROFILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTarget:
    """This machine, with every interpreter that the program's own Python has."""

    @property
    def name(self) -> str:
        return NAME

    def measure(self, plan: BenchmarkPlan, *, track: Track = silent) -> TargetMeasurement:
        with TemporaryDirectory(prefix="dermpack-") as temporary:
            folder = Path(temporary)
            laid, carry = lay_out(plan, folder), carry_into(folder)
            here = _described(carry)
            cores, runtimes = available_jobs(), list(here.runtimes)
            settings, left_out = settings_of(
                plan, where=NAME, runtimes=runtimes, cores=cores, install=INSTALL
            )
            pieces = ask(
                plan, laid, carry, settings=settings, kinds=KINDS, track=track, what="Measuring here"
            )
            stepper = carry_into(folder, program=("-m", MODULE))
            steps, unknown = break_down(plan, laid, stepper, settings=_first_of_each(settings))
        notes = (*left_out, *warnings(here.environment, pieces.environment_after), *pieces.notes, *unknown)
        measured = TargetMeasurement(
            target=NAME,
            is_emulated=False,
            environment={**around(here.environment, pieces.environment_after), **here.runtimes},
            timed=pieces.timed,
            answered=pieces.answered,
            profiled=pieces.profiled,
            steps=steps,
            refused=pieces.refused,
        )
        return replace(measured, notes=(*notes, *reasons(measured, plan)))


def _first_of_each(settings: Sequence[Setting]) -> list[Setting]:
    """One setting a runtime: the kernels and threads named first."""
    return list({of.runtime: of for of in reversed(settings)}.values())[::-1]


def carry_into(folder: Path, *, program: Sequence[str] = (WORKER_FILE,)) -> Carry:
    """Run the worker that lies in the folder, or another, as a new process for each job."""

    def carry(job: Mapping[str, Any]) -> Mapping[str, Any]:
        write_bytes(folder / JOB_FILE, json.dumps(job).encode())
        _run(folder, program, job["patience_seconds"])
        return _answer(folder / ANSWER_FILE)

    return carry


def _described(carry: Carry) -> TargetDescription:
    try:
        return describe(carry)
    except WorkerDied as death:
        what = f"the benchmark worker does not start ({death.why})"
        raise InputError(NAME, what, INSTALL, code="benchmark-worker-failed") from death


def _run(folder: Path, program: Sequence[str], patience_seconds: float) -> None:
    command = [sys.executable, *program, JOB_FILE]
    complaint = folder / COMPLAINT_FILE
    with (folder / ANSWER_FILE).open("wb") as answers, complaint.open("wb") as complaints:
        try:
            ended = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=answers,
                stderr=complaints,
                timeout=patience_seconds + GRACE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise WorkerDied(f"no answer within {patience_seconds:g} s") from error
    if ended.returncode == -signal.SIGALRM:
        raise WorkerDied(f"no answer within {patience_seconds:g} s")
    if ended.returncode < 0:
        raise WorkerDied(signal.Signals(-ended.returncode).name)
    if ended.returncode:
        raise WorkerDied(_last_line(complaint) or f"exit code {ended.returncode}")


def _answer(path: Path) -> Mapping[str, Any]:
    try:
        answer = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise WorkerDied("the answer is not valid JSON") from error
    if not isinstance(answer, dict):
        raise WorkerDied("the answer is not a JSON object")
    return answer


def _last_line(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - MOST_COMPLAINT_BYTES, 0))
        lines = file.read().decode("utf-8", "replace").split("\n")
    return next((printable(line.strip()) for line in reversed(lines) if line.strip()), "")
