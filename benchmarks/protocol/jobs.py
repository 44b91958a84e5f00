"""Ask one worker everything that a plan wants to know; how a job gets there is the target's business."""

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
from benchmarks.protocol.plan import BenchmarkPlan, ModelUnderTest, Setting, Timing
from benchmarks.protocol.results import (
    AnsweredPictures,
    CountedModel,
    ProfiledModel,
    RefusedModel,
    TimedModel,
)
from benchmarks.targets.environment import LASTING, PASSING, lasting, passing
from benchmarks.worker import worker
from benchmarks.worker.worker import SCHEMA
from dermpack.imaging import Policy, prepare
from dermpack.processes.process_pool import available_jobs
from dermpack.progress import Track, silent
from dermpack.storage.files import write_bytes

WORKER_FILE, JOB_FILE = "worker.py", "job.json"
WORKER_FOLDER = Path(worker.__file__).parent
SCRIPTS = (WORKER_FILE, "environment.py", "operators.py")  # in WORKER_FOLDER
MEMORY_BYTES = 8 << 30  # of addresses: a model that asks for more is refused by the system
PATIENCE_SECONDS = 120.0  # to start and to load
PICTURE_SECONDS = 5.0  # of patience for one inference: the largest network on the slowest device
WARM_UPS = 6  # of patience: the worker's own limit
PROFILED = ("ai-edge-litert",)  # the runtimes that say how long their operators take
INFERENCES = 3  # counted ones: they repeat exactly
PROBE = Timing(warm_up_seconds=0.0, rounds=5, seconds=0.0, most_seconds=30.0)  # for the peak of its memory

Carry: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class WorkerDied(Exception):  # noqa: N818 - what befalls a model, answered by Refused; no error of the program
    """The worker ended without an answer; `why` is the signal's name or its last line."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class JobKind(Enum):
    """What a worker can be asked about models; COUNT is for emulators, whose carry adds "instructions"."""

    TIME = "time"
    ANSWER = "answer"
    COUNT = "count"
    PROFILE = "profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFolder:
    """A folder that is ready to be copied to where the models run."""

    folder: Path
    files: tuple[str, ...]  # all that it holds
    models: tuple[Mapping[str, str], ...]  # as jobs name them, in the order of the plan
    pictures: int  # of each file of pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDescription:
    """Where the worker is, and the version of every runtime that it finds there."""

    environment: Mapping[str, str]
    runtimes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerResults:
    """What one target's worker answered, ready for a Measured."""

    timed: tuple[TimedModel, ...] = ()
    counted: tuple[CountedModel, ...] = ()
    answered: tuple[AnsweredPictures, ...] = ()
    profiled: tuple[ProfiledModel, ...] = ()
    refused: tuple[RefusedModel, ...] = ()
    notes: tuple[str, ...] = ()
    environment_after: Mapping[str, str] = field(default_factory=dict)  # of the last timed setting


def lay_out(plan: BenchmarkPlan, folder: Path) -> JobFolder:
    """Write the worker and everything that jobs name into an existing folder."""
    for script in SCRIPTS:
        shutil.copyfile(WORKER_FOLDER / script, folder / script)
    files, models, pixels = list(SCRIPTS), [], dict[tuple[int, Policy], str]()
    for at, model in enumerate(plan.models):
        named = {"name": model.name, "file": f"model-{at}.tflite", "table": f"table-{at}.npy"}
        write_bytes(folder / named["file"], model.data)
        np.save(folder / named["table"], model.table, allow_pickle=False)
        kind = (model.size, _policy(model))
        if kind not in pixels:
            pixels[kind] = f"pixels-{model.size}{'-whole' if kind[1] is Policy.WHOLE else ''}.npy"
            _write_pixels(plan, folder / pixels[kind], *kind)
            files.append(pixels[kind])
        files += [named["file"], named["table"]]
        models.append({**named, "pixels": pixels[kind]})
    pictures = len(plan.scored.pictures) if plan.scored else 1
    return JobFolder(folder=folder, files=tuple(files), models=tuple(models), pictures=pictures)


