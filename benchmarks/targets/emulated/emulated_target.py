"""Run models on an emulated ARM processor: their answers and their instructions, never their time."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.protocol import jobs
from benchmarks.protocol.plan import BenchmarkPlan, select_settings
from benchmarks.protocol.replies import WorkerFailedError, read_entries
from benchmarks.protocol.results import CountedModel, OperatorTime, ProfiledModel, TargetMeasurement
from benchmarks.targets.emulated import emulator
from benchmarks.targets.host import run_worker
from dermpack.errors import escape_unprintable
from dermpack.inference.interpreter_host import Kernels
from dermpack.processes.limits import ending_with_parent
from dermpack.progress import Track

SLOWDOWN = 10  # of the time limits of jobs, which are meant for devices: every instruction is translated
EMULATOR_BYTES = 4 << 30  # of address space, in addition to a model's
COUNTS_FILE = "counts.txt"
OWN_FILES = {"file": "model.tflite", "table": "table.npy", "pixels": "pixels.npy"}
EMULATED_FACTS = ("processor", "features", "machine", "python", "numpy")  # the others would be the host's
METHOD = "emulated on one thread with the default kernels of each runtime: answers and counts, no times"
RUNTIMES_HINT = "Give --runtime tflite-runtime or --runtime ai-edge-litert."


def qemu_target(name: str, *, folder: Path | None = None) -> QemuTarget:
    """Return the target qemu:NAME; raise InputError if it is not supported or not prepared."""
    cpu = emulator.find_cpu(name)
    sysroot = emulator.find_sysroot(folder or emulator.locate_sysroot())
    emulator.find_emulator()
    return QemuTarget(cpu=cpu, sysroot=sysroot)


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuTarget:
    """One emulated processor and the sysroot that runs on it."""

    cpu: emulator.Cpu
    sysroot: emulator.Sysroot

    @property
    def name(self) -> str:
        return f"qemu:{self.cpu.name}"

    def measure(self, plan: BenchmarkPlan, *, track: Track) -> TargetMeasurement:
        """Measure answers and instructions of every model with each runtime."""
        with TemporaryDirectory(prefix="dermpack-qemu-") as folder:
            job_models = jobs.write_job_folder(plan, Path(folder))
            runner = _EmulatedRunner(self, Path(folder))
            hint = f"Remove {self.sysroot.folder}, then run {emulator.MAKE_ARM}"
            machine = jobs.describe_target(runner, where=self.name, hint=hint)
            # The counts of two threads do not repeat; the kernels are the ones that the runtime chooses.
            counted_plan = replace(plan, threads=(1,), kernels=(Kernels.XNNPACK,))
            settings, left_out = select_settings(
                counted_plan, where=self.name, runtimes=list(machine.runtimes), cores=1, install=RUNTIMES_HINT
            )
            results = jobs.run_jobs(
                plan,
                job_models,
                runner,
                settings=settings,
                kinds=(jobs.JobKind.COUNT, jobs.JobKind.ANSWER),
                track=track,
                what=f"Emulating a {self.cpu.name.title()}",
            )
        results.profiled = [runner.profile(counted) for counted in results.counted]
        command = ending_with_parent([emulator.find_emulator(), "--version"])
        version = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        environment = {
            "device": f"emulator of the processor of a {self.cpu.board}",
            **{name: text for name, text in machine.environment.items() if name in EMULATED_FACTS},
            "emulator": escape_unprintable(version.partition("\n")[0]),
            "sysroot": f"sha256 {self.sysroot.sha256}",
        }
        emulated = replace(machine, environment=environment)
        return results.measurement(self.name, emulated, notes=(METHOD, *left_out), is_emulated=True)


class _EmulatedRunner:
    """Runs jobs on the emulated processor, and keeps the kinds of the counted instructions."""

    def __init__(self, target: QemuTarget, folder: Path) -> None:
        self.target, self.folder = target, folder
        self.typical: dict[tuple[str, str], tuple[int, ...]] = {}

    def __call__(self, job: Mapping[str, Any]) -> Mapping[str, Any]:
        job = {**job, "patience_seconds": SLOWDOWN * job["patience_seconds"]}
        if job["kind"] != jobs.JobKind.COUNT.value:
            return self._run(self.folder, job, counts=None)
        # A counted model has a folder of its own, with the same names for every model: Python lists its
        # folder, so the counts would depend on what else is in it.
        with TemporaryDirectory(dir=self.folder) as temporary:
            own, (model,) = Path(temporary), job["models"]
            for script in jobs.SCRIPTS:
                (own / script).hardlink_to(self.folder / script)
            for part, name in OWN_FILES.items():
                (own / name).hardlink_to(self.folder / model[part])
            counts = own / COUNTS_FILE
            reply = self._run(own, {**job, "models": [{**model, **OWN_FILES}]}, counts=counts)
            (entry,) = read_entries(reply, names=[model["name"]])
            if "refused" in entry:
                return reply
            try:
                inferences = emulator.read_counts(counts)
            except emulator.InvalidCountsError as error:
                raise WorkerFailedError(str(error)) from error
        if inferences:
            median = sorted(inferences, key=sum)[(len(inferences) - 1) // 2]
            self.typical[job["runtime"], model["name"]] = median
        return {**reply, "models": [{**entry, "instructions": list(map(sum, inferences))}]}

    def _run(self, folder: Path, job: Mapping[str, Any], *, counts: Path | None) -> Mapping[str, Any]:
        sysroot = self.target.sysroot
        return run_worker(
            [*sysroot.command(self.target.cpu, counts=counts), "-B", jobs.WORKER_FILE],
            job,
            folder=folder,
            environment=sysroot.environment(),
            # The limit that the worker sets for itself does not apply to the emulator around it.
            address_bytes=jobs.MEMORY_BYTES + EMULATOR_BYTES,
        )

    def profile(self, counted: CountedModel) -> ProfiledModel:
        """Return the kinds of instructions of a counted model's typical inference."""
        typical = self.typical[counted.setting.runtime, counted.model]
        operators = (
            OperatorTime(name=name, count=count, share=count / sum(typical), is_delegated=False)
            for name, count in zip(emulator.KINDS, typical, strict=True)
        )
        return ProfiledModel(model=counted.model, setting=counted.setting, operators=tuple(operators))
