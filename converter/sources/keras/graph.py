"""Read the configuration of a Keras model as a flat list of calls; nothing in it is executed.

Models inside the model are inlined, and layers that act only in training are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.sources.keras import vocabulary
from converter.sources.keras.calls import Reference, read_call, read_references
from dermpack.errors import InputError

MAX_CALLS, MAX_NESTING = 3_000, 12
FUNCTION_LAYERS = ("TFOpLambda", "SlicingOpLambda")  # of Keras 2, for functions of TensorFlow
IGNORED_OPTIONS = ("training", "mask", "name", "data_format", "dtype")
OWN_MODULES = re.compile(r"(keras|tf_keras|keras_core|tensorflow\.(python\.)?keras)(\.|\Z)")
OPERATIONS_MODULE = re.compile(r"keras(\.src)?\.ops(\.|\Z)")
HINT = (
    "Give a classifier that consists of the layers listed in docs/bring-your-own-model.md, or convert it to "
    "a float .tflite first."
)
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KerasLayer:
    """A layer; several calls may share it."""

    kind: str
    name: str  # unique in the flat network
    options: Record
    route: tuple[str, ...]  # its name, after the names of the models that contain it
    stored: tuple[str, ...]  # the same with the names in a .keras file, which are made from the classes
    is_trainable: bool  # decides the order of variables in an .h5 file


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """One use of a layer: its operands are numbers of earlier calls, or constants."""

    layer: KerasLayer
    operands: tuple[int | NDArray[np.float64], ...]
    options: Record = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[int, ...]:
        """The numbers of the calls whose outputs it reads."""
        return tuple(operand for operand in self.operands if isinstance(operand, int))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KerasGraph:
    """A classifier as calls in the order of computation; call 0 is the pixels, the last one the answer."""

    calls: tuple[Call, ...]
    layers: tuple[KerasLayer, ...]  # in the order of the file
    shape: tuple[int | None, int | None, int | None]  # height, width and channels of the picture
    left_out: tuple[str, ...]  # the layers that act only in training
    is_keras3: bool


def refuse(where: Path, what: str, *, code: str = "unsupported-network", hint: str = HINT) -> InputError:
    """Return the error for a file that contains something unsupported."""
    return InputError(where, what, hint, code=code)


def read_graph(config: Record, *, where: Path, keras_version: str) -> KerasGraph:
    """Return the graph of a model's configuration; an InputError names what is not supported."""
    reader = _Reader(where)
    try:
        if _kind_of(config, where) not in vocabulary.MODELS:
            raise refuse(where, f"the model is a {config.get('class_name')!r}, not Sequential or Functional")
        pixels = reader.add(
            KerasLayer(
                kind=vocabulary.INPUT, name="pixels", options={}, route=(), stored=(), is_trainable=False
            ),
            (),
        )
        shape = _find_shape(config)
        last = reader.inline(config, pixels, route=(), stored=(), is_trainable=True)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"the configuration of the model is malformed ({type(error).__name__}: {error})"
        raise refuse(where, what, code="invalid-model-file") from error
    # Layers that the answer does not depend on, such as a second head, are dropped.
    calls = _keep_needed(reader.calls, last)
    is_keras3 = keras_version.startswith("3") or (not keras_version and "module" in config)
    return KerasGraph(
        calls=calls,
        layers=tuple(reader.layers.values()),
        shape=shape,
        left_out=tuple(dict.fromkeys(reader.left_out)),
        is_keras3=is_keras3,
    )


def _keep_needed(calls: Sequence[Call], last: int) -> tuple[Call, ...]:
    """Return the pixels and the calls that the last one depends on, with their new numbers."""
    needed, waiting = {0, last}, [last]
    while waiting:
        for number in calls[waiting.pop()].inputs:
            if number not in needed:
                needed.add(number)
                waiting.append(number)
    numbers = {old: new for new, old in enumerate(sorted(needed))}
    return tuple(
        Call(
            layer=calls[old].layer,
            operands=tuple(numbers[one] if isinstance(one, int) else one for one in calls[old].operands),
            options=calls[old].options,
        )
        for old in numbers
    )


def _find_shape(config: Record) -> tuple[int | None, int | None, int | None]:
    """Return height, width and channels as the first layer of the outermost models declares them."""
    while True:
        inner = config["config"]
        layers = inner["layers"] if isinstance(inner, Mapping) else inner
        first, options = layers[0], layers[0]["config"]
        options = options if isinstance(options, Mapping) else {}
        own = inner if isinstance(inner, Mapping) else {}
        shape = options.get("batch_shape") or options.get("batch_input_shape") or own.get("build_input_shape")
        if shape or first["class_name"] not in vocabulary.MODELS:
            break
        config = first
    sides = list(shape or [None] * 4)
    if len(sides) != 4 or not all(side is None or isinstance(side, int) for side in sides):
        raise ValueError(f"input shape {shape!r}")
    return sides[1], sides[2], sides[3]


