"""Freeze a Keras model, convert it to .tflite, and run the file with TensorFlow's own interpreter."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from converter import _private
from converter._private import Keras
from converter.export_graph import ExportGraph
from converter.pixel_scale import UNIT_SCALE, PixelScale
from dermpack.contract import PICTURE, PROBABILITIES
from dermpack.tflite.signature_writing import with_signature

OPS = tf.lite.OpsSet
INPUT_NAME = "pixels"  # the name of the input in every plain file
OUTPUT_NAME = "Identity"  # that the converter gives to the first output
PICTURE_RANK = 4  # [1, height, width, channels]


class IoType(Enum):
    """The type of the input and the output of a file."""

    UINT8 = "uint8"
    INT8 = "int8"
    FLOAT32 = "float32"


class Quantization(Enum):
    """The types of weights and activations in a file."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    DYNAMIC = "dynamic"
    INT8 = "int8"
    INT16X8 = "int16x8"

    @property
    def io_types(self) -> tuple[IoType, ...]:
        """The supported types of input and output, the default first."""
        return FLAGS[self].io_types

    @property
    def needs_ranges(self) -> bool:
        """Whether the range of each tensor must be known before the file can be quantized."""
        return FLAGS[self].activations is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConverterFlags:
    """The flags of TensorFlow's converter for one quantization."""

    ops: Any = OPS.TFLITE_BUILTINS
    optimizes: bool = True
    types: tuple[Any, ...] = ()
    activations: Any = None  # their integer type
    io_types: tuple[IoType, ...] = (IoType.FLOAT32,)


