"""Accuracy of every model, and its difference from the first model on the same pictures and setting."""

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
from benchmarks.statistics.outputs import DistinctOutputs
from dermpack.metrics import confusion as counts
from dermpack.metrics.definitions import (
    Metric,
    metric_value,
    weighted_accuracy,
    weighted_balanced_accuracy,
)
from dermpack.metrics.intervals import RESAMPLES, bootstrap, group_weights
from dermpack.metrics.paired_difference import compare_metric, mcnemar, top1_agreement
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.metrics.summary import Figure, make_figure


def score_outputs(outputs: DistinctOutputs, *, seed: int) -> ScoredAnswer:
    """Return the figures of one set of outputs."""
    seen = outputs.predictions
    return ScoredAnswer(
        model=outputs.model,
        outputs_sha256=outputs.sha256,
        dtype=outputs.outputs.dtype.name,
        scale=outputs.scale,
        where=outputs.where,
        unscored=outputs.unscored or None,
        predicted=None if seen is None else tuple(seen.predicted.tolist()),
        accuracy=None if seen is None else _figure(seen, weighted_accuracy, seed=seed),
        balanced_accuracy=None if seen is None else _figure(seen, weighted_balanced_accuracy, seed=seed),
        mean_confidence=None if seen is None else float(seen.confidence.mean()),
    )


def compare_accuracy(collected: Sequence[DistinctOutputs], *, seed: int) -> Iterator[AccuracyDrop]:
    """Compare each other model with the first one, once per pair of outputs that share a setting."""
    # The outputs are ordered by model: those of the first model come first.
    scored = [outputs for outputs in collected if outputs.predictions is not None]
    firsts = [outputs for outputs in scored if outputs.model == scored[0].model]
    for here in scored[len(firsts) :]:
        for first in firsts:
            where = tuple(place for place in here.where if place in first.where)
            if where:
                yield _compare(first, here, where, seed=seed)


def compare_figure(before: Predictions, now: Predictions, metric: Metric, *, seed: int) -> FigurePair:
    """Return now minus before under the same draws of groups; no interval if no draw differs."""
    change = compare_metric(before, now, metric, resamples=RESAMPLES, seed=seed)
    # If no draw differs, the pictures are too few to show a difference.
    is_point = change.ci95 is not None and change.ci95[0] == change.ci95[1]
    return FigurePair(
        first=change.first,
        here=change.second,
        difference=change.difference,
        ci95=None if is_point else change.ci95,
    )


def _compare(
    first: DistinctOutputs, here: DistinctOutputs, where: tuple[SettingOnTarget, ...], *, seed: int
) -> AccuracyDrop:
    before, now = first.predictions, here.predictions
    assert before is not None and now is not None
    confidence_changes = np.abs(now.confidence - before.confidence)
    discordance = mcnemar(before, now)
    names = now.classes
    flips = tuple(
        LabelFlip(
            picture=now.pictures[index],
            truth=names[int(now.truth[index])],
            first=names[int(before.predicted[index])],
            here=names[int(now.predicted[index])],
        )
        for index in np.flatnonzero(before.predicted != now.predicted).tolist()
    )
    return AccuracyDrop(
        model=here.model,
        first=first.model,
        where=where,
        accuracy=compare_figure(before, now, weighted_accuracy, seed=seed),
        balanced_accuracy=compare_figure(before, now, weighted_balanced_accuracy, seed=seed),
        only_first=discordance.only_first,
        only_here=discordance.only_second,
        mcnemar_p=discordance.p_value,
        top1_agreement=top1_agreement(before, now),
        mean_confidence_drift=float(confidence_changes.mean()),
        max_confidence_drift=float(confidence_changes.max()),
        per_class=tuple(_label_changes(before, now, seed=seed)),
        flips=flips,
    )


def _figure(seen: Predictions, metric: Metric, *, seed: int) -> Figure:
    draws = bootstrap(seen, lambda part, weights: {"": metric(part, weights)}, resamples=RESAMPLES, seed=seed)
    return make_figure(metric_value(metric, seen), draws.get(""))


def _label_changes(before: Predictions, now: Predictions, *, seed: int) -> Iterator[LabelChange]:
    """Yield the change of recall of each label that has pictures."""
    once = np.ones((1, len(now)))
    first, here = _recall(before, once)[0], _recall(now, once)[0]
    # The difference in every draw, not the difference of two intervals: the pairing reduces its width.
    parts = [
        _recall(now, weights) - _recall(before, weights)
        for weights in group_weights(now, resamples=RESAMPLES, seed=seed)
    ]
    draws = np.concatenate(parts) if parts else None
    for index, label in enumerate(now.classes):
        if n := int((now.truth == index).sum()):
            figure = make_figure(here[index] - first[index], None if draws is None else draws[:, index])
            recall = FigurePair(
                first=float(first[index]),
                here=float(here[index]),
                difference=figure.value or 0.0,
                ci95=figure.ci95,
            )
            yield LabelChange(label=label, n=n, recall=recall)


def _recall(seen: Predictions, weights: Floats) -> Floats:
    return counts.recall(counts.weighted_confusion(seen, weights))
