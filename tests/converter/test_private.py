"""The private APIs of TensorFlow, Keras and tfmot exist and behave as the converter uses them.

After an upgrade of one of these libraries, a failing test names the function of converter/_private.py to
change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dermpack.tflite.reading import read_model

pytestmark = pytest.mark.tensorflow
Keras = Any
SIDE = 12


@pytest.fixture(scope="module")
def network() -> Keras:
    """A convolution with its own activation, a batch normalisation, a dense layer."""
    import tf_keras

    layers = tf_keras.layers
    pixels = tf_keras.Input((SIDE, SIDE, 3), name="pixels")
    tensor = layers.Conv2D(4, 3, activation="relu", name="first")(pixels)
    tensor = layers.BatchNormalization(name="norm")(layers.DepthwiseConv2D(3, name="second")(tensor))
    tensor = layers.GlobalAveragePooling2D(name="pool")(tensor)
    return tf_keras.Model(pixels, layers.Dense(5, activation="softmax", name="last")(tensor))


@pytest.fixture(scope="module")
def function(network: Keras) -> Any:
    """The concrete function of one picture."""
    import tensorflow as tf

    signature = tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32, name="pixels")
    return tf.function(lambda pixels: network(pixels, training=False)).get_concrete_function(signature)


@pytest.fixture(scope="module")
def ranged(network: Keras) -> bytes:
    """The float file with a range of each tensor."""
    from converter.quantize.calibration import measure_ranges, write_ranges
    from converter.quantize.tflite_conversion import Quantization, convert_unquantized, freeze

    unquantized = convert_unquantized(freeze(network), Quantization.INT8)
    return write_ranges(unquantized, measure_ranges(unquantized, pictures()).reached())


@pytest.fixture(scope="module")
def aware(network: Keras) -> Keras:
    """The network with tfmot's quantizers."""
    import tensorflow_model_optimization as tfmot

    return tfmot.quantization.keras.quantize_model(network)


def pictures() -> Any:
    return np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)


def tensor_types(data: bytes) -> set[str]:
    return set(read_model(data, where="model").dtypes())


def converter_of(function: Any) -> Any:
    import tensorflow as tf

    return tf.lite.TFLiteConverter.from_concrete_functions([function], function)


def test_freezing_turns_variables_into_constants(function: Any) -> None:
    import tensorflow as tf

    from converter import _private

    constant, graph = _private.freeze_variables(function)
    assert function.variables and not constant.variables
    assert not any("VarHandle" in node.op or "ReadVariable" in node.op for node in graph.node)
    inputs = tf.zeros((1, SIDE, SIDE, 3))
    assert np.asarray(constant(inputs)[0]) == pytest.approx(np.asarray(function(inputs)), abs=1e-6)


def test_the_converter_takes_the_frozen_graph(function: Any) -> None:
    from converter import _private

    constant, graph = _private.freeze_variables(function)
    converter = converter_of(constant)
    original = converter._freeze_concrete_function()  # as TensorFlow does it
    _private.reuse_frozen_graph(converter, constant, graph)
    replaced = converter._freeze_concrete_function()
    assert [type(part) for part in replaced] == [type(part) for part in original]
    assert converter.convert() == converter_of(constant).convert()


def test_quantization_can_be_skipped(function: Any) -> None:
    import tensorflow as tf

    from converter import _private

    converter = converter_of(function)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: iter([[np.zeros((1, SIDE, SIDE, 3), np.float32)]])
    _private.skip_quantization(converter)
    assert "int8" not in tensor_types(converter.convert())


@pytest.mark.parametrize(("is_used", "scales"), [(True, 1), (False, 5)])
def test_a_dense_layer_can_have_one_scale(function: Any, is_used: bool, scales: int) -> None:
    import tensorflow as tf

    from converter import _private

    converter = converter_of(function)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: iter([[np.zeros((1, SIDE, SIDE, 3), np.float32)]])
    _private.use_one_scale_per_dense_layer(converter, is_used=is_used)
    tensors = read_model(converter.convert(), where="model").tensors
    assert [len(tensor.scales) for tensor in tensors if tensor.shape == (5, 4)] == [scales]


def test_int8_quantization_leaves_named_layers_in_floating_point(ranged: bytes) -> None:
    import tensorflow as tf

    from converter import _private
    from converter.quantize.layer_errors import measure_layer_errors

    layer = measure_layer_errors(ranged, pictures())[0].layer
    whole = _private.quantize_int8(ranged, io=tf.uint8)
    part = _private.quantize_int8(ranged, io=tf.uint8, float_layers=[layer])
    assert tensor_types(whole) == {"uint8", "int8", "int32"}
    assert tensor_types(part) == {"uint8", "int8", "int32", "float32"}


