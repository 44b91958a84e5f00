"""The search for near duplicates takes seconds for 60,000 pictures, and grows less than quadratically."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from trainer.datasets.duplicates.hashes import (
    ORIENTATIONS,
    THUMBNAIL,
    Signature,
    find_neighbours,
    find_similar,
    hamming_distance,
)

MANY, FEW = 60_000, 15_000
PLANTED = 500
MOST_SECONDS = 40.0  # it takes eight on a busy machine with two cores
MOST_GROWTH = 12.0  # for four times the pictures; comparing all pairs would be 16
LEAST_RATIO = 10.0  # times as fast as comparing all pairs
ROUNDS = 3


def random_hashes(count: int) -> NDArray[np.uint64]:
    return np.random.default_rng(count).integers(0, 1 << 63, count, dtype=np.uint64) * np.uint64(2)


def signatures(count: int) -> list[Signature]:
    """Return signatures of different pictures; the last are copies of the first with a few changed bits."""
    rng = np.random.default_rng(count)
    hashes = rng.integers(0, 256, (count, ORIENTATIONS * 8), dtype=np.uint8)
    thumbnails = rng.integers(0, 250, (count, THUMBNAIL * THUMBNAIL * 3), dtype=np.uint8)
    hashes[-PLANTED:] = hashes[:PLANTED]
    hashes[-PLANTED:, 0] ^= 0b0100_1010
    thumbnails[-PLANTED:] = thumbnails[:PLANTED] + rng.integers(0, 5, (PLANTED, 1), dtype=np.uint8)
    return [
        Signature(
            pixels_sha256=str(index), hashes=hashes[index].tobytes(), thumbnail=thumbnails[index].tobytes()
        )
        for index in range(count)
    ]


def best_seconds(work: Callable[[], object], *, rounds: int = ROUNDS) -> float:
    """Return the time of the fastest round, which other work on the machine slowed the least."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def search(hashes: NDArray[np.uint64]) -> int:
    return sum(len(first) for first, _ in find_neighbours(hashes, hashes))


def compare_all_pairs(hashes: NDArray[np.uint64]) -> int:
    return sum(int((hamming_distance(hash_value, hashes) <= 7).sum()) for hash_value in hashes)


@pytest.mark.benchmark(group="duplicates", min_rounds=1, max_time=0.1)
def test_sixty_thousand_pictures_are_searched_in_seconds(benchmark: BenchmarkFixture) -> None:
    many = signatures(MANY)
    found = benchmark(find_similar, many)
    assert len(found) == PLANTED
    if benchmark.stats:
        assert benchmark.stats.stats.max < MOST_SECONDS


@pytest.mark.benchmark(group="duplicates", min_rounds=1, max_time=0.1)
def test_four_times_the_pictures_cost_less_than_their_square(benchmark: BenchmarkFixture) -> None:
    few, many = signatures(FEW), signatures(MANY)
    few_seconds = best_seconds(lambda: find_similar(few))
    many_seconds = benchmark(best_seconds, lambda: find_similar(many), rounds=1)
    benchmark.extra_info["growth"] = round(many_seconds / few_seconds, 1)
    assert many_seconds < MOST_GROWTH * few_seconds


@pytest.mark.benchmark(group="duplicates", min_rounds=1, max_time=0.1)
def test_the_search_is_far_faster_than_comparing_all_pairs(benchmark: BenchmarkFixture) -> None:
    hashes = random_hashes(FEW)
    assert search(hashes) == benchmark(search, hashes) >= FEW
    whole = best_seconds(lambda: compare_all_pairs(hashes), rounds=1)
    ratio = whole / best_seconds(lambda: search(hashes))
    benchmark.extra_info["ratio"] = round(ratio, 1)
    assert ratio > LEAST_RATIO
