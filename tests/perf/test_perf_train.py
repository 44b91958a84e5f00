"""Training costs what the network costs: ratios of processor time a picture, interleaved in one process."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.perf.bench_train import warm

pytestmark = pytest.mark.tensorflow


def test_the_pipeline_is_free_and_kept_activations_pay(benchmark: BenchmarkFixture) -> None:
    once: Any = benchmark.pedantic  # untyped
    found = once(warm, rounds=1, iterations=1)
    benchmark.extra_info.update(found)
    assert found["fine-tuning over bare step (0.95 or more)"] >= 0.95
    assert found["boundary over whole (1.5 or more)"] >= 1.5
    assert found["forward passes a head phase costs (1.5 or less)"] <= 1.5
