"""Choose targets by the texts of --on, and measure a plan on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from benchmarks.protocol.plan import BenchmarkPlan
from benchmarks.protocol.results import Target, TargetMeasurement
from benchmarks.statistics.slow_operators import explain_slow_models
from benchmarks.targets.adb.adb_target import find_phones
from benchmarks.targets.emulated.emulated_target import QemuTarget, qemu_target
from benchmarks.targets.host import HostTarget
from benchmarks.targets.ssh.connection import read_address
from benchmarks.targets.ssh.ssh_target import SshTarget
from dermpack.errors import DermpackError, InputError
from dermpack.progress import Item, Track, silent

FORMS = "host, ssh:user@host[:port], adb[:SERIAL], qemu:cortex-a72 or qemu:cortex-a76"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """What some targets need in addition to their name."""

    python: str = "python3"  # on the machine that ssh reaches
    identity: Path | None = None  # a private key for it
    benchmark_model: Path | None = None  # for phones


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResults:
    """The measurements, and the errors of the targets without one."""

    measured: tuple[TargetMeasurement, ...]
    failures: tuple[DermpackError, ...]


def parse_targets(texts: Sequence[str], options: TargetOptions) -> tuple[Target, ...]:
    """Return each target once, in the given order; raise InputError for an unknown form."""
    targets = [target for text in dict.fromkeys(texts) for target in _parse_target(text, options)]
    return tuple({target.name: target for target in targets}.values())


def _parse_target(text: str, options: TargetOptions) -> Sequence[Target]:
    kind, _, rest = text.partition(":")
    if text == "host":
        return [HostTarget()]
    if kind == "ssh" and rest:
        address = read_address(rest)
        return [SshTarget(address=address, python=options.python, identity=options.identity)]
    if kind == "qemu" and rest:
        return [qemu_target(rest)]
    if kind != "adb":
        raise InputError(f"--on {text}", "unknown target", f"Write {FORMS}.", code="invalid-option")
    if options.benchmark_model is None:
        hint = "Give TensorFlow's benchmark_model, built for the processor of the phone."
        raise InputError("--on adb", "--benchmark-model PATH is required", hint, code="missing-option")
    return find_phones(rest or None, benchmark_model=options.benchmark_model)


def measure_targets(
    targets: Sequence[Target], plan: BenchmarkPlan, *, track: Track = silent
) -> TargetResults:
    """Measure real targets one after the other, since they are timed, and emulated ones in parallel.

    A target that fails does not affect the others; if all fail, the first error is raised.
    """
    emulated = [target for target in targets if isinstance(target, QemuTarget)]
    results = {target.name: _measure(target, plan, track) for target in targets if target not in emulated}
    results.update(_measure_in_parallel(emulated, plan, track))
    in_order = [results[target.name] for target in targets]
    failures = tuple(result for result in in_order if isinstance(result, DermpackError))
    measured = tuple(result for result in in_order if isinstance(result, TargetMeasurement))
    if failures and not measured:
        raise failures[0]
    return TargetResults(measured=measured, failures=failures)


def _measure(target: Target, plan: BenchmarkPlan, track: Track) -> TargetMeasurement | DermpackError:
    try:
        measured = target.measure(plan, track=track)
    except DermpackError as error:
        return error
    return replace(measured, notes=(*measured.notes, *explain_slow_models(measured, plan)))


def _measure_in_parallel(
    targets: Sequence[Target], plan: BenchmarkPlan, track: Track
) -> dict[str, TargetMeasurement | DermpackError]:
    """Measure with one thread for each target; the first one has the progress bar."""
    if not targets:
        return {}
    stop = Event()  # after Ctrl-C, every thread ends after its current step
    tracks = [
        _StoppableTrack(track=track if target is targets[0] else silent, stop=stop) for target in targets
    ]
    with ThreadPoolExecutor(len(targets)) as pool:
        futures = [
            pool.submit(_measure, target, plan, own_track)
            for target, own_track in zip(targets, tracks, strict=True)
        ]
        try:
            return {target.name: future.result() for target, future in zip(targets, futures, strict=True)}
        finally:
            stop.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoppableTrack:
    track: Track
    stop: Event

    def __call__(self, items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:
        for item in self.track(items, total=total, what=what):
            if self.stop.is_set():
                return
            yield item
