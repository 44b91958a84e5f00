"""What the harness adds to an inference, and whether it agrees with the runtime's own benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.host import carry_into
from benchmarks.jobs import head_of, lay_out
from benchmarks.models import read_models
from benchmarks.plan import Model, Plan, Setting
from benchmarks.worker import Run
from dermpack.runtime import Engine, Kernels, installed

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(Engine.LITERT not in installed(), reason="ai-edge-litert is not installed"),
]
SMALL, LARGE = 96, 224  # the tool rounds to 0.01 ms, which the small model's 0.25 ms would drown in
LABELS, ALPHA = 7, 0.35
MOST_ADDED, MOST_APART = 1.02, 0.03
BLOCKS, BLOCK_ROUNDS = 300, 20  # a block lasts 5 ms: some of them nobody disturbs
PROCESSES, ROUNDS, WARM_UP_ROUNDS = 8, 200, 100
TIMING = {"warm_up_seconds": 0.5, "rounds": ROUNDS, "seconds": 0.0, "most_seconds": 60.0}
Figures = tuple[float, float]  # median and 5th percentile: neighbours disturb the second one less
HERE = Setting(runtime="ai-edge-litert", kernels=Kernels.XNNPACK, threads=1)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MobileNetV2 0.35 at two sizes, float32 and int8."""
    folder = tmp_path_factory.mktemp("exports")
    for size in (SMALL, LARGE):
        for name, data in mobilenets(size).items():
            (folder / f"{name}-{size}").mkdir()
            (folder / f"{name}-{size}" / "model.tflite").write_bytes(data)
    return folder


def mobilenets(size: int) -> dict[str, bytes]:
    from converter.freeze import freeze
    from converter.ranges import measure_ranges, with_ranges
    from converter.recipes import Io, Recipe, convert, quantize, unquantized
    from trainer.network import Arch, NetworkSpec, Weights, build

    spec = NetworkSpec(arch=Arch.MOBILENET_V2, alpha=ALPHA, size=size, classes=LABELS)
    network = build(spec, weights=Weights.NONE, seed=0)
    pictures = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), dtype=np.uint8)
    start = unquantized(freeze(network), Recipe.INT8)
    ranged = with_ranges(start, measure_ranges(start, pictures).over_all())
    return {
        "float32": convert(freeze(network), Recipe.FLOAT32, io=Io.FLOAT32),
        "int8": quantize(ranged, Recipe.INT8, io=Io.UINT8),
    }


@pytest.mark.parametrize("name", [f"float32-{SMALL}", f"int8-{SMALL}"])
def test_the_harness_adds_less_than_two_percent(
    benchmark: BenchmarkFixture, exports: Path, tmp_path: Path, name: str
) -> None:
    """Blocks of the harness's rounds and blocks of bare calls in turns; the best of each is undisturbed."""
    run = loaded(read_models([exports / name])[0], tmp_path)
    bare, ours = [], []
    for _ in range(BLOCKS):
        bare.append(nanoseconds(run.interpreter.invoke))
        ours.append(sum(run.round_ns() for _ in range(BLOCK_ROUNDS)))
    ratio = min(ours) / min(bare)
    benchmark.extra_info["ratio"] = round(ratio, 4)
    benchmark(run.round_ns)
    assert ratio < MOST_ADDED


def loaded(model: Model, folder: Path) -> Run:
    laid = lay_out(Plan(models=[model]), folder)
    named = {name: str(folder / of) if name != "name" else of for name, of in laid.models[0].items()}
    run = Run(head_of("time", HERE, [named], patience_seconds=60), named)
    assert run.loads(), run.refused
    run.warm_up(TIMING["warm_up_seconds"])
    return run


def nanoseconds(work: Callable[[], object]) -> int:
    start = perf_counter_ns()
    for _ in range(BLOCK_ROUNDS):
        work()
    return perf_counter_ns() - start


@pytest.mark.parametrize("name", [f"float32-{LARGE}", f"int8-{LARGE}"])
def test_our_median_is_that_of_the_runtimes_own_tool(
    benchmark: BenchmarkFixture, exports: Path, tmp_path: Path, name: str
) -> None:
    """Processes in turns; the best median of each side is the undisturbed one."""
    plan, ours, theirs = Plan(models=read_models([exports / name])), list[Figures](), list[Figures]()
    laid, carry = lay_out(plan, tmp_path), carry_into(tmp_path)
    job = {**head_of("time", HERE, laid.models, patience_seconds=120), "timing": TIMING, "read": []}
    for _ in range(PROCESSES):
        rounds_ms = carry(job)["models"][0]["rounds_ms"]
        ours.append((median(rounds_ms), float(np.percentile(rounds_ms, 5))))
        theirs.append(litert_figures(exports / name / "model.tflite", tmp_path / "theirs.json"))
    ratio, ratio_p5 = (min(of[at] for of in ours) / min(of[at] for of in theirs) for at in (0, 1))
    benchmark.extra_info.update(ratio=round(ratio, 4), ratio_p5=round(ratio_p5, 4))
    benchmark(lambda: carry({**job, "timing": {**TIMING, "rounds": 1}}))
    assert ratio == pytest.approx(1, abs=MOST_APART)


def litert_figures(model: Path, answer: Path) -> Figures:
    command = [str(Path(sys.executable).with_name("litert-benchmark")), f"--model={model}", "--num_threads=1"]
    counts = [f"--num_runs={ROUNDS}", f"--warmup_runs={WARM_UP_ROUNDS}", f"--result_json={answer}"]
    subprocess.run([*command, *counts], check=True, capture_output=True)
    said: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return float(said["latency"]["median_ms"]), float(said["latency"]["p5_ms"])
