"""Find what usually goes wrong when a .tflite is put into an app."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dermpack.tflite.input_format import BYTES, is_picture, takes_raw_bytes
from dermpack.tflite.model_file import ModelFile, TensorInfo
from dermpack.tflite.op_versions import newest_versions

SHOWN = 3  # names in a line
INTEGERS = frozenset(("int8", "uint8", "int16"))
AGAIN = "export it again with dermpack convert"


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """One of them: `kind` is a fixed word, `detail` says what is there, `hint` what to do."""

    kind: str
    detail: str
    hint: str


def find_traps(model: ModelFile, *, runtimes: Sequence[str]) -> tuple[LintFinding, ...]:
    """What an app developer should know before embedding the file; `runtimes` by NAME==VERSION."""
    found = [*_edges(model), *_floats(model), *_told(model), *_foreign(model)]
    for runtime in runtimes:
        found.extend(_too_new(model, runtime))
    return tuple(found)


def is_integer(model: ModelFile) -> bool:
    """Whether the file was quantized to compute in integers, if not everywhere."""
    quantized = [tensor for tensor in model.computed if tensor.dtype in INTEGERS and tensor.scales]
    return len(quantized) > sum(tensor.is_float for tensor in model.computed)


def inner_floats(model: ModelFile) -> tuple[TensorInfo, ...]:
    """Float tensors that are neither what goes in nor what comes out."""
    outside = {tensor.name for tensor in (*model.inputs, *model.outputs)}
    return tuple(tensor for tensor in model.tensors if tensor.is_float and tensor.name not in outside)


def _edges(model: ModelFile) -> Iterator[LintFinding]:
    if len(model.inputs) != 1:
        detail = f"{len(model.inputs)} inputs: {_names(model.inputs)}"
        yield LintFinding(kind="several inputs", detail=detail, hint="name each input when feeding it")
    if len(model.outputs) != 1:
        detail = f"{len(model.outputs)} outputs: {_names(model.outputs)}"
        yield LintFinding(kind="several outputs", detail=detail, hint="look up which one holds the scores")
    for tensor in (*model.inputs, *model.outputs):
        if tensor.is_dynamic:
            detail = f"{tensor.name} has no fixed shape"
            yield LintFinding(
                kind="dynamic shape", detail=detail, hint="resize the input, or export for one picture"
            )
    for tensor in filter(is_picture, model.inputs):
        yield from _picture(tensor)


def _picture(tensor: TensorInfo) -> Iterator[LintFinding]:
    if tensor.dtype == "int8":
        detail = f"{tensor.name} is int8: a byte above 127 turns negative, and MediaPipe refuses it"
        yield LintFinding(kind="signed input", detail=detail, hint="subtract 128, or convert with --io uint8")
    if tensor.dtype in BYTES and not takes_raw_bytes(tensor):
        steps = f"scale {list(tensor.scales)}, zero point {list(tensor.zero_points)}"
        detail = f"{tensor.name} has {steps}, not 1/127.5 around the middle"
        yield LintFinding(
            kind="not raw bytes", detail=detail, hint="quantize each pixel by this scale and zero point"
        )


def _floats(model: ModelFile) -> Iterator[LintFinding]:
    inner = inner_floats(model)
    if is_integer(model) and inner:
        detail = f"{len(inner)} of {len(model.tensors)} tensors are float: {_names(inner)}"
        hint = f"{AGAIN} --int8, unless it was left so on purpose"
        yield LintFinding(kind="float inside int8", detail=detail, hint=hint)


def _told(model: ModelFile) -> Iterator[LintFinding]:
    metadata = model.metadata
    if metadata is None:
        detail = "the file does not say how to feed it, nor what its outputs are"
        yield LintFinding(kind="no metadata", detail=detail, hint=AGAIN)
        return
    outputs = model.outputs[0].shape[-1] if model.outputs and model.outputs[0].shape else 0
    if not metadata.labels:
        detail = "the outputs have numbers, but no names"
        yield LintFinding(kind="no labels", detail=detail, hint=AGAIN)
    elif len(metadata.labels) != outputs:
        detail = f"{len(metadata.labels)} labels for {outputs} outputs"
        yield LintFinding(kind="other labels", detail=detail, hint=AGAIN)
    if any(tensor.is_float and is_picture(tensor) for tensor in model.inputs) and not metadata.mean:
        detail = "the input is float, and nothing says what a pixel becomes"
        yield LintFinding(kind="no normalisation", detail=detail, hint=AGAIN)


def _foreign(model: ModelFile) -> Iterator[LintFinding]:
    for operator in model.operators:
        if operator.is_flex:
            detail = f"{operator.name} needs TensorFlow's own kernels"
            yield LintFinding(kind="flex operator", detail=detail, hint="export with builtin operators only")
        elif operator.custom:
            detail = f"{operator.name} is no builtin operator"
            yield LintFinding(kind="custom operator", detail=detail, hint="link its kernel into the app")


def _too_new(model: ModelFile, runtime: str) -> Iterator[LintFinding]:
    newest = newest_versions(runtime)
    for operator in model.operators:
        known = newest.get(operator.name, 0)
        if not operator.custom and operator.version > known:
            knows = f"knows it up to version {known}" if known else "does not know it"
            detail = f"{operator.name} is of version {operator.version}; {runtime} {knows}"
            yield LintFinding(kind="operator too new", detail=detail, hint=f"use a newer runtime, or {AGAIN}")


def _names(tensors: Sequence[TensorInfo]) -> str:
    shown = ", ".join(tensor.name[:60] for tensor in tensors[:SHOWN])
    return f"{shown} and {len(tensors) - SHOWN} more" if len(tensors) > SHOWN else shown
