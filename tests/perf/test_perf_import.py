"""Importing pictures costs little more than decoding them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from dermpack.dataset.manifest import DuplicateSearch
from tests.support.colour_patches import jpeg, patch, write
from trainer.datasets.importer import ImportRequest, import_dataset

PICTURES, SIZE = 400, 450
MOST_TIMES = 4.0  # the time of decoding alone, on one processor; with hashes, thumbnails and duplicates
ROUNDS = 3


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("import") / "source"
    for index in range(PICTURES):
        grain = np.random.default_rng(index).normal(0, 4, (SIZE, SIZE, 1))  # smooth pictures decode too fast
        pixels = np.clip(patch(index, size=SIZE) + grain, 0, 255).astype(np.uint8)
        write(root / "ab"[index % 2] / f"{index:04}.jpg", jpeg(pixels))
    return root


def decode_all(source: Path) -> None:
    for path in source.rglob("*.jpg"):
        np.asarray(Image.open(path).convert("RGB"))


def best_seconds(source: Path) -> float:
    """Return the time of the fastest round, which other work on the machine slowed the least."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        decode_all(source)
        taken.append(time.perf_counter() - start)
    return min(taken)


@pytest.mark.benchmark(group="import", min_rounds=ROUNDS, max_time=0.1)
def test_an_import_costs_little_more_than_decoding(
    benchmark: BenchmarkFixture, source: Path, tmp_path: Path
) -> None:
    numbers: Iterator[int] = count()
    benchmark(lambda: import_dataset(request(source, tmp_path / str(next(numbers)))))
    if benchmark.stats:
        fastest = benchmark.stats.stats.min
        benchmark.extra_info["pictures_per_second"] = round(PICTURES / fastest)
        benchmark.extra_info["times_decoding"] = round(fastest / best_seconds(source), 2)
        assert fastest < MOST_TIMES * best_seconds(source)


def request(source: Path, output: Path) -> ImportRequest:
    return ImportRequest(source=source, output=output, duplicates=DuplicateSearch.FAST, jobs=1)
