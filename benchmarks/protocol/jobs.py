"""Write jobs for a benchmark worker, run them and collect the results; a target provides the job runner."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.format import open_memmap

from benchmarks.protocol import environment, replies, results
from benchmarks.protocol.plan import BenchmarkPlan, Setting, Timing
from benchmarks.worker import worker
from dermpack.errors import InputError
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.imaging.preprocessing import Policy
from dermpack.processes.process_pool import available_jobs
from dermpack.progress import Track, silent
from dermpack.storage.files import write_bytes

WORKER_FILE, JOB_FILE = "worker.py", "job.json"
WORKER_FOLDER = Path(worker.__file__).parent
SCRIPTS = (WORKER_FILE, "operators.py")  # in WORKER_FOLDER
MEMORY_BYTES = 8 << 30  # of address space: allocations beyond it fail
PATIENCE_SECONDS = 120.0  # to start and to load
PICTURE_SECONDS = 5.0  # for one inference: the largest network on the slowest device
PROFILED = ("ai-edge-litert",)  # the runtimes whose library operators.py can profile
INFERENCES = 3  # to count
MOST_VERSION = 100  # characters of a runtime's version
# A few rounds of one model alone, for the peak of its memory.
PROBE = Timing(warm_up_seconds=0.0, rounds=5, seconds=0.0, most_seconds=30.0)

JobRunner: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]
JobModels: TypeAlias = Sequence[Mapping[str, Any]]  # the "models" of jobs, in the order of the plan


class JobKind(Enum):
    """The work of a worker on models; for COUNT, an emulator's runner adds "instructions" to the reply."""

    TIME = "time"
    ANSWER = "answer"
    COUNT = "count"
    PROFILE = "profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDescription:
    """The machine on which the worker runs, and the versions of its runtimes."""

    environment: Mapping[str, str]
    runtimes: Mapping[str, str]


@dataclass(slots=True)
class WorkerResults:
    """The results of the worker of one target so far."""

    timed: list[results.TimedModel] = field(default_factory=list)
    counted: list[results.CountedModel] = field(default_factory=list)
    answered: list[results.AnsweredPictures] = field(default_factory=list)
    profiled: list[results.ProfiledModel] = field(default_factory=list)
    refused: list[results.RefusedModel] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    environment_after: Mapping[str, str] = field(default_factory=dict)  # after the last timed setting
    peaks: dict[tuple[Setting, str], int | None] = field(default_factory=dict)

    def add(
        self, step: _Step, plan: BenchmarkPlan, entry: Mapping[str, Any], reply: Mapping[str, Any]
    ) -> None:
        """Add what a reply contains about one model."""
        name, setting = entry["model"], step.setting
        if "refused" in entry:
            self.refuse(step, [name], replies.read_text(entry["refused"]))
        elif step.is_probe:
            # The few rounds themselves are not used.
            self.peaks[setting, name] = replies.read_peak_bytes(reply)
        elif step.kind is JobKind.TIME:
            peak = self.peaks.get((setting, name))
            self.timed.append(replies.read_timed(entry, setting=setting, peak_bytes=peak))
            texts = replies.read_texts(reply.get("environment_after"))
            self.environment_after = environment.read_machine_state(texts)
        elif step.kind is JobKind.ANSWER:
            pictures = len(plan.scored.pictures) if plan.scored else 0
            self.answered.append(replies.read_answered(entry, setting=setting, pictures=pictures))
        elif step.kind is JobKind.COUNT:
            self.counted.append(replies.read_counted(entry, setting=setting, inferences=INFERENCES))
        else:
            self.profiled.append(replies.read_profiled(entry, setting=setting))

    def refuse(self, step: _Step, names: Sequence[str], why: str) -> None:
        """Record that models do not run; one that runs but cannot be profiled is only noted."""
        setting = step.setting
        if step.kind is JobKind.PROFILE:
            notes = (f"{name}: no profile of its operators under {setting} ({why})" for name in names)
            self.notes.extend(notes)
        else:
            self.refused += [results.RefusedModel(model=name, setting=setting, why=why) for name in names]

    def measurement(
        self, target: str, machine: TargetDescription, *, notes: Sequence[str], is_emulated: bool = False
    ) -> results.TargetMeasurement:
        """Return all results, with the state of the machine before and after, and the warnings about it."""
        warnings = environment.list_warnings(machine.environment, self.environment_after)
        return results.TargetMeasurement(
            target=target,
            is_emulated=is_emulated,
            environment={
                **environment.merge_states(machine.environment, self.environment_after),
                **machine.runtimes,
            },
            timed=tuple(self.timed),
            counted=tuple(self.counted),
            answered=tuple(self.answered),
            profiled=tuple(self.profiled),
            refused=tuple(self.refused),
            notes=(*notes, *warnings, *self.notes),
        )


