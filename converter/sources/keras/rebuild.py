"""Build the network of a Keras file again: one flat functional tf_keras model with the file's variables.

It takes pixels in the scale that the normalization declares, and returns softmax probabilities, whatever the
file returns: a softmax is added to logits, and a sigmoid becomes the softmax of (0, logit).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray

from converter._private import Keras
from converter.sources.keras.graph import Call, KerasGraph, KerasLayer, network_error
from converter.sources.keras.normalization import ChannelMap, InputNormalization
from converter.sources.keras.variable_shapes import VARIABLE_SHAPES
from converter.sources.keras.vocabulary import ACTIVATIONS, LAYERS, PIXELS
from converter.sources.keras.weights import VariableFinder
from dermpack.errors import InputError
from trainer.api import STATEFUL_RANDOM

MAX_VALUES = 1 << 26  # of a feature map
MAX_OPTION = 1 << 16  # a kernel, padding or count of units: larger ones exhaust the memory
CHANNEL_MAP = "input_map"  # a fixed 1×1 convolution from the pixels to what the file's layers take
SHAPE_ONLY = ("Flatten", "Reshape", "Dropout", "GlobalAveragePooling2D")  # keep softmax values recognizable
ONE_LABEL_HINT = "A classifier has a softmax over its labels, or one sigmoid for two labels."
MERGING = ("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average", "Concatenate")
SEPARATE = ("relu6", "hard_swish", "hard_sigmoid")  # activations that become layers of their own
Array = NDArray[np.float32]
L = tf_keras.layers


class HeadKind(Enum):
    """What the file's last layer returns."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    LOGITS = "logits"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RebuiltNetwork:
    """The network, and what the original returns, with which its answers can be compared."""

    model: Keras
    head: HeadKind
    outputs: int  # numbers that the original returns for a picture


def rebuild(
    graph: KerasGraph, finder: VariableFinder, normalization: InputNormalization, *, size: int, where: Path
) -> RebuiltNetwork:
    """Return the network; an InputError names the layer that cannot be built."""
    names = {call.layer.name for call in graph.calls}
    builder = _Builder(finder, where, names, is_keras3=graph.is_keras3)
    pixels = tf_keras.Input((size, size, 3), name=PIXELS)
    tensors: dict[int, Keras] = {}
    # 1. The tensors at which the network begins: the pixels, or a fixed convolution of them.
    for number, (entry, entry_map) in enumerate(normalization.entry_maps.items()):
        tensors[entry] = pixels if entry_map is None else builder.add_map(pixels, entry_map, number)
    # 2. Every call up to the logits; calls that only prepare the pixels are part of the normalization.
    head, logits = _find_head(graph, where)
    for number, call in enumerate(graph.calls[: logits + 1]):
        if number in tensors or not any(one in tensors for one in call.inputs):
            continue
        # The layer of the logits gets its activation back below.
        is_last = number == logits
        tensors[number] = builder.build(
            call,
            [tensors.get(one) if isinstance(one, int) else one for one in call.operands],
            is_linear=is_last,
        )
        if is_last and call.layer.kind == "Dense":
            break
    # 3. One answer for each label, as probabilities.
    if logits not in tensors:
        raise network_error(where, "the answer does not depend on the picture")
    units = tensors[logits].shape[1:]
    if len(units) != 1:
        raise network_error(
            where, f"the model returns {list(units)} values, not one for each label", hint=ONE_LABEL_HINT
        )
    if head is HeadKind.SIGMOID and units[0] != 1:
        what = f"the model returns {units[0]} independent sigmoids (several labels for a picture)"
        raise network_error(where, what, hint=ONE_LABEL_HINT)
    answer = builder.add_softmax(graph.calls[logits], tensors, logits)
    model = tf_keras.Model(pixels, answer, name="network")
    builder.set_weights()
    return RebuiltNetwork(model=model, head=head, outputs=int(units[0]))


