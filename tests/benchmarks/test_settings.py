"""Choosing how models are run in a place."""

from __future__ import annotations

import pytest

from benchmarks.plan import Plan
from benchmarks.settings import settings_of
from dermpack.errors import InputError

BOTH = ("ai-edge-litert", "tflite-runtime")


def test_everything_that_a_place_has_is_measured() -> None:
    settings, notes = settings_of(Plan(models=()), where="here", runtimes=BOTH, cores=4)
    assert len(settings) == len(set(settings)) == 2 * 2 * 3
    assert str(settings[0]) == "ai-edge-litert, default kernels, 1 thread"
    assert notes == ()


def test_what_a_place_lacks_is_left_out_and_told() -> None:
    plan = Plan(models=(), runtimes=BOTH)
    settings, notes = settings_of(plan, where="here", runtimes=BOTH[:1], cores=2)
    assert {(of.runtime, of.threads) for of in settings} == {(BOTH[0], 1), (BOTH[0], 2)}
    assert notes == (
        "tflite-runtime is not installed there and was left out",
        "4 threads were left out: it has 2 cores",
    )


def test_a_place_without_any_interpreter_is_refused() -> None:
    with pytest.raises(InputError, match=r"here: has no interpreter for \.tflite files; pip install"):
        settings_of(Plan(models=()), where="here", runtimes=(), cores=2)
    with pytest.raises(InputError, match="here: has no tflite-runtime"):
        settings_of(Plan(models=(), runtimes=BOTH[1:]), where="here", runtimes=BOTH[:1], cores=2)


def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(InputError, match=r"has 1 core, fewer than threads \(2, 4\)"):
        settings_of(Plan(models=(), threads=(2, 4)), where="here", runtimes=BOTH, cores=1)
