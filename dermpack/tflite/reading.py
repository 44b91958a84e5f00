"""Read a .tflite file as a flatbuffer, without running it; every byte is hostile until checked."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ai_edge_litert import schema_py_generated as schema

from dermpack.contract import MAX_MODEL_BYTES
from dermpack.errors import InputError
from dermpack.tflite.bounded_bytes import BoundedBytes, Budget, Malformed
from dermpack.tflite.metadata_reading import unpack_metadata
from dermpack.tflite.model_file import (
    METADATA_KIND,
    UNUSED_KIND,
    ByteShare,
    ModelFile,
    ModelSignature,
    OperatorInfo,
    TensorInfo,
)

Item = TypeVar("Item")
IDENTIFIER, IDENTIFIER_OFFSET = b"TFL3", 4
METADATA_NAME, MIN_RUNTIME_NAME = "TFLITE_METADATA", "min_runtime_version"
MAX_DIMENSIONS = 16  # of a tensor
SAME_VALUES = ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE")  # operators that do not change real values
Producers = dict[int, tuple[str, tuple[int, ...]]]  # computed tensor → its operator, and what that reads
MALFORMED = (Malformed, struct.error, ValueError, TypeError, IndexError, OverflowError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTables:
    """The tables of the flatbuffer that are used more than once."""

    budget: Budget
    buffers: tuple[Any, ...]
    subgraphs: tuple[Any, ...]
    codes: tuple[Any, ...]
    attachments: tuple[tuple[str, int], ...]  # name and buffer of what is attached to the model

    def attached(self, name: str) -> bytes:
        """Return the bytes that are attached to the model under a name, or none."""
        for known, index in self.attachments:
            if known == name:
                buffer = _pick(self.buffers, index)
                return self.budget.data(buffer.DataLength(), buffer.DataAsNumpy)
        return b""


def read_model(data: bytes, *, where: object) -> ModelFile:
    """Return what the file contains, or raise InputError with one line about what is wrong with it."""
    if len(data) > MAX_MODEL_BYTES:
        what = f"larger than {MAX_MODEL_BYTES >> 20} MiB"
        raise InputError(where, what, "Give a smaller model.", code="file-too-large")
    if data[IDENTIFIER_OFFSET : IDENTIFIER_OFFSET + len(IDENTIFIER)] != IDENTIFIER:
        raise InputError(where, "not a TensorFlow Lite model", "Give a .tflite file.", code="invalid-model")
    try:
        return _read(BoundedBytes(data))
    except MALFORMED as error:
        raise invalid_model(where, error) from error


def invalid_model(where: object, error: Exception) -> InputError:
    """Return the error for a flatbuffer that cannot be read."""
    what = f"invalid TensorFlow Lite model ({error})"
    return InputError(where, what, "Export the model again.", code="invalid-model")


def _read(data: BoundedBytes) -> ModelFile:
    model, budget = schema.Model.GetRootAs(data, 0), Budget(data)
    entries = budget.tables(model.MetadataLength(), model.Metadata)
    tables = ModelTables(
        budget=budget,
        buffers=tuple(budget.tables(model.BuffersLength(), model.Buffers)),
        subgraphs=tuple(budget.tables(model.SubgraphsLength(), model.Subgraphs)),
        codes=tuple(budget.tables(model.OperatorCodesLength(), model.OperatorCodes)),
        attachments=tuple((budget.text(entry.Name()), entry.Buffer()) for entry in entries),
    )
    # A file without a graph is a valid flatbuffer, but not a model.
    if not tables.subgraphs:
        raise Malformed("missing graph")
    graphs = []
    for graph in tables.subgraphs:
        tensors = budget.tables(graph.TensorsLength(), graph.Tensors)
        graphs.append(tuple(_read_tensor(tensor, tables) for tensor in tensors))
    main = tables.subgraphs[0]
    inputs = budget.numbers(main.InputsLength(), main.InputsAsNumpy)
    outputs = budget.numbers(main.OutputsLength(), main.OutputsAsNumpy)
    packed = tables.attached(METADATA_NAME)
    producers = _read_producers(main, tables)
    return ModelFile(
        size_bytes=len(data),
        description=budget.text(model.Description()),
        inputs=tuple(_pick(graphs[0], index) for index in inputs),
        outputs=tuple(_pick(graphs[0], index) for index in outputs),
        operators=tuple(_read_operators(tables)),
        tensors=tuple(tensor for graph in graphs for tensor in graph),
        subgraphs=len(graphs),
        min_runtime_version=tables.attached(MIN_RUNTIME_NAME).rstrip(b"\0").decode("ascii", "replace"),
        metadata=unpack_metadata(packed, file=data) if packed else None,
        shares=_byte_shares(graphs, tables),
        signatures=tuple(_read_signatures(model, graphs[0], budget)),
        output_operator=_find_output_operator(producers, outputs),
        logits=tuple(_pick(graphs[0], index) for index in _find_logits(producers)),
    )


def _read_producers(main: Any, tables: ModelTables) -> Producers:
    """Return the name and the inputs of the operator of each computed tensor, in the order of computation."""
    producers: Producers = {}
    for operator in tables.budget.tables(main.OperatorsLength(), main.Operators):
        inputs = tables.budget.numbers(operator.InputsLength(), operator.InputsAsNumpy)
        written = tables.budget.numbers(operator.OutputsLength(), operator.OutputsAsNumpy)
        code = _pick(tables.codes, operator.OpcodeIndex())
        name = OPERATORS.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "")
        producers |= dict.fromkeys(written, (name, inputs))
    return producers


def _find_output_operator(producers: Producers, outputs: Sequence[int]) -> str:
    """Return the operator that computes the first output, not one that only changes its type or shape."""
    wanted, name = outputs[0] if outputs else -1, ""
    # An operator can read what it writes, in a file that is not valid.
    for _ in range(len(producers)):
        if wanted not in producers:
            break
        name, inputs = producers[wanted]
        if name not in SAME_VALUES or not inputs:
            break
        wanted = inputs[0]
    return name


def _find_logits(producers: Producers) -> tuple[int, ...]:
    """Return the tensor that the last softmax reads, after its addend from a mean if it is a sum."""
    read = [inputs[0] for name, inputs in producers.values() if name == "SOFTMAX" and inputs]
    if not read:
        return ()
    name, inputs = producers.get(read[-1], ("", ()))
    means = [index for index in inputs if name == "ADD" and producers.get(index, ("", ()))[0] == "MEAN"]
    return (*means[:1], read[-1])


def _read_signatures(model: Any, tensors: Sequence[TensorInfo], budget: Budget) -> Iterator[ModelSignature]:
    """Yield the signatures of the first subgraph."""
    for signature in budget.tables(model.SignatureDefsLength(), model.SignatureDefs):
        if signature.SubgraphIndex() != 0:
            continue
        inputs, outputs = (
            {budget.text(entry.Name()): _pick(tensors, entry.TensorIndex()) for entry in entries}
            for entries in (
                budget.tables(signature.InputsLength(), signature.Inputs),
                budget.tables(signature.OutputsLength(), signature.Outputs),
            )
        )
        yield ModelSignature(key=budget.text(signature.SignatureKey()), inputs=inputs, outputs=outputs)


def _read_tensor(tensor: Any, tables: ModelTables) -> TensorInfo:
    budget = tables.budget
    if max(tensor.ShapeLength(), tensor.ShapeSignatureLength()) > MAX_DIMENSIONS:
        raise Malformed(f"a tensor has more than {MAX_DIMENSIONS} dimensions")
    shape = budget.numbers(tensor.ShapeLength(), tensor.ShapeAsNumpy)
    signature = budget.numbers(tensor.ShapeSignatureLength(), tensor.ShapeSignatureAsNumpy)
    if min(shape, default=0) < 0:
        raise Malformed("a tensor has a negative dimension")
    if tensor.Type() not in DTYPES:
        raise Malformed(f"unknown tensor type {tensor.Type()}")
    constant = _pick(tables.buffers, tensor.Buffer()) if tensor.Buffer() else None
    return TensorInfo(
        name=budget.text(tensor.Name()),
        shape=shape,
        dtype=DTYPES[tensor.Type()],
        is_dynamic=min(signature, default=0) < 0,
        constant_bytes=_stored_bytes(constant) if constant is not None else 0,
        **_read_quantization(tensor.Quantization(), budget),
    )


def _read_quantization(quantization: Any, budget: Budget) -> dict[str, Any]:
    if quantization is None:
        return {}
    scales = budget.numbers(quantization.ScaleLength(), quantization.ScaleAsNumpy)
    zeros = budget.numbers(quantization.ZeroPointLength(), quantization.ZeroPointAsNumpy) or (0,)
    zeros = zeros * len(scales) if len(zeros) == 1 else zeros  # one may serve all channels, or be left out
    if len(zeros) != len(scales):
        raise Malformed(f"a tensor has {len(scales)} scales and {len(zeros)} zero points")
    return {"scales": scales, "zero_points": zeros}


def _read_operators(tables: ModelTables) -> Iterator[OperatorInfo]:
    """Yield each kind of operator that a graph contains, in the order of the file's list."""
    counts: Counter[int] = Counter()
    for graph in tables.subgraphs:
        operators = tables.budget.tables(graph.OperatorsLength(), graph.Operators)
        counts.update(operator.OpcodeIndex() for operator in operators)
    for index, count in sorted(counts.items()):
        code = _pick(tables.codes, index)
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # older files have only the second
        is_custom = number == schema.BuiltinOperator.CUSTOM
        name = tables.budget.text(code.CustomCode()) if is_custom else OPERATORS.get(number)
        if name is None:
            raise Malformed(f"unknown operator {number}")
        yield OperatorInfo(name=name, version=code.Version(), custom=is_custom, count=count)


