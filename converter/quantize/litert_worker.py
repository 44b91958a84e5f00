"""The child process that measures and quantizes a float .tflite of unknown origin with litert-quantizer.

A crash of the interpreter or of the quantizer ends this process alone. A request is two frames: JSON with
the order, and data; an answer is two frames: the text of a rejection, which is empty for success, and data.

    {"order": "open"}, model         → {"tensors": [names of the computed float tensors], "input", "output"}
    {"order": "measure"}, pictures   → float32 [pictures, 2, tensors]: the lowest and highest values
    {"order": "count"}, b""          → uint32 [2, tensors, bins]: how often each value occurred
    {"order": "quantize", …}, b""    → the quantized model
    {"order": "rank", …}, pictures   → {"layers": [outputs, the one with the largest added error first]}
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from litert_quantizer import Quantizer, qtyping, recipe_manager
from litert_quantizer.algorithm_manager import AlgorithmName
from numpy.typing import NDArray

from converter.quantize.bias_support import support_biases
from converter.quantize.clipping import BINS, Counts, count_values
from converter.quantize.file_interface import make_plain, set_input_type, set_output_type
from dermpack.errors import InputError
from dermpack.processes.child_process import Channel
from dermpack.tflite.model_tree import pack_model, unpack_model
from dermpack.tflite.operator_versions import correct_versions

WHERE = "model.tflite"
ANY_LAYER, ALL = ".*", qtyping.TFLOperationName.ALL_SUPPORTED
LEAST_WEIGHTS = 1024  # numbers; the dynamic quantization leaves smaller constants as they are
# What the libraries raise for a model that they reject.
REJECTIONS = (
    *(InputError, ValueError, RuntimeError, TypeError, LookupError),
    *(NotImplementedError, OverflowError, AttributeError, MemoryError),
)


@dataclass(slots=True, kw_only=True)
class OpenedFile:
    """The float file and what was counted on it so far."""

    data: bytes
    interpreter: Any
    indices: tuple[int, ...]  # of the tensors with a range
    names: tuple[str, ...]
    input: str
    output: str
    counts: Counts
    pictures: int = 0


def main(channel: Channel, threads: str) -> None:
    """Answer requests until the parent closes the channel."""
    logging.disable(logging.WARNING)  # the quantizer logs each layer that it leaves as it is
    opened: OpenedFile | None = None
    while (order := channel.receive()) is not None:
        data, options = channel.receive() or b"", json.loads(order)
        try:
            if options["order"] == "open":
                opened = _open(data, threads=int(threads), needs_counts=options["needs_counts"])
                names = {"tensors": opened.names, "input": opened.input, "output": opened.output}
                channel.send(b"", json.dumps(names).encode())
                continue
            if opened is None:
                raise ValueError("no model is open")
            channel.send(b"", _answer(opened, options, data))
        except REJECTIONS as error:
            channel.send(f"{type(error).__name__}: {error}".encode("utf-8", "replace"), b"")


def _answer(opened: OpenedFile, options: dict[str, Any], data: bytes) -> bytes:
    if options["order"] == "measure":
        return _measure(opened, data).tobytes()
    if options["order"] == "count":
        return opened.counts.tobytes()
    arguments = {name: value for name, value in options.items() if name != "order"}
    if options["order"] == "rank":
        return json.dumps({"layers": _rank_layers(opened, data, arguments["ranges"])}).encode()
    return _quantize(opened.data, **arguments)


def _open(data: bytes, *, threads: int, needs_counts: bool) -> OpenedFile:
    model = unpack_model(data, where=WHERE)
    make_plain(model)
    plain = pack_model(model)
    interpreter = _open_interpreter(plain, threads=threads)
    # What is neither an input nor written by an operator is a constant.
    graph = model.subgraphs[0]
    written = {index for operator in graph.operators for index in operator.outputs}
    computed = {graph.tensors[index].name.decode("utf-8", "replace") for index in (*graph.inputs, *written)}
    details = [
        detail
        for detail in interpreter.get_tensor_details()
        if detail["dtype"] is np.float32 and detail["name"] in computed
    ]
    return OpenedFile(
        data=plain,
        interpreter=interpreter,
        indices=tuple(detail["index"] for detail in details),
        names=tuple(detail["name"] for detail in details),
        input=interpreter.get_input_details()[0]["name"],
        output=interpreter.get_output_details()[0]["name"],
        counts=np.zeros((2, len(details), BINS if needs_counts else 0), np.uint32),
    )


def _open_interpreter(model: bytes, *, threads: int) -> Any:
    """Return an interpreter in which every tensor can be read after a run.

    Without delegates and with all tensors preserved, none is overwritten and none is hidden in a delegate.
    """
    interpreter = Interpreter(
        model_content=model,
        num_threads=threads,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    return interpreter


def _measure(opened: OpenedFile, data: bytes) -> NDArray[np.float32]:
    interpreter = opened.interpreter
    (detail,) = interpreter.get_input_details()
    limits = []
    for picture in np.frombuffer(data, np.float32).reshape(-1, *detail["shape"]):
        interpreter.set_tensor(detail["index"], picture)
        interpreter.invoke()
        found = []
        for index, tensor in enumerate(opened.indices):
            values = interpreter.get_tensor(tensor)
            found.append((values.min(), values.max()))
            if opened.counts.size:
                start = opened.pictures
                opened.counts[start % 2, index] += count_values(np.atleast_1d(values), start=start)
        opened.pictures += 1
        limits.append(np.array(found, np.float32).T)
    return np.stack(limits)


def _quantize(
    data: bytes,
    *,
    recipe: str,
    io: str,
    ranges: dict[str, tuple[float, float]],
    float_layers: list[str],
    input_limits: tuple[float, float],
    output_limits: tuple[float, float],
) -> bytes:
    """Return the quantized file, with the versions that its operators require."""
    if ranges:
        model = unpack_model(data, where=WHERE)
        support_biases(model, ranges)
        data = pack_model(model)
    if recipe != "float32":
        quantizer = Quantizer(data, _make_recipe(recipe, float_layers))
        statistics = _make_statistics(data, ranges) if quantizer.need_calibration else None
        result = quantizer.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
        data = bytes(result.quantized_model)
    model = unpack_model(data, where=WHERE)
    set_input_type(model, io, input_limits)
    set_output_type(model, io, output_limits)
    correct_versions(model)
    return pack_model(model)


def _rank_layers(opened: OpenedFile, data: bytes, ranges: dict[str, tuple[float, float]]) -> list[str]:
    """Return the outputs of all layers, the one to which int8 adds the largest error first.

    The added error is the relative error of the output minus the largest one of the layer's inputs.
    """
    limits = ranges[opened.input], ranges[opened.output]
    model = _quantize(
        opened.data,
        recipe="int8",
        io="float32",
        ranges=ranges,
        float_layers=[],
        input_limits=limits[0],
        output_limits=limits[1],
    )
    quantized = _open_interpreter(model, threads=1)
    details = {detail["name"]: detail for detail in quantized.get_tensor_details()}
    compared = [pair for pair in zip(opened.names, opened.indices, strict=True) if pair[0] in details]
    errors, powers = dict.fromkeys(opened.names, 0.0), dict.fromkeys(opened.names, 1e-12)
    (detail,) = opened.interpreter.get_input_details()
    for picture in np.frombuffer(data, np.float32).reshape(-1, *detail["shape"]):
        for interpreter in (opened.interpreter, quantized):
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
            interpreter.invoke()
        for name, index in compared:
            values, found = opened.interpreter.get_tensor(index), details[name]
            scale, zero_point = found["quantization"]
            other = quantized.get_tensor(found["index"]).astype(np.float64)
            other = (other - zero_point) * scale if scale else other
            errors[name] += float(np.square(other - values).mean())
            powers[name] += float(np.square(values, dtype=np.float64).mean())
    shares = {name: errors[name] / powers[name] for name in opened.names}
    graph = unpack_model(opened.data, where=WHERE).subgraphs[0]
    names = [tensor.name.decode("utf-8", "replace") for tensor in graph.tensors]
    added: dict[str, float] = {}
    for operator in graph.operators:
        before = max((shares.get(names[index], 0.0) for index in operator.inputs if index >= 0), default=0.0)
        added |= {names[index]: shares.get(names[index], 0.0) - before for index in operator.outputs}
    return sorted(added, key=lambda name: -added[name])


def _make_recipe(recipe: str, float_layers: list[str]) -> Any:
    """Return the recipe of a quantization in the form of litert-quantizer."""
    manager = recipe_manager.RecipeManager()
    if recipe == "int8":
        manager.add_static_config(ANY_LAYER, ALL, activation_num_bits=8, weight_num_bits=8)
    elif recipe == "int16x8":
        manager.add_static_config(ANY_LAYER, ALL, activation_num_bits=16, weight_num_bits=8)
    elif recipe == "dynamic":
        _add_dynamic(manager)
    else:
        half = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        config = qtyping.OpQuantizationConfig(
            weight_tensor_config=half,
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
        manager.add_quantization_config(ANY_LAYER, ALL, config, AlgorithmName.FLOAT_CASTING)
    for layer in float_layers:
        # The recipe finds a layer by the name of its output, with a semicolon at its end.
        manager.add_quantization_config(f"^{re.escape(layer)};?$", ALL, None, AlgorithmName.NO_QUANTIZE)
    return manager.get_quantization_recipe()


def _add_dynamic(manager: Any) -> None:
    """Quantize the weights of the layers only.

    A dense layer gets one scale: with one for each channel, it needs FULLY_CONNECTED 12, which tflite-runtime
    2.14.0 lacks.
    """
    names = qtyping.TFLOperationName
    for operation in (names.CONV_2D, names.DEPTHWISE_CONV_2D, names.FULLY_CONNECTED):
        is_dense = operation is names.FULLY_CONNECTED
        granularity = (
            qtyping.QuantGranularity.TENSORWISE if is_dense else qtyping.QuantGranularity.CHANNELWISE
        )
        config = qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(
                num_bits=8, symmetric=True, granularity=granularity
            ),
            compute_precision=qtyping.ComputePrecision.INTEGER,
            min_weight_elements=LEAST_WEIGHTS,
        )
        manager.add_quantization_config(ANY_LAYER, operation, config)


def _make_statistics(data: bytes, ranges: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """Return the ranges in the form of litert-quantizer: arrays with as many dimensions as the tensor."""
    graph = unpack_model(data, where=WHERE).subgraphs[0]
    ranks = {
        tensor.name.decode("utf-8", "replace"): len(tensor.shape) if tensor.shape is not None else 0
        for tensor in graph.tensors
    }
    return {
        name: {
            "min": np.full((1,) * ranks[name], low, np.float32),
            "max": np.full((1,) * ranks[name], high, np.float32),
        }
        for name, (low, high) in ranges.items()
    }
