"""Read a .tflite as a flatbuffer, hostile until checked; it is never run."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from dermpack.errors import InputError
from dermpack.tflite.bounded_bytes import BoundedBytes, Budget, Malformed
from dermpack.tflite.metadata import Metadata
from dermpack.tflite.metadata_unpacking import unpack_metadata
from dermpack.tflite.model_file import (
    METADATA_KIND,
    UNUSED_KIND,
    ByteShare,
    ModelFile,
    OperatorInfo,
    TensorInfo,
)

MAX_MODEL_BYTES = 512 << 20
IDENTIFIER, IDENTIFIER_AT = b"TFL3", 4
METADATA_NAME, MIN_RUNTIME_NAME = "TFLITE_METADATA", "min_runtime_version"
MAX_SIDES = 16  # of a tensor
MALFORMED = (Malformed, struct.error, ValueError, TypeError, IndexError, OverflowError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The tables that are looked at more than once."""

    budget: Budget
    buffers: tuple[Any, ...]
    subgraphs: tuple[Any, ...]
    codes: tuple[Any, ...]
    entries: tuple[tuple[str, int], ...]  # name → buffer, of what is attached to the model


def read_model(data: bytes, *, where: object) -> ModelFile:
    """Read what the file says of itself; whatever is wrong with it is one line."""
    if len(data) > MAX_MODEL_BYTES:
        what = f"larger than {MAX_MODEL_BYTES >> 20} MiB"
        raise InputError(where, what, "Give a smaller model.", code="file-too-large")
    if data[IDENTIFIER_AT : IDENTIFIER_AT + len(IDENTIFIER)] != IDENTIFIER:
        raise InputError(where, "not a TensorFlow Lite model", "Give a .tflite file.", code="invalid-model")
    try:
        return _model(BoundedBytes(data))
    except MALFORMED as error:
        raise invalid_model(where, error) from error


def invalid_model(where: object, error: Exception) -> InputError:
    """Return the error for a flatbuffer that cannot be read."""
    what = f"invalid TensorFlow Lite model ({error})"
    return InputError(where, what, "Export the model again.", code="invalid-model")


def _model(data: BoundedBytes) -> ModelFile:
    model = schema.Model.GetRootAs(data, 0)
    parts = _parts(model, Budget(data))
    if not parts.subgraphs:
        raise Malformed("missing graph")
    graphs = [_tensors(graph, parts) for graph in parts.subgraphs]
    main, tensors = parts.subgraphs[0], graphs[0]
    return ModelFile(
        size_bytes=len(data),
        description=parts.budget.text(model.Description()),
        inputs=_picked(tensors, main.InputsLength(), main.InputsAsNumpy, parts),
        outputs=_picked(tensors, main.OutputsLength(), main.OutputsAsNumpy, parts),
        operators=tuple(_operators(parts)),
        tensors=tuple(tensor for graph in graphs for tensor in graph),
        subgraphs=len(graphs),
        min_runtime_version=_attached(MIN_RUNTIME_NAME, parts).rstrip(b"\0").decode("ascii", "replace"),
        metadata=_metadata(data, parts),
        shares=_shares(graphs, parts),
    )


def _parts(model: Any, budget: Budget) -> Parts:
    entries = budget.tables(model.MetadataLength(), model.Metadata)
    return Parts(
        budget=budget,
        buffers=tuple(budget.tables(model.BuffersLength(), model.Buffers)),
        subgraphs=tuple(budget.tables(model.SubgraphsLength(), model.Subgraphs)),
        codes=tuple(budget.tables(model.OperatorCodesLength(), model.OperatorCodes)),
        entries=tuple((budget.text(entry.Name()), entry.Buffer()) for entry in entries),
    )


def _tensors(graph: Any, parts: Parts) -> tuple[TensorInfo, ...]:
    found = parts.budget.tables(graph.TensorsLength(), graph.Tensors)
    return tuple(_tensor(tensor, parts) for tensor in found)


