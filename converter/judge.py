"""Compare a file with the network that it was made of, on the validation split."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from converter.source import Source
from dermpack.progress import Track, silent
from dermpack.runtime import Sidecar, open_classifier
from dermpack.scores.intervals import RESAMPLES
from dermpack.scores.metrics import Metric, weighted_accuracy, weighted_auroc, weighted_balanced_accuracy
from dermpack.scores.paired import Difference, agreement, difference
from dermpack.scores.predictions import Floats, Predictions

CHUNK = 16  # pictures in one message to the interpreter


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """What the file says of the validation split, and the float network's figures beside its own."""

    predictions: Predictions  # before any temperature
    balanced_accuracy: Difference
    accuracy: Difference
    auroc: Difference
    agreement: float

    @property
    def drop(self) -> float:
        """Points of balanced accuracy that were lost."""
        return -100 * self.balanced_accuracy.difference


def judge(data: bytes, source: Source, *, seed: int, threads: int, track: Track = silent) -> Verdict:
    """Run the file in a process of its own on every picture of the validation split."""
    plain = source.plain
    predictions = replace(plain, probabilities=_probabilities(data, source, threads=threads, track=track))

    def differ(metric: Metric) -> Difference:
        return difference(plain, predictions, metric, resamples=RESAMPLES, seed=seed)

    return Verdict(
        predictions=predictions,
        balanced_accuracy=differ(weighted_balanced_accuracy),
        accuracy=differ(weighted_accuracy),
        auroc=differ(weighted_auroc),
        agreement=agreement(plain, predictions),
    )


def _probabilities(data: bytes, source: Source, *, threads: int, track: Track) -> Floats:
    rows = source.validation.copies[0]
    starts = range(0, len(rows), CHUNK)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(data)
        with open_classifier(path, sidecar=Sidecar(labels=source.run.classes), threads=threads) as classifier:
            shown = track(starts, total=len(starts), what="Running the file")
            return np.concatenate([classifier.classify(np.asarray(rows[at : at + CHUNK])) for at in shown])
