"""Ask every target the whole plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

from benchmarks.protocol.plan import BenchmarkPlan
from benchmarks.protocol.results import Target, TargetMeasurement
from benchmarks.targets.emulated.emulated_target import QemuTarget
from dermpack.errors import DermpackError
from dermpack.progress import Item, Track, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResults:
    """What the places told, and what became of those that told nothing."""

    measured: tuple[TargetMeasurement, ...]
    failures: tuple[DermpackError, ...]


def measure_all(targets: Sequence[Target], plan: BenchmarkPlan, *, track: Track = silent) -> TargetResults:
    """Real places one after the other, for they are timed; emulated ones side by side: they are counted.

    A place that fails takes nothing from the others; when all fail, the first failure is raised.
    """
    counted = [target for target in targets if isinstance(target, QemuTarget)]
    answers = {of.name: _asked(of, plan, track) for of in targets if of not in counted}
    answers.update(_side_by_side(counted, plan, track))
    found = [answers[target.name] for target in targets]
    failures = tuple(of for of in found if isinstance(of, DermpackError))
    measured = tuple(of for of in found if isinstance(of, TargetMeasurement))
    if failures and not measured:
        raise failures[0]
    return TargetResults(measured=measured, failures=failures)


def _asked(target: Target, plan: BenchmarkPlan, track: Track) -> TargetMeasurement | DermpackError:
    try:
        return target.measure(plan, track=track)
    except DermpackError as error:
        return error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Until:
    """A track that ends the work of its thread, between two steps, when nobody waits for it any more."""

    track: Track
    ending: Event

    def __call__(self, items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:
        for item in self.track(items, total=total, what=what):
            if self.ending.is_set():
                return
            yield item


def _side_by_side(
    targets: Sequence[Target], plan: BenchmarkPlan, track: Track
) -> dict[str, TargetMeasurement | DermpackError]:
    """The first of them has the bar; when Ctrl-C comes, all end after their step."""
    if not targets:
        return {}
    ending = Event()
    tracks = [_Until(track=track if target is targets[0] else silent, ending=ending) for target in targets]
    with ThreadPoolExecutor(len(targets)) as pool:
        work = [pool.submit(_asked, of, plan, own) for of, own in zip(targets, tracks, strict=True)]
        try:
            return {of.name: answer.result() for of, answer in zip(targets, work, strict=True)}
        finally:
            ending.set()
