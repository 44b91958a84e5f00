"""Pixels become the numbers that a contract describes: per channel, in the order of the tensor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dermpack.contract import ColorOrder, PictureLayout, TensorType
from dermpack.inference.classifier import interpret_answer
from dermpack.inference.occlusion import occlusion_map
from dermpack.inference.picture_feed import build_feed, declared_tensor
from tests.support.contracts import SIZE, contract_for, with_probabilities

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
FLOAT = replace(
    contract_for().picture, dtype=TensorType.FLOAT32, scale=None, zero_point=None, size_bytes=12 * SIZE * SIZE
)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)


def test_each_channel_has_its_own_mean_and_deviation() -> None:
    picture = replace(FLOAT, mean=MEAN, std=STD)
    found = build_feed(declared_tensor(picture), picture)(PIXELS)
    assert np.allclose(found, (PIXELS - np.array(MEAN)) / np.array(STD), atol=1e-6)


def test_channels_and_dimensions_are_ordered_as_stated() -> None:
    shape = (1, 3, SIZE, SIZE)
    picture = replace(FLOAT, color=ColorOrder.BGR, layout=PictureLayout.NCHW, shape=shape)
    found = build_feed(declared_tensor(picture), picture)(PIXELS)
    assert found.flags.c_contiguous
    assert np.allclose(found, PIXELS[..., ::-1].transpose(0, 3, 1, 2) / 127.5 - 1, atol=1e-6)


def test_raw_bytes_are_fed_only_where_the_range_of_the_input_is_that_of_the_pixels() -> None:
    raw = contract_for().picture
    assert np.array_equal(build_feed(declared_tensor(raw), raw)(PIXELS), PIXELS)
    # The same tensor, but the network expects 0 to 1: these are the upper half of its numbers.
    positive = replace(raw, mean=(0.0,) * 3, std=(255.0,) * 3)
    assert build_feed(declared_tensor(positive), positive)(PIXELS).min() >= 127


def test_occlusion_finds_the_only_place_that_the_answer_depends_on() -> None:
    picture = np.zeros((28, 28, 3), np.uint8)
    picture[0:4, 24:28] = 255

    def brightness(pixels: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        bright = 0.1 + 0.8 * pixels[:, 0:4, 24:28].mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - bright, bright], axis=1)

    found = occlusion_map(brightness, picture, 1)
    assert int(found.argmax()) == 6  # the first row, the last column
    assert found.min() == 0


def test_an_activation_that_the_file_lacks_is_applied_to_its_logits() -> None:
    logits = np.log(np.array([[0.2, 0.3, 0.5]]))
    contract = with_probabilities(contract_for(), applied=False)
    assert np.allclose(interpret_answer(contract, logits, contract.labels), [[0.2, 0.3, 0.5]])
    assert np.array_equal(interpret_answer(contract_for(), logits, contract.labels), logits)
