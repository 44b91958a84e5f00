"""Put weights into a network that we built; take them out again.

load_backbone(backbone, path)   a Keras weights file (HDF5), by topology: the n-th layer with weights takes
                                the n-th of the file, and every shape must fit; no model is loaded from it
load_imagenet(backbone, spec)   Keras's own download
save_weights(model, path)       every weight of a network as a plain .npz: atomic, the same bytes each time
load_weights(model, path)       back into a network of the same architecture; names and shapes are checked
                                before the first weight is set
named_weights(model)            the same as a dict of arrays, "layer/weight" → values
set_named_weights(model, …)     and back

Any arrays beside them (an optimizer's state) go through `trainer.data.array_file` in the same format.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray

from dermpack.errors import InputError
from trainer.data.array_file import read_arrays, write_arrays
from trainer.model.backbones import IMAGENET_MEAN, IMAGENET_STD, INPUT_MAP, application
from trainer.model.keras_file import FileLayer, read_layers
from trainer.recipe.network_spec import Arch, NetworkSpec

Array = NDArray[Any]
Keras = Any  # tf_keras ships no types

NORMALIZATION = {"mean", "variance", "count"}  # of Keras's EfficientNet; here the input map does its work
PUBLISHED_SIZES = (96, 128, 160, 192, 224)  # of mobilenet_v2; each was trained apart
SILENCE_S = 20.0  # of a download, before it is given up: without it a dead network hangs for minutes
FILE_HINT = "Give the weights file for this --arch and --alpha."
RUN_HINT = "Give the weights of this network."


def load_backbone(backbone: Keras, path: Path) -> None:
    """Fill the backbone from a file; nothing is set before everything fits."""
    layers = [layer for layer in read_layers(path) if not _is_normalization(path, layer)]
    own = [layer for layer in backbone.layers if layer.weights and layer.name != INPUT_MAP]
    kept = layers[: len(own)] + [layer for layer in layers[len(own) :] if not _is_dense(layer)]
    for ours, theirs in zip(own, kept, strict=False):
        _check_layer(path, ours, theirs)
    _check_ends(path, own, kept)
    for ours, theirs in zip(own, kept, strict=True):
        ours.set_weights([weight.values for weight in theirs.weights])


def load_imagenet(backbone: Keras, spec: NetworkSpec) -> None:
    """Fill the backbone with what Keras downloads (into its own cache folder)."""
    if spec.arch is Arch.SCRATCH_CNN:
        what, hint = "not available for scratch_cnn", "Use --weights none."
        raise InputError("--weights imagenet", what, hint, code="option-not-applicable")
    tf_keras.utils.disable_interactive_logging()  # it prints its download on stdout, where results go
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_S)
    try:
        source = application(_as_published(spec), weights="imagenet")
    except Exception as error:  # Keras's get_file raises nothing narrower when a download fails
        what = f"cannot be downloaded ({error})"
        hint = "Connect to a network, or use a file (--weights FILE.h5) or --weights none."
        raise InputError("--weights imagenet", what, hint, code="download-failed") from error
    finally:
        socket.setdefaulttimeout(before)
    for layer in backbone.layers:
        if layer.weights and layer.name != INPUT_MAP:
            layer.set_weights(source.get_layer(layer.name).get_weights())


def _as_published(spec: NetworkSpec) -> NetworkSpec:
    """At the size that Keras takes weights of for ours: of mobilenet_v2 there are five, and else that of 224.

    Asked for another size it does the same, with a warning that nobody can follow.
    """
    is_published = spec.arch is not Arch.MOBILENET_V2 or spec.size in PUBLISHED_SIZES
    return spec if is_published else replace(spec, size=max(PUBLISHED_SIZES))


def save_weights(model: Keras, path: Path) -> None:
    write_arrays(path, named_weights(model))


def load_weights(model: Keras, path: Path) -> None:
    arrays = read_arrays(path)
    set_named_weights(model, arrays, where=path)


def named_weights(model: Keras) -> dict[str, Array]:
    """Each weight under its layer's name and its own: Conv1/kernel."""
    return {name: variable.numpy() for name, variable in _variables(model).items()}