def _kind_of(entry: Record, where: Path) -> str:
    """Return the kind of a layer, or raise InputError if it is not one of Keras's own supported ones."""
    class_name, module = entry["class_name"], entry.get("module") or "keras"
    registered = str(entry.get("registered_name") or "")
    package, _, bare = str(class_name).rpartition(">")
    name = f"layer {_name_of(entry)!r}"
    # The name of a class proves nothing: a custom layer may be called Conv2D.
    is_own = OWN_MODULES.match(str(module)) and package in ("", "Keras", "keras", "tf_keras")
    if not is_own or (">" in registered and not registered.lower().startswith(("keras", "tf_keras"))):
        what = f"{name} is of the custom class {str(class_name)!r}, whose code dermpack never runs"
        raise refuse(where, what, code="unsupported-layer")
    # Keras 3 names the module of an operation in .keras files only.
    is_operation = bool(OPERATIONS_MODULE.match(str(module))) or bare in FUNCTION_LAYERS
    function = str(entry["config"]["function"]) if bare in FUNCTION_LAYERS else bare
    if is_operation or bare not in vocabulary.LAYERS:
        if function in vocabulary.OPERATIONS:
            return vocabulary.OPERATIONS[function]
        if function in vocabulary.FUNCTIONS:
            return "Activation"
    if bare == "Lambda":
        what = f"{name} contains code (Lambda), which dermpack never runs"
        raise refuse(where, what, code="unsupported-layer")
    if is_operation:
        what = f"{name} computes {function!r}, which is not supported"
        raise refuse(where, what, code="unsupported-layer")
    kind = vocabulary.OTHER_NAMES.get(bare, bare)
    known = (*vocabulary.MODELS, vocabulary.INPUT, *vocabulary.LAYERS, *vocabulary.TRAINING_ONLY)
    if kind not in known:
        raise refuse(where, f"{name} is a {bare!r}, which is not supported", code="unsupported-layer")
    return kind


def _name_of(entry: Record) -> str:
    config = entry.get("config")
    name = entry.get("name") or (config.get("name") if isinstance(config, Mapping) else None)
    return str(name or entry["class_name"])[:100]


