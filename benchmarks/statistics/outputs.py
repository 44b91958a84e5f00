"""Raw outputs as an app interprets them, and whether two places give the same outputs for one file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol.plan import BenchmarkPlan, ModelUnderTest
from benchmarks.protocol.results import AnsweredPictures, TargetMeasurement
from benchmarks.report.schema import OutputAgreement, SettingOnTarget, place_on
from dermpack.errors import InputError
from dermpack.inference.model_files import ModelSettings
from dermpack.inference.tensors import Floats, IoNumber, Tensor, dequantize, expand_single_output, soften
from dermpack.metrics.predictions import Integers, Predictions, as_truth


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DistinctOutputs:
    """One distinct set of outputs of a model, and the places that gave it."""

    model: str
    where: tuple[SettingOnTarget, ...]
    outputs: NDArray[np.generic]  # [n, k], raw
    scale: float
    zero_point: int
    sha256: str
    predictions: Predictions | None
    unscored: str  # why there are no predictions

    @property
    def real(self) -> Floats:
        return _dequantize(self.outputs, self.scale, self.zero_point)

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
    models = {model.name: model for model in plan.models}
    collected: dict[tuple[str, str], DistinctOutputs] = {}
    for measurement in measured:
        for answered in measurement.answered:
            where = place_on(measurement.target, answered.setting)
            # Bytes have no meaning without type, shape and scale: the hash covers them too.
            outputs = np.ascontiguousarray(answered.outputs)
            kind = f"{outputs.dtype.name} {outputs.shape} {answered.scale!r} {answered.zero_point}\n"
            sha256 = hashlib.sha256(kind.encode() + outputs.tobytes()).hexdigest()
            key = (answered.model, sha256)
            known = collected.get(key) or _interpret(answered, models[answered.model], plan, sha256)
            collected[key] = replace(known, where=(*known.where, where))
    order = list(models)
    return tuple(sorted(collected.values(), key=lambda outputs: order.index(outputs.model)))


def list_labels(plan: BenchmarkPlan) -> tuple[str, ...]:
    """Return the classes of the dataset and all other labels of the models: one list for the report."""
    classes = plan.scored.dataset.classes if plan.scored else ()
    known = (label for model in plan.models if model.sidecar for label in model.sidecar.labels)
    return tuple(dict.fromkeys((*classes, *known)))


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
            if one.outputs.shape != other.outputs.shape or one.outputs.dtype != other.outputs.dtype:
                continue  # outputs of different files; the scores show their value
            settings = (first.runtime, first.kernels, place.runtime, place.kernels)
            key = (model, one.sha256, other.sha256, first.target, place.target, settings)
            known = agreements.get(key) or _compare(one, other, first)
            agreements[key] = replace(known, where=(*known.where, place))
    return tuple(agreements.values())


def _interpret(
    answered: AnsweredPictures, model: ModelUnderTest, plan: BenchmarkPlan, sha256: str
) -> DistinctOutputs:
    try:
        predictions, problem = _predictions(answered, model, plan), ""
    except InputError as error:
        predictions, problem = None, error.what
    return DistinctOutputs(
        model=model.name,
        where=(),
        outputs=answered.outputs,
        scale=answered.scale,
        zero_point=answered.zero_point,
        sha256=sha256,
        predictions=predictions,
        unscored=problem,
    )


def _predictions(answered: AnsweredPictures, model: ModelUnderTest, plan: BenchmarkPlan) -> Predictions:
    if model.sidecar is None:
        what = "the labels of the outputs are unknown"
        raise InputError(model.name, what, "Give --labels FILE.", code="missing-labels")
    pictures, classes = plan.scored.pictures if plan.scored else (), list_labels(plan)
    missing = sorted({picture.label for picture in pictures} - set(model.sidecar.labels))
    if missing:
        what = f"the dataset has the label {missing[0]!r}, which the model does not have"
        known = ", ".join(model.sidecar.labels)
        hint = f"Import the dataset with the labels of the model only: {known}."
        raise InputError("labels", what, hint, code="unknown-label")
    probabilities = _probabilities(answered, model.sidecar, pictures=len(pictures))
    columns = {name: probabilities[:, index] for index, name in enumerate(model.sidecar.labels)}
    zeros = np.zeros(len(pictures))  # for labels that only other models have
    return Predictions(
        classes=classes,
        pictures=tuple(picture.path for picture in pictures),
        groups=tuple(picture.group for picture in pictures),
        truth=as_truth([classes.index(picture.label) for picture in pictures]),
        probabilities=np.stack([columns.get(name, zeros) for name in classes], axis=1),
    )


def _probabilities(answered: AnsweredPictures, sidecar: ModelSettings, *, pictures: int) -> Floats:
    """Return probabilities [n, k] in the model's own order, as `dermpack.inference.Classifier` does."""
    real = _dequantize(answered.outputs, answered.scale, answered.zero_point)
    real = expand_single_output(real, sidecar.labels)
    expected = (pictures, len(sidecar.labels))
    if real.shape != expected:
        what = f"the outputs have shape {list(real.shape)}, expected {list(expected)} (pictures and labels)"
        hint = "Give --labels FILE with one label per output."
        raise InputError(answered.model, what, hint, code="labels-mismatch")
    with np.errstate(invalid="ignore"):  # Predictions refuses what is not a probability
        return soften(real, sidecar.temperature, floor=sidecar.floor)


def _dequantize(outputs: NDArray[np.generic], scale: float, zero_point: int) -> Floats:
    """Return integers times their scale; the type of the tensor is not used for that."""
    tensor = Tensor(shape=outputs.shape, number=IoNumber.FLOAT32, scale=scale, zero_point=zero_point)
    return dequantize(outputs, tensor)


def _pair_places(places: Sequence[SettingOnTarget]) -> Iterator[tuple[SettingOnTarget, SettingOnTarget]]:
    """Pair each place of the first target with its first one, and others with the most similar one there."""
    home = [place for place in places if place.target == places[0].target]
    for place in places[1:]:
        similarities = [
            # What matters more to the outputs comes first; max takes the first of equals.
            (
                (one.runtime, one.kernels) == (place.runtime, place.kernels),
                one.runtime == place.runtime,
                one.kernels is place.kernels,
                one.threads == place.threads,
            )
            for one in home
        ]
        most_similar = home[similarities.index(max(similarities))]
        yield (home[0] if place in home else most_similar), place


def _compare(one: DistinctOutputs, other: DistinctOutputs, first: SettingOnTarget) -> OutputAgreement:
    with np.errstate(invalid="ignore"):  # a broken model may return infinity
        most = float(np.abs(one.real - other.real).max())
    steps = None
    if np.issubdtype(one.outputs.dtype, np.integer):
        distances = np.abs(one.outputs.astype(np.int64) - other.outputs.astype(np.int64))
        counts = Counter(distances[distances > 0].tolist())
        steps = {str(step): count for step, count in sorted(counts.items())}
    return OutputAgreement(
        model=one.model,
        first=first,
        where=(),
        outputs=one.outputs.size,
        # NaN differs from itself, so the same outputs are not compared with themselves.
        differing=int((one.outputs != other.outputs).sum()) if one is not other else 0,
        most=most if np.isfinite(most) else None,
        n=len(one.outputs),
        other_labels=int((one.labels != other.labels).sum()),
        steps=steps,
    )
