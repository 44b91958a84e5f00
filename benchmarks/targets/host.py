"""Measure models on this machine, each job in a new process."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.protocol import replies
from benchmarks.protocol.environment import list_warnings, merge_states
from benchmarks.protocol.jobs import (
    JOB_FILE,
    WORKER_FILE,
    JobFolder,
    JobKind,
    JobRunner,
    WorkerFailedError,
    describe_target,
    job_header,
    run_jobs,
    write_job_folder,
)
from benchmarks.protocol.plan import BenchmarkPlan, Setting, select_settings
from benchmarks.protocol.results import StepMedians, TargetMeasurement
from benchmarks.targets.worker_process import run_worker
from dermpack.imaging import Policy
from dermpack.processes.process_pool import available_jobs
from dermpack.progress import Track, silent
from dermpack.storage.files import write_bytes

NAME = "host"
INSTALL = 'Run: pip install "dermpack[device]"'
KINDS = (JobKind.TIME, JobKind.ANSWER, JobKind.PROFILE)
STEPS_MODULE = "benchmarks.worker.breakdown_worker"
STEPS_PICTURES = 30
STEPS_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTarget:
    """This machine, with every interpreter that is installed in the program's own environment."""

    @property
    def name(self) -> str:
        return NAME

    def measure(self, plan: BenchmarkPlan, *, track: Track = silent) -> TargetMeasurement:
        """Measure the whole plan on this machine."""
        with TemporaryDirectory(prefix="dermpack-") as temporary:
            folder = Path(temporary)
            job_folder, run_job = write_job_folder(plan, folder), job_runner(folder)
            machine = describe_target(run_job, where=NAME, hint=INSTALL)
            settings, left_out = select_settings(
                plan, where=NAME, runtimes=list(machine.runtimes), cores=available_jobs(), install=INSTALL
            )
            results = run_jobs(
                plan, job_folder, run_job, settings=settings, kinds=KINDS, track=track, what="Measuring here"
            )
            # The steps are measured once for each runtime, under its first setting.
            first_settings = list({setting.runtime: setting for setting in reversed(settings)}.values())[::-1]
            run_steps = job_runner(folder, program=("-m", STEPS_MODULE))
            steps, unknown = measure_steps(plan, job_folder, run_steps, settings=first_settings)
        environment = {**merge_states(machine.environment, results.environment_after), **machine.runtimes}
        warnings = list_warnings(machine.environment, results.environment_after)
        notes = (*left_out, *warnings, *results.notes, *unknown)
        return replace(results.measurement(NAME, environment=environment, notes=notes), steps=steps)


def job_runner(folder: Path, *, program: Sequence[str] = (WORKER_FILE,)) -> JobRunner:
    """Return a function that runs the worker, or another program, in a new process for each job."""

    def run_job(job: Mapping[str, Any]) -> Mapping[str, Any]:
        write_bytes(folder / JOB_FILE, json.dumps(job).encode())
        command = [sys.executable, *program, JOB_FILE]
        return run_worker(command, folder=folder, seconds=job["patience_seconds"])

    return run_job


def measure_steps(
    plan: BenchmarkPlan, job_folder: JobFolder, run_job: JobRunner, *, settings: Sequence[Setting]
) -> tuple[tuple[StepMedians, ...], tuple[str, ...]]:
    """Return the time of each step from picture file to label, and notes about what could not be measured.

    The runner starts benchmarks.worker.breakdown_worker; without scored pictures there is nothing to decode.
    """
    steps, notes = list[StepMedians](), list[str]()
    if plan.scored is None:
        return (), ()
    pictures = plan.scored.pictures[:STEPS_PICTURES]
    files = [str(plan.scored.dataset.file(picture).absolute()) for picture in pictures]
    for setting in settings:
        for entry, model in zip(job_folder.models, plan.models, strict=True):
            policy = model.sidecar.policy if model.sidecar else Policy.CENTRE_SQUARE
            wanted = {**entry, "size": model.size, "policy": policy.value}
            header = job_header("break down", setting, [wanted], patience_seconds=STEPS_PATIENCE_SECONDS)
            try:
                reply = run_job({**header, "files": files})
                (times,) = replies.read_entries(reply, names=[model.name])
                steps.append(replies.read_steps(times, model=model.name, setting=setting))
            except (WorkerFailedError, replies.InvalidReplyError) as error:
                notes.append(f"{model.name}: its steps could not be measured under {setting} ({error})")
    return tuple(steps), tuple(notes)
