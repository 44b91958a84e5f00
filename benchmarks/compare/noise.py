"""Tell a change between two reports from noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.report.record_lookup import median_ms
from benchmarks.report.schema import FigurePair, Result, ScoredData
from benchmarks.statistics.accuracy_drop import change_of
from benchmarks.statistics.latency import LEAST_BLOCKS, blocks_of, drawn_medians, draws_of, parts_of, widened
from dermpack.metrics.definitions import weighted_balanced_accuracy
from dermpack.metrics.intervals import Interval, interval
from dermpack.metrics.predictions import Floats, Predictions, as_truth

OLD_SEED, NEW_SEED = 0, 1  # two runs share no noise: each has draws of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class MedianRatio:
    """The new median by the old one."""

    ratio: float
    ci95: Interval | None  # None: no raw rounds, or too few


def ratio_of_medians(old: Result, new: Result) -> MedianRatio:
    """What both runs show by themselves; how busy a machine was on another day, no run can show."""
    before, now = median_ms(old) or 0.0, median_ms(new) or 0.0
    drawn = [_drawn(old, seed=OLD_SEED), _drawn(new, seed=NEW_SEED)]
    if drawn[0] is None or drawn[1] is None:
        return MedianRatio(ratio=now / before, ci95=None)
    (first, parts), (second, other) = drawn[0], drawn[1]
    found = interval(second / first)
    return MedianRatio(ratio=now / before, ci95=widened(found, now / before, blocks=min(parts, other)))


def accuracy_change(old: Sequence[str], new: Sequence[str], data: ScoredData, *, seed: int) -> FigurePair:
    """Balanced accuracy of the labels now less that of before, under the same draws of groups."""
    labels = tuple(dict.fromkeys((*data.labels, *old)))  # models may have known more than now
    before, now = (_predictions(of, labels, data) for of in (old, new))
    return change_of(before, now, weighted_balanced_accuracy, seed=seed)


def _drawn(result: Result, *, seed: int) -> tuple[Floats, int] | None:
    """The median in every draw of blocks of rounds, and how many blocks there are."""
    times = result.times
    if times is None or times.rounds_ms is None:
        return None
    values = np.asarray(times.rounds_ms, dtype=np.float64)
    parts = parts_of(times.turns or 1, len(values))
    if parts < LEAST_BLOCKS:
        return None
    return drawn_medians(blocks_of(values, parts), draws_of(parts, seed=seed)), parts


def _predictions(names: Sequence[str], labels: tuple[str, ...], data: ScoredData) -> Predictions:
    """Labels alone, each quite sure: all that balanced accuracy looks at."""
    return Predictions(
        classes=labels,
        pictures=data.pictures,
        groups=tuple(f"{group}" for group in data.group),
        truth=as_truth(data.truth),
        probabilities=np.eye(len(labels))[[labels.index(name) for name in names]],
    )