def _tensor(tensor: Any, parts: Parts) -> TensorInfo:
    budget, quantization = parts.budget, tensor.Quantization()
    if max(tensor.ShapeLength(), tensor.ShapeSignatureLength()) > MAX_SIDES:
        raise Malformed(f"a tensor has more than {MAX_SIDES} dimensions")
    shape = budget.numbers(tensor.ShapeLength(), tensor.ShapeAsNumpy)
    signature = budget.numbers(tensor.ShapeSignatureLength(), tensor.ShapeSignatureAsNumpy)
    if min(shape, default=0) < 0:
        raise Malformed("a tensor has a negative dimension")
    return TensorInfo(
        name=budget.text(tensor.Name()),
        shape=shape,
        dtype=_dtype(tensor.Type()),
        is_dynamic=min(signature, default=0) < 0,
        constant_bytes=_stored_bytes(_one_of(parts.buffers, tensor.Buffer())) if tensor.Buffer() else 0,
        **({} if quantization is None else _quantization(quantization, budget)),
    )


def _quantization(quantization: Any, budget: Budget) -> dict[str, Any]:
    scales = budget.numbers(quantization.ScaleLength(), quantization.ScaleAsNumpy)
    zeros = budget.numbers(quantization.ZeroPointLength(), quantization.ZeroPointAsNumpy) or (0,)
    zeros = zeros * len(scales) if len(zeros) == 1 else zeros  # one for all channels, or none at all
    if len(zeros) != len(scales):
        raise Malformed(f"a tensor has {len(scales)} scales and {len(zeros)} zero points")
    return {"scales": scales, "zero_points": zeros, "axis": quantization.QuantizedDimension()}


def _operators(parts: Parts) -> Iterator[OperatorInfo]:
    """Each kind in the order of the file's own list; the ones that no graph has are left out."""
    counted: Counter[int] = Counter()
    for graph in parts.subgraphs:
        found = parts.budget.tables(graph.OperatorsLength(), graph.Operators)
        counted.update(operator.OpcodeIndex() for operator in found)
    for at, count in sorted(counted.items()):
        code = _one_of(parts.codes, at)
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # older files have the second only
        is_custom = number == schema.BuiltinOperator.CUSTOM
        name = parts.budget.text(code.CustomCode()) if is_custom else OPERATORS.get(number)
        if name is None:
            raise Malformed(f"unknown operator {number}")
        yield OperatorInfo(name=name, version=code.Version(), custom=is_custom, count=count)


def _metadata(data: BoundedBytes, parts: Parts) -> Metadata | None:
    packed = _attached(METADATA_NAME, parts)
    return unpack_metadata(packed, file=data) if packed else None


def _attached(name: str, parts: Parts) -> bytes:
    """The bytes that are attached to the model under a name, or none."""
    for known, at in parts.entries:
        if known == name:
            buffer = _one_of(parts.buffers, at)
            return parts.budget.data(buffer.DataLength(), buffer.DataAsNumpy)
    return b""


def _shares(graphs: list[tuple[TensorInfo, ...]], parts: Parts) -> tuple[ByteShare, ...]:
    kinds = {at: METADATA_KIND for _, at in parts.entries}
    for graph, tensors in zip(parts.subgraphs, graphs, strict=True):
        kinds |= {graph.Tensors(at).Buffer(): tensor.dtype for at, tensor in enumerate(tensors)}
    shares: Counter[str] = Counter()
    for at, buffer in enumerate(parts.buffers):
        shares[kinds.get(at, UNUSED_KIND)] += _stored_bytes(buffer)
    return tuple(ByteShare(kind=kind, size_bytes=size) for kind, size in sorted(shares.items()) if size)


def _stored_bytes(buffer: Any) -> int:
    """Inside the flatbuffer, or, in files beyond 2 GiB, behind it."""
    return int(buffer.DataLength() or buffer.Size())


def _picked(
    tensors: tuple[TensorInfo, ...], length: int, as_array: Any, parts: Parts
) -> tuple[TensorInfo, ...]:
    return tuple(_one_of(tensors, at) for at in parts.budget.numbers(length, as_array))


def _one_of(items: tuple[Any, ...], at: int) -> Any:
    if not 0 <= at < len(items):
        raise Malformed(f"index {at} is out of range for {len(items)} entries")
    return items[at]


def _dtype(number: int) -> str:
    if number not in DTYPES:
        raise Malformed(f"unknown tensor type {number}")
    return DTYPES[number]


def _names(of: type) -> dict[int, str]:
    return {number: name for name, number in vars(of).items() if isinstance(number, int)}


OPERATORS = _names(schema.BuiltinOperator)
DTYPES = {number: name.lower() for number, name in _names(schema.TensorType).items()}
