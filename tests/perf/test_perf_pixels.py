"""Preparing a 12-megapixel JPEG, against opening and resizing it plainly."""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from dermpack.pixels import prepare

WIDTH, HEIGHT = 4000, 3000
SIZE = 224
LEAST_RATIO = 3.0
ROUNDS = 7


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    """Skin-like: smooth shading with sensor noise, about 2.4 MB."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    shades = (170 + 40 * np.sin(x / 300), 120 + 30 * np.cos(y / 200), 100 + 20 * np.sin((x + y) / 150))
    noise = np.random.default_rng(0).normal(0, 4, (HEIGHT, WIDTH, 1))
    pixels = np.clip(np.stack(shades, axis=2) + noise, 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def plainly(data: bytes) -> None:
    """What one would write without thinking: open, crop, resize."""
    image = Image.open(BytesIO(data)).convert("RGB")
    left = (image.width - image.height) // 2
    square = image.crop((left, 0, left + image.height, image.height))
    np.asarray(square.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def best_ms(work: Callable[[], object]) -> float:
    """The best of some rounds: other work on the machine only ever adds."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        rounds.append((time.perf_counter() - start) * 1e3)
    return min(rounds)


def test_preparing_twelve_megapixels(benchmark: BenchmarkFixture, jpeg: bytes) -> None:
    benchmark(prepare, jpeg, SIZE)


def test_opening_and_resizing_twelve_megapixels(benchmark: BenchmarkFixture, jpeg: bytes) -> None:
    benchmark(plainly, jpeg)


def test_preparing_is_three_times_as_fast_as_opening_and_resizing(
    benchmark: BenchmarkFixture, jpeg: bytes
) -> None:
    plain_ms = best_ms(lambda: plainly(jpeg))
    prepared_ms = best_ms(lambda: prepare(jpeg, SIZE))
    benchmark.extra_info["ratio"] = round(plain_ms / prepared_ms, 2)
    benchmark(prepare, jpeg, SIZE)
    assert plain_ms >= LEAST_RATIO * prepared_ms