def test_int16x8_quantization_has_wide_activations_and_biases(ranged: bytes) -> None:
    import tensorflow as tf

    from converter import _private

    data = _private.quantize_int16x8(ranged, io=tf.float32)
    assert tensor_types(data) >= {"float32", "int16", "int8", "int64"}


def test_verification_outputs_the_difference_of_each_operation(ranged: bytes) -> None:
    from converter import _private
    from converter.quantize.tflite_conversion import open_interpreter, run_picture

    interpreter = open_interpreter(_private.quantize_with_verification(ranged))
    run_picture(interpreter, pictures()[0])
    operations = _private.list_operations(interpreter)
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    verified = [operation for operation in operations if operation["op_name"] == "NumericVerify"]
    assert len(verified) >= 5
    for operation in verified:
        quantized, exact = operation["inputs"][:2]
        difference = interpreter.get_tensor(operation["outputs"][0])
        scale, zero_point = details[quantized]["quantization"]
        real = scale * (interpreter.get_tensor(quantized).astype(np.float64) - zero_point)
        assert difference == pytest.approx(real - interpreter.get_tensor(exact), abs=1e-5)


def test_the_layer_graph_is_known(network: Keras) -> None:
    from converter import _private

    assert _private.list_readers(network.get_layer("second")) == [network.get_layer("norm")]
    assert _private.list_readers(network.get_layer("last")) == []
    assert _private.count_calls(network.get_layer("norm")) == 1


def test_every_layer_has_a_wrapper(network: Keras, aware: Keras) -> None:
    from converter import _private

    names = [wrapper.layer.name for wrapper in _private.list_wrappers(aware)]
    assert names == [layer.name for layer in network.layers if layer.name != "pixels"]


def test_the_input_quantizer_can_be_replaced(network: Keras) -> None:
    import tensorflow_model_optimization as tfmot

    from converter import _private

    aware = tfmot.quantization.keras.quantize_model(network)
    fixed = tfmot.quantization.keras.quantizers.FixedQuantizer(
        num_bits=8, init_min=-1.0, init_max=1.0, narrow_range=False
    )
    _private.replace_input_quantizer(aware, fixed, rank=4, name="quantize_pixels")
    (layer,) = (layer for layer in aware.layers if layer.name == "quantize_pixels")
    outputs = layer(np.array([[-2.0, 0.001, 2.0]], np.float32), training=False)
    steps = np.asarray(outputs) * 127.5 + 127.5
    assert np.asarray(outputs).min() >= -1.01 and np.asarray(outputs).max() <= 1.01
    assert steps == pytest.approx(np.rint(steps), abs=0.51)


def test_a_frozen_wrapper_does_not_train(network: Keras) -> None:
    import tensorflow_model_optimization as tfmot

    from converter import _private

    aware = tfmot.quantization.keras.quantize_model(network)
    wrapper = next(one for one in _private.list_wrappers(aware) if one.layer.name == "first")
    wrapper.layer.trainable = False
    assert wrapper.trainable_weights  # what the function is for
    _private.freeze_weights(wrapper)
    assert not wrapper.trainable_weights
    kernel = next(weight for weight, *_ in _private.list_weight_quantizers(wrapper))
    assert any(kernel is weight for weight in wrapper.non_trainable_weights)


def test_a_quantizer_in_training_mode_sets_the_range_of_its_weight(aware: Keras) -> None:
    from converter import _private

    wrapper = next(one for one in _private.list_wrappers(aware) if one.layer.name == "first")
    ((weight, quantizer, limits),) = _private.list_weight_quantizers(wrapper)
    quantizer(weight, True, weights=limits)
    extreme = np.abs(weight.numpy()).max(axis=(0, 1, 2))
    assert np.abs(limits["max_var"].numpy()) == pytest.approx(extreme, rel=0.02)


def test_each_quantized_activation_has_a_range(aware: Keras) -> None:
    from converter import _private

    wrappers = {wrapper.layer.name: wrapper for wrapper in _private.list_wrappers(aware)}
    output = _private.output_range(wrappers["pool"])
    assert output is not None and set(output) >= {"min_var", "max_var"}
    assert _private.output_range(wrappers["first"]) is None
    ((is_before, limits),) = _private.activation_ranges(wrappers["first"])
    assert not is_before
    assert set(limits) >= {"min_var", "max_var"}
    ((is_before, _),) = _private.activation_ranges(wrappers["last"])
    assert is_before  # a softmax is quantized by its own operator
