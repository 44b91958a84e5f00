"""Find what a layer of a Keras configuration is; only Keras's own supported layers have a kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from converter.sources.keras import vocabulary
from converter.sources.keras.graph import Record, network_error

FUNCTION_LAYERS = ("TFOpLambda", "SlicingOpLambda")  # of Keras 2, for functions of TensorFlow
OWN_MODULES = re.compile(r"(keras|tf_keras|keras_core|tensorflow\.(python\.)?keras)(\.|\Z)")
OPERATIONS_MODULE = re.compile(r"keras(\.src)?\.ops(\.|\Z)")
MAX_NAME_LENGTH = 100


def find_kind(entry: Record, where: Path) -> str:
    """Return the kind of a layer, or raise InputError if it is not one of Keras's own supported ones."""
    class_name, module = entry["class_name"], entry.get("module") or "keras"
    registered = str(entry.get("registered_name") or "")
    package, _, bare = str(class_name).rpartition(">")
    name = f"layer {name_of(entry)!r}"
    # The name of a class proves nothing: a custom layer may be called Conv2D.
    is_own = OWN_MODULES.match(str(module)) and package in ("", "Keras", "keras", "tf_keras")
    if not is_own or (">" in registered and not registered.lower().startswith(("keras", "tf_keras"))):
        what = f"{name} is of the custom class {str(class_name)!r}, whose code dermpack never runs"
        raise network_error(where, what, code="unsupported-layer")
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
        raise network_error(where, what, code="unsupported-layer")
    if is_operation:
        what = f"{name} computes {function!r}, which is not supported"
        raise network_error(where, what, code="unsupported-layer")
    kind = vocabulary.OTHER_NAMES.get(bare, bare)
    known = (*vocabulary.MODELS, vocabulary.INPUT, *vocabulary.LAYERS, *vocabulary.TRAINING_ONLY)
    if kind not in known:
        raise network_error(where, f"{name} is a {bare!r}, which is not supported", code="unsupported-layer")
    return kind


def name_of(entry: Record) -> str:
    """Return the name of a layer, shortened; a layer without one is named for its class."""
    config = entry.get("config")
    name = entry.get("name") or (config.get("name") if isinstance(config, Mapping) else None)
    return str(name or entry["class_name"])[:MAX_NAME_LENGTH]
