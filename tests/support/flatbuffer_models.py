"""Build flatbuffers of a few tensors without a converter, with any defect that a test needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

RAW = (1 / 127.5, 127)
SOFTMAX, CUSTOM = schema.BuiltinOperator.SOFTMAX, schema.BuiltinOperator.CUSTOM
FULLY_CONNECTED = schema.BuiltinOperator.FULLY_CONNECTED
TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int32": schema.TensorType.INT32,
}


def tensor(
    name: str,
    shape: Sequence[int],
    dtype: str,
    *,
    steps: tuple[float, int] | None = None,
    buffer: int = 0,
    signature: Sequence[int] | None = None,
) -> Any:
    quantization = schema.QuantizationParametersT()
    if steps:
        quantization.scale, quantization.zeroPoint = [steps[0]], [steps[1]]
    return schema.TensorT(
        name=name,
        shape=list(shape),
        type=TYPES[dtype],
        buffer=buffer,
        quantization=quantization,
        shapeSignature=list(signature) if signature else None,
    )


def picture(dtype: str = "uint8", steps: tuple[float, int] | None = RAW, *, name: str = "picture") -> Any:
    return tensor(name, (1, 8, 8, 3), dtype, steps=steps)


def scores(dtype: str = "uint8", *, labels: int = 3) -> Any:
    return tensor("scores", (1, labels), dtype, steps=None if dtype == "float32" else (1 / 256, 0))


def model(
    tensors: Sequence[Any] = (),
    *,
    inputs: Sequence[int] = (0,),
    outputs: Sequence[int] = (1,),
    operators: Sequence[tuple[int, int, str]] = ((SOFTMAX, 2, ""),),
    constants: Sequence[bytes] = (),
    options: int = 0,
) -> bytes:
    """Return a file with the tensors; operators are (code, version, custom name) with options of one kind."""
    graph = schema.SubGraphT(name="main")
    graph.tensors = list(tensors or (picture(), scores()))
    graph.inputs, graph.outputs = list(inputs), list(outputs)
    graph.operators = [_operator(index, options) for index in range(len(operators))]
    tree = schema.ModelT(version=3, description="made by hand", subgraphs=[graph])
    tree.operatorCodes = [_code(*operator) for operator in operators]
    tree.buffers = [schema.BufferT(), *(schema.BufferT(data=list(data)) for data in constants)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _operator(index: int, options: int) -> Any:
    given = schema.SoftmaxOptionsT() if options else None
    return schema.OperatorT(
        opcodeIndex=index, inputs=[], outputs=[], builtinOptionsType=options, builtinOptions=given
    )


def _code(code: int, version: int, custom: str) -> Any:
    return schema.OperatorCodeT(
        builtinCode=code,
        deprecatedBuiltinCode=min(code, 127),
        version=version,
        customCode=custom or None,
    )
