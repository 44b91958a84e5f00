"""Build tiny .tflite files that run: the mean colour, a matrix, a softmax over three labels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

SIZE, LABELS = 8, ("akiec", "nv", "mel")  # dark, grey and bright, as small_dataset paints them
MATRIX = np.array([[-4, -4, -4], [0, 0, 0], [4, 4, 4]], dtype=np.float32)
LEANING = np.array(
    [0, 2, 0], dtype=np.float32
)  # bias towards grey, for pictures that are neither dark nor bright
Steps = tuple[float, int]
PICTURE_STEPS, MATRIX_STEPS, SUM_STEPS, SHARE_STEPS = (2 / 255, 0), (4 / 127, 0), (0.1, 0), (1 / 256, -128)
HUGE_SIDE = 6_000  # tiles of 8 pixels: 27 GB


@cache
def float_model(size: int = SIZE) -> bytes:
    """Return a file with float32 input in [-1, 1] and float32 output."""
    tensors = [
        _tensor("picture", (1, size, size, 3), np.float32),
        _tensor("mean", (1, 1, 1, 3), np.float32),
        _tensor("matrix", (3, 3), np.float32, buffer=1),
        _tensor("sums", (1, 3), np.float32),
        _tensor("leaning", (3,), np.float32, buffer=2),
        _tensor("scores", (1, 3), np.float32),
    ]
    return _packed(tensors, [MATRIX, LEANING], _classifier(size))


@cache
def integer_model(size: int = SIZE) -> bytes:
    """Return the same model in int8."""
    matrix = np.rint(MATRIX / MATRIX_STEPS[0]).astype(np.int8)
    leaning = np.rint(LEANING / (PICTURE_STEPS[0] * MATRIX_STEPS[0])).astype(np.int32)
    tensors = [
        _tensor("picture", (1, size, size, 3), np.int8, steps=PICTURE_STEPS),
        _tensor("mean", (1, 1, 1, 3), np.int8, steps=PICTURE_STEPS),
        _tensor("matrix", (3, 3), np.int8, steps=MATRIX_STEPS, buffer=1),
        _tensor("sums", (1, 3), np.int8, steps=SUM_STEPS),
        _tensor("leaning", (3,), np.int32, steps=(PICTURE_STEPS[0] * MATRIX_STEPS[0], 0), buffer=2),
        _tensor("scores", (1, 3), np.int8, steps=SHARE_STEPS),
    ]
    return _packed(tensors, [matrix, leaning], _classifier(size))


@cache
def huge_model() -> bytes:
    """Return a small file that needs more memory than a worker may have."""
    tiles = np.array([1, HUGE_SIDE, HUGE_SIDE, 1], dtype=np.int32)
    side = SIZE * HUGE_SIDE
    tensors = [
        _tensor("picture", (1, SIZE, SIZE, 3), np.float32),
        _tensor("tiles", (4,), np.int32, buffer=1),
        _tensor("wall", (1, side, side, 3), np.float32),
    ]
    tile = _operator(0, [0, 1], [2], schema.BuiltinOptions.NONE, None)
    return _packed(tensors, [tiles], [(schema.BuiltinOperator.TILE, tile)])


@cache
def endless_model() -> bytes:
    """Return a float model with a loop whose condition is always true."""
    options, operators = schema.BuiltinOptions, schema.BuiltinOperator
    shape = (1, SIZE, SIZE, 3)
    tensors = [
        _tensor("picture", shape, np.float32),
        _tensor("looped", shape, np.float32),
        _tensor("mean", (1, 1, 1, 3), np.float32),
        _tensor("scores", (1, 1, 1, 3), np.float32),
    ]
    loop = schema.WhileOptionsT(condSubgraphIndex=1, bodySubgraphIndex=2)
    pool = schema.Pool2DOptionsT(
        padding=schema.Padding.VALID, strideW=1, strideH=1, filterWidth=SIZE, filterHeight=SIZE
    )
    steps = [
        (operators.WHILE, _operator(0, [0], [1], options.WhileOptions, loop)),
        (operators.AVERAGE_POOL_2D, _operator(1, [1], [2], options.Pool2DOptions, pool)),
        (operators.SOFTMAX, _operator(2, [2], [3], options.SoftmaxOptions, schema.SoftmaxOptionsT(beta=1.0))),
    ]
    condition = schema.SubGraphT(name="condition", inputs=[0], outputs=[1], operators=[])
    condition.tensors = [_tensor("x", shape, np.float32), _tensor("true", (1,), np.bool_, buffer=1)]
    body = schema.SubGraphT(name="body", inputs=[0], outputs=[1])
    body.tensors = [_tensor("x", shape, np.float32), _tensor("smooth", shape, np.float32)]
    body.operators = [_operator(2, [0], [1], options.SoftmaxOptions, schema.SoftmaxOptionsT(beta=1.0))]
    return _packed(tensors, [np.array([True])], steps, more=[condition, body])


def _classifier(size: int) -> list[tuple[int, Any]]:
    pool = schema.Pool2DOptionsT(
        padding=schema.Padding.VALID, strideW=1, strideH=1, filterWidth=size, filterHeight=size
    )
    options, operators = schema.BuiltinOptions, schema.BuiltinOperator
    connected, soft = schema.FullyConnectedOptionsT(), schema.SoftmaxOptionsT(beta=1.0)
    return [
        (operators.AVERAGE_POOL_2D, _operator(0, [0], [1], options.Pool2DOptions, pool)),
        (operators.FULLY_CONNECTED, _operator(1, [1, 2, 4], [3], options.FullyConnectedOptions, connected)),
        (operators.SOFTMAX, _operator(2, [3], [5], options.SoftmaxOptions, soft)),
    ]


def _operator(index: int, inputs: Sequence[int], outputs: Sequence[int], kind: int, options: Any) -> Any:
    return schema.OperatorT(
        opcodeIndex=index,
        inputs=list(inputs),
        outputs=list(outputs),
        builtinOptionsType=kind,
        builtinOptions=options,
    )


def _tensor(
    name: str, shape: Sequence[int], number: Any, *, steps: Steps | None = None, buffer: int = 0
) -> Any:
    quantization = schema.QuantizationParametersT()
    if steps:
        quantization.scale, quantization.zeroPoint = [steps[0]], [steps[1]]
    kind = getattr(schema.TensorType, np.dtype(number).name.upper().rstrip("_"))
    return schema.TensorT(name=name, shape=list(shape), type=kind, buffer=buffer, quantization=quantization)


def _packed(
    tensors: Sequence[Any],
    constants: Sequence[NDArray[Any]],
    operators: Sequence[tuple[int, Any]],
    *,
    more: Sequence[Any] = (),
) -> bytes:
    graph = schema.SubGraphT(name="main", tensors=list(tensors), inputs=[0], outputs=[len(tensors) - 1])
    graph.operators = [operator for _, operator in operators]
    codes = [
        schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code, version=1) for code, _ in operators
    ]
    buffers = [schema.BufferT(), *(schema.BufferT(data=list(item.tobytes())) for item in constants)]
    tree = schema.ModelT(version=3, subgraphs=[graph, *more], operatorCodes=codes, buffers=buffers)
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
