"""Measure models on a phone, with the benchmark_model that its owner gives us."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.protocol.plan import BenchmarkPlan
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.targets.adb.benchmark_model import PROFILE, RUNTIME
from benchmarks.targets.adb.phone_jobs import PhoneJobKind, PhoneResults, PhoneStep, steps
from benchmarks.targets.adb.phone_shell import (
    CommandOutput,
    ListedPhone,
    PhoneLostError,
    PhoneSilentError,
    listed,
    private_folder,
    push,
    ready_phone,
    refuse_unready,
    shell,
)
from benchmarks.targets.adb.phone_state import description, fixed_clocks, is_throttled, warmth
from benchmarks.targets.settings import settings_of
from dermpack.errors import InputError
from dermpack.progress import Track
from dermpack.storage.files import read_bytes, sha256_of, write_bytes

TOOL = "benchmark_model"
MOST_TOOL_BYTES = 256 << 20
LOADING_SECONDS = 60.0  # of patience, beside what the timing allows
MOST_CORES = 64  # of a phone that does not say how many it has
TIMED_OUT = 124  # as timeout(1) says it
# e_machine of an ELF file, by the name that Android gives it
ABI_OF_MACHINE = {3: "x86", 40: "armeabi-v7a", 62: "x86_64", 183: "arm64-v8a"}
OWN_SUMMARY = (
    "benchmark_model keeps its rounds to itself: each figure is its own, of one process; "
    "no 90th percentile and no interval of the median can be had"
)
LEFT_SO = "until it restarts its clocks may stay as they were set"
NO_ACCURACY = "benchmark_model is fed with noise: the accuracy of these files was not measured on this phone"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdbTarget:
    """One phone, and the tool to push to it."""

    serial: str
    benchmark_model: Path

    @property
    def name(self) -> str:
        return f"adb:{self.serial}"

    def measure(self, plan: BenchmarkPlan, *, track: Track) -> TargetMeasurement:
        """Time the whole plan; a phone lost in the middle keeps what it told, and the rest is Refused."""
        phone, tool = ready_phone(self.serial), _tool(self.benchmark_model)
        known = {**description(phone), TOOL: f"sha256 {sha256_of(tool)}"}
        _refuse_foreign(self.benchmark_model, tool, known)
        cores = int(known["cores"]) if known.get("cores", "").isdecimal() else MOST_CORES
        asked = replace(plan, runtimes=())  # those of Python do not run there
        settings, left_out = settings_of(asked, where=self.name, runtimes=[RUNTIME], cores=cores)
        notes = [OWN_SUMMARY, *([NO_ACCURACY] if plan.scored else []), *left_out]
        found = PhoneResults(settings=settings, environment=known, notes=notes)
        try:
            _visit(phone, plan, tool, found, track)
        except PhoneLostError as error:
            if not found.told:
                raise
            found.notes.append(f"{error.what}; what it told until then is kept, and {LEFT_SO}")
        return found.measured(plan, target=self.name)


def phones(serial: str | None, *, benchmark_model: Path) -> tuple[AdbTarget, ...]:
    """The phone of that serial, or all that are connected; one that is not ready is refused."""
    known = (ready_phone(serial),) if serial is not None else listed()
    if not known:
        hint = "Connect a phone and allow USB debugging on it."
        raise InputError("adb", "no phone is connected", hint, code="phone-not-connected")
    for phone in known:
        refuse_unready(phone)
    _tool(benchmark_model)
    return tuple(AdbTarget(serial=phone.serial, benchmark_model=benchmark_model) for phone in known)


def _visit(phone: ListedPhone, plan: BenchmarkPlan, tool: bytes, found: PhoneResults, track: Track) -> None:
    """All that happens between the first byte on the phone and the last."""
    with ExitStack() as stack:
        found.environment.update(stack.enter_context(fixed_clocks(phone)))
        folder = stack.enter_context(private_folder(phone.serial))
        _push_all(
            phone, {TOOL: tool, **{_file(at): model.data for at, model in enumerate(plan.models)}}, folder
        )
        before, todo = warmth(phone), steps(plan, found.settings)
        found.environment.update(_named(before, "before"))
        for step in track(todo, total=len(todo), what=f"Measuring on adb:{phone.serial}"):
            if not found.refuses(step):
                said = _run(phone, step, plan, folder)
                found.take(step, said)
        after = warmth(phone)
        found.environment.update(_named(after, "after"))
        if is_throttled(before) or is_throttled(after):
            found.notes.append("the phone held itself back for its warmth: let it cool, and measure again")


def _run(phone: ListedPhone, step: PhoneStep, plan: BenchmarkPlan, folder: str) -> CommandOutput:
    """One process of the tool; one that does not end is ended, and the phone goes on."""
    timing = plan.timing if step.kind is PhoneJobKind.TIME else PROFILE
    seconds = LOADING_SECONDS + timing.warm_up_seconds + timing.most_seconds
    arguments = " ".join(step.arguments(f"{folder}/{_file(step.at)}", timing=timing))
    try:  # touching the folder says that this measurement lives
        return shell(phone.serial, f"touch {folder}; {folder}/{TOOL} {arguments}", seconds=seconds)
    except PhoneSilentError:
        shell(phone.serial, f"pkill -f '{folder}/[b]enchmark_model'")
        return CommandOutput(code=TIMED_OUT, text=f"did not end within {seconds:.0f} seconds")


def _push_all(phone: ListedPhone, files: Mapping[str, bytes], folder: str) -> None:
    with TemporaryDirectory(prefix="dermpack-adb-") as local:
        for name, data in files.items():
            write_bytes(Path(local) / name, data)
            push(phone.serial, Path(local) / name, f"{folder}/{name}")
    made = shell(phone.serial, f"chmod 700 {folder}/{TOOL}")
    if made.code:
        what = "the phone does not allow files to be executed"
        raise InputError(f"adb:{phone.serial}", what, "Use another phone.", code="phone-storage")


def _file(at: int) -> str:
    return f"model-{at}.tflite"


def _tool(path: Path) -> bytes:
    return read_bytes(path, most=MOST_TOOL_BYTES, hint=f"Give the {TOOL} that was built for the phone.")


def _refuse_foreign(path: Path, tool: bytes, environment: Mapping[str, str]) -> None:
    """A tool that was built for another processor, before the phone says it in its own words."""
    if tool[:4] != b"\x7fELF" or len(tool) < 20 or "abis" not in environment:
        return
    (machine,) = struct.unpack_from("<H", tool, 18)
    abi = ABI_OF_MACHINE.get(machine, f"machine {machine}")
    if abi not in environment["abis"].split(","):
        hint = f"Give the {TOOL} built for {environment['abis'].split(',')[0]}."
        what = f"built for {abi}, which the phone does not support"
        raise InputError(path, what, hint, code="wrong-architecture")


def _named(warm: Mapping[str, str], when: str) -> dict[str, str]:
    return {f"{name}_{when}": text for name, text in warm.items()}
