"""Read the configuration of a Keras model as a graph; nothing in it is executed.

Models inside the model are inlined, and layers that act only in training are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from converter.evidence_head import EVIDENCE_LAYER, METADATA_LAYER
from converter.sources.keras import vocabulary
from converter.sources.keras.calls import Reference, read_call, read_references
from converter.sources.keras.graph import (
    MALFORMED,
    Call,
    KerasGraph,
    KerasLayer,
    Record,
    malformed_error,
    network_error,
)
from converter.sources.keras.layer_kinds import find_kind, name_of

MAX_CALLS, MAX_NESTING = 3_000, 12
IGNORED_OPTIONS = ("training", "mask", "name", "data_format", "dtype")


def read_graph(config: Record, *, where: Path, keras_version: str) -> KerasGraph:
    """Return the graph of a model's configuration; an InputError names what is not supported."""
    reader = _Reader(where)
    try:
        if find_kind(config, where) not in vocabulary.MODELS:
            raise network_error(
                where, f"the model is a {config.get('class_name')!r}, not Sequential or Functional"
            )
        pixels = reader.add(
            KerasLayer(
                kind=vocabulary.INPUT,
                name=vocabulary.PIXELS,
                options={},
                route=(),
                stored=(),
                is_trainable=False,
            ),
            (),
        )
        shape = _find_shape(config)
        last = reader.inline(config, pixels, route=(), stored=(), is_trainable=True)
    except MALFORMED as error:
        raise malformed_error(where, error) from error
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


class _Reader:
    """Collects the calls of a model and of the models inside it."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.calls: list[Call] = []
        self.layers: dict[tuple[str, ...], KerasLayer] = {}  # by route
        self.left_out: list[str] = []
        # Names of the flat network, among them those of layers that it may be given later.
        self._names = {vocabulary.PIXELS, EVIDENCE_LAYER, METADATA_LAYER}
        self._read = 0  # calls in the file, also those that add nothing

    def add(self, layer: KerasLayer, operands: tuple[Any, ...], options: Record | None = None) -> int:
        """Add a call and return its number."""
        self.calls.append(Call(layer=layer, operands=operands, options=options or {}))
        return len(self.calls) - 1

    def inline(
        self,
        model: Record,
        input_call: int,
        *,
        route: tuple[str, ...],
        stored: tuple[str, ...],
        is_trainable: bool,
    ) -> int:
        """Add the calls of a model that reads the output of a call; return the number of its last call."""
        if len(route) > MAX_NESTING:
            raise network_error(
                self.where, f"contains models in models, deeper than {MAX_NESTING}", code="network-too-large"
            )
        config = model["config"]
        entries = config["layers"] if isinstance(config, Mapping) else config
        # Keras stores the n-th layer of a class under class_n.
        counts: Counter[str] = Counter()
        stored_names = {}
        for number, entry in enumerate(entries):
            # DepthwiseConv2D → depthwise_conv2d
            base = re.sub(r"\W+", "", str(entry["class_name"]).rpartition(">")[2])
            base = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", base)
            base = re.sub(r"([a-z])([A-Z])", r"\1_\2", base).lower()
            stored_names[number] = base if counts[base] == 0 else f"{base}_{counts[base]}"
            counts[base] += 1
        numbered = [(entry, route, (*stored, stored_names[number])) for number, entry in enumerate(entries)]
        if find_kind(model, self.where) != "Sequential":
            return self._inline_network(config, numbered, input_call, is_trainable=is_trainable)
        tensor = input_call
        for entry, own_route, own_stored in numbered:
            if find_kind(entry, self.where) != vocabulary.INPUT:
                tensor = self._call(entry, (tensor,), {}, own_route, own_stored, is_trainable=is_trainable)
        return tensor

    def _inline_network(
        self, config: Record, numbered: list[Any], input_call: int, *, is_trainable: bool
    ) -> int:
        (first,), (last,) = (read_references(config[key]) for key in ("input_layers", "output_layers"))
        outputs: dict[Reference, int] = {}
        names: set[str] = set()
        waiting = []
        for entry, route, stored in numbered:
            kind, name = find_kind(entry, self.where), str(entry.get("name") or entry["config"]["name"])
            if name in names:
                raise ValueError(f"two layers are called {name!r}")
            names.add(name)
            if kind == vocabulary.INPUT:
                if name != first[0]:
                    raise network_error(self.where, "the model has more than one input")
                outputs[name, 0, 0] = input_call
                continue
            for number, call in enumerate(entry.get("inbound_nodes") or ()):
                # Keras 2 counts the creation of a model as its first call.
                is_counted = kind in vocabulary.MODELS and not isinstance(call, Mapping)
                waiting.append((entry, (name, number + is_counted, 0), read_call(call), route, stored))
        # Each pass adds the calls whose operands are there; most files list them in this order.
        self._check_count(len(waiting))
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
                raise network_error(self.where, what, code="invalid-model-file")
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
        # Models that call each other several times multiply the calls, even those that add nothing.
        self._read += 1
        self._check_count(self._read)
        kind, name = find_kind(entry, self.where), name_of(entry)
        if options.get("training") is True:
            what = f"layer {name!r} is always in training mode (called with training=True)"
            raise network_error(self.where, what, code="unsupported-layer")
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

    def _check_count(self, calls: int) -> None:
        if calls > MAX_CALLS:
            what = f"contains more than {MAX_CALLS} calls of layers"
            raise network_error(self.where, what, code="network-too-large")

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
            raise network_error(self.where, f"layer {name!r} is quantized already", code="unsupported-layer")
        try:
            options = vocabulary.list_options(kind, config)
        except ValueError as error:
            raise network_error(self.where, f"layer {name!r}: {error}", code="unsupported-layer") from error
        # The name in the flat network is that of the layer, if it is the only one.
        clean = [re.sub(r"[^A-Za-z0-9_]", "_", part) for part in route]
        names = ["_".join(clean[-parts:]) for parts in range(1, len(clean) + 1)]
        candidates = chain(names, (f"{names[-1]}_{number}" for number in count(2)))
        prefixed = ("l" + one if not one[:1].isalnum() else one for one in candidates)
        unique = next(one for one in prefixed if one not in self._names)
        self._names.add(unique)
        layer = KerasLayer(
            kind=kind,
            name=unique,
            options=options,
            route=route,
            stored=stored,
            is_trainable=is_trainable,
        )
        self.layers[route] = layer
        return layer


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