def _find_head(graph: KerasGraph, where: Path) -> tuple[HeadKind, int]:
    """Return what the last layer returns, and the number of the call that computes the logits."""
    last = len(graph.calls) - 1
    number = last
    while (
        graph.calls[number].layer.kind in ("Dropout", "Activation") and _activation(graph, number) == "linear"
    ):
        number = graph.calls[number].inputs[0]
    kind, activation = graph.calls[number].layer.kind, _activation(graph, number)
    if activation in ("softmax", "sigmoid"):
        if kind == "Softmax" and graph.calls[number].layer.options["axis"] not in (-1, 1, [-1], [1]):
            raise network_error(where, "the softmax is not over the labels")
        is_alone = kind in ("Activation", "Softmax")
        return HeadKind(activation), graph.calls[number].inputs[0] if is_alone else number
    if activation != "linear":
        what = f"the last layer has the activation {activation!r}, not softmax, sigmoid or none"
        raise network_error(where, what, hint=ONE_LABEL_HINT)
    # A softmax whose shape is changed afterwards would be taken for logits.
    before = number
    while before and graph.calls[before].layer.kind in SHAPE_ONLY:
        before = graph.calls[before].inputs[0]
    if _activation(graph, before) in ("softmax", "sigmoid"):
        raise network_error(where, "the softmax or sigmoid is not the last operation")
    return HeadKind.LOGITS, number


def _activation(graph: KerasGraph, number: int) -> str:
    layer = graph.calls[number].layer
    if layer.kind == "Softmax":
        return "softmax"
    return _activation_name(layer.options.get("activation")) or "linear"


def _activation_name(value: Any) -> str:
    """Return the name of an activation, which Keras writes as text or as a record."""
    if isinstance(value, Mapping):
        config = value.get("config")
        value = config if isinstance(config, str) else value.get("class_name")
    return str(value) if value is not None else ""


