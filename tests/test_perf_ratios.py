"""Stored benchmarks are compared by their ratios, and only on the same machine."""

from __future__ import annotations

from typing import Any

from tests.perf.ratios import lines


def bench(python: str = "3.11.2", **figures: float) -> dict[str, Any]:
    cpu = {"brand_raw": "a processor", "count": 2, "hz_actual": [1, 0]}
    info = {"node": "here", "machine": "x86_64", "python_version": python, "cpu": cpu}
    return {"machine_info": info, "benchmarks": [{"name": "test_it", "extra_info": figures}]}


def test_a_ratio_is_shown_with_the_previous_one() -> None:
    assert list(lines(bench(ratio=2.5), bench(ratio=2.0))) == ["    2.50  was 2.00      it: ratio"]


def test_a_ratio_without_a_previous_one_is_new() -> None:
    assert list(lines(bench(ratio=2.5), bench())) == ["    2.50  new           it: ratio"]


def test_every_ratio_of_the_first_benchmark_is_new() -> None:
    assert list(lines(bench(ratio=2.5))) == ["    2.50  new           it: ratio"]


def test_times_are_stored_and_not_compared() -> None:
    assert list(lines(bench(wall_ms=2.5, pictures_per_second=9), bench())) == []


def test_benchmarks_of_different_machines_are_not_compared() -> None:
    note, shown = lines(bench(ratio=2.5), bench("3.12.1", ratio=2.0))
    assert "another machine or Python" in note and "was" not in shown
