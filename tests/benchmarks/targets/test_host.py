"""Measuring this machine, from beginning to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.protocol.plan import BenchmarkPlan
from benchmarks.protocol.replies import WorkerFailedError
from benchmarks.targets.host import HostTarget, job_runner
from dermpack.inference.interpreter_host import installed_runtimes
from tests.support.errors import raises_code

JOB: Mapping[str, Any] = {"patience_seconds": 60}
DARK, GREY, BRIGHT = 0, 1, 2


def test_this_machine_answers_the_whole_plan(plan: BenchmarkPlan) -> None:
    measured = HostTarget().measure(plan)
    assert (measured.target, measured.is_emulated, measured.refused) == ("host", False, ())
    assert [item.model for item in measured.timed] == ["float32", "int8"]
    assert all(len(item.rounds_ms) >= 30 and item.turns >= 25 for item in measured.timed)
    assert all(item.peak_bytes for item in measured.timed)
    expected = [DARK, GREY, GREY, BRIGHT, BRIGHT, DARK, DARK, GREY, GREY, BRIGHT, BRIGHT, DARK]
    for answer in measured.answered:
        assert answer.outputs.argmax(axis=1).tolist() == expected
    assert measured.environment["python"] and measured.environment["cores"]
    assert measured.environment[plan.runtimes[0]]


def test_the_steps_from_file_to_label_are_measured(plan: BenchmarkPlan) -> None:
    measured = HostTarget().measure(replace(plan, models=plan.models[1:]))
    (steps,) = measured.steps
    assert (steps.model, steps.rounds) == ("int8", 36)
    parts = (steps.decode_ms, steps.resize_ms, steps.copy_ms, steps.invoke_ms)
    assert min(parts) > 0 and steps.whole_ms > max(parts)


def test_without_pictures_there_is_time_but_no_answer(plan: BenchmarkPlan) -> None:
    measured = HostTarget().measure(replace(plan, scored=None))
    assert len(measured.timed) == 2
    assert measured.answered == () and measured.steps == ()


def test_a_model_that_does_not_run_leaves_the_others_alone(plan: BenchmarkPlan) -> None:
    first, second = plan.models
    cut = replace(second, data=second.data[:100] + bytes(len(second.data) - 100))
    measured = HostTarget().measure(replace(plan, models=[first, cut], scored=None))
    assert [item.model for item in measured.timed] == ["float32"]
    assert {item.model for item in measured.refused} == {"int8"}
    assert all(item.why.isprintable() for item in measured.refused)


def test_a_runtime_that_is_not_installed_is_refused(plan: BenchmarkPlan) -> None:
    if len(installed_runtimes()) == 2:
        pytest.skip("both interpreters are installed")
    with raises_code("runtime-not-installed", "host: ", "tflite-runtime"):
        HostTarget().measure(replace(plan, runtimes=["tflite-runtime"]))


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGALRM)", "60 s"),
        ("import sys; sys.exit('INFO: hello\\nit is \\x1b[2J broken')", r"it is \\x1b\[2J broken"),
        ("import os; os._exit(3)", "exit code 3"),
        ("print('{')", "JSON"),
        ("print('[' * 100000)", "JSON"),
        ("print('[]')", "JSON object"),
        ("", "JSON"),
    ],
)
def test_the_end_of_a_worker_is_described_in_one_line(tmp_path: Path, program: str, why: str) -> None:
    with pytest.raises(WorkerFailedError, match=why):
        job_runner(tmp_path, program=("-c", program))(JOB)
