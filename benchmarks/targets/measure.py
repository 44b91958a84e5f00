"""Choose targets by the texts of --on, and measure a plan on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from threading import Event

from benchmarks.protocol.plan import BenchmarkPlan
from benchmarks.protocol.results import Target, TargetMeasurement
from benchmarks.statistics.slow_operators import explain_slow_models
from benchmarks.targets.adb.adb_target import find_phones
from benchmarks.targets.emulated.emulated_target import QemuTarget, qemu_target
from benchmarks.targets.emulated.emulator import TARGET_NAMES
from benchmarks.targets.host import HostTarget
from benchmarks.targets.ssh.ssh_target import SshTarget, read_address
from dermpack.errors import DermpackError, InputError
from dermpack.progress import Item, Track, silent

FORMS = f"host, ssh:user@host[:port], adb[:SERIAL], {' or '.join(TARGET_NAMES)}"


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
    stop = Event()  # after Ctrl-C, every thread ends after its current step

    def measure_emulated(target: Target) -> TargetMeasurement | DermpackError:
        own_track = track if target is emulated[0] else silent  # one progress bar

        def track_until_stop(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:
            return takewhile(lambda _: not stop.is_set(), own_track(items, total=total, what=what))

        return _measure(target, plan, track_until_stop)

    with ThreadPoolExecutor(max(len(emulated), 1)) as pool:
        try:
            measured_emulated = pool.map(measure_emulated, emulated)
            results.update(zip((target.name for target in emulated), measured_emulated, strict=True))
        finally:
            stop.set()
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
