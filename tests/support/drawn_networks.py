"""Build a MobileNetV2 with random weights whose layers all contribute to the output."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE, LABELS = 96, 3


def drawn_network() -> Any:
    """Return MobileNetV2 0.35; batch normalisation scales every layer to a variance near 1."""
    from trainer.model.network import build_network
    from trainer.recipe.network_spec import Arch, NetworkSpec, Weights

    spec = NetworkSpec(arch=Arch.MOBILENET_V2, alpha=0.35, size=SIZE, classes=LABELS)
    model = build_network(spec, weights=Weights.NONE, seed=0)
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if hasattr(layer, "moving_variance"):
            _randomise(layer, generator)
    return model


def noise(count: int) -> NDArray[np.uint8]:
    """Return random pictures."""
    return np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def _randomise(layer: Any, generator: np.random.Generator) -> None:
    gamma, beta, mean, variance = layer.get_weights()
    drawn = generator.uniform(0.5, 1.5, gamma.shape)
    layer.set_weights([drawn, generator.normal(0, 0.3, beta.shape), mean, np.full_like(variance, 0.05)])
