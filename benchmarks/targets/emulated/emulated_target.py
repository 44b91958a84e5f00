"""Run models on an emulated ARM processor: their answers and their instructions, never their time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.protocol.jobs import (
    JOB_FILE,
    MEMORY_BYTES,
    SCRIPTS,
    WORKER_FILE,
    JobKind,
    TargetDescription,
    WorkerFailedError,
    describe_target,
    run_jobs,
    write_job_folder,
)
from benchmarks.protocol.plan import BenchmarkPlan, select_settings
from benchmarks.protocol.results import CountedModel, OperatorTime, ProfiledModel, TargetMeasurement
from benchmarks.targets.emulated.emulator import (
    KINDS,
    MAKE_ARM,
    Cpu,
    InferenceCounts,
    InvalidCountsError,
    Sysroot,
    find_cpu,
    find_emulator,
    find_sysroot,
    locate_sysroot,
    read_counts,
)
from benchmarks.targets.worker_process import run_worker
from dermpack.errors import escape_unprintable
from dermpack.inference import Kernels
from dermpack.progress import Track
from dermpack.storage.files import write_text

SLOWER = 10  # than the devices for which the jobs' patience is meant: every instruction is translated
EMULATOR_BYTES = 4 << 30  # of address space, in addition to a model's
COUNTS_FILE = "counts.txt"
OWN_FILES = {"file": "model.tflite", "table": "table.npy", "pixels": "pixels.npy"}
EMULATED_FACTS = ("processor", "features", "machine", "python", "numpy")  # the others would be the host's
METHOD = "emulated on one thread with the default kernels of each runtime: answers and counts, no times"
RUNTIMES_HINT = "Give --runtime tflite-runtime or --runtime ai-edge-litert."


def qemu_target(name: str, *, folder: Path | None = None) -> QemuTarget:
    """Return the target qemu:NAME; raise InputError if it is not supported or not prepared."""
    cpu = find_cpu(name)
    sysroot = find_sysroot(folder or locate_sysroot())
    find_emulator()
    return QemuTarget(cpu=cpu, sysroot=sysroot)


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuTarget:
    """One emulated processor and the sysroot that runs on it."""

    cpu: Cpu
    sysroot: Sysroot

    @property
    def name(self) -> str:
        return f"qemu:{self.cpu.name}"

    def measure(self, plan: BenchmarkPlan, *, track: Track) -> TargetMeasurement:
        """Measure answers and instructions of every model with each runtime."""
        with TemporaryDirectory(prefix="dermpack-qemu-") as folder:
            job_folder = write_job_folder(plan, Path(folder))
            runner = _EmulatedRunner(self, job_folder.folder)
            hint = f"Remove {self.sysroot.folder}, then run {MAKE_ARM}"
            machine = describe_target(runner, where=self.name, hint=hint)
            # The counts of two threads do not repeat; the kernels are the ones that the runtime chooses.
            counted_plan = replace(plan, threads=(1,), kernels=(Kernels.XNNPACK,))
            settings, left_out = select_settings(
                counted_plan, where=self.name, runtimes=list(machine.runtimes), cores=1, install=RUNTIMES_HINT
            )
            results = run_jobs(
                plan,
                job_folder,
                runner,
                settings=settings,
                kinds=(JobKind.COUNT, JobKind.ANSWER),
                track=track,
                what=f"Emulating a {self.cpu.title}",
            )
        results.profiled = [runner.profile(counted) for counted in results.counted]
        return results.measurement(
            self.name,
            is_emulated=True,
            environment={**self._environment(machine), **machine.runtimes},
            notes=(METHOD, *left_out, *results.notes),
        )

    def _environment(self, machine: TargetDescription) -> dict[str, str]:
        command = [find_emulator(), "--version"]
        version = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return {
            "device": f"emulator of the processor of a {self.cpu.board}",
            **{name: text for name, text in machine.environment.items() if name in EMULATED_FACTS},
            "emulator": escape_unprintable(version.partition("\n")[0]),
            "sysroot": f"sha256 {self.sysroot.sha256}",
        }


class _EmulatedRunner:
    """Runs jobs on the emulated processor, and keeps the kinds of the counted instructions."""

    def __init__(self, target: QemuTarget, folder: Path) -> None:
        self._target, self._folder = target, folder
        self._typical: dict[tuple[str, str], InferenceCounts] = {}

    def __call__(self, job: Mapping[str, Any]) -> Mapping[str, Any]:
        patient = {**job, "patience_seconds": SLOWER * job["patience_seconds"]}
        if job["kind"] != JobKind.COUNT.value:
            return self._run(self._folder, patient, counts=None)
        # A counted model has a folder of its own, with the same names for every model: Python lists its
        # folder, so the counts would depend on what else is in it.
        with TemporaryDirectory(dir=self._folder) as temporary:
            own, (model,) = Path(temporary), job["models"]
            for script in SCRIPTS:
                (own / script).hardlink_to(self._folder / script)
            for part, name in OWN_FILES.items():
                (own / name).hardlink_to(self._folder / model[part])
            job = {**patient, "models": [{**model, **OWN_FILES}]}
            return self._add_counts(self._run(own, job, counts=own / COUNTS_FILE), job, own / COUNTS_FILE)

    def profile(self, counted: CountedModel) -> ProfiledModel:
        """Return the kinds of instructions of a counted model's typical inference."""
        typical = self._typical[counted.setting.runtime, counted.model]
        operators = (
            OperatorTime(name=name, count=count, share=count / typical.instructions, is_delegated=False)
            for name, count in zip(KINDS, typical.kinds, strict=True)
        )
        return ProfiledModel(model=counted.model, setting=counted.setting, operators=tuple(operators))

    def _run(self, folder: Path, job: Mapping[str, Any], *, counts: Path | None) -> Mapping[str, Any]:
        write_text(folder / JOB_FILE, json.dumps(job))
        sysroot = self._target.sysroot
        return run_worker(
            [*sysroot.command(self._target.cpu, counts=counts), "-B", WORKER_FILE, JOB_FILE],
            folder=folder,
            seconds=job["patience_seconds"],
            environment=sysroot.environment(),
            # The limit that the worker sets for itself does not apply to the emulator around it.
            address_bytes=MEMORY_BYTES + EMULATOR_BYTES,
        )

    def _add_counts(self, reply: Mapping[str, Any], job: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
        """Return the reply with the instructions of each inference, as replies of counting jobs have them."""
        entries = reply.get("models")
        entry = entries[0] if isinstance(entries, list) and len(entries) == 1 else None
        if not isinstance(entry, dict) or "refused" in entry:
            return reply
        try:
            inferences: Sequence[InferenceCounts] = read_counts(file)
        except InvalidCountsError as error:
            raise WorkerFailedError(str(error)) from error
        if inferences:
            by_instructions = sorted(inferences, key=lambda inference: inference.instructions)
            median = by_instructions[(len(inferences) - 1) // 2]
            self._typical[job["runtime"], job["models"][0]["name"]] = median
        instructions = [inference.instructions for inference in inferences]
        return {**reply, "models": [{**entry, "instructions": instructions}]}
