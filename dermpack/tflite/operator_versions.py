"""Write the versions of operators, and the oldest runtime, that the types in a file require.

An interpreter refuses an operator whose version it does not support. litert-quantizer changes the types of
tensors and leaves the versions of the float file, so an old interpreter accepts the file and computes wrong
values. The rules here are those of TensorFlow's converter for 8-bit and half-precision tensors; what depends
on other things (a fused activation, five dimensions) is in the versions of the float file already.
"""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from dermpack.tflite.model_tree import ModelTree, attach, attached
from dermpack.tflite.reading import MIN_RUNTIME_NAME, OPERATORS

FLOAT32, FLOAT16 = schema.TensorType.FLOAT32, schema.TensorType.FLOAT16
INT8, UINT8, INT16 = schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT16
RUNTIME_BYTES = 16  # of the text in the file
Runtime = tuple[int, int, int]
OLDEST: Runtime = (1, 5, 0)

# Version 2 of these takes int8; of the others below, a later one.
SECOND = """
ABS ADD ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND CONCATENATION DEPTH_TO_SPACE DEQUANTIZE
EQUAL EXP GATHER GELU GREATER GREATER_EQUAL L2_NORMALIZATION LESS LESS_EQUAL LOG LOGISTIC LOG_SOFTMAX MAXIMUM
MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NOT_EQUAL PACK PAD PADV2 REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6
RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SELECT SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT
SPLIT_V SQRT SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM TANH TOPK_V2 TRANSPOSE TRANSPOSE_CONV UNPACK
"""
INT8_VERSIONS = {
    **dict.fromkeys(SECOND.split(), 2),
    **dict.fromkeys(
        ("BROADCAST_TO", "CAST", "CONV_2D", "DEPTHWISE_CONV_2D", "FLOOR_DIV", "REVERSE_V2", "TILE"), 3
    ),
    "FULLY_CONNECTED": 4,
}
# With float activations and 8-bit weights: one scale, and one scale for each channel.
HYBRID_VERSIONS = {"CONV_2D": (2, 5), "DEPTHWISE_CONV_2D": (4, 6), "FULLY_CONNECTED": (3, 12)}
HYBRID_ASYMMETRIC_DENSE = 9
# The index of the input that decides, where it is not the first: the axis comes before the data.
DATA_INPUT = {"SPLIT": 1, "TRANSPOSE_CONV": 1}

# Operator and the first TensorFlow Lite that has each of its versions, from version 1 on.
FIRST_RUNTIMES = """
ABS 1.13 2.4 2.5 2.6 2.12
ADD 1.5 1.14 2.4 2.6 2.13
ARG_MAX 1.9 1.14 2.9
ARG_MIN 1.9 1.14 2.9
AVERAGE_POOL_2D 1.5 1.14 2.3
BATCH_MATMUL 2.3 2.3 2.4 2.5
BATCH_TO_SPACE_ND 1.6 1.14 2.3 2.12
BROADCAST_TO 2.5 2.5 2.5
CAST 1.5 2.7 2.8 2.9 2.12 2.15 2.17 2.21
CONCATENATION 1.5 1.14 2.3 2.14 2.21
CONV_2D 1.5 1.14 1.14 2.3 2.4 2.9 2.11 2.15
DEPTHWISE_CONV_2D 1.5 1.12 1.14 2.2 2.3 2.3 2.11
DEPTH_TO_SPACE 2.1 2.5
DEQUANTIZE 1.13.1 1.14 1.15 2.2 2.7 2.18 2.21
EQUAL 1.14 1.14 2.3 2.13
EXP 1.7 2.12
FLOOR_DIV 1.14 1.14 2.13
FULLY_CONNECTED 1.5 1.10 1.14 1.14 2.0 2.1 2.3 2.3 2.3 2.11 2.15 2.17 2.18 2.21
GATHER 1.6 1.14 1.15 2.4 2.5 2.13 2.15
GELU 2.9 2.9
GREATER 1.14 1.14
GREATER_EQUAL 1.14 1.14 2.13
HARD_SWISH 1.15
L2_NORMALIZATION 1.5 1.14
LEAKY_RELU 1.13.1 2.3
LESS 1.14 1.14 2.13
LESS_EQUAL 1.14 1.14
LOG 1.14 2.15
LOGISTIC 1.14 1.14 2.3
LOG_SOFTMAX 1.14 1.14
MAXIMUM 1.14 1.14 2.3 2.3
MAX_POOL_2D 1.5 1.14 2.3
MEAN 1.6 1.14 2.4
MINIMUM 1.14 1.14 2.3 2.3
MIRROR_PAD 1.13.1 2.3 2.12
MUL 1.5 1.14 1.15 2.3 2.6 2.11 2.13
NOT_EQUAL 1.14 1.14 2.3
PACK 1.11 1.14 2.3 2.13
PAD 1.5 1.14 2.4 2.6 2.20
PADV2 1.9 1.14 2.4 2.6 2.20
PRELU 1.8
QUANTIZE 1.14 1.15 2.7 2.21
REDUCE_MAX 1.11 1.14 2.5
REDUCE_MIN 1.11 1.14 2.5
REDUCE_PROD 1.11 2.6
RELU 1.5 2.1 2.5
RELU6 1.5 1.14 2.5
RESHAPE 1.5
RESIZE_BILINEAR 1.7 1.14 2.2 2.5
RESIZE_NEAREST_NEIGHBOR 1.13.1 1.14 2.3 2.4
REVERSE_V2 1.14 2.2 2.5
RSQRT 1.10 2.5 2.15
SELECT 1.14 1.14 2.12 2.12
SELECT_V2 2.2 2.12
SHAPE 1.10
SLICE 1.14 1.14 1.14 2.4 2.5 2.14 2.21
SOFTMAX 1.5 1.14 2.3
SPACE_TO_BATCH_ND 1.6 1.14 2.3 2.12
SPACE_TO_DEPTH 1.5 1.14
SPLIT 1.5 1.14 1.14 2.3
SPLIT_V 1.13.1 2.3
SQRT 1.10 2.21
SQUARED_DIFFERENCE 1.13.1 2.5
SQUEEZE 1.6 2.5
STRIDED_SLICE 1.6 1.14 2.1 2.2 2.5 2.6 2.14 2.14
SUB 1.6 1.14 2.3 2.4 2.4
SUM 1.10 1.15
TANH 1.14 1.14 2.3
TILE 1.10.1 2.2 2.8
TOPK_V2 1.7 1.14 2.13
TRANSPOSE 1.6 1.14 1.15 2.3 2.4 2.12 2.14.4
TRANSPOSE_CONV 1.9 2.2 2.3 2.13 2.15
UNPACK 1.11 1.14 2.2 2.3
"""


