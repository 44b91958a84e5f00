"""Blur and exposure are measured in whole numbers, and a fault is named by the limits of the contract."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dermpack.contract import QualityGates
from dermpack.imaging.quality import QualityFault, choose_gates, measure_quality
from dermpack.synthetic.scenes import render

GATES = QualityGates(
    least_sharpness=8, least_brightness=70, most_white_percent=25, accepted=1.0, n=1, split="validation"
)


def grey(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


def changed(factor: float) -> NDArray[np.uint8]:
    return np.clip(render(0, size=96, seed=0).astype(np.float64) * factor, 0, 255).astype(np.uint8)


def test_the_sharpness_is_the_mean_squared_laplacian() -> None:
    values = np.full((5, 5), 100)
    values[2, 2] = 110
    assert measure_quality(grey(values)).sharpness == (40**2 + 4 * 10**2) // 9


def test_the_luma_weighs_green_most() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[..., 1] = 255
    assert measure_quality(pixels).brightness == 150 * 255 >> 8


@pytest.mark.parametrize(("bright", "expected"), [(5, 10), (6, 200)])
def test_the_brightness_is_that_of_the_95th_of_100_pixels(bright: int, expected: int) -> None:
    values = np.full(100, 10)
    values[:bright] = 200
    assert measure_quality(grey(values.reshape(10, 10))).brightness == expected


def test_a_white_pixel_has_a_luma_of_250_or_more() -> None:
    values = np.full(100, 249)
    values[:26] = 250
    assert measure_quality(grey(values.reshape(10, 10))).white_percent == 26


def test_a_good_picture_has_no_fault() -> None:
    assert measure_quality(changed(1.0)).find_fault(GATES) is None


@pytest.mark.parametrize(
    ("factor", "fault"), [(0.2, QualityFault.DARK), (9.0, QualityFault.OVEREXPOSED)], ids=["dark", "white"]
)
def test_a_picture_with_wrong_exposure_is_refused(factor: float, fault: QualityFault) -> None:
    assert measure_quality(changed(factor)).find_fault(GATES) is fault


def test_a_blurred_picture_is_refused() -> None:
    blurred = Image.fromarray(changed(2.0)).filter(ImageFilter.GaussianBlur(4))
    assert measure_quality(np.asarray(blurred)).find_fault(GATES) is QualityFault.BLURRED


def test_a_uniform_picture_has_a_sharpness_of_zero() -> None:
    assert measure_quality(grey(np.full((3, 3), 128))).sharpness == 0


def test_the_gates_record_the_share_that_they_accept() -> None:
    gates = choose_gates([changed(1.0), changed(0.1), changed(1.0)], split="validation")
    assert gates.accepted == pytest.approx(2 / 3)
    assert (gates.n, gates.split) == (3, "validation")
