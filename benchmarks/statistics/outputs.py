"""Raw outputs as an app interprets them: accuracy, loss against the first model, agreement of places."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks.protocol.plan import BenchmarkPlan
from benchmarks.protocol.results import AnsweredPictures, TargetMeasurement
from benchmarks.report.schema import (
    AccuracyDrop,
    FigurePair,
    LabelChange,
    LabelFlip,
    OutputAgreement,
    ScoredAnswer,
    SettingOnTarget,
)
from dermpack.contract import TensorType
from dermpack.dataset.views import name_joined_groups
from dermpack.errors import InputError
from dermpack.inference.classifier import interpret_answer, soften
from dermpack.inference.picture_feed import Tensor, dequantize
from dermpack.metrics import RESAMPLES, intervals
from dermpack.metrics.definitions import (
    Metric,
    metric_value,
    recall,
    weighted_accuracy,
    weighted_balanced_accuracy,
    weighted_confusion,
)
from dermpack.metrics.predictions import Floats, Integers, Predictions, as_truth
from dermpack.metrics.summary import Figure, make_figure


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DistinctOutputs:
    """One distinct set of outputs of a model, and the places that gave it."""

    answered: AnsweredPictures
    where: tuple[SettingOnTarget, ...]
    sha256: str
    predictions: Predictions | None
    unscored: str | None  # why there are no predictions

    @property
    def model(self) -> str:
        return self.answered.model

    @property
    def real(self) -> Floats:
        return _dequantize(self.answered)

    @property
    def labels(self) -> Integers:
        """The index of each picture's label; without predictions, of the largest output."""
        if self.predictions is not None:
            return self.predictions.predicted
        return np.asarray(np.argmax(self.real, axis=1), dtype=np.int64)


def collect_outputs(
    measured: Sequence[TargetMeasurement], plan: BenchmarkPlan
) -> tuple[DistinctOutputs, ...]:
    """Return the distinct outputs, model by model, in the order of their first occurrence."""
    if plan.scored is None:
        return ()
    collected: dict[tuple[str, str], DistinctOutputs] = {}
    for measurement in measured:
        for answered in measurement.answered:
            where = SettingOnTarget.of(measurement.target, answered.setting)
            # Bytes have no meaning without type, shape and scale: the hash covers them too.
            outputs = np.ascontiguousarray(answered.outputs)
            kind = f"{outputs.dtype.name} {outputs.shape} {answered.scale!r} {answered.zero_point}\n"
            sha256 = hashlib.sha256(kind.encode() + outputs.tobytes()).hexdigest()
            key = (answered.model, sha256)
            known = collected.get(key) or _interpret(answered, plan, sha256)
            collected[key] = replace(known, where=(*known.where, where))
    order = [model.name for model in plan.models]
    return tuple(sorted(collected.values(), key=lambda outputs: order.index(outputs.model)))


def list_labels(plan: BenchmarkPlan) -> tuple[str, ...]:
    """Return the classes of the dataset and all other labels of the models: one list for the report."""
    classes = plan.scored.dataset.classes if plan.scored else ()
    known = (label for model in plan.models if model.sidecar for label in model.sidecar.labels)
    return tuple(dict.fromkeys((*classes, *known)))


def _interpret(answered: AnsweredPictures, plan: BenchmarkPlan, sha256: str) -> DistinctOutputs:
    distinct = partial(DistinctOutputs, answered=answered, where=(), sha256=sha256)
    try:
        return distinct(predictions=_predictions(answered, plan), unscored=None)
    except InputError as error:
        return distinct(predictions=None, unscored=error.what)


