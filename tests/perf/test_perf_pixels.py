"""Preparing a 12-megapixel JPEG is faster than opening and resizing it with Pillow."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from io import BytesIO
from multiprocessing import get_context

import numpy as np
import pytest
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from dermpack.imaging.preprocessing import prepare

WIDTH, HEIGHT = 4000, 3000
SIZE = 224
LEAST_RATIO = 3.0
ROUNDS = 7


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    """Return a picture like one of skin: smooth shading with sensor noise, about 2.4 MB."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    shades = (170 + 40 * np.sin(x / 300), 120 + 30 * np.cos(y / 200), 100 + 20 * np.sin((x + y) / 150))
    noise = np.random.default_rng(0).normal(0, 4, (HEIGHT, WIDTH, 1))
    pixels = np.clip(np.stack(shades, axis=2) + noise, 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def prepare_plainly(data: bytes) -> None:
    """Open, crop and resize a picture in the simplest way."""
    image = Image.open(BytesIO(data)).convert("RGB")
    left = (image.width - image.height) // 2
    square = image.crop((left, 0, left + image.height, image.height))
    np.asarray(square.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def timed_ms(work: Callable[[bytes], object], data: bytes) -> float:
    start = time.perf_counter()
    work(data)
    return (time.perf_counter() - start) * 1e3


def ratio(data: bytes) -> float:
    """Return the ratio of the fastest rounds, which other work on the machine slowed the least."""
    rounds = [
        (timed_ms(prepare_plainly, data), timed_ms(partial(prepare, size=SIZE), data)) for _ in range(ROUNDS)
    ]
    return min(plain for plain, _ in rounds) / min(prepared for _, prepared in rounds)


def test_preparing_twelve_megapixels(benchmark: BenchmarkFixture, jpeg: bytes) -> None:
    benchmark(prepare, jpeg, SIZE)


def test_opening_and_resizing_twelve_megapixels(benchmark: BenchmarkFixture, jpeg: bytes) -> None:
    benchmark(prepare_plainly, jpeg)


def test_preparing_is_three_times_as_fast_as_opening_and_resizing(
    benchmark: BenchmarkFixture, jpeg: bytes
) -> None:
    """Both run in a new process, as in a command: other benchmarks in the same process change the times."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(ratio, jpeg).result()
    benchmark.extra_info["ratio"] = round(found, 2)
    benchmark(prepare, jpeg, SIZE)
    assert found >= LEAST_RATIO
