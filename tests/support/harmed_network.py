"""Write runs with the function of another run, but with weights that int8 cannot represent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keras = Any
Array = NDArray[Any]
LARGE = 20_000.0  # times the largest weight of a kernel
DECADES = 3.0  # in each direction


def write_cancelling(run: Path, folder: Path) -> Path:
    """Harm one layer: the second convolution reads two equal channels with large weights that cancel."""
    model, read = _open_run(run)
    first, second = read.spec.filters
    wider = replace(read.spec, filters=(first + 1, second))
    layers = {layer.name: layer.get_weights() for layer in model.layers}
    for name in ("block_1_conv", "block_1_bn"):
        layers[name] = [np.concatenate([values, values[..., :1]], axis=-1) for values in layers[name]]
    (kernel,) = layers["block_2_conv"]
    draw = np.random.default_rng(0)
    large = LARGE * np.abs(kernel).max() * draw.uniform(-1, 1, kernel[:, :, :1].shape)
    parts = (kernel[:, :, :1] + large, kernel[:, :, 1:], -large)
    layers["block_2_conv"] = [np.concatenate(parts, axis=2)]
    return _write_harmed(replace(read, spec=wider), layers, folder)


def write_spread(run: Path, folder: Path) -> Path:
    """Harm all layers: channels of one tensor differ by powers of ten, and the weak ones matter."""
    model, read = _open_run(run)
    layers = {layer.name: layer.get_weights() for layer in model.layers}
    draw = np.random.default_rng(0)
    for norm, reader, axis in (("block_1_bn", "block_2_conv", 2), ("block_2_bn", "predictions", 0)):
        gamma, beta, mean, variance = layers[norm]
        factors = 10 ** np.asarray(draw.permutation(np.linspace(-DECADES, DECADES, len(gamma))))
        layers[norm] = [gamma * factors, beta * factors, mean, variance]
        kernel, *bias = layers[reader]
        shape = [-1 if index == axis else 1 for index in range(kernel.ndim)]
        layers[reader] = [kernel / factors.reshape(shape), *bias]
    return _write_harmed(read, layers, folder)


def _open_run(run: Path) -> tuple[Keras, Any]:
    from trainer.runs.run_folder import load_model, read_run

    read = read_run(run)
    return load_model(read), read


def _write_harmed(run: Any, layers: dict[str, list[Array]], folder: Path) -> Path:
    """Write a run folder with these weights; everything else is as in the other run."""
    from dermpack.storage.files import sha256_file
    from trainer.model.network import build_network
    from trainer.model.weights import save_weights
    from trainer.recipe.network_spec import Weights
    from trainer.runs.run_folder import write_run

    model = build_network(run.spec, weights=Weights.NONE, seed=0)
    for layer in model.layers:
        layer.set_weights(layers[layer.name])
    folder.mkdir()
    changed = replace(run, folder=folder)
    save_weights(model, changed.weights)
    write_run(replace(changed, weights_sha256=sha256_file(changed.weights)))
    return folder
