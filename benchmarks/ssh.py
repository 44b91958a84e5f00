"""Measure models on a machine that ssh reaches: a Raspberry Pi, a board, a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.jobs import SCRIPTS, Described, Kind, Pieces, WorkerDied, ask, describe, lay_out
from benchmarks.measured import Measured
from benchmarks.plan import Plan, Setting
from benchmarks.ssh_address import Address
from benchmarks.ssh_connection import Connection, connected
from dermpack.errors import InputError
from dermpack.progress import Track

HERE = Path(__file__).parent
KINDS = (Kind.TIME, Kind.ANSWER, Kind.PROFILE)
OLD_RUNTIME, ITS_LAST_NUMPY = (
    "tflite-runtime",
    1,
)  # built for numpy 1: with 2 it dies of the first interpreter
SUCCESSOR = "ai-edge-litert"


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

    def measure(self, plan: Plan, *, track: Track) -> Measured:
        """Ask the whole plan there; a connection lost in the middle is an error, and leaves nothing there."""
        place = connected(self.address, python=self.python, identity=self.identity, options=self.options)
        with TemporaryDirectory(prefix="dermpack-ssh-") as folder, place as connection:
            described = self._described(connection)
            runtimes, notes = self._usable(plan, described)
            laid = lay_out(plan, Path(folder))
            rest = [file for file in laid.files if file not in SCRIPTS]
            for file in track(rest, total=len(rest), what=f"Copying to {self.address.text}"):
                connection.put(laid.folder / file)
            what, settings = f"Measuring on {self.address.text}", tuple(_settings(plan, runtimes))
            pieces = ask(plan, laid, connection.carry, settings=settings, kinds=KINDS, track=track, what=what)
        if connection.removed:
            notes = (*notes, f"removed there what {connection.removed} killed measurements had left")
        return self._measured(described, pieces, notes)

    def _described(self, connection: Connection) -> Described:
        """Where it is, before anything large is made or copied."""
        for script in SCRIPTS:
            connection.put(HERE / script)
        try:
            return describe(connection.carry)
        except WorkerDied as death:
            cure = f"run there: {self.python} -m pip install {SUCCESSOR}"
            raise InputError(self.name, f"the worker does not run ({death.why})", cure) from death

    def _usable(self, plan: Plan, described: Described) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The runtimes to measure, and a note of one that was left out."""
        there, wanted = described.runtimes, plan.runtimes or tuple(described.runtimes)
        if missing := [runtime for runtime in (wanted or [SUCCESSOR]) if runtime not in there]:
            cure = f"run there: {self.python} -m pip install {' '.join(missing)}"
            raise InputError(self.name, f"has no {' and no '.join(missing)}", cure)
        numpy = described.environment.get("numpy", "")
        if OLD_RUNTIME not in wanted or not _is_too_new(numpy):
            return tuple(wanted), ()
        what = f"{OLD_RUNTIME} {there[OLD_RUNTIME]} does not run with numpy {numpy}"
        rest = tuple(runtime for runtime in wanted if runtime != OLD_RUNTIME)
        if plan.runtimes or not rest:
            raise InputError(self.name, what, f"run there: {self.python} -m pip install 'numpy<2'")
        return rest, (f"{what}: it was left out",)

    def _measured(self, described: Described, pieces: Pieces, notes: tuple[str, ...]) -> Measured:
        return Measured(
            target=self.name,
            is_emulated=False,
            environment=_environment(described, pieces.environment_after),
            timed=pieces.timed,
            answered=pieces.answered,
            profiled=pieces.profiled,
            refused=pieces.refused,
            notes=(*notes, *pieces.notes),
        )


def _settings(plan: Plan, runtimes: Sequence[str]) -> Iterator[Setting]:
    for runtime in runtimes:
        for threads in plan.threads:
            for kernels in plan.kernels:
                yield Setting(runtime=runtime, kernels=kernels, threads=threads)


def _is_too_new(numpy: str) -> bool:
    major = numpy.partition(".")[0]
    return major.isdigit() and int(major) > ITS_LAST_NUMPY


def _environment(described: Described, after: Mapping[str, str]) -> dict[str, str]:
    """What was looked at again at the end stands there twice, by when it was."""
    before = {
        f"{name}_before" if name in after else name: text for name, text in described.environment.items()
    }
    return {**before, **described.runtimes, **{f"{name}_after": text for name, text in after.items()}}
