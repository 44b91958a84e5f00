"""Measure models on a machine that ssh reaches: a Raspberry Pi, a board, a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.protocol.environment import list_warnings, merge_states
from benchmarks.protocol.jobs import (
    SCRIPTS,
    WORKER_FOLDER,
    JobKind,
    TargetDescription,
    describe_target,
    run_jobs,
    write_job_folder,
)
from benchmarks.protocol.plan import BenchmarkPlan, Setting, select_settings
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.targets.ssh.connection import Address, connect
from dermpack.errors import InputError
from dermpack.progress import Track, silent

KINDS = (JobKind.TIME, JobKind.ANSWER, JobKind.PROFILE)
OLD_RUNTIME = "tflite-runtime"
LAST_NUMPY = 1  # the major version for which the old runtime was built; with 2 the first interpreter crashes


@dataclass(frozen=True, slots=True, kw_only=True)
class SshTarget:
    """A machine, and the Python to use there."""

    address: Address
    python: str = "python3"
    identity: Path | None = None  # a private key, in addition to those that ssh tries by itself
    options: Sequence[str] = ()  # for ssh -o

    @property
    def name(self) -> str:
        return self.address.name

    def measure(self, plan: BenchmarkPlan, *, track: Track = silent) -> TargetMeasurement:
        """Measure the whole plan there; a connection that is lost is an error, and leaves nothing there."""
        remote = connect(self.address, python=self.python, identity=self.identity, options=self.options)
        with TemporaryDirectory(prefix="dermpack-ssh-") as folder, remote as connection:
            # Describe the machine first, before anything large is prepared or copied.
            for script in SCRIPTS:
                connection.put(WORKER_FOLDER / script)
            hint = self._install("numpy ai-edge-litert")
            machine = describe_target(connection.run_job, where=self.name, hint=hint)
            settings, left_out = self._select_settings(plan, machine)
            job_folder = write_job_folder(plan, Path(folder))
            files = [file for file in job_folder.files if file not in SCRIPTS]
            for file in track(files, total=len(files), what=f"Copying to {self.address.text}"):
                connection.put(job_folder.folder / file)
            results = run_jobs(
                plan,
                job_folder,
                connection.run_job,
                settings=settings,
                kinds=KINDS,
                track=track,
                what=f"Measuring on {self.address.text}",
            )
        environment = {**merge_states(machine.environment, results.environment_after), **machine.runtimes}
        warnings = list_warnings(machine.environment, results.environment_after)
        return results.measurement(
            self.name, environment=environment, notes=(*left_out, *warnings, *results.notes)
        )

    def _select_settings(
        self, plan: BenchmarkPlan, machine: TargetDescription
    ) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
        """Leave out the old runtime if numpy is too new for it; raise InputError if nothing else is left."""
        numpy, runtimes, notes = machine.environment.get("numpy", ""), list(machine.runtimes), []
        major = numpy.partition(".")[0]
        if OLD_RUNTIME in runtimes and major.isdecimal() and int(major) > LAST_NUMPY:
            runtimes.remove(OLD_RUNTIME)
            what = f"{OLD_RUNTIME} {machine.runtimes[OLD_RUNTIME]} does not run with numpy {numpy}"
            if not runtimes or OLD_RUNTIME in plan.runtimes:
                raise InputError(self.name, what, self._install("'numpy<2'"), code="incompatible-numpy")
            notes.append(f"{what} and was left out")
        cores, install = int(machine.environment.get("cores", "1")), self._install("ai-edge-litert")
        settings, left_out = select_settings(
            plan, where=self.name, runtimes=runtimes, cores=cores, install=install
        )
        return settings, (*notes, *left_out)

    def _install(self, packages: str) -> str:
        return f"Run on the machine: {self.python} -m pip install {packages}"