def _predictions(answered: AnsweredPictures, plan: BenchmarkPlan) -> Predictions:
    """Return the probabilities as `dermpack.inference.Classifier` does, for the classes of the report."""
    sidecar = next(model.sidecar for model in plan.models if model.name == answered.model)
    if sidecar is None:
        what = "the labels of the outputs are unknown"
        raise InputError(answered.model, what, "Give --labels FILE.", code="missing-labels")
    pictures, classes = plan.scored.pictures if plan.scored else (), list_labels(plan)
    missing = sorted({picture.label for picture in pictures} - set(sidecar.labels))
    if missing:
        what = f"the dataset has the label {missing[0]!r}, which the model does not have"
        hint = f"Import the dataset with the labels of the model only: {', '.join(sidecar.labels)}."
        raise InputError("labels", what, hint, code="unknown-label")
    real = interpret_answer(sidecar.interface, _dequantize(answered), sidecar.labels)
    expected = (len(pictures), len(sidecar.labels))
    if real.shape != expected:
        what = f"the outputs have shape {list(real.shape)}, expected {list(expected)} (pictures and labels)"
        hint = "Give --labels FILE with one label per output."
        raise InputError(answered.model, what, hint, code="labels-mismatch")
    with np.errstate(invalid="ignore"):  # Predictions refuses what is not a probability
        own = soften(real, sidecar.temperature, floor=sidecar.floor)
    # The columns in the order of the report; zeros for labels that only other models have.
    probabilities = np.zeros((len(pictures), len(classes)))
    probabilities[:, [classes.index(label) for label in sidecar.labels]] = own
    return Predictions(
        classes=classes,
        pictures=tuple(picture.path for picture in pictures),
        groups=name_joined_groups(pictures),
        truth=as_truth([classes.index(picture.label) for picture in pictures]),
        probabilities=probabilities,
    )


def _dequantize(answered: AnsweredPictures) -> Floats:
    """Return integers times their scale; the type of the tensor is not used for that."""
    shape, scale, zero_point = answered.outputs.shape, answered.scale, answered.zero_point
    tensor = Tensor(shape=shape, number=TensorType.FLOAT32, scale=scale, zero_point=zero_point)
    return dequantize(answered.outputs, tensor)


def score_outputs(outputs: DistinctOutputs, *, seed: int) -> ScoredAnswer:
    """Return the figures of one set of outputs."""
    seen = outputs.predictions
    return ScoredAnswer(
        model=outputs.model,
        outputs_sha256=outputs.sha256,
        dtype=outputs.answered.outputs.dtype.name,
        scale=outputs.answered.scale,
        where=outputs.where,
        unscored=outputs.unscored,
        predicted=None if seen is None else tuple(seen.predicted.tolist()),
        accuracy=None if seen is None else _figure(seen, weighted_accuracy, seed=seed),
        balanced_accuracy=None if seen is None else _figure(seen, weighted_balanced_accuracy, seed=seed),
        mean_confidence=None if seen is None else float(seen.confidence.mean()),
    )


def _figure(seen: Predictions, metric: Metric, *, seed: int) -> Figure:
    draws = intervals.bootstrap(seen, lambda part, weights: {"": metric(part, weights)}, seed=seed)
    return make_figure(metric_value(metric, seen), draws.get(""))


def compare_accuracy(collected: Sequence[DistinctOutputs], *, seed: int) -> Iterator[AccuracyDrop]:
    """Compare each other model with the first one, once per pair of outputs that share a setting."""
    # The outputs are ordered by model: those of the first model come first.
    scored = [outputs for outputs in collected if outputs.predictions is not None]
    firsts = [outputs for outputs in scored if outputs.model == scored[0].model]
    for here in scored[len(firsts) :]:
        for first in firsts:
            where = tuple(place for place in here.where if place in first.where)
            if where:
                yield _compare_scores(first, here, where, seed=seed)


def _compare_scores(
    first: DistinctOutputs, here: DistinctOutputs, where: tuple[SettingOnTarget, ...], *, seed: int
) -> AccuracyDrop:
    before, now = first.predictions, here.predictions
    assert before is not None and now is not None
    confidence_changes = np.abs(now.confidence - before.confidence)
    discordance = intervals.mcnemar(before, now)
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
        top1_agreement=intervals.top1_agreement(before, now),
        mean_confidence_drift=float(confidence_changes.mean()),
        max_confidence_drift=float(confidence_changes.max()),
        per_class=tuple(_label_changes(before, now, seed=seed)),
        flips=flips,
    )


