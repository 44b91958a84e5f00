"""Measure models on a machine that ssh reaches: a Raspberry Pi, a board, a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.protocol.jobs import (
    SCRIPTS,
    WORKER_FOLDER,
    JobKind,
    TargetDescription,
    WorkerDied,
    WorkerResults,
    ask,
    describe,
    lay_out,
)
from benchmarks.protocol.plan import BenchmarkPlan, Setting
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.statistics.slow_operators import reasons
from benchmarks.targets.environment import around, warnings
from benchmarks.targets.settings import settings_of
from benchmarks.targets.ssh.address import Address, read_address
from benchmarks.targets.ssh.connection import Connection, connected
from dermpack.errors import InputError
from dermpack.progress import Track, silent

KINDS = (JobKind.TIME, JobKind.ANSWER, JobKind.PROFILE)
OLD_RUNTIME, ITS_LAST_NUMPY = (
    "tflite-runtime",
    1,
)  # built for numpy 1: with 2 it dies of the first interpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class SshTarget:
    """A machine, and the Python to use there."""

    address: Address
    python: str = "python3"
    identity: Path | None = None  # a private key, beside those that ssh tries by itself
    options: Sequence[str] = ()  # for ssh -o

    @property
    def name(self) -> str:
        return self.address.name

    def measure(self, plan: BenchmarkPlan, *, track: Track = silent) -> TargetMeasurement:
        """Ask the whole plan there; a connection lost in the middle is an error, and leaves nothing there."""
        place = connected(self.address, python=self.python, identity=self.identity, options=self.options)
        with TemporaryDirectory(prefix="dermpack-ssh-") as folder, place as connection:
            there = self._described(connection)
            settings, left_out = self._settings(plan, there)
            laid, where = lay_out(plan, Path(folder)), self.address.text
            files = [file for file in laid.files if file not in SCRIPTS]
            for file in track(files, total=len(files), what=f"Copying to {where}"):
                connection.put(laid.folder / file)
            what, carry = f"Measuring on {where}", connection.carry
            pieces = ask(plan, laid, carry, settings=settings, kinds=KINDS, track=track, what=what)
        notes = (*left_out, *warnings(there.environment, pieces.environment_after), *pieces.notes)
        measured = self._measured(there, pieces)
        return replace(measured, notes=(*notes, *_removed(connection), *reasons(measured, plan)))

    def _described(self, connection: Connection) -> TargetDescription:
        """Where it is, before anything large is made or copied."""
        for script in SCRIPTS:
            connection.put(WORKER_FOLDER / script)
        try:
            return describe(connection.carry)
        except WorkerDied as death:
            what = f"the benchmark worker does not start ({death.why})"
            hint = self._install("numpy ai-edge-litert")
            raise InputError(self.name, what, hint, code="benchmark-worker-failed") from death

    def _settings(
        self, plan: BenchmarkPlan, there: TargetDescription
    ) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
        """What to run there; a runtime that numpy is too new for is left out, or refused if none is left."""
        numpy, runtimes, notes = there.environment.get("numpy", ""), list(there.runtimes), []
        if OLD_RUNTIME in runtimes and _is_too_new(numpy):
            runtimes.remove(OLD_RUNTIME)
            what = f"{OLD_RUNTIME} {there.runtimes[OLD_RUNTIME]} does not run with numpy {numpy}"
            if not runtimes or OLD_RUNTIME in plan.runtimes:
                raise InputError(self.name, what, self._install("'numpy<2'"), code="incompatible-numpy")
            notes.append(f"{what} and was left out")
        cores, install = int(there.environment.get("cores", "1")), self._install("ai-edge-litert")
        settings, left_out = settings_of(
            plan, where=self.name, runtimes=runtimes, cores=cores, install=install
        )
        return settings, (*notes, *left_out)

    def _install(self, packages: str) -> str:
        return f"Run there: {self.python} -m pip install {packages}"

    def _measured(self, there: TargetDescription, pieces: WorkerResults) -> TargetMeasurement:
        environment = around(there.environment, pieces.environment_after)
        return TargetMeasurement(
            target=self.name,
            is_emulated=False,
            environment={**environment, **there.runtimes},
            timed=pieces.timed,
            answered=pieces.answered,
            profiled=pieces.profiled,
            refused=pieces.refused,
        )


def ssh_target(address: str, *, python: str, identity: Path | None = None) -> SshTarget:
    """The machine of that address, [user@]host[:port]."""
    return SshTarget(address=read_address(address), python=python, identity=identity)


def _removed(connection: Connection) -> tuple[str, ...]:
    what = f"what killed measurements had left there was removed (folders: {connection.removed})"
    return (what,) if connection.removed else ()


def _is_too_new(numpy: str) -> bool:
    major = numpy.partition(".")[0]
    return major.isdecimal() and int(major) > ITS_LAST_NUMPY
