"""Run a model on pictures and turn its outputs into answers: ranked labels, "not sure", thresholds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dermpack.contract import OperatingPoint, TensorType
from dermpack.errors import InputError, PictureError
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.imaging.quality import QualityFault, measure_quality
from dermpack.inference.classifier import Classifier, load_classifier
from dermpack.inference.interpreter_host import CHUNK, InterpreterHost
from dermpack.inference.model_files import ModelSettings, OpenedModel
from dermpack.inference.predict.picture_search import FoundPictures
from dermpack.metrics.calibration import apply_temperature
from dermpack.metrics.predictions import SUM_ERROR
from dermpack.progress import Track, silent

STEP = 1 / 256  # of an 8-bit output, which rounds each probability
ROUNDING = 1e-6
NOT_SURE = "not sure"
UNLIKE = "unlike the pictures this model was trained on"


class OutputKind(Enum):
    """The meaning of a model's numbers: the network of a foreign model may end without a softmax."""

    PROBABILITY = "probability"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureRow:
    """The real outputs of one picture before any temperature, and the fault that its pixels have."""

    probabilities: NDArray[np.float64]  # [labels]
    distance: float | None = None  # to the training pictures, if the file returns it
    fault: QualityFault | None = None


Row: TypeAlias = PictureRow | PictureError


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredLabel:
    """A label and its calibrated probability, or its raw output."""

    label: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """An operating point of the contract, applied to one picture."""

    point: OperatingPoint
    probability: float

    @property
    def is_reached(self) -> bool:
        return self.probability >= self.point.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Familiarity:
    """The distance of one picture to the training pictures, and the threshold of the contract."""

    distance: float
    threshold: float

    @property
    def is_familiar(self) -> bool:
        # A number below 0 is not a distance: the file is not what its contract describes.
        return 0 <= self.distance <= self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The labels of one picture; `is_sure` is None if the model has no abstention threshold."""

    picture: str
    guesses: tuple[ScoredLabel, ...]  # the most probable first; equal ones in the order of the outputs
    is_sure: bool | None
    flags: tuple[Flag, ...]
    familiarity: Familiarity | None = None  # None if the file does not return the distance
    fault: QualityFault | None = None

    @property
    def first(self) -> ScoredLabel:
        return self.guesses[0]

    @property
    def is_refused(self) -> bool:
        """Whether the picture has a fault or is unlike the training pictures: its numbers are not valid."""
        return self.refusal not in (None, NOT_SURE)

    @property
    def reached_points(self) -> tuple[OperatingPoint, ...]:
        """The operating points to show: those that are reached, and none of a refused picture."""
        return () if self.is_refused else tuple(flag.point for flag in self.flags if flag.is_reached)

    @property
    def refusal(self) -> str | None:
        """The reason for no answer; a fault of the picture comes first, because another picture can help."""
        if self.fault is not None:
            return self.fault.value
        if self.familiarity is not None and not self.familiarity.is_familiar:
            return UNLIKE
        return NOT_SURE if self.is_sure is False else None

    @property
    def label(self) -> str | None:
        """The answer of the model; None if there is a refusal, such as "not sure"."""
        return None if self.refusal else self.first.label


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A picture or a folder without an answer."""

    picture: str
    error: InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """An answer or a failure for every picture, in the order in which they were found."""

    kind: OutputKind
    top: int  # labels per answer
    outcomes: tuple[Answer | Failure, ...]

    @property
    def answered(self) -> tuple[Answer, ...]:
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, Answer))

    @property
    def failures(self) -> tuple[Failure, ...]:
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, Failure))


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOutputs:
    """The real outputs of each picture, or the error that replaces them; and the interpreter used."""

    rows: tuple[Row, ...]
    runtime: str  # "ai_edge_litert 2.3.0"
    number: TensorType  # of the input


def classify_pictures(
    model: OpenedModel,
    pictures: Sequence[Path],
    *,
    hosts: Sequence[InterpreterHost],
    decoder: PictureDecoder,
    metadata: NDArray[np.float32] | None = None,
    track: Track = silent,
) -> PictureOutputs:
    """Run the model on picture files, in all hosts at the same time.

    Each host uses one thread, so that a picture has the same outputs alone and among others. `metadata` has a
    row for each picture, [n, width]; without it, a model that takes metadata gets blank fields.
    """
    pool = ThreadPoolExecutor(2 * len(hosts))  # half of the threads wait for hosts, the others prepare
    try:
        classifiers = _ClassifierPool(
            model, decoder, [pool.submit(load_uncalibrated, model, host) for host in hosts]
        )
        starts = range(0, len(pictures), CHUNK)
        chunks = [pictures[start : start + CHUNK] for start in starts]
        known = [None if metadata is None else metadata[start : start + CHUNK] for start in starts]
        rows = chain.from_iterable(pool.map(classifiers.classify, chunks, known))
        outputs = tuple(track(rows, total=len(pictures), what="Predicting"))
        # If every picture was rejected, this is where a broken model raises its error.
        classifier = classifiers.first.result()
        return PictureOutputs(rows=outputs, runtime=classifier.engine, number=classifier.input.number)
    except BaseException:
        for host in hosts:
            host.close()  # a thread that waits for an answer would delay the end
        decoder.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def interpret_outputs(model: OpenedModel, found: FoundPictures, rows: Sequence[Row], *, top: int) -> Answers:
    """Apply the model's temperature and thresholds to its outputs and return the `top` labels of each row."""
    kind = OutputKind.PROBABILITY
    for row in rows:
        # Rows that are errors or not finite do not show whether the outputs are probabilities.
        if isinstance(row, PictureError) or not np.isfinite(row.probabilities).all():
            continue
        # Probabilities are in 0 to 1 and add up to 1, within the error of 8-bit rounding.
        values = row.probabilities
        is_in_range = values.min() >= -ROUNDING and values.max() <= 1 + ROUNDING
        if not is_in_range or abs(values.sum() - 1) > max(SUM_ERROR, len(values) * STEP):
            kind = OutputKind.OUTPUT
    if kind is OutputKind.OUTPUT and model.temperature is not None:
        what = "the output is not a probability distribution, but its contract declares softmax"
        hint = "Export the model again, or give --labels FILE to show the raw outputs."
        raise InputError(model.path, what, hint, code="contract-mismatch")
    top = min(top, len(model.labels))
    # Folders that failed come last: their pictures have no place in the order.
    pairs = zip(found.pictures, rows, strict=True)
    outcomes = [_interpret_row(model, str(picture), row, top) for picture, row in pairs]
    folders = [Failure(picture=error.where, error=error) for error in found.failures]
    return Answers(kind=kind, top=top, outcomes=(*outcomes, *folders))


