"""Hold the contract against what the file says of itself; nothing is run."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose

from dermpack.contract import Activation, Contract, TensorType
from dermpack.storage.files import sha256_of
from dermpack.tflite import ModelFile, ScoreCalibration, TensorInfo
from dermpack.verification.checks import Check, CheckOutcome, held

FLOAT32_ERROR = 1e-6  # of a scale: the file holds it in 32 bits, JSON in 64


def check_bytes(data: bytes, contract: Contract) -> Check:
    """The file is the one that the contract was written for."""
    problems, sha256 = [], sha256_of(data)
    if len(data) != contract.size_bytes:
        problems.append(f"{len(data):,} bytes, not {contract.size_bytes:,}")
    if sha256 != contract.sha256:
        problems.append(f"sha256 is {sha256[:12]}…, not {contract.sha256[:12]}…")
    return held("bytes", problems, well=f"{len(data)} bytes, sha256 {sha256[:12]}…")


def check_description(model: ModelFile, contract: Contract) -> tuple[Check, ...]:
    """Everything that contract and flatbuffer both speak of."""
    return (
        _input(model, contract),
        _output(model, contract),
        _operators(model, contract),
        _metadata(model, contract),
    )


def _input(model: ModelFile, contract: Contract) -> Check:
    asked = contract.input
    shape = (1, asked.height, asked.width, asked.channels)
    problems = list(_edge(model.inputs, asked.dtype, shape, asked.scale, asked.zero_point))
    return held("input", problems, well=f"{asked.dtype.value} {list(shape)}{_steps(asked.scale)}")


def _output(model: ModelFile, contract: Contract) -> Check:
    asked = contract.output
    length = 1 if asked.activation is Activation.SIGMOID else len(contract.labels)
    problems = list(_edge(model.outputs, asked.dtype, (1, length), asked.scale, asked.zero_point))
    return held("output", problems, well=f"{asked.dtype.value} {[1, length]}{_steps(asked.scale)}")


def _edge(
    tensors: tuple[TensorInfo, ...],
    dtype: TensorType,
    shape: tuple[int, ...],
    scale: float | None,
    zero: int | None,
) -> Iterator[str]:
    if len(tensors) != 1:
        yield f"the file has {len(tensors)} of them, not one"
        return
    (tensor,) = tensors
    if tensor.dtype != dtype.value:
        yield f"the file has {tensor.dtype}, the contract {dtype.value}"
    if tensor.shape != shape or tensor.is_dynamic:
        yield f"the file has the shape {list(tensor.shape)}, the contract {list(shape)}"
    if not _is_same(tensor.scales, (scale,)):
        yield f"the file has the scale {_of(tensor.scales)}, the contract {scale}"
    if tensor.scales and tensor.zero_points != (zero,):
        yield f"the file has the zero point {_of(tensor.zero_points)}, the contract {zero}"


def _operators(model: ModelFile, contract: Contract) -> Check:
    there = {(of.name, of.version) for of in model.operators}
    named = {(of.name, of.version) for of in contract.operators}
    problems = [f"{name} {version} is not in the contract" for name, version in sorted(there - named)]
    problems += [f"{name} {version} is not in the file" for name, version in sorted(named - there)]
    problems += [f"{of.name} is no builtin operator" for of in model.operators if of.custom]
    return held("operators", problems, well=f"{len(there)} kinds, all builtin")


def _metadata(model: ModelFile, contract: Contract) -> Check:
    """What MediaPipe reads is what the contract says."""
    found = model.metadata
    if found is None:
        return Check(name="metadata", outcome=CheckOutcome.FAILS, detail="the file has none: no labels in it")
    pairs = (
        ("labels", found.labels, contract.labels),
        ("name", found.name, contract.name),
        ("version", found.version, contract.version),
        ("licence", found.licence, contract.license),
    )
    problems = [f"its {what} differ from the contract's" for what, read, said in pairs if read != said]
    for what, values, said in (
        ("mean", found.mean, contract.input.mean),
        ("std", found.std, contract.input.std),
    ):
        if not _is_same(values[:1], (said,)) or len(set(values)) > 1:
            problems.append(f"its {what} is {_of(values)}, the contract's {said}")
    problems += _calibration(found.calibration, contract)
    return held("metadata", problems, well=f"{len(found.labels)} labels, name, version, licence, mean, std")


def _calibration(found: ScoreCalibration | None, contract: Contract) -> Iterator[str]:
    """MediaPipe divides by the temperature that the file has; an app that reads the contract, by its own."""
    if found is None:
        return
    said = contract.output.temperature
    wanted = 1.0 if said is None else 1 / said.value
    other = next(
        (of.slope for of in found.sigmoids if not isclose(of.slope, wanted, rel_tol=FLOAT32_ERROR)), None
    )
    if other is not None:
        has = f"{1 / other:.4g}" if other else "none"
        yield f"output.temperature.value is {1 / wanted:.4g}, the file has {has}"


def _is_same(read: tuple[float, ...], said: tuple[float | None, ...]) -> bool:
    wanted = [value for value in said if value is not None]
    return len(read) == len(wanted) and all(
        isclose(one, other, rel_tol=FLOAT32_ERROR) for one, other in zip(read, wanted, strict=True)
    )


def _of(values: tuple[float, ...]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:4])
    return f"{shown} …" if len(values) > 4 else shown or "none"


def _steps(scale: float | None) -> str:
    return "" if scale is None else f", a step is {scale:.6g}"
