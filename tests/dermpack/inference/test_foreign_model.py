"""Descriptions of files of unknown origin that contain impossible numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermpack.inference.foreign_model import DeclaredInput, describe_model
from dermpack.tflite.model_tree import pack_model, unpack_model
from tests.support.colour_model import LABELS, colour_model
from tests.support.errors import raises_code

PATH = Path("model.tflite")


def quantized_input(scale: float, zero_point: int) -> bytes:
    """Return an 8-bit model whose input has this scale and zero point."""
    model = unpack_model(colour_model("uint8"), where=PATH)
    graph = model.subgraphs[0]
    quantization = graph.tensors[graph.inputs[0]].quantization
    quantization.scale, quantization.zeroPoint = [scale], [zero_point]
    return pack_model(model)


@pytest.mark.parametrize(("scale", "zero_point"), [(0.0, 0), (-1.0, 0), (0.01, -1), (0.01, 256)])
def test_an_impossible_quantization_is_one_error(scale: float, zero_point: int) -> None:
    with raises_code("unsupported-model", "quantization"):
        describe_model(
            PATH, quantized_input(scale, zero_point), labels=LABELS, declared=DeclaredInput()
        ).interface()


def test_a_possible_quantization_is_kept() -> None:
    described = describe_model(PATH, quantized_input(0.5, 3), labels=LABELS, declared=DeclaredInput())
    picture = described.interface().picture
    assert (picture.scale, picture.zero_point, picture.mean, picture.std) == (0.5, 3, (3.0,) * 3, (2.0,) * 3)
