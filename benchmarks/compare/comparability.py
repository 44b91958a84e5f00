"""Refuse to compare what is not alike: another device, other pictures; say what else differs."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report.schema import Record, TargetFacts
from dermpack.errors import InputError

WHERE = "--compare"
# What tells one device from another. Features are left out: a new kernel names new ones.
DEVICE = ("device", "soc", "processor", "machine", "cores", "quota", "serial")
# What may change between two reports, and must be known: it may be the reason.
WORTH_SAYING = (
    *("os", "build", "kernel", "governor", "fixed_performance_mode", "python", "numpy"),
    *("ai-edge-litert", "tflite-runtime", "benchmark_model", "qemu"),
)

WITHIN = (
    "an interval knows the noise within the runs; how busy or how warm the device was on either day it "
    "cannot know: measure again before a slowdown is believed"
)


def check_comparable(old: Record, new: Record) -> tuple[str, ...]:
    """Sentences on what differs and does not forbid a comparison."""
    both = [(a, b) for a in old.targets for b in new.targets if a.target == b.target]
    if not both:
        names = [", ".join(of.target for of in record.targets) for record in (old, new)]
        what = f"the reports have no target in common ({names[0]} and {names[1]})"
        hint = "Compare two reports of the same target."
        raise InputError(WHERE, what, hint, code="reports-not-comparable")
    for one, other in both:
        _check_device(one, other)
    _check_data(old, new)
    return (*_versions(both), *_files(old, new), *_rules(old, new))


def _check_device(old: TargetFacts, new: TargetFacts) -> None:
    """An emulated processor is what its name says, on whatever machine."""
    if old.is_emulated and new.is_emulated:
        return
    before, now = old.environment, new.environment
    for name in DEVICE:
        if before.get(name, "") != now.get(name, ""):
            differs = f"{name} {_told(before.get(name))}, now {_told(now.get(name))}"
            what = f"{old.target} is a different device: {differs}"
            hint = "Compare reports of the same device."
            raise InputError(WHERE, what, hint, code="reports-not-comparable")


def _check_data(old: Record, new: Record) -> None:
    before, now = old.data, new.data
    if before is None or now is None:
        return
    hint = "Measure both with the same --data, --split and --pictures."
    if before.sha256 != now.sha256:
        what = (
            f"the datasets differ: {before.source} {before.sha256[:12]}, now {now.source} {now.sha256[:12]}"
        )
        raise InputError(WHERE, what, hint, code="reports-not-comparable")
    if before.split is not now.split or before.pictures != now.pictures:
        what = f"the pictures differ: {before.n} of {before.split.value}, now {now.n} of {now.split.value}"
        raise InputError(WHERE, what, hint, code="reports-not-comparable")


def _versions(both: list[tuple[TargetFacts, TargetFacts]]) -> Iterator[str]:
    for old, new in both:
        for name in WORTH_SAYING:
            before, now = old.environment.get(name), new.environment.get(name)
            if before != now:
                yield f"{old.target}: {name} {_told(before)}, now {_told(now)}"


def _files(old: Record, new: Record) -> Iterator[str]:
    before = {of.name: of for of in old.models}
    for model in new.models:
        known = before.get(model.name)
        if known is not None and known.sha256 != model.sha256:
            sizes = f"{known.size_bytes:,} bytes, now {model.size_bytes:,}"
            yield f"{model.name} is another file ({sizes})"


def _rules(old: Record, new: Record) -> Iterator[str]:
    if old.timing != new.timing:
        yield "the rounds were timed by another rule"
    if any(result.times is not None for result in new.results):
        yield WITHIN
    if (old.data is None) != (new.data is None):
        yield "only one of the reports scored pictures: accuracy is not compared"


def _told(text: str | None) -> str:
    return repr(text) if text else "unknown"
