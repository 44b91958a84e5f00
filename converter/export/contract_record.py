"""Write down what a file is, what it was made of, and what was measured of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version

from converter.search.candidate import Candidate
from converter.search.choose import TriedCandidate
from converter.search.compare_to_float import FloatComparison
from converter.search.request import Method
from converter.sources.run_source import RunSource
from dermpack.contract import (
    AbstentionRecord,
    Accuracy,
    Activation,
    Calibration,
    ComparedFigure,
    Contract,
    CoveragePointRecord,
    Input,
    OperatingPointRecord,
    Output,
    Parents,
    QuantizationRecord,
    RequiredOperator,
    RuntimeResult,
    TemperatureRecord,
    TensorType,
    runtimes_of,
)
from dermpack.dataset.manifest import Split
from dermpack.metrics.abstention import abstain
from dermpack.metrics.calibration import Temperature as FittedTemperature
from dermpack.metrics.calibration import calibrated, fit_temperature
from dermpack.metrics.paired_difference import Difference
from dermpack.metrics.thresholds import operating_threshold
from dermpack.storage.files import sha256_of
from dermpack.tflite import ModelFile, TensorInfo

PACKAGES = ("dermpack", "tensorflow", "tf_keras", "numpy")
COVERAGE = 0.9  # of the validation pictures get an answer, as in the run
INTENDED_USE = (
    "Research on pictures like those it was trained on. Research software, not a medical device: "
    "nothing it says is a diagnosis."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VerifiedFile:
    """The bytes as they are exported, as they read, and as they ran."""

    data: bytes
    model: ModelFile
    runtimes: tuple[RuntimeResult, ...]


def model_name(source: RunSource, tried: TriedCandidate) -> str:
    """Says what it is, and nothing of where it was made: mobilenet_v2-1.0-160-int8."""
    spec = source.run.spec
    return f"{spec.arch.value}-{spec.alpha:g}-{spec.size}-{tried.candidate.recipe.value}"


def model_version(source: RunSource) -> str:
    """Another training is another version."""
    return source.run.weights_sha256[:12]


def licence_of(source: RunSource) -> str:
    """The run's; of a run whose dataset named none then, what the dataset names now."""
    return source.run.licence or source.dataset.licence


def contract_of(
    source: RunSource, tried: TriedCandidate, proven: VerifiedFile, temperature: FittedTemperature
) -> Contract:
    """Everything that is fitted on outputs is fitted on this file's own, on the validation split."""
    run, candidate = source.run, tried.candidate
    predictions = calibrated(tried.verdict.predictions, temperature)
    wanted = ((point.label, point.wanted_sensitivity) for point in run.thresholds)
    points = (operating_threshold(predictions, label, sensitivity=share) for label, share in wanted)
    abstention = asdict(abstain(predictions, coverage=COVERAGE))
    return Contract(
        name=model_name(source, tried),
        version=model_version(source),
        labels=run.classes,
        input=_input(source, proven.model.inputs[0]),
        output=_output(proven.model.outputs[0], temperature),
        thresholds=tuple(OperatingPointRecord(**asdict(point)) for point in points),
        abstention=AbstentionRecord(
            **{**abstention, "curve": tuple(CoveragePointRecord(**point) for point in abstention["curve"])}
        ),
        recipe=QuantizationRecord(
            name=candidate.recipe.value,
            method=candidate.method.value if candidate.method else "none",
            float_layers=candidate.kept,
            versions={package: version(package) for package in PACKAGES},
        ),
        calibration=_calibration(candidate),
        operators=tuple(RequiredOperator(name=of.name, version=of.version) for of in proven.model.operators),
        runtimes=runtimes_of(proven.runtimes),
        accuracy=(_accuracy(tried.verdict),),
        size_bytes=len(proven.data),
        sha256=sha256_of(proven.data),
        parents=Parents(run=source.run_sha256, weights=run.weights_sha256, dataset=source.dataset.sha256),
        license=licence_of(source),
        intended_use=INTENDED_USE,
    )


def temperature_of(verdict: FloatComparison) -> FittedTemperature:
    return fit_temperature(verdict.predictions)


def _input(source: RunSource, tensor: TensorInfo) -> Input:
    scale, zero_point = _steps(tensor)
    return Input(
        width=tensor.shape[2],
        height=tensor.shape[1],
        dtype=TensorType(tensor.dtype),
        scale=scale,
        zero_point=zero_point,
        policy=source.run.policy.value,
        size_bytes=tensor.size_bytes,
    )


def _output(tensor: TensorInfo, temperature: FittedTemperature) -> Output:
    scale, zero_point = _steps(tensor)
    return Output(
        dtype=TensorType(tensor.dtype),
        scale=scale,
        zero_point=zero_point,
        activation=Activation.SOFTMAX,
        temperature=TemperatureRecord(**asdict(temperature)),
    )


def _steps(tensor: TensorInfo) -> tuple[float | None, int | None]:
    return (tensor.scales[0], tensor.zero_points[0]) if tensor.scales else (None, None)


def _calibration(candidate: Candidate) -> Calibration | None:
    material = candidate.material
    if material is None:
        return None
    described = candidate.clipping.described
    counted = Counter(picture.label for picture in material.pictures)
    return Calibration(
        method=described if candidate.method is Method.QAT else f"{described}, biases corrected",
        split=Split.TRAIN.value,
        n=len(material.pictures),
        seed=material.seed,
        sha256=material.sha256,
        per_label=dict(sorted(counted.items())),
    )


def _accuracy(verdict: FloatComparison) -> Accuracy:
    figures = {
        "balanced_accuracy": verdict.balanced_accuracy,
        "accuracy": verdict.accuracy,
        "auroc": verdict.auroc,
    }
    return Accuracy(
        split=Split.VALIDATION.value,
        n=len(verdict.predictions),
        agreement=verdict.agreement,
        figures=tuple(_compared(name, of) for name, of in figures.items()),
    )


def _compared(metric: str, of: Difference) -> ComparedFigure:
    return ComparedFigure(
        metric=metric, of_float=of.first, of_file=of.second, difference=of.difference, ci95=of.ci95
    )
