"""Write jobs for a benchmark worker, run them and collect the results; a target provides the job runner."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.format import open_memmap

from benchmarks.protocol import replies
from benchmarks.protocol.environment import FACT_FILES, STATE_FILES, read_machine_facts, read_machine_state
from benchmarks.protocol.plan import BenchmarkPlan, Setting, Timing
from benchmarks.protocol.results import (
    AnsweredPictures,
    CountedModel,
    ProfiledModel,
    RefusedModel,
    TargetMeasurement,
    TimedModel,
)
from benchmarks.worker import worker
from benchmarks.worker.worker import SCHEMA
from dermpack.errors import InputError
from dermpack.imaging import Policy, prepare
from dermpack.processes.process_pool import available_jobs
from dermpack.progress import Track, silent
from dermpack.storage.files import write_bytes

WORKER_FILE, JOB_FILE = "worker.py", "job.json"
WORKER_FOLDER = Path(worker.__file__).parent
SCRIPTS = (WORKER_FILE, "operators.py")  # in WORKER_FOLDER
MEMORY_BYTES = 8 << 30  # of address space: allocations beyond it fail
PATIENCE_SECONDS = 120.0  # to start and to load
PICTURE_SECONDS = 5.0  # for one inference: the largest network on the slowest device
WARM_UPS = 6  # the worker's own limit, in times of the planned warm-up
PROFILED = ("ai-edge-litert",)  # the runtimes that measure the time of their operators
INFERENCES = 3  # to count
# A few rounds of one model alone, for the peak of its memory.
PROBE = Timing(warm_up_seconds=0.0, rounds=5, seconds=0.0, most_seconds=30.0)

JobRunner: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class WorkerFailedError(Exception):
    """The worker ended without an answer; `why` is the signal's name or its last line."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class JobKind(Enum):
    """What a worker does with models; for COUNT, an emulator's runner adds "instructions" to the reply."""

    TIME = "time"
    ANSWER = "answer"
    COUNT = "count"
    PROFILE = "profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFolder:
    """A folder with everything that the jobs of a plan need."""

    folder: Path
    files: tuple[str, ...]
    models: tuple[Mapping[str, str], ...]  # the "models" entries of jobs, in the order of the plan


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDescription:
    """The machine on which the worker runs, and the versions of its runtimes."""

    environment: Mapping[str, str]
    runtimes: Mapping[str, str]


@dataclass(slots=True)
class WorkerResults:
    """What the worker of one target has answered so far."""

    timed: list[TimedModel] = field(default_factory=list)
    counted: list[CountedModel] = field(default_factory=list)
    answered: list[AnsweredPictures] = field(default_factory=list)
    profiled: list[ProfiledModel] = field(default_factory=list)
    refused: list[RefusedModel] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    environment_after: Mapping[str, str] = field(default_factory=dict)  # after the last timed setting
    peaks: dict[tuple[Setting, str], int | None] = field(default_factory=dict)

    def is_refused(self, setting: Setting, name: str) -> bool:
        return any(refusal.setting == setting and refusal.model == name for refusal in self.refused)

    def measurement(
        self, target: str, *, environment: Mapping[str, str], notes: Sequence[str], is_emulated: bool = False
    ) -> TargetMeasurement:
        return TargetMeasurement(
            target=target,
            is_emulated=is_emulated,
            environment=environment,
            timed=tuple(self.timed),
            counted=tuple(self.counted),
            answered=tuple(self.answered),
            profiled=tuple(self.profiled),
            refused=tuple(self.refused),
            notes=tuple(notes),
        )


