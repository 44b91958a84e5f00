"""Importing pictures, against only decoding them."""

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
MOST_TIMES = 4.0  # of a bare decoding, on one processor: hashes, thumbnails and duplicates included
ROUNDS = 3


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("import") / "source"
    for at in range(PICTURES):
        grain = np.random.default_rng(at).normal(0, 4, (SIZE, SIZE, 1))  # smooth pictures decode too fast
        pixels = np.clip(patch(at, size=SIZE) + grain, 0, 255).astype(np.uint8)
        write(root / "ab"[at % 2] / f"{at:04}.jpg", jpeg(pixels))
    return root


def decode_all(source: Path) -> None:
    for path in source.rglob("*.jpg"):
        np.asarray(Image.open(path).convert("RGB"))


def best_seconds(source: Path) -> float:
    """The best of some rounds: other work on the machine only ever adds."""
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