FLAGS: Mapping[Quantization, ConverterFlags] = {
    Quantization.FLOAT32: ConverterFlags(optimizes=False),
    Quantization.FLOAT16: ConverterFlags(types=(tf.float16,)),
    Quantization.DYNAMIC: ConverterFlags(),
    Quantization.INT8: ConverterFlags(
        ops=OPS.TFLITE_BUILTINS_INT8, activations=tf.int8, io_types=tuple(IoType)
    ),
    Quantization.INT16X8: ConverterFlags(
        ops=OPS.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8, activations=tf.int16
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrozenFunction:
    """A function of one picture, float32 [1, size, size, 3], with its weights as constants.

    A function with more inputs or outputs has names for them, in its order.
    """

    function: Any  # a concrete function
    graph: Any  # the same as a GraphDef
    size: int
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each input by name."""
        return _shapes(self.inputs or (PICTURE,), self.function.inputs)

    @property
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each output by name."""
        return _shapes(self.outputs or (PROBABILITIES,), self.function.outputs)

    @property
    def has_ranges(self) -> bool:
        """Whether it comes from quantization-aware training and contains the range of each tensor."""
        functions = (node for function in self.graph.library.function for node in function.node_def)
        return any(node.op.startswith("FakeQuant") for node in (*self.graph.node, *functions))


def _shapes(names: Sequence[str], tensors: Sequence[Any]) -> dict[str, tuple[int, ...]]:
    pairs = zip(names, tensors, strict=True)
    return {name: tuple(int(side) for side in tensor.shape) for name, tensor in pairs}


def freeze(model: Keras) -> FrozenFunction:
    """Return the model's inference function for one picture; all files of a model are made from it."""
    return freeze_graph(ExportGraph(model=model))


def freeze_graph(export: ExportGraph) -> FrozenFunction:
    """Return the inference function of a graph with all its inputs and outputs."""
    model = export.model
    size = int(model.inputs[0].shape[1])
    if export.is_plain:
        signature = tf.TensorSpec((1, size, size, 3), tf.float32, name=INPUT_NAME)
        function = tf.function(lambda pixels: model(pixels, training=False), autograph=False)
        constant, graph = _private.freeze_variables(function.get_concrete_function(signature))
        return FrozenFunction(function=constant, graph=graph, size=size)
    specs = [
        tf.TensorSpec((1, *tensor.shape[1:]), tf.float32, name=name)
        for name, tensor in zip(export.inputs, model.inputs, strict=True)
    ]
    function = tf.function(export.call, autograph=False)
    constant, graph = _private.freeze_variables(function.get_concrete_function(*specs))
    return FrozenFunction(
        function=constant, graph=graph, size=size, inputs=export.inputs, outputs=export.outputs
    )


def name_tensors(data: bytes, frozen: FrozenFunction) -> bytes:
    """Return the file with a signature if the function has names; the plain form stays as it is."""
    if not frozen.outputs:
        return data
    # The converter numbers the outputs of a function: Identity, Identity_1, Identity_2 …
    outputs = {
        name: f"{OUTPUT_NAME}_{number}" if number else OUTPUT_NAME
        for number, name in enumerate(frozen.outputs)
    }
    return with_signature(data, inputs={name: name for name in frozen.inputs}, outputs=outputs)


def convert(frozen: FrozenFunction, recipe: Quantization, *, io: IoType) -> bytes:
    """Return the file of a recipe without ranges, or of a function that contains its ranges."""
    return name_tensors(_run_converter(_make_converter(frozen, recipe, io=io)), frozen)


def convert_unquantized(frozen: FrozenFunction, recipe: Quantization) -> bytes:
    """Return the float file that `quantize` starts from, with a field for the range of each tensor."""
    converter = _make_converter(frozen, recipe, io=IoType.FLOAT32)
    # The converter needs a picture to write the fields; the ranges themselves are measured later.
    zeros = [np.zeros(tensor.shape, np.float32) for tensor in frozen.function.inputs]
    converter.representative_dataset = lambda: iter([zeros])
    _private.skip_quantization(converter)
    return _run_converter(converter)


def quantize(ranged: bytes, recipe: Quantization, *, io: IoType, float_layers: Sequence[str] = ()) -> bytes:
    """Return the int8 or int16x8 file made from a float file that contains ranges.

    The int8 layers whose output tensors are named stay in floating point.
    """
    dtype = tf.as_dtype(io.value)
    if recipe is Quantization.INT8:
        return _private.quantize_int8(ranged, io=dtype, float_layers=float_layers)
    return _private.quantize_int16x8(ranged, io=dtype)


def _make_converter(frozen: FrozenFunction, recipe: Quantization, *, io: IoType) -> Any:
    """Return TensorFlow's converter; this function sets all of its flags."""
    flags = FLAGS[recipe]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen.function], frozen.function)
    _private.reuse_frozen_graph(converter, frozen.function, frozen.graph)
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if flags.optimizes else []
    # With an integer-only operator set the converter demands pictures to measure ranges on, even if the
    # function contains its ranges; such a function becomes int8 without it, too.
    converter.target_spec.supported_ops = [OPS.TFLITE_BUILTINS if frozen.has_ranges else flags.ops]
    converter.target_spec.supported_types = list(flags.types)
    converter.inference_input_type = converter.inference_output_type = tf.as_dtype(io.value)
    # A dense layer with a scale per channel needs FULLY_CONNECTED 12, which tflite-runtime 2.14.0 lacks.
    _private.use_one_scale_per_dense_layer(converter, is_used=recipe is Quantization.DYNAMIC)
    return converter


def _run_converter(converter: Any) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about missing statistics, which only an older converter used
        return bytes(converter.convert())


def open_interpreter(model: bytes) -> Any:
    """Return an interpreter in which every tensor can be read after a run.

    Without delegates and with all tensors preserved, none is overwritten, and none is hidden in a delegate.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow recommends ai-edge-litert, which has no NumericVerify
        interpreter = tf.lite.Interpreter(
            model_content=model,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    interpreter.allocate_tensors()
    return interpreter


def run_picture(
    interpreter: Any,
    picture: NDArray[np.uint8],
    metadata: NDArray[np.float32] | None = None,
    *,
    pixels: PixelScale = UNIT_SCALE,
) -> None:
    """Run a float-input file on one picture, uint8 [size, size, 3], and the row of its metadata, [width]."""
    for detail in interpreter.get_input_details():
        if is_picture(detail["shape"]):
            interpreter.set_tensor(detail["index"], pixels.apply(picture[None]))
        else:
            assert metadata is not None
            interpreter.set_tensor(detail["index"], metadata[None])
    interpreter.invoke()


def is_picture(shape: Sequence[int]) -> bool:
    """Return whether an input of this shape takes the picture; the metadata is a row of numbers."""
    return len(shape) == PICTURE_RANK