def _snake_case(name: str) -> str:
    """Return the name of a class as Keras stores it: DepthwiseConv2D → depthwise_conv2d."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


class _Reader:
    """Collects the calls of a model and of the models inside it."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.calls: list[Call] = []
        self.layers: dict[tuple[str, ...], KerasLayer] = {}  # by route
        self.left_out: list[str] = []
        self._names: set[str] = set()

    def add(self, layer: KerasLayer, operands: tuple[Any, ...], options: Record | None = None) -> int:
        """Add a call and return its number."""
        if len(self.calls) >= MAX_CALLS:
            raise refuse(
                self.where, f"contains more than {MAX_CALLS} calls of layers", code="network-too-large"
            )
        self.calls.append(Call(layer=layer, operands=operands, options=options or {}))
        return len(self.calls) - 1

    def inline(
        self,
        model: Record,
        entrance: int,
        *,
        route: tuple[str, ...],
        stored: tuple[str, ...],
        is_trainable: bool,
    ) -> int:
        """Add the calls of a model that reads the output of a call; return the number of its last call."""
        if len(route) > MAX_NESTING:
            raise refuse(
                self.where, f"contains models in models, deeper than {MAX_NESTING}", code="network-too-large"
            )
        config = model["config"]
        entries = config["layers"] if isinstance(config, Mapping) else config
        # Keras stores the n-th layer of a class under class_n.
        counts: Counter[str] = Counter()
        stored_names = {}
        for number, entry in enumerate(entries):
            base = _snake_case(str(entry["class_name"]).rpartition(">")[2])
            stored_names[number] = base if counts[base] == 0 else f"{base}_{counts[base]}"
            counts[base] += 1
        is_sequential = _kind_of(model, self.where) == "Sequential"
        numbered = [(entry, route, (*stored, stored_names[number])) for number, entry in enumerate(entries)]
        if is_sequential:
            return self._inline_chain(numbered, entrance, is_trainable=is_trainable)
        return self._inline_network(config, numbered, entrance, is_trainable=is_trainable)

    def _inline_chain(self, numbered: list[Any], entrance: int, *, is_trainable: bool) -> int:
        tensor = entrance
        for entry, route, stored in numbered:
            if _kind_of(entry, self.where) != vocabulary.INPUT:
                tensor = self._call(entry, (tensor,), {}, route, stored, is_trainable=is_trainable)
        return tensor

    def _inline_network(
        self, config: Record, numbered: list[Any], entrance: int, *, is_trainable: bool
    ) -> int:
        (first,), (last,) = (read_references(config[key]) for key in ("input_layers", "output_layers"))
        outputs: dict[Reference, int] = {}
        names: set[str] = set()
        waiting = []
        for entry, route, stored in numbered:
            kind, name = _kind_of(entry, self.where), str(entry.get("name") or entry["config"]["name"])
            if name in names:
                raise ValueError(f"two layers are called {name!r}")
            names.add(name)
            if kind == vocabulary.INPUT:
                if name != first[0]:
                    raise refuse(self.where, "the model has more than one input")
                outputs[name, 0, 0] = entrance
                continue
            for number, call in enumerate(entry.get("inbound_nodes") or ()):
                # Keras 2 counts the creation of a model as its first call.
                is_counted = kind in vocabulary.MODELS and not isinstance(call, Mapping)
                waiting.append((entry, (name, number + is_counted, 0), read_call(call), route, stored))
        # Each pass adds the calls whose operands are there; most files list them in this order.
        while waiting:
            left = []
            for entry, reference, (operands, options), route, stored in waiting:
                if any(isinstance(one, tuple) and one not in outputs for one in operands):
                    left.append((entry, reference, (operands, options), route, stored))
                    continue
                resolved = tuple(outputs[one] if isinstance(one, tuple) else one for one in operands)
                outputs[reference] = self._call(
                    entry, resolved, options, route, stored, is_trainable=is_trainable
                )
            if len(left) == len(waiting):
                cycle = ", ".join(sorted({item[1][0] for item in left})[:3])
                what = f"layers form a cycle, or read what does not exist ({cycle})"
                raise refuse(self.where, what, code="invalid-model-file")
            waiting = left
        return outputs[last]

    def _call(
        self,
        entry: Record,
        operands: tuple[Any, ...],
        options: Record,
        route: tuple[str, ...],
        stored: tuple[str, ...],
        *,
        is_trainable: bool,
    ) -> int:
        """Add a call of a layer or of a model, and return the number of its last call."""
        kind, name = _kind_of(entry, self.where), _name_of(entry)
        if options.get("training") is True:
            what = f"layer {name!r} is always in training mode (called with training=True)"
            raise refuse(self.where, what, code="unsupported-layer")
        if kind in vocabulary.TRAINING_ONLY:
            self.left_out.append(name)
            (tensor,) = operands
            return int(tensor)
        config = entry["config"]
        is_trainable = is_trainable and (
            not isinstance(config, Mapping) or config.get("trainable") is not False
        )
        if kind in vocabulary.MODELS:
            (tensor,) = operands
            return self.inline(entry, tensor, route=(*route, name), stored=stored, is_trainable=is_trainable)
        others = {
            key: value for key, value in options.items() if key not in IGNORED_OPTIONS and value is not None
        }
        layer = self._find_layer(entry, kind, (*route, name), stored, is_trainable=is_trainable)
        return self.add(layer, operands, others)

    def _find_layer(
        self, entry: Record, kind: str, route: tuple[str, ...], stored: tuple[str, ...], *, is_trainable: bool
    ) -> KerasLayer:
        """Return the layer of a route, which is the same one for all of its calls."""
        if route in self.layers:
            return self.layers[route]
        config, name = dict(entry["config"]), route[-1]
        function = str(config.get("function", entry["class_name"]))
        if function in vocabulary.FUNCTIONS or function in vocabulary.OPERATIONS:
            config = {"activation": vocabulary.FUNCTIONS[function]} if kind == "Activation" else {}
        if "quantized" in str(config.get("dtype")) or config.get("quantization_config"):
            raise refuse(self.where, f"layer {name!r} is quantized already", code="unsupported-layer")
        try:
            options = vocabulary.list_options(kind, config)
        except ValueError as error:
            raise refuse(self.where, f"layer {name!r}: {error}", code="unsupported-layer") from error
        layer = KerasLayer(
            kind=kind,
            name=self._unique(route),
            options=options,
            route=route,
            stored=stored,
            is_trainable=is_trainable,
        )
        self.layers[route] = layer
        return layer

    def _unique(self, route: tuple[str, ...]) -> str:
        """Return a name for the flat network: that of the layer, if it is the only one."""
        clean = [re.sub(r"[^A-Za-z0-9_]", "_", part) for part in route]
        candidates = ["_".join(clean[-count:]) for count in range(1, len(clean) + 1)]
        candidates += [f"{candidates[-1]}_{number}" for number in range(2, MAX_CALLS + 3)]
        name = next(
            one
            for one in ("l" + one if not one[:1].isalnum() else one for one in candidates)
            if one not in self._names and one != "pixels"
        )
        self._names.add(name)
        return name
