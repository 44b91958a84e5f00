"""Searching 60,000 pictures for near duplicates, against fewer of them and against all with all."""

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
MOST_SECONDS = 40.0  # eight on a busy machine with two cores
MOST_GROWTH = 12.0  # for four times the pictures; all with all would be 16
LEAST_RATIO = 10.0  # as fast as all with all
ROUNDS = 3


def spread(count: int) -> NDArray[np.uint64]:
    return np.random.default_rng(count).integers(0, 1 << 63, count, dtype=np.uint64) * np.uint64(2)


def signatures(count: int) -> list[Signature]:
    """Different pictures, the last ones copies of the first with three bits and some grey levels changed."""
    rng = np.random.default_rng(count)
    hashes = rng.integers(0, 256, (count, ORIENTATIONS * 8), dtype=np.uint8)
    thumbnails = rng.integers(0, 250, (count, THUMBNAIL * THUMBNAIL * 3), dtype=np.uint8)
    hashes[-PLANTED:] = hashes[:PLANTED]
    hashes[-PLANTED:, 0] ^= 0b0100_1010
    thumbnails[-PLANTED:] = thumbnails[:PLANTED] + rng.integers(0, 5, (PLANTED, 1), dtype=np.uint8)
    return [
        Signature(pixels_sha256=str(at), hashes=hashes[at].tobytes(), thumbnail=thumbnails[at].tobytes())
        for at in range(count)
    ]


def best_seconds(work: Callable[[], object], *, rounds: int = ROUNDS) -> float:
    """The best of some rounds: other work on the machine only ever adds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def search(hashes: NDArray[np.uint64]) -> int:
    return sum(len(first) for first, _ in find_neighbours(hashes, hashes))


def all_with_all(hashes: NDArray[np.uint64]) -> int:
    return sum(int((hamming_distance(one, hashes) <= 7).sum()) for one in hashes)


@pytest.mark.benchmark(group="duplicates", min_rounds=1, max_time=0.1)
def test_sixty_thousand_pictures_are_searched_in_seconds(benchmark: BenchmarkFixture) -> None:
    many = signatures(MANY)
    alike = benchmark(find_similar, many)
    assert len(alike) == PLANTED
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
def test_the_search_is_far_faster_than_all_with_all(benchmark: BenchmarkFixture) -> None:
    hashes = spread(FEW)
    assert search(hashes) == benchmark(search, hashes) >= FEW
    whole = best_seconds(lambda: all_with_all(hashes), rounds=1)
    ratio = whole / best_seconds(lambda: search(hashes))
    benchmark.extra_info["ratio"] = round(ratio, 1)
    assert ratio > LEAST_RATIO
