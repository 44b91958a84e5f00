"""Write an export folder: model.tflite, its contract model.json, and verification.json."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np

from converter.familiarity.attach import add_familiarity, attach_familiarity
from converter.interface import make_interface
from converter.quantize.tflite_conversion import PIXEL_MIDDLE, PIXEL_RANGE
from converter.request import ConversionRequest, Method, RunSource
from converter.search.accuracy_limit import FloatComparison
from converter.search.candidate import Candidate
from converter.search.choose import TriedCandidate
from dermpack import contract as contracts
from dermpack.dataset.manifest import Split
from dermpack.imaging.quality import choose_gates
from dermpack.inference.interpreter_host import Kernels
from dermpack.inference.model_files import ModelSettings
from dermpack.metrics.calibration import calibrate, fit_temperature
from dermpack.metrics.intervals import MAX_KERNEL_DIFFERENCE, MEAN_KERNEL_DIFFERENCE
from dermpack.metrics.predictions import Floats
from dermpack.metrics.thresholds import fit_abstention, fit_operating_point
from dermpack.progress import Track, silent
from dermpack.storage.files import format_json, sha256_of, write_bytes, write_text
from dermpack.tflite.metadata_writing import with_metadata
from dermpack.tflite.model_file import Metadata, ModelFile, temperature_calibration
from dermpack.verification.interpreter_runs import InterpreterRun, run_everywhere
from dermpack.verification.verify import open_hosts

MODEL_FILE, PROOF_FILE = "model.tflite", "verification.json"
SCHEMA = 1  # of verification.json
TRIAL_PICTURES = 16  # an interpreter without fast kernels takes 50 ms for each
PACKAGES = ("dermpack", "tensorflow", "tf_keras", "numpy")
COVERAGE = 0.9  # share of the validation pictures that get an answer, as in the run
INTENDED_USE = (
    "Research on pictures like those it was trained on. Research software, not a medical device: "
    "nothing it says is a diagnosis."
)


def write_export(
    folder: Path,
    source: RunSource,
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
    write_bytes(folder / MODEL_FILE, data)
    interface, quality = make_interface(model, source, temperature), None
    if has_distance:
        interface = add_familiarity(data, source, interface, threads=request.threads)
        quality = choose_gates(source.validation.copies[0], split=Split.VALIDATION.value)
    runtimes = try_runtimes(
        folder / MODEL_FILE, source, interface, tried.comparison.predictions.probabilities
    )
    contract = _make_contract(source, tried, metadata, data, model, interface, quality, runtimes)
    text = contracts.format_contract(contract)
    write_text(folder / contracts.CONTRACT_FILE, text)
    write_text(folder / PROOF_FILE, format_json(_proof_record(contract, text, tried.candidate)))
    return contract


def _make_metadata(source: RunSource, candidate: Candidate, temperature: contracts.Temperature) -> Metadata:
    """Return the metadata with which MediaPipe and others feed the file and name its outputs."""
    run, spec = source.run, source.run.spec
    return Metadata(
        name=f"{spec.arch.value}-{spec.alpha:g}-{spec.size}-{candidate.recipe.value}",
        description="Research software, not a medical device.",
        version=run.weights_sha256[:12],  # another training is another version
        author="dermpack",
        licence=find_licence(source),
        labels=run.classes,
        mean=(PIXEL_MIDDLE,),
        std=(PIXEL_MIDDLE,),
        lowest=(PIXEL_RANGE[0],),
        highest=(PIXEL_RANGE[1],),
        calibration=temperature_calibration(len(run.classes), temperature.value),
    )


def find_licence(source: RunSource) -> str:
    """Return the licence of the run, or of its dataset if it had none at the time of the training."""
    return source.run.licence or source.dataset.licence


def try_runtimes(
    path: Path, source: RunSource, interface: contracts.TensorInterface, expected: Floats
) -> tuple[contracts.RuntimeResult, ...]:
    """Run the file on every installed interpreter with each of its kernels, in child processes.

    `expected` are the probabilities with which the file was compared to the float network.
    """
    expected = expected[:TRIAL_PICTURES]
    with open_hosts() as hosts:
        runs = run_everywhere(
            hosts,
            path.read_bytes(),
            where=path,
            sidecar=ModelSettings(labels=source.run.classes, interface=interface),
            pixels=np.asarray(source.validation.copies[0][: len(expected)]),
            threads=1,
        )
        order = [(engine, kernels) for engine in hosts for kernels in Kernels]
    # The contract lists the results by interpreter.
    ordered = sorted(runs, key=lambda run: order.index((run.engine, run.kernels)))
    return tuple(_runtime_result(run, expected) for run in ordered)


def _runtime_result(run: InterpreterRun, expected: Floats) -> contracts.RuntimeResult:
    works, result = False, run.problem
    if run.outputs is not None:
        apart = np.abs(run.outputs - expected)
        same = int((run.outputs.argmax(axis=1) == expected.argmax(axis=1)).sum())
        # False for NaN, too.
        works = bool(apart.max() <= MAX_KERNEL_DIFFERENCE and apart.mean() <= MEAN_KERNEL_DIFFERENCE)
        counted = f"{len(expected)} pictures: the same label on {same}"
        result = f"{counted}, probabilities at most {apart.max():.4f} apart"
    return contracts.RuntimeResult(
        runtime=run.engine.package,
        version=run.version,
        delegate=run.kernels.value,
        works=works,
        result=result,
    )


def _make_contract(
    source: RunSource,
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
    run, candidate = source.run, tried.candidate
    temperature = interface.probabilities.temperature
    assert temperature is not None  # of our own files
    predictions = calibrate(tried.comparison.predictions, temperature)
    # 1. Fit everything that turns outputs into decisions.
    points = [
        fit_operating_point(predictions, point.label, sensitivity=point.wanted_sensitivity)
        for point in run.thresholds
    ]
    # 2. Record the file as it was read back, and what it was made from.
    return contracts.Contract(
        name=metadata.name,
        version=metadata.version,
        labels=metadata.labels,
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
        accuracy=(_accuracy_record(tried.comparison),),
        size_bytes=len(data),
        sha256=sha256_of(data),
        parents=contracts.Parents(
            run=source.run_sha256, weights=run.weights_sha256, dataset=source.dataset.sha256
        ),
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


def _accuracy_record(comparison: FloatComparison) -> contracts.Accuracy:
    figures = {
        "balanced_accuracy": comparison.balanced_accuracy,
        "accuracy": comparison.accuracy,
        "auroc": comparison.auroc,
    }
    return contracts.Accuracy(
        split=Split.VALIDATION.value,
        n=len(comparison.predictions),
        agreement=comparison.agreement,
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


def _proof_record(contract: contracts.Contract, text: str, candidate: Candidate) -> dict[str, object]:
    """Return what was checked when the folder was written; `dermpack verify` checks it again."""
    recipe = contract.recipe
    return {
        "schema": SCHEMA,
        "sha256": {MODEL_FILE: contract.sha256, contracts.CONTRACT_FILE: sha256_of(text.encode())},
        "promise": {
            "recipe": recipe.name,
            "method": recipe.method,
            "input": contract.picture.dtype.value,
            "output": contract.probabilities.dtype.value,
            "float_layers": list(recipe.float_layers),
            "kept": True,
        },
        "runtimes": [
            {
                "runtime": f"{result.runtime} {result.version}",
                "delegate": result.delegate,
                "works": result.works,
                "result": result.result,
            }
            for result in contract.runtimes.tried
        ],
        "notes": list(candidate.notes),
    }