def _byte_shares(graphs: Sequence[Sequence[TensorInfo]], tables: ModelTables) -> tuple[ByteShare, ...]:
    """Add up the stored bytes by the type of the tensor that uses them."""
    kinds = {index: METADATA_KIND for _, index in tables.attachments}
    for graph, tensors in zip(tables.subgraphs, graphs, strict=True):
        kinds |= {graph.Tensors(index).Buffer(): tensor.dtype for index, tensor in enumerate(tensors)}
    # Every buffer counts once, even if several tensors share it.
    shares: Counter[str] = Counter()
    for index, buffer in enumerate(tables.buffers):
        shares[kinds.get(index, UNUSED_KIND)] += _stored_bytes(buffer)
    return tuple(ByteShare(kind=kind, size_bytes=size) for kind, size in sorted(shares.items()) if size)


def _stored_bytes(buffer: Any) -> int:
    """Return the size of a constant; files beyond 2 GiB store it behind the flatbuffer."""
    return int(buffer.DataLength() or buffer.Size())


def _pick(items: Sequence[Item], index: int) -> Item:
    if not 0 <= index < len(items):
        raise Malformed(f"index {index} is out of range for {len(items)} entries")
    return items[index]


def _number_names(enum: type, convert: Callable[[str], str]) -> dict[int, str]:
    return {number: convert(name) for name, number in vars(enum).items() if isinstance(number, int)}


OPERATORS = _number_names(schema.BuiltinOperator, str)
DTYPES = _number_names(schema.TensorType, str.lower)