class _ClassifierPool:
    """Classifiers that may still be loading; a thread with a prepared chunk takes an idle one."""

    def __init__(
        self, model: OpenedModel, decoder: PictureDecoder, classifiers: Sequence[Future[Classifier]]
    ) -> None:
        self.model, self.decoder, self.first = model, decoder, classifiers[0]
        self.idle: SimpleQueue[Future[Classifier]] = SimpleQueue()
        for classifier in classifiers:
            self.idle.put(classifier)

    def classify(self, files: Sequence[Path], metadata: NDArray[np.float32] | None) -> list[Row]:
        """Prepare the pictures, then classify them; the first chunk is prepared while the model loads."""
        # Only without a contract is the size unknown until the model is loaded.
        size = self.model.size or self.first.result().size
        # Links are followed here, because only labels are shown; datasets reject links.
        targets = [Path(os.path.realpath(file)) if file.is_symlink() else file for file in files]
        prepared = [
            PictureError(file, pixels.reason, pixels.what, pixels.hint)
            if isinstance(pixels, PictureError)
            else pixels
            for file, pixels in zip(
                files, self.decoder.prepare_chunk(targets, size, policy=self.model.policy), strict=True
            )
        ]
        decoded = [pixels for pixels in prepared if not isinstance(pixels, PictureError)]
        if not decoded:
            return [pixels for pixels in prepared if isinstance(pixels, PictureError)]
        classifier = self.idle.get()
        try:
            is_decoded = [not isinstance(pixels, PictureError) for pixels in prepared]
            known = None if metadata is None else metadata[is_decoded]
            rows = iter(run_prepared(self.model, classifier.result(), decoded, known))
        finally:
            self.idle.put(classifier)
        return [pixels if isinstance(pixels, PictureError) else next(rows) for pixels in prepared]


def run_prepared(
    model: OpenedModel,
    classifier: Classifier,
    pixels: Sequence[NDArray[np.uint8]],
    metadata: NDArray[np.float32] | None,
) -> list[PictureRow]:
    """Run the model on prepared pictures, uint8 [size, size, 3], and find the faults of their pixels."""
    ran = classifier.run(np.stack(pixels), metadata)
    distances = [None] * len(pixels) if ran.familiarity is None else ran.familiarity.tolist()
    gates = model.quality
    return [
        PictureRow(
            probabilities=probabilities,
            distance=distance,
            fault=measure_quality(square).find_fault(gates) if gates else None,
        )
        for square, probabilities, distance in zip(pixels, ran.probabilities, distances, strict=True)
    ]


def load_uncalibrated(model: OpenedModel, host: InterpreterHost) -> Classifier:
    """Load the model without its temperature, which `interpret_outputs` applies.

    By then, all outputs are known to be probabilities.
    """
    sidecar = ModelSettings(labels=model.labels, policy=model.policy, interface=model.interface)
    classifier = load_classifier(host, model.data, where=model.path, sidecar=sidecar)
    if model.size not in (None, classifier.size):
        what = f"the input has {classifier.size} px, but its contract declares {model.size}"
        raise InputError(model.path, what, "Export the model again.", code="contract-mismatch")
    return classifier


def _interpret_row(model: OpenedModel, picture: str, row: Row, top: int) -> Answer | Failure:
    if isinstance(row, PictureError):
        return Failure(picture=picture, error=row)
    if not np.isfinite([*row.probabilities, row.distance or 0.0]).all():
        what, hint = "the output of the model is not a finite number", "Train or export the model again."
        return Failure(picture=picture, error=InputError(picture, what, hint, code="invalid-output"))
    values = row.probabilities
    if model.temperature:
        values = apply_temperature(values[None], model.temperature)[0]
    # A stable sort keeps equal labels in the order of the outputs, as the Java client does.
    ranked = np.argsort(-values, kind="stable").tolist()[:top]
    by_label = dict(zip(model.labels, values.tolist(), strict=True))
    is_sure = None if model.abstain_below is None else bool(values.max() >= model.abstain_below)
    return Answer(
        picture=picture,
        guesses=tuple(ScoredLabel(label=model.labels[index], value=float(values[index])) for index in ranked),
        is_sure=is_sure,
        flags=tuple(Flag(point=point, probability=by_label[point.label]) for point in model.points),
        familiarity=_compare_distance(row.distance, model),
        fault=row.fault,
    )


def _compare_distance(distance: float | None, model: OpenedModel) -> Familiarity | None:
    output = model.interface.familiarity if model.interface else None
    if distance is None or output is None:
        return None
    return Familiarity(distance=distance, threshold=output.threshold)
