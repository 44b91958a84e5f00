"""Change the input and the output of a .tflite: its batch, its names and its types."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from dermpack.tflite.model_tree import ModelTree

FLOAT32, INT8, UINT8 = schema.TensorType.FLOAT32, schema.TensorType.INT8, schema.TensorType.UINT8
TYPES = {"float32": FLOAT32, "int8": INT8, "uint8": UINT8}
QUANTIZE, DEQUANTIZE = schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE
LARGEST_OLD_CODE = 127  # an operator code that fits in the field that old interpreters read
OFFSET = 128  # between a uint8 and the int8 of the same real value
STEPS = 255
Limits = tuple[float, float]


def make_plain(model: ModelTree) -> None:
    """Fix the batch at one picture, give each tensor a name of its own, and remove signature and metadata.

    litert-quantizer finds tensors by name, and other programs write the same name more than once.
    """
    counts: Counter[bytes] = Counter()
    for graph in model.subgraphs:
        for index, tensor in enumerate(graph.tensors):
            tensor.shapeSignature = None
            name = bytes(tensor.name or b"") or b"tensor"
            counts[name] += 1
            tensor.name = name if counts[name] == 1 else b"%s#%d" % (name, index)
    model.signatureDefs, model.metadata = (
        None,
        [entry for entry in model.metadata or () if entry.name == b"min_runtime_version"],
    )


def set_input_type(model: ModelTree, dtype: str, limits: Limits) -> None:
    """Change the input to numbers of this type; `limits` are the lowest and highest value of a pixel."""
    graph = model.subgraphs[0]
    inner = graph.inputs[0]
    if graph.tensors[inner].type == TYPES[dtype]:
        return
    outer = _add_tensor(graph, inner, dtype, _quantization_for(graph.tensors[inner], dtype, limits))
    graph.operators.insert(0, _cast(model, graph, outer, inner))
    graph.inputs = [outer]


def set_output_type(model: ModelTree, dtype: str, limits: Limits) -> None:
    """Change the output to numbers of this type; `limits` are the real values of a float output."""
    graph = model.subgraphs[0]
    inner = graph.outputs[0]
    if graph.tensors[inner].type == TYPES[dtype]:
        return
    outer = _add_tensor(graph, inner, dtype, _quantization_for(graph.tensors[inner], dtype, limits))
    graph.operators.append(_cast(model, graph, inner, outer))
    graph.outputs = [outer]


def _quantization_for(inner: Any, dtype: str, limits: Limits) -> Any:
    """Return the scale and zero point with which another type represents the same real values."""
    if dtype == "float32":
        return None
    if inner.type == FLOAT32:
        low, high = min(limits[0], 0.0), max(limits[1], 0.0)
        scale = (high - low) / STEPS
        # The scale of probabilities is 1/256, as in every other file.
        scale = 1 / (STEPS + 1) if (low, high) == (0.0, 1.0) else scale
        zero_point = round(-low / scale) - (OFFSET if dtype == "int8" else 0)
        return _make_quantization(scale, zero_point)
    shift = OFFSET if dtype == "uint8" else -OFFSET
    quantization = inner.quantization
    return _make_quantization(float(quantization.scale[0]), int(quantization.zeroPoint[0]) + shift)


def _make_quantization(scale: float, zero_point: int) -> Any:
    return schema.QuantizationParametersT(
        scale=np.array([scale], np.float32), zeroPoint=np.array([zero_point], np.int64)
    )


def _add_tensor(graph: Any, like: int, dtype: str, quantization: Any) -> int:
    original = graph.tensors[like]
    tensor = schema.TensorT(
        shape=original.shape,
        type=TYPES[dtype],
        name=bytes(original.name) + f"_{dtype}".encode(),
        quantization=quantization,
        hasRank=original.hasRank,
    )
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _cast(model: ModelTree, graph: Any, source: int, target: int) -> Any:
    """Return the operator that turns the numbers of one tensor into those of another type."""
    number = DEQUANTIZE if graph.tensors[target].type == FLOAT32 else QUANTIZE
    code = next((i for i, code in enumerate(model.operatorCodes) if code.builtinCode == number), None)
    if code is None:
        old = min(number, LARGEST_OLD_CODE)
        model.operatorCodes.append(
            schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=old, version=1)
        )
        code = len(model.operatorCodes) - 1
    return schema.OperatorT(
        opcodeIndex=code, inputs=np.array([source], np.int32), outputs=np.array([target], np.int32)
    )
