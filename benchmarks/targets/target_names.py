"""Turn what a person writes after --on into places where models run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.protocol.results import Target
from benchmarks.targets.adb.adb_target import phones
from benchmarks.targets.emulated.emulated_target import qemu_target
from benchmarks.targets.host import HostTarget
from benchmarks.targets.ssh.ssh_target import ssh_target
from dermpack.errors import InputError

FORMS = "host, ssh:user@host[:port], adb[:SERIAL], qemu:cortex-a72 or qemu:cortex-a76"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """What some places need beside their name."""

    python: str = "python3"  # on the machine that ssh reaches
    identity: Path | None = None  # a private key for it
    benchmark_model: Path | None = None  # for phones


def targets_from(texts: Sequence[str], means: TargetOptions) -> tuple[Target, ...]:
    """Each place once, in the order given; a name that is none says which there are."""
    found = [target for text in dict.fromkeys(texts) for target in _targets(text, means)]
    return tuple({target.name: target for target in found}.values())


def _targets(text: str, means: TargetOptions) -> Iterator[Target]:
    kind, colon, rest = text.partition(":")
    if kind not in KINDS or (kind == "host" and colon) or (kind not in ("host", "adb") and not rest):
        raise InputError(f"--on {text}", "unknown target", f"Write {FORMS}.", code="invalid-option")
    yield from KINDS[kind](rest, means)


def _host(_: str, __: TargetOptions) -> tuple[Target, ...]:
    return (HostTarget(),)


def _ssh(address: str, means: TargetOptions) -> tuple[Target, ...]:
    return (ssh_target(address, python=means.python, identity=means.identity),)


def _adb(serial: str, means: TargetOptions) -> tuple[Target, ...]:
    if means.benchmark_model is None:
        hint = "Give TensorFlow's benchmark_model, built for the processor of the phone."
        raise InputError("--on adb", "--benchmark-model PATH is required", hint, code="missing-option")
    return phones(serial or None, benchmark_model=means.benchmark_model)


def _qemu(name: str, _: TargetOptions) -> tuple[Target, ...]:
    return (qemu_target(name),)


KINDS: Mapping[str, Callable[[str, TargetOptions], tuple[Target, ...]]] = {
    "host": _host,
    "ssh": _ssh,
    "adb": _adb,
    "qemu": _qemu,
}
