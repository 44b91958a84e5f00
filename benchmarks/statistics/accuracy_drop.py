"""What a model loses to the first one, on the same pictures in the same place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.report.schema import (
    AccuracyDrop,
    FigurePair,
    LabelChange,
    LabelFlip,
    ScoredAnswer,
    SettingOnTarget,
)
from benchmarks.statistics.answers import DistinctOutputs
from dermpack.metrics import confusion as counts
from dermpack.metrics.definitions import Metric, value, weighted_accuracy, weighted_balanced_accuracy
from dermpack.metrics.intervals import bootstrap, group_weights
from dermpack.metrics.paired_difference import agreement, difference, mcnemar
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.metrics.summary import Figure, figure_from

RESAMPLES = 1_000


def answer_of(told: DistinctOutputs, *, seed: int) -> ScoredAnswer:
    """The figures of one set of outputs."""
    seen = told.predictions
    return ScoredAnswer(
        model=told.model,
        outputs_sha256=told.sha256,
        dtype=told.outputs.dtype.name,
        scale=told.scale,
        where=told.where,
        unscored=told.unscored or None,
        predicted=None if seen is None else tuple(seen.predicted.tolist()),
        accuracy=None if seen is None else _figure(seen, weighted_accuracy, seed=seed),
        balanced_accuracy=None if seen is None else _figure(seen, weighted_balanced_accuracy, seed=seed),
        mean_confidence=None if seen is None else float(seen.confidence.mean()),
    )


def drops(told: Sequence[DistinctOutputs], *, seed: int) -> Iterator[AccuracyDrop]:
    """Each other model against the first, once for every pair of outputs that met in a setting."""
    scored = [of for of in told if of.predictions is not None]
    firsts = [of for of in scored if of.model == scored[0].model]
    for here in scored[len(firsts) :]:
        for first in firsts:
            where = tuple(place for place in here.where if place in first.where)
            if where:
                yield _drop(first, here, where, seed=seed)


def _drop(
    first: DistinctOutputs, here: DistinctOutputs, where: tuple[SettingOnTarget, ...], *, seed: int
) -> AccuracyDrop:
    before, now = first.predictions, here.predictions
    assert before is not None and now is not None
    apart = np.abs(now.confidence - before.confidence)
    uneven = mcnemar(before, now)
    return AccuracyDrop(
        model=here.model,
        first=first.model,
        where=where,
        accuracy=change_of(before, now, weighted_accuracy, seed=seed),
        balanced_accuracy=change_of(before, now, weighted_balanced_accuracy, seed=seed),
        only_first=uneven.only_first,
        only_here=uneven.only_second,
        mcnemar_p=uneven.p_value,
        top1_agreement=agreement(before, now),
        mean_confidence_drift=float(apart.mean()),
        max_confidence_drift=float(apart.max()),
        per_class=tuple(_label_changes(before, now, seed=seed)),
        flips=tuple(_flips(before, now)),
    )


def change_of(before: Predictions, now: Predictions, metric: Metric, *, seed: int) -> FigurePair:
    """Now minus before, under the same draws of groups; no interval where no draw shows a difference."""
    found = difference(before, now, metric, resamples=RESAMPLES, seed=seed)
    is_point = found.ci95 is not None and found.ci95[0] == found.ci95[1]
    return FigurePair(
        first=found.first,
        here=found.second,
        difference=found.difference,
        ci95=None if is_point else found.ci95,
    )


def _figure(seen: Predictions, metric: Metric, *, seed: int) -> Figure:
    draws = bootstrap(seen, lambda of, weights: {"": metric(of, weights)}, resamples=RESAMPLES, seed=seed)
    return figure_from(value(metric, seen), draws.get(""))


def _label_changes(before: Predictions, now: Predictions, *, seed: int) -> Iterator[LabelChange]:
    """Of the labels that have pictures."""
    once = np.ones((1, len(now)))
    first, here = _recall(before, once)[0], _recall(now, once)[0]
    parts = [
        _recall(now, weights) - _recall(before, weights)
        for weights in group_weights(now, resamples=RESAMPLES, seed=seed)
    ]
    draws = np.concatenate(parts) if parts else None
    for at, label in enumerate(now.classes):
        if n := int((now.truth == at).sum()):
            figure = figure_from(here[at] - first[at], None if draws is None else draws[:, at])
            recall = FigurePair(
                first=float(first[at]), here=float(here[at]), difference=figure.value or 0.0, ci95=figure.ci95
            )
            yield LabelChange(label=label, n=n, recall=recall)


def _recall(seen: Predictions, weights: Floats) -> Floats:
    return counts.recall(counts.weighted_confusion(seen, weights))


def _flips(before: Predictions, now: Predictions) -> Iterator[LabelFlip]:
    """Pictures with another label than before, in the order of the pictures."""
    names = now.classes
    for at in np.flatnonzero(before.predicted != now.predicted).tolist():
        yield LabelFlip(
            picture=now.pictures[at],
            truth=names[int(now.truth[at])],
            first=names[int(before.predicted[at])],
            here=names[int(now.predicted[at])],
        )
