"""Turn a frozen function into a .tflite, as a recipe says."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.compiler.mlir.lite import types_pb2
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.optimize.calibrator import Calibrator

from converter.sources.frozen_function import FrozenFunction

OPS = tf.lite.OpsSet


class IoType(Enum):
    """What goes into the file and what comes out of it."""

    UINT8 = "uint8"
    INT8 = "int8"
    FLOAT32 = "float32"


class Quantization(Enum):
    """How weights and activations are kept."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    DYNAMIC = "dynamic"
    INT8 = "int8"
    INT16X8 = "int16x8"

    @property
    def ios(self) -> tuple[IoType, ...]:
        """What the recipe can take and give; the first is what it does unasked."""
        return FLAGS[self].ios

    @property
    def needs_ranges(self) -> bool:
        return FLAGS[self].integers is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConverterFlags:
    """What the recipe means to the converter."""

    ops: Any = OPS.TFLITE_BUILTINS
    optimizes: bool = True
    types: tuple[Any, ...] = ()
    integers: Any = None  # the type of activations
    ios: tuple[IoType, ...] = (IoType.FLOAT32,)


FLAGS: Mapping[Quantization, ConverterFlags] = {
    Quantization.FLOAT32: ConverterFlags(optimizes=False),
    Quantization.FLOAT16: ConverterFlags(types=(tf.float16,)),
    Quantization.DYNAMIC: ConverterFlags(),
    Quantization.INT8: ConverterFlags(ops=OPS.TFLITE_BUILTINS_INT8, integers=tf.int8, ios=tuple(IoType)),
    Quantization.INT16X8: ConverterFlags(
        ops=OPS.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8, integers=tf.int16
    ),
}


def convert(frozen: FrozenFunction, recipe: Quantization, *, io: IoType) -> bytes:
    """The file of a float recipe, or of a function that brings its own ranges."""
    return _converted(_converter(frozen, recipe, io=io))


def unquantized(frozen: FrozenFunction, recipe: Quantization) -> bytes:
    """The float file that a recipe of integers starts from, with a place for the range of each tensor."""
    converter = _converter(frozen, recipe, io=IoType.FLOAT32)
    picture = np.zeros((1, frozen.size, frozen.size, 3), np.float32)
    converter.representative_dataset = lambda: iter([[picture]])  # the ranges themselves are measured later
    converter._experimental_calibrate_only = True
    return _converted(converter)


def quantize(ranged: bytes, recipe: Quantization, *, io: IoType) -> bytes:
    """The file of integers, of a float file that holds ranges."""
    asked = tf.as_dtype(io.value)
    if recipe is Quantization.INT8:
        types = {"input_data_type": asked, "output_data_type": asked}
        return bytes(mlir_quantize(ranged, inference_type=types_pb2.QUANTIZED_INT8, **types))
    return _sixteen_bit(ranged, asked)


def _converted(converter: Any) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses statistics that only an older converter used
        return bytes(converter.convert())


def _sixteen_bit(ranged: bytes, io: Any) -> bytes:
    """By the older quantizer: the newer one gives 32-bit biases, which no interpreter takes."""
    wrapped = Calibrator(ranged)._calibrator
    floats, activations, biases = (np.dtype(of.as_numpy_dtype).num for of in (io, tf.int16, tf.int64))
    return bytes(wrapped.QuantizeModel(floats, floats, False, activations, biases, False, False))


def _converter(frozen: FrozenFunction, recipe: Quantization, *, io: IoType) -> Any:
    """Every flag of the converter is set here."""
    flags = FLAGS[recipe]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen.function], frozen.function)
    parts = frozen.graph, frozen.function.inputs, frozen.function.outputs, frozen.function
    converter._freeze_concrete_function = lambda: parts  # it would do again what is done: half of its time
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if flags.optimizes else []
    # "Integers only" asks for pictures to measure ranges on, also of a function that brings its own.
    ops = OPS.TFLITE_BUILTINS if frozen.brings_ranges else flags.ops
    converter.target_spec.supported_ops = [ops]
    converter.target_spec.supported_types = list(flags.types)
    converter.inference_input_type = converter.inference_output_type = tf.as_dtype(io.value)
    # A dense layer with a scale a channel needs FULLY_CONNECTED 12, which tflite-runtime 2.14.0 lacks.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = recipe is Quantization.DYNAMIC
    return converter