def write_job_folder(plan: BenchmarkPlan, folder: Path) -> JobFolder:
    """Write the worker, the models and the prepared pictures into an existing folder."""
    for script in SCRIPTS:
        shutil.copyfile(WORKER_FOLDER / script, folder / script)
    files, models, pixels = list(SCRIPTS), [], dict[tuple[int, Policy], str]()
    for index, model in enumerate(plan.models):
        entry = {"name": model.name, "file": f"model-{index}.tflite", "table": f"table-{index}.npy"}
        write_bytes(folder / entry["file"], model.data)
        np.save(folder / entry["table"], model.table, allow_pickle=False)
        # Models of the same input size and policy share one file of pixels, the largest files of all.
        policy = model.sidecar.policy if model.sidecar else Policy.CENTRE_SQUARE
        if (model.size, policy) not in pixels:
            name = f"pixels-{model.size}{'-whole' if policy is Policy.WHOLE else ''}.npy"
            _write_pixels(plan, folder / name, model.size, policy)
            pixels[model.size, policy] = name
            files.append(name)
        files += [entry["file"], entry["table"]]
        models.append({**entry, "pixels": pixels[model.size, policy]})
    return JobFolder(folder=folder, files=tuple(files), models=tuple(models))


def _write_pixels(plan: BenchmarkPlan, path: Path, size: int, policy: Policy) -> None:
    """Write the scored pictures as the model receives them, or one picture of noise if none are scored."""
    if plan.scored is None:
        noise = np.random.default_rng(plan.seed).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
        np.save(path, noise, allow_pickle=False)
        return
    scored = plan.scored
    pixels = open_memmap(path, "w+", np.uint8, (len(scored.pictures), size, size, 3))  # type: ignore[no-untyped-call]
    with ThreadPoolExecutor(available_jobs()) as pool:
        files = map(scored.dataset.file, scored.pictures)
        for index, picture in enumerate(pool.map(lambda file: prepare(file, size, policy=policy), files)):
            pixels[index] = picture
    pixels.flush()


def describe_target(run_job: JobRunner, *, where: str, hint: str) -> TargetDescription:
    """Return the target's environment and runtimes; raise InputError if this job fails."""
    job = {"schema": SCHEMA, "kind": "describe", "read": list(FACT_FILES + STATE_FILES)}
    try:
        reply = run_job({**job, "patience_seconds": PATIENCE_SECONDS})
    except WorkerFailedError as error:
        what = f"the benchmark worker does not start ({error.why})"
        raise InputError(where, what, hint, code="benchmark-worker-failed") from error
    texts, runtimes = (replies.read_texts(reply.get(name)) for name in ("environment", "runtimes"))
    environment = {**read_machine_facts(texts), **read_machine_state(texts)}
    return TargetDescription(environment=environment, runtimes=runtimes)


def run_jobs(
    plan: BenchmarkPlan,
    job_folder: JobFolder,
    run_job: JobRunner,
    *,
    settings: Sequence[Setting],
    kinds: Collection[JobKind],
    track: Track = silent,
    what: str = "Measuring",
) -> WorkerResults:
    """Run each model alone for its memory, answers, counts and operators, then all in turns for the time."""
    steps, results = _plan_steps(plan, job_folder, settings, kinds), WorkerResults()
    for step in track(steps, total=len(steps), what=what):
        # A model that failed once under a setting is not run again under it.
        models = [model for model in step.models if not results.is_refused(step.setting, model["name"])]
        names = [model["name"] for model in models]
        if not names:
            continue
        try:
            reply = run_job(_job(step, models, plan))
            for name, entry in zip(names, replies.read_entries(reply, names=names), strict=True):
                _add_entry(step, plan, name, entry, reply, results)
        except WorkerFailedError as error:
            _refuse(step, names, f"the interpreter died ({error.why})", results)
        except replies.InvalidReplyError as error:
            _refuse(step, names, f"the worker's reply cannot be read ({error})", results)
    return results


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    setting: Setting
    kind: JobKind
    models: tuple[Mapping[str, str], ...]
    is_probe: bool = False


