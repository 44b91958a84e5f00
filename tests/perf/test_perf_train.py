"""The input pipeline costs little, and cached activations save time: ratios of processor time per picture."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.perf.bench_train import measure_ratios

pytestmark = pytest.mark.tensorflow


def test_the_pipeline_costs_little_and_cached_activations_save_time(benchmark: BenchmarkFixture) -> None:
    measure: Any = benchmark.pedantic  # untyped
    found = measure(measure_ratios, rounds=1, iterations=1)
    benchmark.extra_info.update(found)
    assert found["fine-tuning over bare step (0.95 or more)"] >= 0.95
    assert found["boundary over whole (1.5 or more)"] >= 1.5
    assert found["forward passes a head phase costs (1.5 or less)"] <= 1.5
