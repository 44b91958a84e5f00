"""Raw outputs as an app sees them: labels and probabilities."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol.plan import BenchmarkPlan, ModelUnderTest
from benchmarks.protocol.results import AnsweredPictures, TargetMeasurement
from benchmarks.report.record_lookup import where_of
from benchmarks.report.schema import SettingOnTarget
from dermpack.dataset.manifest import Picture
from dermpack.errors import InputError
from dermpack.inference.model_settings import ModelSettings
from dermpack.inference.tensors import Floats, IoNumber, Tensor, dequantize, soften, two_sided
from dermpack.metrics.predictions import Predictions, as_truth


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DistinctOutputs:
    """One distinct set of outputs: whose, where it was given, and what it means, or why it means nothing."""

    model: str
    where: tuple[SettingOnTarget, ...]
    outputs: NDArray[np.generic]  # [n, k], raw
    scale: float
    zero_point: int
    sha256: str
    predictions: Predictions | None
    unscored: str

    @property
    def real(self) -> Floats:
        return _real(self.outputs, self.scale, self.zero_point)


def tell(measured: Sequence[TargetMeasurement], plan: BenchmarkPlan) -> tuple[DistinctOutputs, ...]:
    """The distinct outputs in the order in which they were first given, model by model."""
    if plan.scored is None:
        return ()
    models = {model.name: model for model in plan.models}
    found: dict[tuple[str, str], DistinctOutputs] = {}
    for where, answered in _answers(measured):
        key = (answered.model, _sha256(answered))
        known = found.get(key) or _told(answered, models[answered.model], plan, key[1])
        found[key] = replace(known, where=(*known.where, where))
    order = [model.name for model in plan.models]
    return tuple(sorted(found.values(), key=lambda of: order.index(of.model)))


def _answers(measured: Iterable[TargetMeasurement]) -> Iterable[tuple[SettingOnTarget, AnsweredPictures]]:
    return ((where_of(of.target, answered.setting), answered) for of in measured for answered in of.answered)


def _sha256(answered: AnsweredPictures) -> str:
    outputs = np.ascontiguousarray(answered.outputs)
    kind = f"{outputs.dtype.name} {outputs.shape} {answered.scale!r} {answered.zero_point}\n"
    return hashlib.sha256(kind.encode() + outputs.tobytes()).hexdigest()


def labels_of(plan: BenchmarkPlan) -> tuple[str, ...]:
    """The dataset's classes, then what models know beyond them: one list for every model of a report."""
    named = plan.scored.dataset.classes if plan.scored else ()
    known = (label for model in plan.models if model.sidecar for label in model.sidecar.labels)
    return tuple(dict.fromkeys((*named, *known)))


def _told(
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
        raise InputError(
            model.name, "the labels of the outputs are unknown", "Give --labels FILE.", code="missing-labels"
        )
    pictures, classes = _pictures(plan), labels_of(plan)
    _check_known(model.sidecar, pictures)
    seen = _seen(answered, model.sidecar, pictures=len(pictures))
    columns = {name: seen[:, at] for at, name in enumerate(model.sidecar.labels)}
    nowhere = np.zeros(len(pictures))  # of a label that only other models know
    at = {name: position for position, name in enumerate(classes)}
    return Predictions(
        classes=classes,
        pictures=tuple(picture.path for picture in pictures),
        groups=tuple(picture.group for picture in pictures),
        truth=as_truth([at[picture.label] for picture in pictures]),
        probabilities=np.stack([columns.get(name, nowhere) for name in classes], axis=1),
    )


def _seen(answered: AnsweredPictures, sidecar: ModelSettings, *, pictures: int) -> Floats:
    """Probabilities [n, k] in the model's own order, as `dermpack.inference.Classifier` makes them."""
    real = two_sided(_real(answered.outputs, answered.scale, answered.zero_point), sidecar.labels)
    if real.shape != (pictures, len(sidecar.labels)):
        what = (
            f"the outputs have shape {list(real.shape)}, expected {[pictures, len(sidecar.labels)]} "
            "(pictures and labels)"
        )
        hint = "Give --labels FILE with one label per output."
        raise InputError(answered.model, what, hint, code="labels-mismatch")
    with np.errstate(invalid="ignore"):  # what is no probability is refused by Predictions
        return soften(real, sidecar.temperature, floor=sidecar.floor)


def _pictures(plan: BenchmarkPlan) -> tuple[Picture, ...]:
    return plan.scored.pictures if plan.scored else ()


def _check_known(sidecar: ModelSettings, pictures: Sequence[Picture]) -> None:
    missing = sorted({picture.label for picture in pictures} - set(sidecar.labels))
    if missing:
        what = f"the dataset has the label {missing[0]!r}, which the model does not have"
        hint = f"Import the dataset with the labels of the model only: {', '.join(sidecar.labels)}."
        raise InputError("labels", what, hint, code="unknown-label")


def _real(outputs: NDArray[np.generic], scale: float, zero_point: int) -> Floats:
    """Integers times their scale; the tensor's type plays no part in it."""
    tensor = Tensor(shape=outputs.shape, number=IoNumber.FLOAT32, scale=scale, zero_point=zero_point)
    return dequantize(outputs, tensor)