def write_job_folder(plan: BenchmarkPlan, folder: Path) -> JobModels:
    """Write the worker, the models and the prepared pictures into an existing folder."""
    for script in SCRIPTS:
        shutil.copyfile(WORKER_FOLDER / script, folder / script)
    models = []
    for index, model in enumerate(plan.models):
        # Models of the same input size and policy share one file of pixels, the largest files of all.
        policy = model.sidecar.policy if model.sidecar else Policy.CENTRE_SQUARE
        binding = model.binding
        pixels = f"pixels-{binding.size}{'-whole' if policy is Policy.WHOLE else ''}.npy"
        if not (folder / pixels).exists():
            _write_pixels(plan, folder / pixels, binding.size, policy)
        file, table = f"model-{index}.tflite", f"table-{index}.npy"
        write_bytes(folder / file, model.data)
        np.save(folder / table, binding.feed.table, allow_pickle=False)
        models.append(
            {
                "name": model.name,
                "file": file,
                "table": table,
                "pixels": pixels,
                "policy": policy.value,
                "signature": binding.signature,
                "picture": binding.picture,
                "answer": binding.answer,
                "color": binding.feed.color.value,
                "layout": binding.feed.layout.value,
                "others": dict(binding.others),
            }
        )
    return models


def _write_pixels(plan: BenchmarkPlan, path: Path, size: int, policy: Policy) -> None:
    """Write the scored pictures as the model receives them, or one picture of noise if none are scored."""
    if plan.scored is None:
        noise = np.random.default_rng(plan.seed).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
        np.save(path, noise, allow_pickle=False)
        return
    scored = plan.scored
    pixels = open_memmap(path, "w+", np.uint8, (len(scored.pictures), size, size, 3))  # type: ignore[no-untyped-call]
    files = [scored.dataset.file(picture) for picture in scored.pictures]
    with PictureDecoder(jobs=available_jobs()) as decoder:
        for index, picture in enumerate(decoder.prepare_all(files, size, policy=policy)):
            pixels[index] = picture
    pixels.flush()


def describe_target(run_job: JobRunner, *, where: str, hint: str) -> TargetDescription:
    """Return the target's environment and runtimes; raise InputError if this job fails."""
    job = {
        "schema": worker.SCHEMA,
        "kind": "describe",
        "read": list(environment.FACT_FILES + environment.STATE_FILES),
    }
    try:
        reply = run_job({**job, "patience_seconds": PATIENCE_SECONDS})
    except replies.WorkerFailedError as error:
        what = f"the benchmark worker does not start ({error})"
        raise InputError(where, what, hint, code="benchmark-worker-failed") from error
    texts, found = (replies.read_texts(reply.get(name)) for name in ("environment", "runtimes"))
    # Every runtime is measured under several settings, so only the known ones count.
    runtimes = {
        name: replies.read_text(found[name][:MOST_VERSION]) for name in worker.RUNTIMES if name in found
    }
    described = {**environment.read_machine_facts(texts), **environment.read_machine_state(texts)}
    return TargetDescription(environment=described, runtimes=runtimes)


