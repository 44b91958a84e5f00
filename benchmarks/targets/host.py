"""Measure models on this machine, each job in a new process.

`python -m benchmarks.targets.host JOB.json` works like the worker, and times the steps from a picture file to
its label with the program's own decoder.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.protocol import jobs, replies
from benchmarks.protocol.plan import BenchmarkPlan, Setting, select_settings
from benchmarks.protocol.results import StepMedians, TargetMeasurement
from benchmarks.worker import worker
from dermpack.imaging.decoding import decode_image
from dermpack.imaging.preprocessing import MARGIN, Policy, resize_image
from dermpack.imaging.rejection import DEFAULT_LIMITS
from dermpack.processes.child_process import not_started_error
from dermpack.processes.limits import divide_memory, ending_with_parent
from dermpack.processes.process_pool import available_jobs
from dermpack.progress import Track, silent
from dermpack.storage.files import write_bytes

NAME = "host"
INSTALL = 'Run: pip install "dermpack[device]"'
KINDS = (jobs.JobKind.TIME, jobs.JobKind.ANSWER, jobs.JobKind.PROFILE)
GRACE_SECONDS = 10.0  # the worker ends itself a second after its time
MOST_COMPLAINT_BYTES = 1 << 16
STEPS = ("decode_ms", "resize_ms", "copy_ms", "invoke_ms", "whole_ms")
STEPS_PICTURES, STEPS_PASSES = 30, 4
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
            job_models, run_job = jobs.write_job_folder(plan, folder), job_runner(folder)
            machine = jobs.describe_target(run_job, where=NAME, hint=INSTALL)
            settings, left_out = select_settings(
                plan, where=NAME, runtimes=list(machine.runtimes), cores=available_jobs(), install=INSTALL
            )
            results = jobs.run_jobs(
                plan, job_models, run_job, settings=settings, kinds=KINDS, track=track, what="Measuring here"
            )
            # The steps are measured once for each runtime, under its first setting.
            first_settings = list({setting.runtime: setting for setting in reversed(settings)}.values())[::-1]
            steps, unknown = _measure_steps(plan, job_models, folder, settings=first_settings, run=results)
        measured = results.measurement(NAME, machine, notes=left_out)
        return replace(measured, steps=steps, notes=(*measured.notes, *unknown))


def job_runner(folder: Path, *, program: Sequence[str] = (jobs.WORKER_FILE,)) -> jobs.JobRunner:
    """Return a function that runs the worker, or another program, in a new process for each job."""
    return partial(run_worker, [sys.executable, *program], folder=folder)


def run_worker(
    command: Sequence[str],
    job: Mapping[str, Any],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    address_bytes: int | None = None,
) -> Mapping[str, Any]:
    """Run the command on a job in the folder and return the JSON object that it prints."""
    if "memory_bytes" in job:  # one worker runs at a time
        job = {**job, "memory_bytes": divide_memory(1, most=int(job["memory_bytes"]))}
    write_bytes(folder / jobs.JOB_FILE, json.dumps(job).encode())
    command, seconds = ending_with_parent([*command, jobs.JOB_FILE]), float(job["patience_seconds"])
    answer, complaint = folder / "stdout", folder / "stderr"
    with answer.open("wb") as stdout, complaint.open("wb") as stderr:
        try:
            process = Popen(command, cwd=folder, env=environment, stdin=DEVNULL, stdout=stdout, stderr=stderr)
        except OSError as error:
            raise not_started_error(error) from error
        try:
            if address_bytes is not None:
                with suppress(ProcessLookupError):  # the process has already ended
                    resource.prlimit(process.pid, resource.RLIMIT_AS, (address_bytes, address_bytes))
            code = process.wait(seconds + GRACE_SECONDS)
        except TimeoutExpired:
            code = -signal.SIGALRM
        finally:
            process.kill()
            process.wait()
    with complaint.open("rb") as file:
        file.seek(max(complaint.stat().st_size - MOST_COMPLAINT_BYTES, 0))
        replies.check_exit_code(code, file.read(), seconds=seconds)
    with answer.open("rb") as file:
        return replies.parse_answer(file.read(replies.MOST_ANSWER_BYTES + 1))


def _measure_steps(
    plan: BenchmarkPlan,
    job_models: jobs.JobModels,
    folder: Path,
    *,
    settings: Sequence[Setting],
    run: jobs.WorkerResults,
) -> tuple[tuple[StepMedians, ...], tuple[str, ...]]:
    """Return the time of each step from picture file to label, and notes about what could not be measured."""
    steps, notes = list[StepMedians](), list[str]()
    if plan.scored is None:  # nothing to decode
        return (), ()
    pictures = plan.scored.pictures[:STEPS_PICTURES]
    files = [str(plan.scored.dataset.file(picture).absolute()) for picture in pictures]
    run_job = job_runner(folder, program=("-m", "benchmarks.targets.host"))
    for setting in settings:
        refused = {refusal.model for refusal in run.refused if refusal.setting == setting}
        for model in job_models:
            if model["name"] in refused:
                continue
            header = jobs.job_header("steps", setting, [model], patience_seconds=STEPS_PATIENCE_SECONDS)
            try:
                (times,) = replies.read_entries(run_job({**header, "files": files}), names=[model["name"]])
                steps.append(replies.read_steps(times, setting=setting))
            except (replies.WorkerFailedError, replies.InvalidReplyError) as error:
                notes.append(f"{model['name']}: its steps could not be measured under {setting} ({error})")
    return tuple(steps), tuple(notes)


def _time_steps(job: worker.Job, model: worker.Job) -> worker.Job:
    """Return the median time of each step."""
    run = worker.LoadedModel(job, model)
    times = np.array([_time_picture(run, Path(file)) for _ in range(STEPS_PASSES) for file in job["files"]])
    counted = times[len(job["files"]) :]  # the first pass pages files and code in
    medians_ms = np.median(counted, axis=0) / 1e6
    return {"rounds": len(counted), **dict(zip(STEPS, medians_ms.tolist(), strict=True))}


def _time_picture(run: worker.LoadedModel, file: Path) -> tuple[int, ...]:
    """Return the nanoseconds of each of STEPS for one picture."""
    size, interpreter, clock = run.feed.pixels.shape[1], run.interpreter, time.perf_counter_ns
    start = clock()
    image, _ = decode_image(file, limits=DEFAULT_LIMITS, at_least=MARGIN * size)
    decoded = clock()
    small = resize_image(image, size, policy=Policy(run.model["policy"]))
    resized = clock()
    run.feed.copy(run.feed.prepare(np.asarray(small)[None]))
    copied = clock()
    interpreter.invoke()
    invoked = clock()
    # The label is part of the whole, but too fast to be a step.
    int(interpreter.get_tensor(run.answer_index).argmax())
    whole = clock() - start
    return decoded - start, resized - decoded, copied - resized, invoked - copied, whole


if __name__ == "__main__":
    worker.main({"steps": partial(worker.run_models, _time_steps)})
