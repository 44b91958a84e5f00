"""Give a network its first weights by a seed, not by the process's state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from trainer.model.backbones import INPUT_MAP

Keras = Any  # tf_keras ships no types


def initialise(model: Keras, *, seed: int) -> None:
    """Set every drawn weight anew; each depends on the seed and its layer's name alone."""
    for layer in model.layers:
        for initializer, variable in _drawn(layer):
            config = {**initializer.get_config(), "seed": _seed_of(layer.name, seed)}
            variable.assign(type(initializer).from_config(config)(variable.shape, dtype=variable.dtype))


def _drawn(layer: Keras) -> Iterator[tuple[Keras, Keras]]:
    if layer.name == INPUT_MAP:
        return
    if hasattr(layer, "depthwise_initializer"):
        yield layer.depthwise_initializer, layer.depthwise_kernel
    elif hasattr(layer, "kernel_initializer"):
        yield layer.kernel_initializer, layer.kernel


def _seed_of(name: str, seed: int) -> int:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1  # TensorFlow's seeds are signed