def run_jobs(
    plan: BenchmarkPlan,
    job_models: JobModels,
    run_job: JobRunner,
    *,
    settings: Sequence[Setting],
    kinds: Collection[JobKind],
    track: Track = silent,
    what: str = "Measuring",
) -> WorkerResults:
    """Run each model alone for its memory, answers, counts and operators, then all in turns for the time."""
    steps, collected = list(_plan_steps(plan, job_models, settings, kinds)), WorkerResults()
    given_up: dict[tuple[str, bool], str] = {}  # (model, whether it was profiled) → reason
    for step in track(steps, total=len(steps), what=what):
        # A model that failed under a setting is not run under it again. A model that exceeded its time is not
        # run under any setting again, because each attempt would take minutes.
        refused = {refusal.model for refusal in collected.refused if refusal.setting == step.setting}
        is_profile = step.kind is JobKind.PROFILE
        for name in [model["name"] for model in step.models if model["name"] not in refused]:
            if (name, is_profile) in given_up:
                collected.refuse(step, [name], given_up[name, is_profile])
                refused.add(name)
        models = [model for model in step.models if model["name"] not in refused]
        names = [model["name"] for model in models]
        if not names:
            continue
        try:
            reply = run_job(_job(step, models, plan))
            for entry in replies.read_entries(reply, names=names):
                collected.add(step, plan, entry, reply)
        except replies.WorkerTimeoutError as error:
            collected.refuse(step, names, str(error))
            why = f"not run: {error} under {step.setting}"
            given_up.update({(name, is_profile): why for name in names})
        except replies.WorkerFailedError as error:
            collected.refuse(step, names, f"the interpreter died ({error})")
        except replies.InvalidReplyError as error:
            collected.refuse(step, names, f"the worker's reply cannot be read ({error})")
    return collected


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    setting: Setting
    kind: JobKind
    models: JobModels
    is_probe: bool = False


def _plan_steps(
    plan: BenchmarkPlan, job_models: JobModels, settings: Sequence[Setting], kinds: Collection[JobKind]
) -> Iterator[_Step]:
    combinations = set()
    for setting in settings:
        # Answers and operators do not depend on the number of threads: once for each runtime and its kernels.
        is_new = (setting.runtime, setting.kernels) not in combinations
        combinations.add((setting.runtime, setting.kernels))
        alone = {
            JobKind.COUNT: True,
            JobKind.ANSWER: is_new and plan.scored is not None,
            JobKind.PROFILE: is_new and setting.runtime in PROFILED,
        }
        for model in job_models:
            if JobKind.TIME in kinds:
                yield _Step(setting=setting, kind=JobKind.TIME, models=[model], is_probe=True)
            for kind, is_wanted in alone.items():
                if is_wanted and kind in kinds:
                    yield _Step(setting=setting, kind=kind, models=[model])
        if JobKind.TIME in kinds:
            yield _Step(setting=setting, kind=JobKind.TIME, models=job_models)


def _job(step: _Step, models: JobModels, plan: BenchmarkPlan) -> dict[str, Any]:
    if step.kind is JobKind.TIME:
        timing = PROBE if step.is_probe else plan.timing
        most_warm_up_seconds = worker.MOST_WARM_UPS * timing.warm_up_seconds * len(plan.models)
        seconds = timing.most_seconds + most_warm_up_seconds
        more: dict[str, Any] = {"timing": asdict(timing), "read": list(environment.STATE_FILES)}
    else:
        pictures = len(plan.scored.pictures) if plan.scored and step.kind is JobKind.ANSWER else INFERENCES
        seconds = PICTURE_SECONDS * pictures
        more = {"inferences": INFERENCES} if step.kind is JobKind.COUNT else {}
    header = job_header(step.kind.value, step.setting, models, patience_seconds=PATIENCE_SECONDS + seconds)
    return {**header, **more}


def job_header(
    kind: str, setting: Setting, models: Sequence[Mapping[str, Any]], *, patience_seconds: float
) -> dict[str, Any]:
    """Return the entries of every job about models; the worker ends itself a second after its patience."""
    return {
        "schema": worker.SCHEMA,
        "kind": kind,
        "runtime": setting.runtime,
        "kernels": setting.kernels.value,
        "threads": setting.threads,
        "models": [dict(model) for model in models],
        "memory_bytes": MEMORY_BYTES,
        "patience_seconds": patience_seconds,
    }
