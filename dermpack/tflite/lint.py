"""Find what usually goes wrong when a .tflite is put into an app, or differs from its contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dermpack.contract import Activation, Contract, Input, Output
from dermpack.tflite.model_file import MIDDLES, ModelFile, TensorInfo, takes_raw_bytes
from dermpack.tflite.op_versions import newest_versions

SHOWN = 3  # names in a line
INTEGERS = frozenset(("int8", "uint8", "int16"))
AGAIN = "export it again with dermpack convert"


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """One finding: a fixed word for its kind, what was found, and what to do about it."""

    kind: str
    detail: str
    hint: str


def lint_model(model: ModelFile, *, runtimes: Sequence[str]) -> tuple[LintFinding, ...]:
    """Return what an app developer should know before embedding the file; `runtimes` are NAME==VERSION."""
    findings = [*_lint_ends(model), *_lint_metadata(model), *_lint_operators(model)]
    for runtime in runtimes:
        findings.extend(_lint_versions(model, runtime))
    return tuple(findings)


def is_integer(model: ModelFile) -> bool:
    """Return whether most of the computed tensors are quantized integers."""
    quantized = [tensor for tensor in model.computed if tensor.dtype in INTEGERS and tensor.scales]
    return len(quantized) > sum(tensor.is_float for tensor in model.computed)


def inner_floats(model: ModelFile) -> tuple[TensorInfo, ...]:
    """Return the float tensors that are neither input nor output."""
    ends = {tensor.name for tensor in (*model.inputs, *model.outputs)}
    return tuple(tensor for tensor in model.tensors if tensor.is_float and tensor.name not in ends)


def _lint_ends(model: ModelFile) -> Iterator[LintFinding]:
    """Check inputs and outputs, and that nothing between those of an int8 file is float."""
    if len(model.inputs) != 1:
        detail = f"{len(model.inputs)} inputs: {_names(model.inputs)}"
        yield LintFinding(kind="several inputs", detail=detail, hint="name each input when feeding it")
    if len(model.outputs) != 1:
        detail = f"{len(model.outputs)} outputs: {_names(model.outputs)}"
        yield LintFinding(kind="several outputs", detail=detail, hint="look up which one has the scores")
    for tensor in (*model.inputs, *model.outputs):
        if tensor.is_dynamic:
            hint = "resize the input, or export for one picture"
            yield LintFinding(kind="dynamic shape", detail=f"{tensor.name} has no fixed shape", hint=hint)
    for tensor in model.inputs:
        if tensor.is_picture and tensor.dtype == "int8":
            detail = f"{tensor.name} is int8: a byte above 127 turns negative, and MediaPipe refuses it"
            hint = "subtract 128, or convert with --io uint8"
            yield LintFinding(kind="signed input", detail=detail, hint=hint)
        if tensor.is_picture and tensor.dtype in MIDDLES and not takes_raw_bytes(tensor):
            steps = f"scale {list(tensor.scales)}, zero point {list(tensor.zero_points)}"
            detail = f"{tensor.name} has {steps}, not 1/127.5 around the middle"
            hint = "quantize each pixel by this scale and zero point"
            yield LintFinding(kind="not raw bytes", detail=detail, hint=hint)
    inner = inner_floats(model)
    if inner and is_integer(model):
        detail = f"{len(inner)} of {len(model.tensors)} tensors are float: {_names(inner)}"
        hint = f"{AGAIN} --int8, unless they are float on purpose"
        yield LintFinding(kind="float inside int8", detail=detail, hint=hint)


def _lint_metadata(model: ModelFile) -> Iterator[LintFinding]:
    metadata = model.metadata
    if metadata is None:
        detail = "the file does not define how to feed it, nor the meaning of its outputs"
        yield LintFinding(kind="no metadata", detail=detail, hint=AGAIN)
        return
    outputs = model.outputs[0].shape[-1] if model.outputs and model.outputs[0].shape else 0
    if not metadata.labels:
        yield LintFinding(kind="no labels", detail="the outputs have no names", hint=AGAIN)
    elif len(metadata.labels) != outputs:
        detail = f"{len(metadata.labels)} labels for {outputs} outputs"
        yield LintFinding(kind="other labels", detail=detail, hint=AGAIN)
    if any(tensor.is_float and tensor.is_picture for tensor in model.inputs) and not metadata.mean:
        detail = "the input is float, and the file does not define how a pixel is normalised"
        yield LintFinding(kind="no normalisation", detail=detail, hint=AGAIN)


def _lint_operators(model: ModelFile) -> Iterator[LintFinding]:
    for operator in model.operators:
        if operator.is_flex:
            detail = f"{operator.name} needs the kernels of full TensorFlow"
            yield LintFinding(kind="flex operator", detail=detail, hint="export with builtin operators only")
        elif operator.custom:
            detail = f"{operator.name} is not a builtin operator"
            yield LintFinding(kind="custom operator", detail=detail, hint="link its kernel into the app")


def _lint_versions(model: ModelFile, runtime: str) -> Iterator[LintFinding]:
    newest = newest_versions(runtime)
    for operator in model.operators:
        known = newest.get(operator.name, 0)
        if not operator.custom and operator.version > known:
            support = f"supports it up to version {known}" if known else "does not support it"
            detail = f"{operator.name} has version {operator.version}; {runtime} {support}"
            yield LintFinding(kind="operator too new", detail=detail, hint=f"use a newer runtime, or {AGAIN}")


def _names(tensors: Sequence[TensorInfo]) -> str:
    shown = ", ".join(tensor.name[:60] for tensor in tensors[:SHOWN])
    return f"{shown} and {len(tensors) - SHOWN} more" if len(tensors) > SHOWN else shown


def find_mismatches(contract: Contract, model: ModelFile, *, sha256: str) -> tuple[str, ...]:
    """Return what the contract states differently from the file; () if both agree."""
    if contract.sha256 != sha256:
        return ("it describes another file: the sha256 differs",)
    return tuple(_mismatches(contract, model))


def _mismatches(contract: Contract, model: ModelFile) -> Iterator[str]:
    outputs = 1 if contract.output.activation is Activation.SIGMOID else len(contract.labels)
    pixels = (1, contract.input.height, contract.input.width, contract.input.channels)
    ends: tuple[tuple[str, tuple[TensorInfo, ...], Input | Output, tuple[int, ...]], ...] = (
        ("input", model.inputs, contract.input, pixels),
        ("output", model.outputs, contract.output, (1, outputs)),
    )
    for name, tensors, stated, shape in ends:
        if len(tensors) != 1:
            yield f"the file has {len(tensors)} {name}s"
            continue
        tensor = tensors[0]
        if tensor.dtype != stated.dtype.value:
            yield f"{name}: {stated.dtype.value}, the file has {tensor.dtype}"
        if tensor.shape != shape:
            yield f"{name}: {list(shape)}, the file has {list(tensor.shape)}"
        expected = ((), ()) if stated.scale is None else ((stated.scale,), (stated.zero_point,))
        if (tensor.scales, tensor.zero_points) != expected:
            steps = f"scale {stated.scale} and zero point {stated.zero_point}"
            yield f"{name}: {steps} differ from those of the file"
    if contract.size_bytes != model.size_bytes:
        yield f"size_bytes is {contract.size_bytes}, the file has {model.size_bytes}"
    stated_operators = {(operator.name, operator.version) for operator in contract.operators}
    if stated_operators != {(operator.name, operator.version) for operator in model.operators}:
        yield "its operators differ from those of the file"
    if model.metadata and model.metadata.labels and model.metadata.labels != contract.labels:
        yield "its labels differ from those inside the file"
