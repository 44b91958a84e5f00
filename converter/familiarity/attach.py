"""Give a converted file the familiarity output: fit it on the training split, its threshold on validation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from converter.familiarity.distance import fit_distance
from converter.familiarity.features import measure_features
from converter.familiarity.tail import append_distance
from converter.sources.source import Source
from dermpack.contract import (
    FAMILIARITY,
    PICTURE,
    PROBABILITIES,
    FamiliarityKind,
    FamiliarityOutput,
    TensorInterface,
    TensorType,
)
from dermpack.dataset.manifest import Split
from dermpack.inference.classifier import load_classifier
from dermpack.inference.interpreter_host import first_installed_runtime, open_host
from dermpack.inference.model_files import ModelSettings
from dermpack.metrics.predictions import Floats
from dermpack.metrics.unknown_pictures import ACCEPTED
from dermpack.progress import Track, silent
from dermpack.tflite.reading import read_model
from dermpack.tflite.signature_writing import with_signature

WHERE = Path("model.tflite")  # the file is not written yet


def attach_familiarity(data: bytes, source: Source, *, threads: int, track: Track = silent) -> bytes:
    """Return the file with a signature and the output, fitted to its own features of the training split."""
    train = source.read_split(Split.TRAIN, threads=threads, track=track)
    labels = len(source.labels)
    features = measure_features(
        data, train.copies[0], labels=labels, pixels=source.pixels, threads=threads, track=track
    )
    tailed = append_distance(data, fit_distance(features), labels=labels)
    model = read_model(tailed, where=WHERE)
    # A file with several outputs has named its tensors already.
    is_named = bool(model.signatures)
    inputs = {tensor.name if is_named else PICTURE: tensor.name for tensor in model.inputs}
    outputs = {tensor.name if is_named else PROBABILITIES: tensor.name for tensor in model.outputs[:-1]}
    return with_signature(tailed, inputs=inputs, outputs={**outputs, FAMILIARITY: FAMILIARITY})


def add_familiarity(
    data: bytes, source: Source, interface: TensorInterface, *, threads: int
) -> TensorInterface:
    """Return the interface of the file with the output's record, whose threshold is fitted on validation."""
    record = FamiliarityOutput(
        shape=(1, 1),
        dtype=TensorType.FLOAT32,
        scale=None,
        zero_point=None,
        kind=FamiliarityKind.MAHALANOBIS,
        threshold=0.0,
        accepted=0.0,
        n=len(source.validation),
        split=Split.VALIDATION.value,
    )
    known = replace(interface, outputs={**interface.outputs, FAMILIARITY: record})
    with open_host(first_installed_runtime()) as host:
        settings = ModelSettings(labels=source.labels, interface=known)
        classifier = load_classifier(host, data, where=WHERE, sidecar=settings, threads=threads)
        distances = classifier.run_all(source.validation.copies[0]).familiarity
    assert distances is not None  # the settings bind the output
    threshold = fit_threshold(distances)
    record = replace(record, threshold=threshold, accepted=float((distances <= threshold).mean()))
    return replace(interface, outputs={**interface.outputs, FAMILIARITY: record})


def fit_threshold(distances: Floats, *, accepted: float = ACCEPTED) -> float:
    """Return the least of the distances that at least this share does not exceed: 100 pictures → the 95th."""
    count = int(np.ceil(accepted * len(distances) - 1e-9))
    return float(np.sort(distances)[count - 1])