def compare_figure(before: Predictions, now: Predictions, metric: Metric, *, seed: int) -> FigurePair:
    """Return now minus before under the same draws of groups; no interval if no draw differs."""
    change = intervals.compare_metric(before, now, metric, seed=seed)
    # If no draw differs, the pictures are too few to show a difference.
    is_point = change.ci95 is not None and change.ci95[0] == change.ci95[1]
    ci95 = None if is_point else change.ci95
    return FigurePair(first=change.first, here=change.second, difference=change.difference, ci95=ci95)


def _label_changes(before: Predictions, now: Predictions, *, seed: int) -> Iterator[LabelChange]:
    """Yield the change of recall of each label that has pictures."""
    once = np.ones((1, len(now)))
    first, here = _recall(before, once)[0], _recall(now, once)[0]
    # The difference in every draw, not the difference of two intervals: the pairing reduces its width.
    parts = [
        _recall(now, weights) - _recall(before, weights)
        for weights in intervals.group_weights(now, resamples=RESAMPLES, seed=seed)
    ]
    draws = np.concatenate(parts) if parts else None
    for index, label in enumerate(now.classes):
        if n := int((now.truth == index).sum()):
            figure = make_figure(here[index] - first[index], None if draws is None else draws[:, index])
            old, new = float(first[index]), float(here[index])
            change = FigurePair(first=old, here=new, difference=figure.value or 0.0, ci95=figure.ci95)
            yield LabelChange(label=label, n=n, recall=change)


def _recall(seen: Predictions, weights: Floats) -> Floats:
    return recall(weighted_confusion(seen, weights))


def compare_places(collected: Sequence[DistinctOutputs]) -> tuple[OutputAgreement, ...]:
    """Compare the outputs of each model between places; equal comparisons share one agreement."""
    # Settings usually give the same bytes: equal pairs are compared once.
    agreements: dict[tuple[object, ...], OutputAgreement] = {}
    for model in dict.fromkeys(outputs.model for outputs in collected):
        by_place = {
            place: outputs for outputs in collected if outputs.model == model for place in outputs.where
        }
        for first, place in _pair_places(list(by_place)):
            one, other = by_place[first], by_place[place]
            before, now = one.answered.outputs, other.answered.outputs
            if (before.shape, before.dtype) != (now.shape, now.dtype):
                continue  # outputs of different files; the scores show their value
            settings = (first.runtime, first.kernels, place.runtime, place.kernels)
            key = (model, one.sha256, other.sha256, first.target, place.target, settings)
            known = agreements.get(key) or _compare_outputs(one, other, first)
            agreements[key] = replace(known, where=(*known.where, place))
    return tuple(agreements.values())


def _pair_places(places: Sequence[SettingOnTarget]) -> Iterator[tuple[SettingOnTarget, SettingOnTarget]]:
    """Pair each place of the first target with its first one, and others with the most similar one there."""
    home = [place for place in places if place.target == places[0].target]
    for place in places[1:]:
        # What matters more to the outputs comes first; index returns the first of equals.
        similarities = [
            (one.runtime == place.runtime, one.kernels is place.kernels, one.threads == place.threads)
            for one in home
        ]
        most_similar = home[similarities.index(max(similarities))]
        yield (home[0] if place in home else most_similar), place


def _compare_outputs(one: DistinctOutputs, other: DistinctOutputs, first: SettingOnTarget) -> OutputAgreement:
    before, now = one.answered.outputs, other.answered.outputs
    with np.errstate(invalid="ignore"):  # a broken model may return infinity
        most = float(np.abs(one.real - other.real).max())
    steps = None
    if np.issubdtype(before.dtype, np.integer):
        distances = np.abs(before.astype(np.int64) - now.astype(np.int64))
        counts = Counter(distances[distances > 0].tolist())
        steps = {str(step): count for step, count in sorted(counts.items())}
    return OutputAgreement(
        model=one.model,
        first=first,
        where=(),
        outputs=before.size,
        # NaN differs from itself, so the same outputs are not compared with themselves.
        differing=int((before != now).sum()) if one is not other else 0,
        most=most if np.isfinite(most) else None,
        n=len(before),
        other_labels=int((one.labels != other.labels).sum()),
        steps=steps,
    )
