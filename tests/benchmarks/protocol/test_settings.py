"""Choosing how models are run in a place."""

from __future__ import annotations

from benchmarks.protocol.plan import BenchmarkPlan, select_settings
from tests.support.errors import raises_code

BOTH = ("ai-edge-litert", "tflite-runtime")


def test_everything_that_a_place_has_is_measured() -> None:
    settings, notes = select_settings(BenchmarkPlan(models=()), where="here", runtimes=BOTH, cores=4)
    assert len(settings) == len(set(settings)) == 2 * 2 * 3
    assert str(settings[0]) == "ai-edge-litert, default kernels, 1 thread"
    assert notes == ()


def test_a_runtime_that_a_target_lacks_is_left_out_with_a_note() -> None:
    plan = BenchmarkPlan(models=(), runtimes=BOTH)
    settings, notes = select_settings(plan, where="here", runtimes=BOTH[:1], cores=2)
    assert {(item.runtime, item.threads) for item in settings} == {(BOTH[0], 1), (BOTH[0], 2)}
    assert notes == (
        "tflite-runtime is not installed on the target and was left out",
        "4 threads were left out: the target has 2 cores",
    )


def test_a_place_without_any_interpreter_is_refused() -> None:
    with raises_code("runtime-not-installed", "here: ", "pip install ai-edge-litert"):
        select_settings(BenchmarkPlan(models=()), where="here", runtimes=(), cores=2)
    with raises_code("runtime-not-installed", "here: ", "tflite-runtime"):
        select_settings(BenchmarkPlan(models=(), runtimes=BOTH[1:]), where="here", runtimes=BOTH[:1], cores=2)


def test_more_threads_than_cores_are_refused() -> None:
    with raises_code("invalid-option", "here: ", "1 core", "2, 4", "--threads"):
        select_settings(BenchmarkPlan(models=(), threads=(2, 4)), where="here", runtimes=BOTH, cores=1)
