"""Load weights into a network, from a Keras file, a download or a run, and save them as .npz.

A Keras weights file (HDF5) is matched by topology: the n-th layer with weights gets the weights of the n-th
layer of the file, and every shape must fit. No model is loaded from the file. A network's own weights are
saved by name as a plain .npz; names and shapes are checked before the first weight is set. Other arrays, such
as the state of an optimizer, are written by `trainer.data.array_file` in the same format.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray

from dermpack.errors import InputError
from dermpack.storage.files import sha256_file
from trainer.data.array_file import read_arrays, write_arrays
from trainer.model.backbones import IMAGENET_MEAN, IMAGENET_STD, INPUT_MAP, build_application
from trainer.model.efficientnet_lite import read_lite
from trainer.model.keras_file import FileLayer, read_layers
from trainer.recipe.network_spec import Arch, NetworkSpec

Array = NDArray[Any]
Keras = Any  # tf_keras ships no types

BUNDLED_FILE = Path(__file__).with_name("mobilenet_v2_0.35.npz")
BUNDLED_SHA256 = "eb92b6e6b3888e6ddce2379d1c30ac0322b27cf584e6f0cb83e1891045552b16"
NORMALIZATION = {"mean", "variance", "count"}  # of Keras's EfficientNet; the input map replaces it here
PUBLISHED_SIZES = (96, 128, 160, 192, 224)  # of mobilenet_v2; the weights of each were trained separately
SOCKET_TIMEOUT_S = 20.0  # of a download: without it a broken network hangs for minutes
FILE_HINT = "Give the weights file for this --arch and --alpha."
RUN_HINT = "Give the weights of this network."


def load_backbone(backbone: Keras, path: Path) -> None:
    """Load the weights of a Keras file into the backbone; nothing is set before every layer was checked."""
    layers = [layer for layer in read_layers(path) if not _is_normalization(path, layer)]
    own = [layer for layer in backbone.layers if layer.weights and layer.name != INPUT_MAP]
    # Dense layers above the backbone are a classifier for other classes: they are skipped.
    above = []
    for layer in layers[len(own) :]:
        name, values = layer.weights[0]
        if name != "kernel" or values.ndim != 2:
            above.append(layer)
    given = layers[: len(own)] + above
    # Shapes are compared first: a different shape is a more precise error than a missing layer.
    for own_layer, file_layer in zip(own, given, strict=False):
        wanted = [(_last_name(variable), tuple(variable.shape)) for variable in own_layer.weights]
        found = [(name, values.shape) for name, values in file_layer.weights]
        if wanted != found:
            needs = f"{own_layer.name} needs {_list_shapes(wanted)}"
            what = f"layer {file_layer.name} has {_list_shapes(found)}, but {needs}"
            raise _mismatch(path, what, FILE_HINT)
    if len(given) < len(own):
        raise _mismatch(path, f"ends before layer {own[len(given)].name}", FILE_HINT)
    if above:
        raise _mismatch(path, f"layer {above[0].name} is not part of the network", FILE_HINT)
    for own_layer, file_layer in zip(own, given, strict=True):
        own_layer.set_weights([values for _, values in file_layer.weights])


def load_bundled(backbone: Keras) -> None:
    """Load the weights of MobileNetV2 0.35 that are part of this package."""
    if sha256_file(BUNDLED_FILE) != BUNDLED_SHA256:
        what, hint = "the file is damaged", "Install dermpack again."
        raise InputError(BUNDLED_FILE, what, hint, code="weights-mismatch")
    load_weights(backbone, BUNDLED_FILE)


def load_imagenet(backbone: Keras, spec: NetworkSpec) -> None:
    """Load ImageNet weights into the backbone: from a package, or as Keras downloads them into its cache."""
    if spec.arch is Arch.SCRATCH_CNN:
        what, hint = "not available for scratch_cnn", "Use --weights none."
        raise InputError("--weights imagenet", what, hint, code="option-not-applicable")
    if spec.arch.is_lite:
        for name, values in read_lite(spec.arch).items():
            backbone.get_layer(name).set_weights(values)
        return
    tf_keras.utils.disable_interactive_logging()  # Keras prints its download on stdout, which is for results
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SOCKET_TIMEOUT_S)
    try:
        source = build_application(_as_published(spec), weights="imagenet")
    except Exception as error:  # get_file of Keras raises a plain Exception when a download fails
        what = f"cannot be downloaded ({error})"
        hint = (
            "Connect to a network, or use --arch efficientnet_lite0, whose weights are installed, "
            "--weights bundled (mobilenet_v2 0.35), a file (--weights FILE.h5), or --weights none."
        )
        raise InputError("--weights imagenet", what, hint, code="download-failed") from error
    finally:
        socket.setdefaulttimeout(before)
    for layer in backbone.layers:
        if layer.weights and layer.name != INPUT_MAP:
            layer.set_weights(source.get_layer(layer.name).get_weights())


def _as_published(spec: NetworkSpec) -> NetworkSpec:
    """Return the specification with the size whose weights Keras would load: mobilenet_v2 has five, else 224.

    With any other size Keras does the same, but prints a warning that the user cannot act on.
    """
    is_published = spec.arch is not Arch.MOBILENET_V2 or spec.size in PUBLISHED_SIZES
    return spec if is_published else replace(spec, size=max(PUBLISHED_SIZES))


def save_weights(model: Keras, path: Path) -> None:
    """Write every weight of the network to an .npz file; the same weights give the same bytes."""
    write_arrays(path, named_weights(model))


def load_weights(model: Keras, path: Path) -> None:
    """Load weights that `save_weights` wrote for a network of the same architecture.

    If one is missing, unknown or of another shape, raise InputError and set none.
    """
    arrays = read_arrays(path)
    # Everything is checked before the first assignment: an error leaves the network as it was.
    variables = _named_variables(model)
    for name, variable in variables.items():
        array, shape, kind = arrays.get(name), tuple(variable.shape), variable.dtype.name
        if array is None:
            raise _mismatch(path, f"{name} is missing", RUN_HINT)
        if array.shape != shape:
            what = f"{name} has shape {_format_shape(array.shape)}, not {_format_shape(shape)}"
            raise _mismatch(path, what, RUN_HINT)
        if array.dtype.name != kind:
            raise _mismatch(path, f"{name} has type {array.dtype.name}, not {kind}", RUN_HINT)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise _mismatch(path, f"{name} contains NaN or infinity", RUN_HINT)
    if unknown := sorted(set(arrays) - set(variables)):
        raise _mismatch(path, f"contains {unknown[0]}, which is not a weight of the network", RUN_HINT)
    for name, variable in variables.items():
        variable.assign(arrays[name])


def average_weights(model: Keras, paths: Sequence[Path]) -> None:
    """Replace each weight by the mean of its value and those in the files, which are checked like others.

    The files must be of runs that began with the same weights: between networks that were trained from
    different random weights, a mean is not a trained network.
    """
    sums = {name: values.astype(np.float64) for name, values in named_weights(model).items()}
    for path in paths:
        load_weights(model, path)
        for name, values in named_weights(model).items():
            sums[name] += values
    for name, variable in _named_variables(model).items():
        mean = sums[name] / (len(paths) + 1)
        variable.assign(mean.astype(variable.dtype.name))


def named_weights(model: Keras) -> dict[str, Array]:
    """Return every weight by the name of its layer and its own: Conv1/kernel."""
    return {name: variable.numpy() for name, variable in _named_variables(model).items()}


def _mismatch(where: Path, what: str, hint: str) -> InputError:
    return InputError(where, what, hint, code="weights-mismatch")


def _named_variables(model: Keras) -> dict[str, Keras]:
    named = {}
    for layer in model.layers:
        for variable in layer.weights:
            name = f"{layer.name}/{_last_name(variable)}"
            assert name not in named, name  # names are unique in the flat models that this project builds
            named[name] = variable
    return named


def _last_name(variable: Keras) -> str:
    name: str = variable.name
    return name.rsplit("/", 1)[-1].partition(":")[0]


def _is_normalization(path: Path, layer: FileLayer) -> bool:
    """Return whether it is Keras's Normalization, which the input map replaces; check its mean."""
    values = {name: array.ravel() for name, array in layer.weights}
    if set(values) != NORMALIZATION:
        return False
    deviations = (IMAGENET_STD, IMAGENET_STD**2)  # files of Keras contain the standard deviation as variance
    is_imagenet = _is_close(values["mean"], IMAGENET_MEAN) and any(
        _is_close(values["variance"], d) for d in deviations
    )
    if not is_imagenet:
        raise _mismatch(path, f"layer {layer.name} does not normalize with the mean of ImageNet", FILE_HINT)
    return True


def _is_close(values: Array, wanted: Array) -> bool:
    return values.shape == wanted.shape and np.allclose(values, wanted, atol=1e-3)


def _list_shapes(weights: list[tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{name} {_format_shape(shape)}" for name, shape in weights)


def _format_shape(shape: tuple[int, ...]) -> str:
    """Format (3, 3, 32, 1) as 3×3×32×1."""
    return "×".join(map(str, shape)) or "scalar"
