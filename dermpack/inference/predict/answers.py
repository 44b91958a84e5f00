"""Make answers of outputs: labels by rank, "not sure", and the thresholds that are reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from dermpack.contract import OperatingPointRecord
from dermpack.errors import InputError, PictureError
from dermpack.inference.predict.opened_model import OpenedModel
from dermpack.inference.predict.parallel_inference import Row
from dermpack.inference.predict.picture_search import FoundPictures
from dermpack.metrics.calibration import apply_temperature
from dermpack.metrics.predictions import SUM_ERROR

STEP = 1 / 256  # of an 8-bit output, which rounds each probability
ROUNDING = 1e-6


class OutputKind(Enum):
    """What the numbers of a model are; a foreign one may end without a softmax."""

    PROBABILITY = "probability"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredLabel:
    """A label and its calibrated probability, or its bare output."""

    label: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """An operating point of the contract, at this picture."""

    point: OperatingPointRecord
    probability: float

    @property
    def is_reached(self) -> bool:
        return self.probability >= self.point.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model says of one picture; `is_sure` is None where no threshold is known."""

    picture: str
    guesses: tuple[ScoredLabel, ...]  # the most probable first; of equals the first label, as on a device
    is_sure: bool | None
    flags: tuple[Flag, ...]

    @property
    def first(self) -> ScoredLabel:
        return self.guesses[0]

    @property
    def label(self) -> str | None:
        """What the model stands by; None is "not sure"."""
        return None if self.is_sure is False else self.first.label


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A picture, or a folder, of which nothing can be said."""

    picture: str
    error: InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Of every picture an answer or a failure, in the order that they were found in."""

    kind: OutputKind
    top: int  # labels of an answer
    outcomes: tuple[Answer | Failure, ...]

    @property
    def answered(self) -> tuple[Answer, ...]:
        return tuple(of for of in self.outcomes if isinstance(of, Answer))

    @property
    def failures(self) -> tuple[Failure, ...]:
        return tuple(of for of in self.outcomes if isinstance(of, Failure))


def answers_of(model: OpenedModel, found: FoundPictures, rows: Sequence[Row], *, top: int) -> Answers:
    """Each row of outputs under the model's temperature and thresholds, with its `top` labels."""
    kind = OutputKind.PROBABILITY if all(map(_may_be_probabilities, rows)) else OutputKind.OUTPUT
    if kind is OutputKind.OUTPUT and model.temperature is not None:
        what = "the output is not a probability distribution, but its contract declares softmax"
        hint = "Export the model again, or give --labels FILE to show the raw outputs."
        raise InputError(model.path, what, hint, code="contract-mismatch")
    most = min(top, len(model.labels))
    outcomes = [_outcome(model, str(of), row, most) for of, row in zip(found.pictures, rows, strict=True)]
    folders = [Failure(picture=of.where, error=of) for of in found.failures]
    return Answers(kind=kind, top=most, outcomes=(*outcomes, *folders))


def _may_be_probabilities(row: Row) -> bool:
    """Whether the outputs are none below 0 or above 1, and add up to 1 as far as they are rounded."""
    if isinstance(row, PictureError) or not np.isfinite(row).all():
        return True  # it says nothing of what the others are
    inside = row.min() >= -ROUNDING and row.max() <= 1 + ROUNDING
    return bool(inside and abs(row.sum() - 1) <= max(SUM_ERROR, len(row) * STEP))


def _outcome(model: OpenedModel, picture: str, row: Row, top: int) -> Answer | Failure:
    if isinstance(row, PictureError):
        return Failure(picture=picture, error=row)
    if not np.isfinite(row).all():
        what = "the output of the model is not a finite number"
        hint = "Train or export the model again."
        error = InputError(picture, what, hint, code="invalid-output")
        return Failure(picture=picture, error=error)
    return _answer(model, picture, _calibrated(row, model), top)


def _calibrated(row: NDArray[np.float64], model: OpenedModel) -> NDArray[np.float64]:
    return apply_temperature(row[None], model.temperature)[0] if model.temperature else row


def _answer(model: OpenedModel, picture: str, values: NDArray[np.float64], top: int) -> Answer:
    ranked = np.argsort(-values, kind="stable").tolist()[:top]
    known = dict(zip(model.labels, values.tolist(), strict=True))
    sure = None if model.abstain_below is None else bool(values.max() >= model.abstain_below)
    return Answer(
        picture=picture,
        guesses=tuple(ScoredLabel(label=model.labels[at], value=float(values[at])) for at in ranked),
        is_sure=sure,
        flags=tuple(Flag(point=point, probability=known[point.label]) for point in model.points),
    )
