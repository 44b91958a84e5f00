"""Wrap the private APIs of TensorFlow, Keras and tfmot that the converter needs.

No other module of this package imports from `tensorflow.*.python` or reads an attribute of these libraries
whose name begins with an underscore. Each function has a canary test in tests/converter/test_private.py:
after an upgrade of a library, these tests name the API that changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.optimize.calibrator import Calibrator
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2_as_graph
from tensorflow_model_optimization.python.core.quantization.keras.quantize_layer import QuantizeLayer

Keras: TypeAlias = Any  # a model, layer or tensor of tf_keras, which ships no types
Variables: TypeAlias = Mapping[str, Any]


# --- TensorFlow: freezing and conversion ---


def freeze_variables(function: Any) -> tuple[Any, Any]:
    """Return a concrete function with its variables as constants, and the same as a GraphDef."""
    constant, graph = convert_variables_to_constants_v2_as_graph(function, lower_control_flow=False)
    return constant, graph


def reuse_frozen_graph(converter: Any, function: Any, graph: Any) -> None:
    """Make the converter use this frozen graph; freezing again would take half of its time."""
    frozen = graph, function.inputs, function.outputs, function
    converter._freeze_concrete_function = lambda: frozen


def skip_quantization(converter: Any) -> None:
    """Make the converter stop after calibration, with a float file that has a field for each range."""
    converter._experimental_calibrate_only = True


def use_one_scale_per_dense_layer(converter: Any, *, is_used: bool) -> None:
    """Choose between one scale for each dense layer and one for each of its channels."""
    converter._experimental_disable_per_channel_quantization_for_dense_layers = is_used


# --- TensorFlow: quantization of a float file that contains ranges ---


def quantize_int8(ranged: bytes, *, io: Any, float_layers: Sequence[str] = ()) -> bytes:
    """Return the int8 file; the layers whose output tensors are named stay in floating point."""
    return bytes(
        mlir_quantize(
            ranged, input_data_type=io, output_data_type=io, denylisted_nodes=list(float_layers) or None
        )
    )


def quantize_int16x8(ranged: bytes, *, io: Any) -> bytes:
    """Return the file with 16-bit activations, written by the older quantizer.

    The newer one writes 32-bit biases for it, which no interpreter accepts.
    """
    quantizer = Calibrator(ranged)._calibrator
    io_type, activations, biases = (np.dtype(dtype.as_numpy_dtype).num for dtype in (io, tf.int16, tf.int64))
    return bytes(quantizer.QuantizeModel(io_type, io_type, False, activations, biases, False, False))


def quantize_with_verification(ranged: bytes) -> bytes:
    """Return an int8 file that also computes each operation in floating point, on the same inputs.

    A NumericVerify operation after each outputs how far the int8 result is from the float result.
    """
    return bytes(mlir_quantize(ranged, enable_numeric_verify=True))


def list_operations(interpreter: Any) -> list[dict[str, Any]]:
    """Return each operation's op_name, and the indices of its tensors as inputs and outputs."""
    return list(interpreter._get_ops_details())


# --- Keras: the graph of layers ---


def list_readers(layer: Keras) -> list[Keras]:
    """Return the layers that read the layer's output."""
    return [node.outbound_layer for node in layer.outbound_nodes]


def list_sources(layer: Keras) -> list[Keras]:
    """Return the layers whose outputs the layer reads, in order."""
    return [parent.layer for node in layer.inbound_nodes for parent in node.parent_nodes]


def count_calls(layer: Keras) -> int:
    """Return how many times the network calls the layer."""
    return len(layer.inbound_nodes)


# --- tfmot: a network after quantize_model ---


def list_wrappers(aware: Keras) -> list[Keras]:
    """Return the layers that quantize the weights or the output of another layer, which is their `layer`."""
    return [layer for layer in aware.layers if hasattr(layer, "quantize_config")]


def replace_input_quantizer(aware: Keras, quantizer: Any, *, rank: int, name: str) -> None:
    """Set quantizer and name of the layer that quantizes the input with this number of dimensions.

    By default its name counts the networks that this process has made, and it is written to the file.
    """
    for layer in aware.layers:
        if isinstance(layer, QuantizeLayer) and len(layer.input.shape) == rank:
            layer.quantizer = quantizer
            layer._name = name


def freeze_weights(wrapper: Keras) -> None:
    """Stop the training of a wrapped kernel: a wrapper ignores that its layer is not trainable."""
    wrapper._non_trainable_weights = [*wrapper._trainable_weights, *wrapper._non_trainable_weights]
    wrapper._trainable_weights = []


def list_weight_quantizers(wrapper: Keras) -> list[tuple[Any, Any, Variables]]:
    """Return each quantized weight with its quantizer and the variables of its range."""
    return list(wrapper._weight_vars)


def output_range(wrapper: Keras) -> Variables | None:
    """Return the variables min_var and max_var of the wrapper's own output, if it quantizes it."""
    return wrapper._output_quantizer_vars if wrapper._output_quantizers else None


def activation_ranges(wrapper: Keras) -> Iterator[tuple[bool, Variables]]:
    """Yield the variables of each range around the layer's activation; True is the range before it."""
    for activation in wrapper._quantize_activations:
        for name, is_before in (("_pre_activation_vars", True), ("_post_activation_vars", False)):
            if hasattr(activation, name):
                yield is_before, getattr(activation, name)
