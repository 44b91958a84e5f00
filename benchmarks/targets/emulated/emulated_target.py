"""Run models on an emulated ARM processor: their answers and their instructions, never their time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.protocol import jobs
from benchmarks.protocol.jobs import (
    JOB_FILE,
    SCRIPTS,
    WORKER_FILE,
    JobFolder,
    JobKind,
    TargetDescription,
    WorkerDied,
)
from benchmarks.protocol.plan import BenchmarkPlan, Setting
from benchmarks.protocol.results import CountedModel, OperatorTime, ProfiledModel, TargetMeasurement
from benchmarks.statistics.slow_operators import reasons
from benchmarks.targets.emulated.emulated_process import say
from benchmarks.targets.emulated.instruction_counts import KINDS, Inference, UncountedError, read_counts
from benchmarks.targets.emulated.processors import Cpu, cpu_named
from benchmarks.targets.emulated.sysroot import MAKE_ARM, Sysroot, emulator, find_sysroot, sysroot_folder
from benchmarks.targets.settings import settings_of
from dermpack.errors import InputError, printable
from dermpack.inference import Kernels
from dermpack.progress import Track
from dermpack.storage.files import write_text

SLOWER = 10  # than the devices that the jobs' patience was meant for: every instruction is translated
COUNTS_FILE = "counts.txt"
ALONE = {"file": "model.tflite", "table": "table.npy", "pixels": "pixels.npy"}  # whatever the model's number
OWN_WORDS = ("processor", "features", "machine", "python", "numpy")  # the worker's others are the host's
HOW = "emulated, on one thread, with the kernels that each runtime chooses: answers and counts, never times"
RUNTIMES = "give --runtime tflite-runtime or --runtime ai-edge-litert"


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuTarget:
    """One emulated processor, and what runs on it."""

    cpu: Cpu
    sysroot: Sysroot

    @property
    def name(self) -> str:
        return f"qemu:{self.cpu.name}"

    def measure(self, plan: BenchmarkPlan, *, track: Track) -> TargetMeasurement:
        """Answers and instructions of every model with each runtime: one thread, its default kernels."""
        with TemporaryDirectory(prefix="dermpack-qemu-") as folder:
            laid, counts = jobs.lay_out(plan, Path(folder)), _Counts()
            carry = partial(_carry, self, laid, counts)
            described = self._described(carry)
            settings, left_out = _settings(plan, described, where=self.name)
            pieces = jobs.ask(
                plan,
                laid,
                carry,
                settings=settings,
                kinds=(JobKind.COUNT, JobKind.ANSWER),
                track=track,
                what=f"Emulating a {self.cpu.title}",
            )
        measured = TargetMeasurement(
            target=self.name,
            is_emulated=True,
            environment={**self._environment(described), **described.runtimes},
            counted=pieces.counted,
            answered=pieces.answered,
            profiled=tuple(counts.profiled(of) for of in pieces.counted),
            refused=pieces.refused,
        )
        return replace(measured, notes=(HOW, *left_out, *pieces.notes, *reasons(measured, plan)))

    def _described(self, carry: jobs.Carry) -> TargetDescription:
        try:
            return jobs.describe(carry)
        except WorkerDied as death:
            what = f"the benchmark worker does not start in the emulator ({death.why})"
            hint = f"Remove {self.sysroot.folder}, then run {MAKE_ARM}"
            raise InputError(self.name, what, hint, code="benchmark-worker-failed") from death

    def _environment(self, described: TargetDescription) -> dict[str, str]:
        version = subprocess.run(
            [emulator(), "--version"], capture_output=True, text=True, check=False
        ).stdout
        return {
            "device": f"emulator of the processor of a {self.cpu.board}",
            **{name: text for name, text in described.environment.items() if name in OWN_WORDS},
            "emulator": printable(version.partition("\n")[0]),
            "sysroot": f"sha256 {self.sysroot.sha256}",
        }


def qemu_target(name: str, *, folder: Path | None = None) -> QemuTarget:
    """The target that is called qemu:NAME; an error where it is not emulated, or not prepared."""
    cpu = cpu_named(name)
    sysroot = find_sysroot(folder or sysroot_folder())
    emulator()
    return QemuTarget(cpu=cpu, sysroot=sysroot)


class _Counts:
    """The kinds of instructions of what was counted, until the answers have been read."""

    def __init__(self) -> None:
        self._typical: dict[tuple[str, str], Inference] = {}

    def keep(self, job: Mapping[str, Any], inferences: Sequence[Inference]) -> None:
        typical = sorted(inferences, key=lambda of: of.instructions)[(len(inferences) - 1) // 2]
        self._typical[job["runtime"], job["models"][0]["name"]] = typical

    def profiled(self, of: CountedModel) -> ProfiledModel:
        typical = self._typical[of.setting.runtime, of.model]
        operators = (
            OperatorTime(name=name, count=count, share=count / typical.instructions, is_delegated=False)
            for name, count in zip(KINDS, typical.kinds, strict=True)
        )
        return ProfiledModel(model=of.model, setting=of.setting, operators=tuple(operators))


def _settings(
    plan: BenchmarkPlan, described: TargetDescription, *, where: str
) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
    """One thread, for counts of two do not repeat; the kernels that the runtime chooses by itself."""
    one = replace(plan, threads=(1,), kernels=(Kernels.XNNPACK,))
    return settings_of(one, where=where, runtimes=list(described.runtimes), cores=1, install=RUNTIMES)


def _carry(target: QemuTarget, laid: JobFolder, counts: _Counts, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run one job on the emulated processor; one that counts is answered with its instructions."""
    patient = {**job, "patience_seconds": SLOWER * job["patience_seconds"]}
    if job["kind"] != JobKind.COUNT.value:
        return _ask(target, laid.folder, patient, counts=None)
    with TemporaryDirectory(dir=laid.folder) as alone:
        only, file = _only(patient, laid.folder, Path(alone)), Path(alone) / COUNTS_FILE
        return _with_instructions(_ask(target, Path(alone), only, counts=file), job, file, counts)


def _only(job: Mapping[str, Any], laid: Path, alone: Path) -> dict[str, Any]:
    """The job of one model in a folder of its own: Python lists its folder, and what it holds would count."""
    (model,) = job["models"]
    for script in SCRIPTS:
        (alone / script).hardlink_to(laid / script)
    for part, name in ALONE.items():
        (alone / name).hardlink_to(laid / model[part])
    return {**job, "models": [{**model, **ALONE}]}


def _ask(
    target: QemuTarget, folder: Path, job: Mapping[str, Any], *, counts: Path | None
) -> Mapping[str, Any]:
    write_text(folder / JOB_FILE, json.dumps(job))
    command = [*target.sysroot.command(target.cpu, counts=counts), "-B", WORKER_FILE, JOB_FILE]
    environment = target.sysroot.environment()
    return say(command, environment=environment, folder=folder, seconds=job["patience_seconds"])


def _with_instructions(
    said: Mapping[str, Any], job: Mapping[str, Any], file: Path, counts: _Counts
) -> Mapping[str, Any]:
    """A job that counts names one model."""
    entry = said["models"][0] if isinstance(said.get("models"), list) and len(said["models"]) == 1 else None
    if not isinstance(entry, dict) or "refused" in entry:
        return said
    try:
        inferences = read_counts(file)
    except UncountedError as error:
        raise WorkerDied(str(error)) from error
    if inferences:
        counts.keep(job, inferences)
    return {**said, "models": [{**entry, "instructions": [of.instructions for of in inferences]}]}
