"""Ask every target the whole plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

from benchmarks.measured import Measured, Target
from benchmarks.plan import Plan
from benchmarks.qemu import QemuTarget
from dermpack.progress import Item, Track, silent


def measure_all(targets: Sequence[Target], plan: Plan, *, track: Track = silent) -> tuple[Measured, ...]:
    """Real places one after the other, for they are timed; emulated ones side by side: they are counted."""
    counted = [target for target in targets if isinstance(target, QemuTarget)]
    answers = {of.name: of.measure(plan, track=track) for of in targets if of not in counted}
    answers.update(_side_by_side(counted, plan, track))
    return tuple(answers[target.name] for target in targets)


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


def _side_by_side(targets: Sequence[Target], plan: Plan, track: Track) -> dict[str, Measured]:
    """The first of them has the bar; when one fails, or Ctrl-C comes, the others end after their step."""
    if not targets:
        return {}
    ending = Event()
    tracks = [_Until(track=track if target is targets[0] else silent, ending=ending) for target in targets]
    with ThreadPoolExecutor(len(targets)) as pool:
        work = [pool.submit(of.measure, plan, track=own) for of, own in zip(targets, tracks, strict=True)]
        try:
            return {of.name: answer.result() for of, answer in zip(targets, work, strict=True)}
        finally:
            ending.set()
