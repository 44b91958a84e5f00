"""A MobileNetV2 whose weights are drawn, lively enough that every layer has something to say."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE, LABELS = 96, 3


def drawn_network() -> Any:
    """Batch normalisation brings every layer back to a variance of about 1."""
    from trainer.model.network import build
    from trainer.recipe.network_spec import Arch, NetworkSpec, Weights

    spec = NetworkSpec(arch=Arch.MOBILENET_V2, alpha=0.35, size=SIZE, classes=LABELS)
    model = build(spec, weights=Weights.NONE, seed=0)
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if hasattr(layer, "moving_variance"):
            _enliven(layer, generator)
    return model


def noise(count: int) -> NDArray[np.uint8]:
    """Pictures of nothing."""
    return np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def _enliven(layer: Any, generator: np.random.Generator) -> None:
    gamma, beta, mean, variance = layer.get_weights()
    drawn = generator.uniform(0.5, 1.5, gamma.shape)
    layer.set_weights([drawn, generator.normal(0, 0.3, beta.shape), mean, np.full_like(variance, 0.05)])
