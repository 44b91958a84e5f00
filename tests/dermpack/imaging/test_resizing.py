"""The resize, compared with the algorithm of its docstring in whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from dermpack.imaging.preprocessing import Policy, resize_image
from tests.support.hostile_pictures import scene

BITS = 22
SIDES = st.integers(min_value=1, max_value=90)
Pixels = NDArray[np.uint8]


def resize(pixels: Pixels, size: int, *, policy: Policy) -> Pixels:
    return np.array(resize_image(Image.fromarray(pixels), size, policy=policy))


def weights(n: int, m: int) -> list[tuple[int, list[int]]]:
    """Return first sample and integer weights of each output of a pass from n to m samples."""
    scale = n / m
    reach = max(scale, 1.0)
    slope = 1.0 / reach
    rows = []
    for i in range(m):
        centre = (i + 0.5) * scale
        first, last = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), n)
        w = [max(1.0 - abs((x - centre + 0.5) * slope), 0.0) for x in range(first, last)]
        total = 0.0
        for value in w:
            total += value
        rows.append((first, [int(0.5 + value / total * 2**BITS) for value in w]))
    return rows


def one_pass(rows: Pixels, m: int) -> Pixels:
    """Resample the second to last axis (the channels are last) to m samples."""
    out = np.empty((rows.shape[0], m, 3), np.uint8)
    for i, (first, k) in enumerate(weights(rows.shape[1], m)):
        taps = rows[:, first : first + len(k)].astype(np.int32)
        total = (taps * np.array(k, np.int32)[None, :, None]).sum(axis=1, dtype=np.int32)
        out[:, i] = np.minimum((total + 2 ** (BITS - 1)) >> BITS, 255)
    return out


def reference(pixels: Pixels, size: int) -> Pixels:
    across = one_pass(pixels, size)
    return one_pass(across.transpose(1, 0, 2), size).transpose(1, 0, 2)


def noise(width: int, height: int, seed: int) -> Pixels:
    generator = np.random.default_rng(seed)
    return generator.choice(np.array([0, 1, 127, 128, 254, 255], np.uint8), (height, width, 3))


@settings(deadline=None, max_examples=150)
@given(width=SIDES, height=SIDES, size=SIDES, seed=st.integers(0, 2**32 - 1))
def test_the_resize_is_the_documented_algorithm_bit_for_bit(
    width: int, height: int, size: int, seed: int
) -> None:
    pixels = noise(width, height, seed)
    assert np.array_equal(resize(pixels, size, policy=Policy.WHOLE), reference(pixels, size))


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(1024, 768, 224), (600, 450, 96), (449, 448, 224), (224, 224, 225), (3, 1000, 7), (1999, 2, 333)],
)
def test_usual_and_extreme_sizes_are_bit_for_bit_too(width: int, height: int, size: int) -> None:
    pixels = noise(width, height, seed=1)
    assert np.array_equal(resize(pixels, size, policy=Policy.WHOLE), reference(pixels, size))


@given(width=SIDES, height=SIDES, size=SIDES)
@settings(deadline=None, max_examples=50)
def test_the_square_is_cropped_before_it_is_resized(width: int, height: int, size: int) -> None:
    pixels = noise(width, height, seed=2)
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = pixels[top : top + side, left : left + side]
    assert np.array_equal(resize(pixels, size, policy=Policy.CENTRE_SQUARE), reference(square, size))


def test_an_odd_difference_crops_one_more_pixel_at_the_right_and_the_bottom() -> None:
    wide, tall = scene(8, 5), scene(5, 8)
    assert np.array_equal(resize(wide, 5, policy=Policy.CENTRE_SQUARE), wide[:, 1:6])
    assert np.array_equal(resize(tall, 5, policy=Policy.CENTRE_SQUARE), tall[1:6])


def test_the_same_size_changes_nothing() -> None:
    pixels = noise(32, 32, seed=3)
    assert np.array_equal(resize(pixels, 32, policy=Policy.WHOLE), pixels)


def test_two_samples_become_their_rounded_mean() -> None:
    pixels = np.array([[[10] * 3, [13] * 3]], np.uint8)
    assert resize(pixels, 1, policy=Policy.WHOLE).tolist() == [[[12, 12, 12]]]


def test_names_of_policies_carry_a_version() -> None:
    assert {policy.value for policy in Policy} == {"centre-square-1", "whole-1"}
