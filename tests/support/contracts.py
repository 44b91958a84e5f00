"""Make contracts for tests: three labels, a picture of 32 px as bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dermpack.contract import (
    PICTURE,
    PROBABILITIES,
    Abstention,
    Accuracy,
    Activation,
    Calibration,
    ComparedFigure,
    Contract,
    CoveragePoint,
    OperatingPoint,
    Parents,
    PictureInput,
    ProbabilitiesOutput,
    QuantizationRecord,
    RequiredOperator,
    RuntimeResult,
    Temperature,
    TensorType,
    summarize_runtimes,
)
from dermpack.storage.files import sha256_of

LABELS = ("akiec", "mel", "nv")
SIZE = 32


def contract_for(model: bytes = b"TFL3") -> Contract:
    """Return a contract for a model of `tests.support.tflite_models` with uint8 input and output."""
    tried = tuple(
        RuntimeResult(runtime=name, version=version, delegate="none", works=True, result="same labels")
        for name, version in (("ai-edge-litert", "2.3.0"), ("tflite-runtime", "2.14.0"))
    )
    return Contract(
        name="lesions",
        version="1.0.0",
        labels=LABELS,
        inputs={PICTURE: _picture()},
        outputs={PROBABILITIES: _probabilities()},
        thresholds=(_point(),),
        abstention=_abstention(),
        recipe=QuantizationRecord(name="int8", method="ptq", versions={"tensorflow": "2.21.0"}),
        calibration=_calibration(),
        operators=(RequiredOperator(name="CONV_2D", version=3),),
        runtimes=summarize_runtimes(tried),
        accuracy=(_accuracy(),),
        size_bytes=len(model),
        sha256=sha256_of(model),
        parents=Parents(run=sha256_of(b"run"), weights=sha256_of(b"weights"), dataset=sha256_of(b"rows")),
        license="CC0",
        intended_use="Research only; not a medical device.",
    )


def with_picture(contract: Contract, **changes: Any) -> Contract:
    """Return the contract with other values of its picture input."""
    return replace(contract, inputs={**contract.inputs, PICTURE: replace(contract.picture, **changes)})


def with_probabilities(contract: Contract, **changes: Any) -> Contract:
    """Return the contract with other values of its output for the probabilities."""
    changed = replace(contract.probabilities, **changes)
    return replace(contract, outputs={**contract.outputs, PROBABILITIES: changed})


def _picture() -> PictureInput:
    return PictureInput(
        shape=(1, SIZE, SIZE, 3),
        width=SIZE,
        height=SIZE,
        dtype=TensorType.UINT8,
        scale=0.007843137718737125,
        zero_point=127,
        policy="centre-square-1",
        size_bytes=SIZE * SIZE * 3,
    )


def _probabilities() -> ProbabilitiesOutput:
    nlls = {"nll_before": 0.9, "nll_after": 0.8, "ece_before": 0.1, "ece_after": 0.05}
    temperature = Temperature(value=1.25, floor=1 / 512, n=40, **nlls)
    return ProbabilitiesOutput(
        shape=(1, len(LABELS)),
        dtype=TensorType.UINT8,
        scale=1 / 256,
        zero_point=0,
        activation=Activation.SOFTMAX,
        temperature=temperature,
    )


def _point() -> OperatingPoint:
    shares = {"threshold": 0.3, "wanted_sensitivity": 0.95, "sensitivity": 0.96, "specificity": 0.7}
    return OperatingPoint(label="mel", positives=20, n=100, **shares)


def _abstention() -> Abstention:
    shares = {"threshold": 0.6, "coverage": 0.8, "accuracy": 0.9}
    return Abstention(n=100, curve=(CoveragePoint(**shares),), **shares)


def _calibration() -> Calibration:
    counts = {"akiec": 66, "mel": 67, "nv": 67}
    drawn = sha256_of(b"pictures")
    return Calibration(method="minmax", split="train", n=200, seed=0, sha256=drawn, per_label=counts)


def _accuracy() -> Accuracy:
    figure = ComparedFigure(
        metric="balanced_accuracy", of_float=0.8, of_file=0.79, difference=-0.01, ci95=(-0.02, 0.0)
    )
    return Accuracy(split="validation", n=100, agreement=0.97, figures=(figure,))