def correct_versions(model: ModelTree) -> None:
    """Raise the versions of the operators in the tree, and its oldest runtime, to what its types require."""
    for graph in model.subgraphs:
        for operator in graph.operators or ():
            code = model.operatorCodes[operator.opcodeIndex]
            # One entry serves all operators of a kind, so it has the version of the most demanding one.
            code.version = max(code.version, _required_version(_name_of(code), operator, graph.tensors))
    oldest = [_first_runtime(_name_of(code), code.version) for code in model.operatorCodes]
    stated = _read_runtime(attached(model, MIN_RUNTIME_NAME).rstrip(b"\0").decode("ascii", "replace"))
    text = ".".join(map(str, max([*oldest, stated])))
    attach(model, MIN_RUNTIME_NAME, text.encode().ljust(RUNTIME_BYTES, b"\0"))


def _name_of(code: Any) -> str:
    return OPERATORS.get(max(code.builtinCode, code.deprecatedBuiltinCode), "")


def _required_version(name: str, operator: Any, tensors: Any) -> int:
    inputs = [tensors[index] for index in operator.inputs if index >= 0]
    outputs = [tensors[index] for index in operator.outputs]
    if not inputs:
        return 1
    position = min(DATA_INPUT.get(name, 0), len(inputs) - 1)
    first, weights = inputs[position], inputs[1] if len(inputs) > 1 else None
    if name == "DEQUANTIZE" and first.type == FLOAT16:
        return 3
    if name in ("QUANTIZE", "DEQUANTIZE") and _is_per_channel(outputs[0] if name == "QUANTIZE" else first):
        return {"QUANTIZE": 3, "DEQUANTIZE": 5}[name]
    if name in HYBRID_VERSIONS and first.type == FLOAT32 and weights is not None and weights.type == INT8:
        is_asymmetric = bool(getattr(operator.builtinOptions, "asymmetricQuantizeInputs", False))
        if name == "FULLY_CONNECTED" and is_asymmetric and not _is_per_channel(weights):
            return HYBRID_ASYMMETRIC_DENSE
        return HYBRID_VERSIONS[name][_is_per_channel(weights)]
    if first.type != INT8:
        return 1
    # A product that may be larger than its factors allow needs a larger multiplier than 1.
    if name == "MUL" and weights is not None and _scale(first) * _scale(weights) >= _scale(outputs[0]) > 0:
        return 3
    return INT8_VERSIONS.get(name, 1)


def _is_per_channel(tensor: Any) -> bool:
    scales = tensor.quantization.scale if tensor.quantization is not None else None
    return scales is not None and len(scales) > 1


def _scale(tensor: Any) -> float:
    scales = tensor.quantization.scale if tensor.quantization is not None else None
    return float(scales[0]) if scales is not None and len(scales) else 0.0


def _first_runtime(name: str, version: int) -> Runtime:
    """Return the first runtime with this version; the newest known one for a version that is not listed."""
    runtimes = RUNTIMES.get(name, (OLDEST,))
    return runtimes[min(version, len(runtimes)) - 1]


def _read_runtime(text: str) -> Runtime:
    """Return a runtime as numbers: "2.3" → (2, 3, 0); the oldest one for any other text."""
    parts = text.split(".")
    if not all(part.isdecimal() and len(part) < 5 for part in parts) or len(parts) > 3:
        return OLDEST
    major, minor, patch = (*map(int, parts), 0, 0)[:3]
    return major, minor, patch


RUNTIMES = {
    name: tuple(map(_read_runtime, texts))
    for name, *texts in (line.split() for line in FIRST_RUNTIMES.strip().split("\n"))
}