def set_named_weights(model: Keras, arrays: Mapping[str, Array], *, where: object = "weights") -> None:
    """Set every weight, or, if one is missing, odd or left over, none."""
    variables = _variables(model)
    for name, variable in variables.items():
        _check_array(where, name, variable, arrays.get(name))
    if odd := sorted(set(arrays) - set(variables)):
        raise _mismatch(where, f"contains {odd[0]}, which is not a weight of the network", RUN_HINT)
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _mismatch(where: object, what: str, hint: str) -> InputError:
    return InputError(where, what, hint, code="weights-mismatch")


def _variables(model: Keras) -> dict[str, Keras]:
    named = {}
    for layer in model.layers:
        for variable in layer.weights:
            name = f"{layer.name}/{_leaf(variable)}"
            assert name not in named, name  # a flat model of known layers: no two of one name
            named[name] = variable
    return named


def _leaf(variable: Keras) -> str:
    name: str = variable.name
    return name.rsplit("/", 1)[-1].partition(":")[0]


def _check_array(where: object, name: str, variable: Keras, array: Array | None) -> None:
    if array is None:
        raise _mismatch(where, f"{name} is missing", RUN_HINT)
    shape, kind = tuple(variable.shape), variable.dtype.name
    if array.shape != shape:
        raise _mismatch(where, f"{name} has shape {_shape(array.shape)}, not {_shape(shape)}", RUN_HINT)
    if array.dtype.name != kind:
        raise _mismatch(where, f"{name} has type {array.dtype.name}, not {kind}", RUN_HINT)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _mismatch(where, f"{name} contains NaN or infinity", RUN_HINT)


def _check_ends(path: Path, own: list[Keras], kept: list[FileLayer]) -> None:
    """Both have run out together."""
    if len(kept) < len(own):
        raise _mismatch(path, f"ends before layer {own[len(kept)].name}", FILE_HINT)
    if len(kept) > len(own):
        raise _mismatch(path, f"layer {kept[len(own)].name} is not part of the network", FILE_HINT)


def _check_layer(path: Path, ours: Keras, theirs: FileLayer) -> None:
    """The pair at one place: the same weights, the same shapes."""
    wanted = [(_leaf(variable), tuple(variable.shape)) for variable in ours.weights]
    given = [(weight.name, weight.values.shape) for weight in theirs.weights]
    if wanted != given:
        what = f"layer {theirs.name} has {_listed(given)}, but {ours.name} needs {_listed(wanted)}"
        raise _mismatch(path, what, FILE_HINT)


def _is_dense(layer: FileLayer) -> bool:
    """Part of a classifier above the backbone: it is not taken over."""
    return layer.weights[0].name == "kernel" and layer.weights[0].values.ndim == 2


def _is_normalization(path: Path, layer: FileLayer) -> bool:
    """Whether it is Keras's Normalization, which our input map replaces if it has the mean of ImageNet."""
    if {weight.name for weight in layer.weights} != NORMALIZATION:
        return False
    values = {weight.name: weight.values.ravel() for weight in layer.weights}
    deviations = (IMAGENET_STD, IMAGENET_STD**2)  # Keras's own files keep the one where the other is meant
    is_imagenet = _close(values["mean"], IMAGENET_MEAN) and any(
        _close(values["variance"], d) for d in deviations
    )
    if not is_imagenet:
        raise _mismatch(path, f"layer {layer.name} does not normalize with the mean of ImageNet", FILE_HINT)
    return True


def _close(values: Array, wanted: Array) -> bool:
    return values.shape == wanted.shape and np.allclose(values, wanted, atol=1e-3)


def _listed(weights: list[tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{name} {_shape(shape)}" for name, shape in weights)


def _shape(shape: tuple[int, ...]) -> str:
    """(3, 3, 32, 1) → 3×3×32×1."""
    return "×".join(map(str, shape)) or "scalar"
