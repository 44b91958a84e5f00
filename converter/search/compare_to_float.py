"""Compare a file with the network that it was made of, on the validation split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from converter.sources.run_source import RunSource
from dermpack.errors import InputError
from dermpack.inference import Classifier, Kernels, ModelSettings, classifier_on, first_installed, open_host
from dermpack.metrics.definitions import Metric, weighted_accuracy, weighted_auroc, weighted_balanced_accuracy
from dermpack.metrics.intervals import RESAMPLES
from dermpack.metrics.paired_difference import Difference, agreement, difference
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.progress import Track, silent

CHUNK = 16  # pictures in one message to the interpreter
WHERE = Path("model.tflite")  # it is in no folder yet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatComparison:
    """What the file says of the validation split, and the float network's figures beside its own."""

    predictions: Predictions  # before any temperature
    balanced_accuracy: Difference
    accuracy: Difference
    auroc: Difference
    agreement: float
    refusal: str = ""  # why XNNPACK does not take it: the interpreter's own kernels answered

    @property
    def drop(self) -> float:
        """Points of balanced accuracy that were lost."""
        return -100 * self.balanced_accuracy.difference


def judge(
    data: bytes, source: RunSource, *, seed: int, threads: int, track: Track = silent
) -> FloatComparison:
    """Run the file in a process of its own on every picture of the validation split."""
    with open_host(first_installed()) as host:
        sidecar = ModelSettings(labels=source.run.classes)
        load = partial(classifier_on, host, data, where=WHERE, sidecar=sidecar, threads=threads)
        try:
            classifier, refusal = load(kernels=Kernels.XNNPACK), ""
        except InputError as error:
            classifier, refusal = load(kernels=Kernels.BUILTIN), error.what
        return _verdict(classifier, source, refusal=refusal, seed=seed, track=track)


def _verdict(
    classifier: Classifier, source: RunSource, *, refusal: str, seed: int, track: Track
) -> FloatComparison:
    plain = source.plain
    predictions = replace(plain, probabilities=_probabilities(classifier, source, track))

    def differ(metric: Metric) -> Difference:
        return difference(plain, predictions, metric, resamples=RESAMPLES, seed=seed)

    return FloatComparison(
        predictions=predictions,
        balanced_accuracy=differ(weighted_balanced_accuracy),
        accuracy=differ(weighted_accuracy),
        auroc=differ(weighted_auroc),
        agreement=agreement(plain, predictions),
        refusal=refusal,
    )


def _probabilities(classifier: Classifier, source: RunSource, track: Track) -> Floats:
    rows = source.validation.copies[0]
    starts = range(0, len(rows), CHUNK)
    shown = track(starts, total=len(starts), what="Running the file")
    return np.concatenate([classifier.classify(np.asarray(rows[at : at + CHUNK])) for at in shown])