def describe(carry: Carry) -> TargetDescription:
    """Ask the worker where it is; WorkerDied where it does not even say that."""
    job = {"schema": SCHEMA, "kind": "describe", "read": list(LASTING + PASSING)}
    said = carry({**job, "patience_seconds": PATIENCE_SECONDS})
    told, runtimes = replies.texts(said.get("environment")), replies.texts(said.get("runtimes"))
    return TargetDescription(environment={**lasting(told), **passing(told)}, runtimes=runtimes)


def ask(
    plan: BenchmarkPlan,
    laid: JobFolder,
    carry: Carry,
    *,
    settings: Sequence[Setting],
    kinds: Collection[JobKind],
    track: Track = silent,
    what: str = "Measuring",
) -> WorkerResults:
    """Each model alone first, for its memory, answers, counts and operators; then all in turns for the time.

    Answers and operators are asked once for each runtime and its kernels: threads do not change them.
    """
    steps, found = _steps(plan, laid, settings, kinds), _JobResults()
    for step in track(steps, total=len(steps), what=what):
        _take(step, plan, carry, found)
    return found.pieces()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    setting: Setting
    kind: JobKind
    models: tuple[Mapping[str, str], ...]
    is_probe: bool = False  # a few rounds of one model alone, for the peak of its memory


@dataclass(slots=True)
class _JobResults:
    """What was answered so far."""

    timed: list[TimedModel] = field(default_factory=list)
    counted: list[CountedModel] = field(default_factory=list)
    answered: list[AnsweredPictures] = field(default_factory=list)
    profiled: list[ProfiledModel] = field(default_factory=list)
    refused: list[RefusedModel] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    peaks: dict[tuple[Setting, str], int | None] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)

    def stands(self, setting: Setting, name: str) -> bool:
        return not any(refusal.setting == setting and refusal.model == name for refusal in self.refused)

    def pieces(self) -> WorkerResults:
        return WorkerResults(
            timed=tuple(self.timed),
            counted=tuple(self.counted),
            answered=tuple(self.answered),
            profiled=tuple(self.profiled),
            refused=tuple(self.refused),
            notes=tuple(self.notes),
            environment_after=self.after,
        )


def _steps(
    plan: BenchmarkPlan, laid: JobFolder, settings: Sequence[Setting], kinds: Collection[JobKind]
) -> list[_Step]:
    steps, asked = [], set()
    for setting in settings:
        combination = (setting.runtime, setting.kernels)
        alone = [JobKind.COUNT] if JobKind.COUNT in kinds else []
        if combination not in asked:
            alone += [JobKind.ANSWER] if JobKind.ANSWER in kinds and plan.scored else []
            alone += [JobKind.PROFILE] if JobKind.PROFILE in kinds and setting.runtime in PROFILED else []
        asked.add(combination)
        for model in laid.models:
            if JobKind.TIME in kinds:
                steps.append(_Step(setting=setting, kind=JobKind.TIME, models=(model,), is_probe=True))
            steps += [_Step(setting=setting, kind=kind, models=(model,)) for kind in alone]
        if JobKind.TIME in kinds:
            steps.append(_Step(setting=setting, kind=JobKind.TIME, models=laid.models))
    return steps


def _take(step: _Step, plan: BenchmarkPlan, carry: Carry, found: _JobResults) -> None:
    """One job; a model that the worker dies of, or refuses, is not asked again under the setting."""
    standing = [model for model in step.models if found.stands(step.setting, model["name"])]
    names = [model["name"] for model in standing]
    if not standing:
        return
    try:
        said = carry(_job(step, standing, plan))
        for name, entry in zip(names, replies.entries(said, names=names), strict=True):
            _keep(step, plan, name, entry, said, found)
    except WorkerDied as death:
        _refuse(step, names, f"the interpreter died of it ({death.why})", found)
    except replies.UnreadableError as error:
        _refuse(step, names, f"the interpreter's answer cannot be read ({error})", found)