def _plan_steps(
    plan: BenchmarkPlan, job_folder: JobFolder, settings: Sequence[Setting], kinds: Collection[JobKind]
) -> list[_Step]:
    steps, combinations = [], set()
    for setting in settings:
        alone = [JobKind.COUNT] if JobKind.COUNT in kinds else []
        # Answers and operators do not depend on the number of threads: once for each runtime and its kernels.
        combination = (setting.runtime, setting.kernels)
        if combination not in combinations:
            alone += [JobKind.ANSWER] if JobKind.ANSWER in kinds and plan.scored else []
            alone += [JobKind.PROFILE] if JobKind.PROFILE in kinds and setting.runtime in PROFILED else []
        combinations.add(combination)
        for model in job_folder.models:
            if JobKind.TIME in kinds:
                steps.append(_Step(setting=setting, kind=JobKind.TIME, models=(model,), is_probe=True))
            steps += [_Step(setting=setting, kind=kind, models=(model,)) for kind in alone]
        if JobKind.TIME in kinds:
            steps.append(_Step(setting=setting, kind=JobKind.TIME, models=job_folder.models))
    return steps


def _job(step: _Step, models: Sequence[Mapping[str, str]], plan: BenchmarkPlan) -> dict[str, Any]:
    timing = PROBE if step.is_probe else plan.timing
    if step.kind is JobKind.TIME:
        most_warm_up_seconds = WARM_UPS * timing.warm_up_seconds * len(plan.models)
        patience_seconds = PATIENCE_SECONDS + timing.most_seconds + most_warm_up_seconds
    else:
        pictures = len(plan.scored.pictures) if plan.scored and step.kind is JobKind.ANSWER else INFERENCES
        patience_seconds = PATIENCE_SECONDS + PICTURE_SECONDS * pictures
    job = job_header(step.kind.value, step.setting, models, patience_seconds=patience_seconds)
    if step.kind is JobKind.TIME:
        job |= {"timing": asdict(timing), "read": list(STATE_FILES)}
    elif step.kind is JobKind.COUNT:
        job["inferences"] = INFERENCES
    return job


def job_header(
    kind: str, setting: Setting, models: Sequence[Mapping[str, Any]], *, patience_seconds: float
) -> dict[str, Any]:
    """Return the entries of every job about models; the worker ends itself a second after its patience."""
    return {
        "schema": SCHEMA,
        "kind": kind,
        "runtime": setting.runtime,
        "kernels": setting.kernels.value,
        "threads": setting.threads,
        "models": [dict(model) for model in models],
        "memory_bytes": MEMORY_BYTES,
        "patience_seconds": patience_seconds,
    }


def _add_entry(
    step: _Step,
    plan: BenchmarkPlan,
    name: str,
    entry: Mapping[str, Any],
    reply: Mapping[str, Any],
    results: WorkerResults,
) -> None:
    setting = step.setting
    if "refused" in entry:
        _refuse(step, [name], replies.read_text(entry["refused"]), results)
    elif step.is_probe:
        # The few rounds themselves are not used.
        results.peaks[setting, name] = replies.read_peak_bytes(reply)
    elif step.kind is JobKind.TIME:
        peak = results.peaks.get((setting, name))
        results.timed.append(replies.read_timed(entry, model=name, setting=setting, peak_bytes=peak))
        results.environment_after = read_machine_state(replies.read_texts(reply.get("environment_after")))
    elif step.kind is JobKind.ANSWER:
        pictures = len(plan.scored.pictures) if plan.scored else 0
        answered = replies.read_answered(entry, model=name, setting=setting, pictures=pictures)
        results.answered.append(answered)
    elif step.kind is JobKind.COUNT:
        counted = replies.read_counted(entry, model=name, setting=setting, inferences=INFERENCES)
        results.counted.append(counted)
    else:
        results.profiled.append(replies.read_profiled(entry, model=name, setting=setting))


def _refuse(step: _Step, names: Sequence[str], why: str, results: WorkerResults) -> None:
    """Record that models do not run; one that runs but cannot be profiled is only noted."""
    if step.kind is JobKind.PROFILE:
        results.notes += [
            f"{name}: no profile of its operators under {step.setting} ({why})" for name in names
        ]
    else:
        results.refused += [RefusedModel(model=name, setting=step.setting, why=why) for name in names]