class _Builder:
    """Creates layers, once for all of their calls, and remembers their variables."""

    def __init__(self, finder: VariableFinder, where: Path, names: set[str], *, is_keras3: bool) -> None:
        self._finder, self._where, self._is_keras3 = finder, where, is_keras3
        self._layers: dict[KerasLayer, Keras] = {}
        self._pairs: dict[KerasLayer, tuple[Keras, Keras]] = {}  # of separable convolutions
        self._uses: Counter[str] = Counter()  # of the names in the file
        self._taken = names  # those of the file, and those of layers that only this network has
        self._weights: list[tuple[Keras, Sequence[Array]]] = []

    def set_weights(self) -> None:
        """Set the variables of all layers, which exist once the model is complete."""
        for layer, arrays in self._weights:
            layer.set_weights(arrays)

    def add_map(self, pixels: Keras, mapped: ChannelMap, number: int) -> Keras:
        """Return matrix · pixel + offset, computed by a convolution that never trains."""
        name = self._unused(f"{CHANNEL_MAP}_{number}" if number else CHANNEL_MAP)
        layer = L.Conv2D(len(mapped.offset), 1, name=name, trainable=False)
        tensor = layer(pixels)
        self._weights.append(
            (layer, [mapped.matrix.T[None, None].astype(np.float32), mapped.offset.astype(np.float32)])
        )
        return tensor

    def add_softmax(self, call: Call, tensors: Mapping[int, Keras], number: int) -> Keras:
        """Return the probabilities of the logits that the call computes."""
        logits = tensors[number]
        units, layer = int(logits.shape[-1]), call.layer
        if layer.kind == "Dense":
            # The dense layer computes the softmax itself, as in the networks that dermpack trains.
            weights = self._arrays(layer, tensors[call.inputs[0]])
            kernel, *bias = weights
            if units == 1:
                kernel, bias = (
                    np.concatenate([np.zeros_like(kernel), kernel], 1),
                    [np.asarray([0, *one], np.float32) for one in bias],
                )
            # It replaces the layer that computes the logits, unless earlier calls share that layer.
            is_shared = self._uses[layer.name] > 1
            name = self._unused(layer.name) if is_shared else layer.name
            dense = L.Dense(
                max(units, 2), activation="softmax", use_bias=bool(bias), dtype="float32", name=name
            )
            answer = dense(tensors[call.inputs[0]])
            if not is_shared:
                self._weights = [entry for entry in self._weights if entry[0] is not self._layers[layer]]
            self._weights.append((dense, [kernel, *bias]))
            return answer
        if units == 1:
            name = self._unused("predictions")
            pair = L.Dense(2, activation="softmax", use_bias=False, dtype="float32", name=name)
            self._weights.append((pair, [np.asarray([[0, 1]], np.float32)]))
            return pair(logits)
        return L.Activation("softmax", dtype="float32", name=self._unused("predictions"))(logits)

    def _name_call(self, name: str) -> str:
        """Return a name for a layer without variables, which is created again for each of its calls."""
        self._uses[name] += 1
        return name if self._uses[name] == 1 else self._unused(f"{name}_call_{self._uses[name]}")

    def _unused(self, name: str) -> str:
        """Return a name that no layer of the file has, nor another one: "predictions" → "predictions_"."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def build(self, call: Call, operands: list[Any], *, is_linear: bool) -> Keras:
        """Return the output of a call."""
        layer = call.layer
        if not LAYERS[layer.kind].is_public:
            what = f"layer {layer.name!r} ({layer.kind}) is supported only where it prepares the pixels"
            raise self._build_error(what)
        try:
            tensor = self._call(layer, operands, is_linear=is_linear)
        except (ValueError, TypeError, LookupError, OverflowError, ArithmeticError, AttributeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            what = f"layer {layer.name!r} ({layer.kind}) cannot be built: {reason}"
            raise self._build_error(what) from error
        if prod(side or 1 for side in tensor.shape) > MAX_VALUES:
            what = f"layer {layer.name!r} computes {list(tensor.shape)} values, more than {MAX_VALUES}"
            raise network_error(self._where, what, code="network-too-large")
        return tensor

    def _call(self, layer: KerasLayer, operands: list[Any], *, is_linear: bool) -> Keras:
        options = layer.options
        tensors = [one for one in operands if one is not None and not isinstance(one, np.ndarray)]
        if len(tensors) < len(operands):
            return self._with_constant(layer, operands)
        _check_numbers(options)
        if layer.kind in MERGING:
            merge = {"axis": options["axis"]} if layer.kind == "Concatenate" else {}
            return getattr(L, layer.kind)(name=self._name_call(layer.name), **merge)(tensors)
        (tensor,) = tensors
        activation = "linear" if is_linear else _activation_name(options.get("activation")) or "linear"
        if activation not in ACTIVATIONS:
            raise ValueError(f"the activation {activation!r} is not supported")
        activation = ACTIVATIONS[activation]
        if layer.kind == "Activation":
            return self._activate(tensor, activation, self._name_call(layer.name))
        if layer.kind == "SeparableConv2D":
            return self._activate(self._separable(layer, tensor), activation, self._name_call(layer.name))
        is_separate = activation in SEPARATE
        self._uses[layer.name] += 1
        if layer not in self._layers:
            arrays = self._arrays(layer, tensor)
            self._layers[layer] = _make_layer(layer, "linear" if is_separate else activation)
            if arrays:
                self._weights.append((self._layers[layer], arrays))
        answer = self._layers[layer](tensor)
        if not is_separate:
            return answer
        return self._activate(answer, activation, self._unused(f"{layer.name}_activation"))

    def _separable(self, layer: KerasLayer, tensor: Keras) -> Keras:
        """Return a depthwise and a pointwise convolution, which quantization-aware training supports."""
        options = layer.options
        if layer not in self._pairs:
            names = [self._unused(f"{layer.name}_{part}") for part in ("depthwise", "pointwise")]
            depthwise, *others = self._arrays(layer, tensor)
            spatial = {
                key: options[key] for key in ("strides", "padding", "dilation_rate", "depth_multiplier")
            }
            first = L.DepthwiseConv2D(options["kernel_size"], use_bias=False, name=names[0], **spatial)
            second = L.Conv2D(options["filters"], 1, use_bias=options["use_bias"], name=names[1])
            self._pairs[layer] = first, second
            self._weights += [(first, [depthwise]), (second, others)]
        first, second = self._pairs[layer]
        return second(first(tensor))

    def _activate(self, tensor: Keras, activation: str, name: str) -> Keras:
        """Return the activation of a tensor, computed by layers of its own."""
        if activation == "linear":
            return tensor
        if activation == "relu6":
            return L.ReLU(6.0, name=name)(tensor)
        if activation not in ("hard_sigmoid", "hard_swish"):
            return L.Activation(activation, name=name)(tensor)
        if activation == "hard_sigmoid" and not self._is_keras3:
            return L.Activation(activation, name=name)(tensor)
        # Keras 3 defines it as relu6(x + 3) / 6, Keras 2 as a line with another slope.
        shift_name, clip_name = (self._unused(f"{name}_{part}") for part in ("shift", "relu6"))
        shifted = L.ReLU(6.0, name=clip_name)(L.Rescaling(1.0, 3.0, name=shift_name)(tensor))
        gate_name = name if activation == "hard_sigmoid" else self._unused(f"{name}_gate")
        gate = L.Rescaling(1 / 6, name=gate_name)(shifted)
        return L.Multiply(name=name)([tensor, gate]) if activation == "hard_swish" else gate

    def _with_constant(self, layer: KerasLayer, operands: list[Any]) -> Keras:
        """Return the sum or the product of a tensor and a number."""
        first, second = operands if len(operands) == 2 else (None, None)
        if first is None or second is None or isinstance(first, np.ndarray) or second.size != 1:
            raise ValueError("a constant at this place is not supported")
        number = float(second.reshape(()))
        scale, offset = {"Add": (1.0, number), "Subtract": (1.0, -number), "Multiply": (number, 0.0)}[
            layer.kind
        ]
        return L.Rescaling(scale, offset, name=self._name_call(layer.name))(first)

    def _arrays(self, layer: KerasLayer, tensor: Keras) -> Sequence[Array]:
        """Return the variables of a layer after checking that its options fit them."""
        if not LAYERS[layer.kind].variables:
            return []
        shapes = VARIABLE_SHAPES[layer.kind](layer.options, tuple(tensor.shape))
        return self._finder.find(layer, shapes)

    def _build_error(self, what: str) -> InputError:
        return network_error(self._where, what, code="unsupported-layer")


def _check_numbers(value: Any) -> None:
    """Raise ValueError for a number that only a hostile file contains."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            _check_numbers(part)
    elif isinstance(value, int | float) and not abs(value) <= MAX_OPTION:
        raise ValueError(f"the number {value} is too large")


def _make_layer(layer: KerasLayer, activation: str) -> Keras:
    """Return a layer of tf_keras with the options of the file."""
    options = {key: value for key, value in layer.options.items() if key != "activation"}
    if "activation" in layer.options:
        options["activation"] = activation
    match layer.kind:
        case "BatchNormalization":
            options["axis"] = -1
        case "LeakyReLU":
            slopes = [options[key] for key in ("alpha", "negative_slope") if options[key] is not None]
            options = {"alpha": slopes[0] if slopes else 0.3}
        case "Dropout":
            options |= STATEFUL_RANDOM
        case "Softmax":
            options["axis"] = -1
        case "Normalization":
            raise ValueError("a Normalization is supported only at the input")
        case "Rescaling":
            if not isinstance(options["scale"], int | float) or not isinstance(
                options["offset"], int | float
            ):
                raise ValueError("a scale for each channel is supported only at the input")
    return getattr(L, layer.kind)(name=layer.name, **options)
