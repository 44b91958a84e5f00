"""The worker, as a process of its own."""

from __future__ import annotations

import ast
import base64
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.protocol.jobs import (
    SCRIPTS,
    WORKER_FOLDER,
    JobRunner,
    job_header,
    write_job_folder,
)
from benchmarks.protocol.plan import BenchmarkPlan, Setting
from benchmarks.protocol.replies import WorkerFailedError
from benchmarks.targets.host import job_runner
from benchmarks.worker import worker
from benchmarks.worker.operators import NO_TIME
from dermpack.inference.interpreter_host import Kernels, installed_runtimes
from tests.support.runnable_models import huge_model

HERE = Setting(runtime=installed_runtimes()[0].package, kernels=Kernels.XNNPACK, threads=1)
TIMING = {"warm_up_seconds": 0.01, "rounds": 30, "seconds": 0.0, "most_seconds": 20.0}
Asks = Callable[..., Mapping[str, Any]]


@pytest.fixture
def carry(tmp_path: Path) -> JobRunner:
    (tmp_path / "laid").mkdir()
    return job_runner(tmp_path / "laid")


@pytest.fixture
def asks(plan: BenchmarkPlan, tmp_path: Path, carry: JobRunner) -> Asks:
    laid = write_job_folder(plan, tmp_path / "laid")

    def asks(kind: str, *, setting: Setting = HERE, **more: Any) -> Mapping[str, Any]:
        return carry({**job_header(kind, setting, laid, patience_seconds=60), **more})

    return asks


@dataclass(eq=False)
class InstantRun:
    """A model whose rounds take a microsecond of no clock."""

    rounds_ns: list[int] = field(default_factory=list)
    typical_ns: float = 1_000.0

    def round_ns(self) -> int:
        return 1_000


@pytest.mark.parametrize("models", [1, 3])
def test_a_fast_model_has_no_more_rounds_than_a_report_can_contain(
    models: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MOST_ROUNDS", 200)
    monkeypatch.setattr(worker, "MOST_JOB_ROUNDS", 450)
    monkeypatch.setattr(worker, "SETTLE_SECONDS", 0.0)
    runs: list[Any] = [InstantRun() for _ in range(models)]
    timing = {"warm_up_seconds": 0.0, "rounds": 50, "seconds": 60.0, "most_seconds": 600.0}
    turns = worker._take_turns(runs, timing)
    counts = {len(run.rounds_ns) for run in runs}
    assert max(counts) <= {1: 200, 3: 150}[models] and min(counts) >= 50
    assert all(count % turns == 0 for count in counts)


def test_models_are_timed_in_equal_turns(asks: Asks) -> None:
    reply = asks("time", timing=TIMING, read=[])
    for model in reply["models"]:
        assert len(model["rounds_ms"]) >= 30
        assert model["turns"] >= 25 and len(model["rounds_ms"]) % model["turns"] == 0
        assert min(model["rounds_ms"]) > 0 < model["load_ms"]
        assert model["first_ms"] > 0 < model["warm_up_rounds"]
    assert reply["models"][0]["turns"] == reply["models"][1]["turns"]
    assert reply["peak_bytes"] > 1 << 20


def test_no_model_is_timed_longer_than_allowed(asks: Asks) -> None:
    reply = asks("time", timing={**TIMING, "rounds": 1_000_000_000, "most_seconds": 0.2}, read=[])
    assert all(0 < len(model["rounds_ms"]) < 1_000_000 for model in reply["models"])


def test_the_delegate_takes_what_it_is_given(asks: Asks) -> None:
    reply = asks("time", timing=TIMING, read=[])
    assert reply["models"][0]["delegated"] == "all"
    without = replace(HERE, kernels=Kernels.BUILTIN)
    reply = asks("time", setting=without, timing=TIMING, read=[])
    assert [model["delegated"] for model in reply["models"]] == ["none", "none"]


def test_what_is_asked_of_the_place_is_read(asks: Asks) -> None:
    reply = asks("describe", read=["/proc/cpuinfo", "/nowhere/*"])
    assert "processor" in reply["environment"]["/proc/cpuinfo"]
    assert not any("nowhere" in name for name in reply["environment"])
    assert set(reply["runtimes"]) == {engine.package for engine in installed_runtimes()}


def test_answers_are_the_models_own_numbers(asks: Asks) -> None:
    reply = asks("answer")
    for model, number in zip(reply["models"], (np.float32, np.int8), strict=True):
        rows = np.frombuffer(base64.b64decode(model["outputs"]), dtype=number).reshape(model["shape"])
        assert rows.shape == (12, 3)
        assert rows.argmax(axis=1).tolist() == [0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2, 0]
    assert (reply["models"][1]["scale"], reply["models"][1]["zero_point"]) == (1 / 256, -128)


def test_counted_inferences_are_the_first_pictures(asks: Asks) -> None:
    answered, counted = asks("answer"), asks("count", inferences=2)
    for whole, part in zip(answered["models"], counted["models"], strict=True):
        assert part["shape"][0] == 2
        outputs = base64.b64decode(whole["outputs"]), base64.b64decode(part["outputs"])
        assert outputs[0].startswith(outputs[1])


def test_operators_share_the_whole_time_or_took_too_little_to_be_seen(asks: Asks) -> None:
    if HERE.runtime != "ai-edge-litert":
        pytest.skip("ai-edge-litert is not installed")
    for model in asks("profile")["models"]:
        if "refused" in model:  # of these, an inference takes microseconds
            assert NO_TIME in model["refused"]
            continue
        assert sum(operator["share"] for operator in model["operators"]) == pytest.approx(1)
        assert sum(operator["count"] for operator in model["operators"]) >= 3


def test_a_model_that_asks_for_too_much_memory_is_refused_beside_one_that_runs(
    plan: BenchmarkPlan, tmp_path: Path, carry: JobRunner
) -> None:
    huge = replace(plan.models[0], name="huge", data=huge_model())
    laid = write_job_folder(replace(plan, models=[*plan.models, huge]), tmp_path / "laid")
    reply = carry({**job_header("answer", HERE, laid, patience_seconds=60)})
    assert "refused" in reply["models"][2]
    assert "outputs" in reply["models"][0]


def test_a_job_of_another_schema_is_refused_in_one_line(asks: Asks) -> None:
    with pytest.raises(WorkerFailedError, match="schema 2"):
        asks("answer", schema=2)


def test_the_answer_stands_alone_on_stdout(asks: Asks, tmp_path: Path) -> None:
    asks("answer")  # leaves the job behind
    command = [sys.executable, "worker.py", "job.json"]
    run = subprocess.run(command, cwd=tmp_path / "laid", capture_output=True, check=True)
    assert json.loads(run.stdout)["models"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_of_python_3_9(script: str) -> None:
    source = (WORKER_FOLDER / script).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 9))
    assert "dermpack" not in {alias.split(".")[0] for alias in _imported(ast.parse(source))}


def _imported(tree: ast.AST) -> list[str]:
    nodes = list(ast.walk(tree))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return plain + [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