def _keep(
    step: _Step,
    plan: BenchmarkPlan,
    name: str,
    entry: Mapping[str, Any],
    said: Mapping[str, Any],
    found: _JobResults,
) -> None:
    setting = step.setting
    if "refused" in entry:
        _refuse(step, [name], replies.text(entry["refused"]), found)
    elif step.is_probe:
        found.peaks[setting, name] = replies.peak_bytes(said)
    elif step.kind is JobKind.TIME:
        peak = found.peaks.get((setting, name))
        found.timed.append(replies.timed(entry, model=name, setting=setting, peak_bytes=peak))
        found.after = passing(replies.texts(said.get("environment_after")))
    elif step.kind is JobKind.ANSWER:
        pictures = len(plan.scored.pictures) if plan.scored else 0
        found.answered.append(replies.answered(entry, model=name, setting=setting, pictures=pictures))
    elif step.kind is JobKind.COUNT:
        found.counted.append(replies.counted(entry, model=name, setting=setting, inferences=INFERENCES))
    else:
        found.profiled.append(replies.profiled(entry, model=name, setting=setting))


def _refuse(step: _Step, names: Sequence[str], why: str, found: _JobResults) -> None:
    """A model that runs but cannot be profiled is not refused, only noted."""
    if step.kind is JobKind.PROFILE:
        found.notes += [f"{name}: its operators are not known under {step.setting} ({why})" for name in names]
    else:
        found.refused += [RefusedModel(model=name, setting=step.setting, why=why) for name in names]


def head_of(
    kind: str, setting: Setting, models: Sequence[Mapping[str, Any]], *, patience_seconds: float
) -> dict[str, Any]:
    """What every job about models says."""
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


def _job(step: _Step, models: Sequence[Mapping[str, str]], plan: BenchmarkPlan) -> dict[str, Any]:
    timing = PROBE if step.is_probe else plan.timing
    patience_seconds = _patience_seconds(step, plan, timing)
    job = head_of(step.kind.value, step.setting, models, patience_seconds=patience_seconds)
    if step.kind is JobKind.TIME:
        job |= {"timing": asdict(timing), "read": list(PASSING)}
    elif step.kind is JobKind.COUNT:
        job["inferences"] = INFERENCES
    return job


def _patience_seconds(step: _Step, plan: BenchmarkPlan, timing: Timing) -> float:
    """How long the answer may take; the worker ends itself a second later."""
    if step.kind is JobKind.TIME:
        return PATIENCE_SECONDS + timing.most_seconds + WARM_UPS * timing.warm_up_seconds * len(plan.models)
    pictures = len(plan.scored.pictures) if plan.scored and step.kind is JobKind.ANSWER else INFERENCES
    return PATIENCE_SECONDS + PICTURE_SECONDS * pictures


def _policy(model: ModelUnderTest) -> Policy:
    return model.sidecar.policy if model.sidecar else Policy.CENTRE_SQUARE


def _write_pixels(plan: BenchmarkPlan, path: Path, size: int, policy: Policy) -> None:
    """The scored pictures as the model sees them; without any, one picture of noise."""
    if plan.scored is None:
        noise = np.random.default_rng(plan.seed).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
        np.save(path, noise, allow_pickle=False)
        return
    scored = plan.scored
    pixels = open_memmap(path, "w+", np.uint8, (len(scored.pictures), size, size, 3))  # type: ignore[no-untyped-call]
    with ThreadPoolExecutor(available_jobs()) as pool:
        files = map(scored.dataset.file, scored.pictures)
        for at, picture in enumerate(pool.map(lambda file: prepare(file, size, policy=policy), files)):
            pixels[at] = picture
    pixels.flush()
