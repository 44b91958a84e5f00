"""Append operators and outputs to a .tflite file; what the file computes already stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from dermpack.errors import InputError
from dermpack.tflite.model_tree import pack_model, unpack_model
from dermpack.tflite.reading import DTYPES, read_model

WHERE = "model.tflite"
NUMBERS = {name: number for number, name in DTYPES.items()}
# Operator → the name of its options in the schema, and the version of an operator of float32 tensors.
OPTIONS: dict[str, str | None] = {
    "ADD": "AddOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "MEAN": "ReducerOptions",
    "MUL": "MulOptions",
    "RELU": None,
    "SQRT": None,
    "SUB": "SubOptions",
}
# The versions of operators that read other types than float32.
DEQUANTIZE_VERSIONS = {"int8": 2, "int16": 3, "float16": 3}
MEAN_VERSIONS = {"float32": 1, "int8": 2, "int16": 3}


class GraphEditor:
    """The main graph of a file, with methods that append to it; `pack` returns the bytes of the new file.

    Tensors are numbers, as in the file. The same calls on the same file give the same bytes.
    """

    def __init__(self, data: bytes) -> None:
        read_model(data, where=WHERE)  # raises InputError unless all of the file can be read
        self._model = unpack_model(data, where=WHERE)
        self._graph = self._model.subgraphs[0]

    def dtype(self, tensor: int) -> str:
        """Return the type of the tensor's numbers."""
        return DTYPES[self._graph.tensors[tensor].type]

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of the tensor."""
        return tuple(int(side) for side in self._graph.tensors[tensor].shape)

    def find_feature_map(self, *, labels: int) -> int:
        """Return the last feature map that the graph computes, which is what the network pools.

        The operators of a file are in the order of computation. A map with one channel for each label is an
        evidence map, which is computed from the feature map.
        """
        for operator in reversed(self._graph.operators):
            for tensor in map(int, operator.outputs):
                shape = self.shape(tensor)
                if len(shape) == 4 and shape[-1] != labels:
                    return tensor
        what, hint = "the model computes no feature map", "Convert a network that ends with pooled features."
        raise InputError(WHERE, what, hint, code="unsupported-model")

    def constant(self, name: str, values: NDArray[Any], *, scale: float = 0.0) -> int:
        """Append a constant; with a scale, its numbers are quantized with zero point 0."""
        self._model.buffers.append(schema.BufferT(data=np.ascontiguousarray(values).tobytes()))
        quantization = None
        if scale:
            quantization = schema.QuantizationParametersT(scale=[scale], zeroPoint=[0])
        buffer = len(self._model.buffers) - 1
        return self._append(name, values.shape, values.dtype.name, buffer=buffer, quantization=quantization)

    def operator(
        self, kind: str, inputs: Sequence[int], name: str, shape: Sequence[int], *, version: int = 1
    ) -> int:
        """Append a builtin operator, and return the tensor of its float32 output."""
        output = self._append(name, shape, "float32")
        self._compute(kind, inputs, output, version)
        return output

    def pool(self, feature_map: int, name: str) -> int:
        """Append the mean over height and width, and return its tensor, which has the type of the map."""
        shape, dtype = self.shape(feature_map), self.dtype(feature_map)
        quantization = self._graph.tensors[feature_map].quantization
        output = self._append(name, (shape[0], shape[-1]), dtype, quantization=quantization)
        axes = self.constant(f"{name}_axes", np.array([1, 2], np.int32))
        self._compute("MEAN", (feature_map, axes), output, MEAN_VERSIONS[dtype])
        return output

    def as_float(self, tensor: int, name: str) -> int:
        """Return the tensor in float32; of a quantized or a float16 tensor, append its conversion."""
        dtype = self.dtype(tensor)
        if dtype == "float32":
            return tensor
        return self.operator(
            "DEQUANTIZE", (tensor,), name, self.shape(tensor), version=DEQUANTIZE_VERSIONS[dtype]
        )

    def output(self, tensor: int) -> None:
        """Make the tensor another output, the last one."""
        self._graph.outputs = [*map(int, self._graph.outputs), tensor]

    def pack(self) -> bytes:
        """Return the bytes of the file, with aligned constants."""
        return pack_model(self._model)

    def _compute(self, kind: str, inputs: Sequence[int], output: int, version: int) -> None:
        operator = schema.OperatorT(
            opcodeIndex=self._code(getattr(schema.BuiltinOperator, kind), version),
            inputs=list(inputs),
            outputs=[output],
        )
        if options := OPTIONS[kind]:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
        self._graph.operators.append(operator)

    def _append(
        self, name: str, shape: Sequence[int], dtype: str, *, buffer: int = 0, quantization: Any = None
    ) -> int:
        self._graph.tensors.append(
            schema.TensorT(
                shape=list(shape),
                type=NUMBERS[dtype],
                buffer=buffer,
                name=name.encode(),
                quantization=quantization,
                hasRank=True,
            )
        )
        return len(self._graph.tensors) - 1

    def _code(self, number: int, version: int) -> int:
        """Return the index of the operator in the file's list of operators, which it is added to."""
        codes = self._model.operatorCodes
        for index, code in enumerate(codes):
            found = max(code.builtinCode, code.deprecatedBuiltinCode), code.version
            if found == (number, version):
                return index
        codes.append(
            schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=min(number, 127), version=version)
        )
        return len(codes) - 1
