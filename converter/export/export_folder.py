"""Write an export folder: model.tflite, its contract model.json, and verification.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

from converter.familiarity.attach import add_familiarity, attach_familiarity
from converter.request import ConversionRequest, Method
from converter.search.accuracy_limit import COMPARED_METRICS
from converter.search.candidate import Candidate
from converter.search.choose import TriedCandidate
from converter.sources.source import Source
from dermpack import contract as contracts
from dermpack.dataset.manifest import Split
from dermpack.imaging.quality import choose_gates
from dermpack.inference.model_files import ModelSettings
from dermpack.metrics.calibration import calibrate, fit_temperature
from dermpack.metrics.intervals import Difference
from dermpack.metrics.thresholds import COVERAGE, fit_abstention, fit_operating_point
from dermpack.progress import Track, silent
from dermpack.storage.files import sha256_of
from dermpack.tflite.metadata_writing import with_metadata
from dermpack.tflite.model_file import (
    OWN_AUTHOR,
    Metadata,
    ModelFile,
    temperature_calibration,
)
from dermpack.verification.export_files import INTENDED_USE, MODEL_FILE, write_export_files
from dermpack.verification.runtime_trials import try_runtimes

TRIAL_PICTURES = 16  # an interpreter without fast kernels takes 50 ms for each
PACKAGES = ("dermpack", "tensorflow", "tf_keras", "numpy")


def write_export(
    folder: Path,
    source: Source,
    tried: TriedCandidate,
    request: ConversionRequest,
    *,
    track: Track = silent,
) -> contracts.Contract:
    """Write the export of a candidate into an empty folder, and return its contract."""
    temperature = fit_temperature(tried.comparison.predictions)
    metadata = _make_metadata(source, tried.candidate, temperature)
    # The metadata is part of the shipped bytes, so the file is checked and run with it.
    data, has_distance = tried.candidate.data, request.familiarity
    if has_distance:
        data = attach_familiarity(data, source, threads=request.threads, track=track)
    data = with_metadata(data, metadata)
    model = tried.candidate.check(data, source, has_distance=has_distance)
    interface, quality = source.interface(model, temperature), None
    if has_distance:
        interface = add_familiarity(data, source, interface, threads=request.threads)
        quality = choose_gates(source.validation.copies[0], split=Split.VALIDATION.value)
    expected, known = tried.comparison.predictions.probabilities[:TRIAL_PICTURES], source.validation.metadata
    runtimes = try_runtimes(
        data,
        where=folder / MODEL_FILE,
        settings=ModelSettings(labels=source.labels, interface=interface),
        pixels=np.asarray(source.validation.copies[0][: len(expected)]),
        metadata=known.rows[: len(expected)] if known else None,
        expected=expected,
    )
    contract = _make_contract(source, tried, metadata, data, model, interface, quality, runtimes)
    write_export_files(folder, data, contract, notes=tried.candidate.notes)
    return contract


def _make_metadata(source: Source, candidate: Candidate, temperature: contracts.Temperature) -> Metadata:
    """Return the metadata with which MediaPipe and others feed the file and name its outputs."""
    pixels = source.picture.pixels
    # The metadata of a single output cannot name both labels, nor has it a score for logits.
    is_readable = source.applied and source.activation is contracts.Activation.SOFTMAX
    calibration = temperature_calibration(len(source.labels), temperature.value)
    return Metadata(
        name=f"{source.name}-{candidate.recipe.value}",
        description="Research software, not a medical device.",
        version=source.version,
        author=OWN_AUTHOR,
        licence=source.licence,
        labels=source.labels if source.activation is contracts.Activation.SOFTMAX else (),
        mean=tuple(dict.fromkeys(pixels.mean)) if pixels.is_uniform else pixels.mean,
        std=tuple(dict.fromkeys(pixels.std)) if pixels.is_uniform else pixels.std,
        lowest=(pixels.limits[0],),
        highest=(pixels.limits[1],),
        calibration=calibration if is_readable else None,
    )


def _make_contract(
    source: Source,
    tried: TriedCandidate,
    metadata: Metadata,
    data: bytes,
    model: ModelFile,
    interface: contracts.TensorInterface,
    quality: contracts.QualityGates | None,
    runtimes: tuple[contracts.RuntimeResult, ...],
) -> contracts.Contract:
    """Return the contract of the file's final bytes.

    Temperature, abstention and thresholds are fitted on this file's own predictions of the validation split:
    those of the float network would not fit it exactly.
    """
    candidate, temperature = tried.candidate, interface.probabilities.temperature
    assert temperature is not None  # of every file that was compared
    predictions = calibrate(tried.comparison.predictions, temperature)
    # 1. Fit everything that turns outputs into decisions.
    points = [
        fit_operating_point(predictions, label, sensitivity=sensitivity)
        for label, sensitivity in source.sensitivities.items()
    ]
    comparison = tried.comparison
    figures = {name: getattr(comparison, name) for name in COMPARED_METRICS}
    # 2. Record the file as it was read back, and what it was made from.
    return contracts.Contract(
        name=metadata.name,
        version=metadata.version,
        labels=source.labels,
        source=source.description,
        signature=interface.signature,
        inputs=interface.inputs,
        outputs=interface.outputs,
        quality=quality,
        thresholds=tuple(points),
        abstention=fit_abstention(predictions, coverage=COVERAGE),
        recipe=contracts.QuantizationRecord(
            name=candidate.recipe.value,
            method=candidate.method.value if candidate.method else "none",
            float_layers=candidate.float_layers,
            versions={package: version(package) for package in PACKAGES},
        ),
        calibration=_calibration_record(candidate),
        operators=tuple(
            contracts.RequiredOperator(name=operator.name, version=operator.version)
            for operator in model.operators
        ),
        runtimes=contracts.summarize_runtimes(runtimes),
        accuracy=(make_accuracy_record(figures, n=len(predictions), agreement=comparison.agreement),),
        size_bytes=len(data),
        sha256=sha256_of(data),
        parents=source.parents,
        input_evidence=source.input_evidence,
        meanings=source.dataset.meanings,
        license=metadata.licence,
        intended_use=INTENDED_USE,
    )


def _calibration_record(candidate: Candidate) -> contracts.Calibration | None:
    calibration = candidate.calibration
    if calibration is None:
        return None
    corrected = "" if candidate.method is Method.QAT else ", biases corrected"
    counts = Counter(picture.label for picture in calibration.pictures)
    return contracts.Calibration(
        method=f"{candidate.clipping.described}{corrected}",
        split=Split.TRAIN.value,
        n=len(calibration.pictures),
        seed=calibration.seed,
        sha256=calibration.sha256,
        per_label=dict(sorted(counts.items())),
    )


def make_accuracy_record(
    figures: Mapping[str, Difference], *, n: int, agreement: float
) -> contracts.Accuracy:
    """Return the record of figures on the validation split, each next to that of the original."""
    return contracts.Accuracy(
        split=Split.VALIDATION.value,
        n=n,
        agreement=agreement,
        figures=tuple(
            contracts.ComparedFigure(
                metric=metric,
                of_float=figure.first,
                of_file=figure.second,
                difference=figure.difference,
                ci95=figure.ci95,
            )
            for metric, figure in figures.items()
        ),
    )
