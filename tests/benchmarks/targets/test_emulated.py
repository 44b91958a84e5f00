"""Measuring on an emulated processor, with a stand-in for the emulator: the host's own Python."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest

from benchmarks.protocol.plan import BenchmarkPlan, ModelUnderTest, ScoredPictures, TensorBinding
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.targets.emulated.emulated_target import QemuTarget, qemu_target
from benchmarks.targets.emulated.emulator import CORTEX_A72, KINDS, Sysroot
from dermpack.dataset.manifest import Split
from dermpack.inference.interpreter_host import Kernels
from dermpack.inference.picture_feed import PictureFeed
from dermpack.progress import silent
from dermpack.storage.files import sha256_of
from tests.support.errors import raises_code
from tests.support.evaluation_dataset import make_dataset

LITERT = "ai-edge-litert"
SIDE = 8
COUNTED = "begin 0 5 0 0\\nend 7 5 0 3\\nbegin 7 5 0 3\\nend 15 5 0 6\\nbegin 15 5 0 6\\nend 24 5 0 9\\n"
# Like the emulator it takes "-D FILE" for the log and, after Python's path, what Python is given.
STAND_IN = """#!/bin/sh
[ "$1" = --version ] && {{ echo "qemu-aarch64 version 7.2.22"; exit 0; }}
while [ "${{1##*/}}" != python3.11 ]; do
    [ "$1" = -D ] && log="$2"
    shift
done
[ -n "${{log:-}}" ] && printf '{counted}' >"$log"
shift 4  # python3.11 -s -S -B
{before}
exec {python} "$@"
"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkPlan:
    """A model that no runtime takes, and one that works; for more threads than can be counted."""
    pytest.importorskip("ai_edge_litert")
    dataset = make_dataset(tmp_path_factory.mktemp("pictures") / "data", n=4)
    pictures = tuple(item for item in dataset.manifest.pictures if item.split is Split.TEST)
    return BenchmarkPlan(
        models=[_model("broken", b"no model"), _model("flat", _flattening())],
        scored=ScoredPictures(dataset=dataset, split=Split.TEST, pictures=pictures),
        runtimes=[LITERT],
        threads=(4, 8),
        kernels=(Kernels.BUILTIN,),
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, plan: BenchmarkPlan) -> TargetMeasurement:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return _measure(_target(tmp_path_factory.mktemp("emulated"), monkeypatch), plan)


def _target(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, counted: str = COUNTED, before: str = ""
) -> QemuTarget:
    (folder / "programs").mkdir()
    program = folder / "programs" / "qemu-aarch64"
    program.write_text(STAND_IN.format(counted=counted, python=sys.executable, before=before))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "programs"))
    sysroot = Sysroot(folder=folder / "arm", stamp={"packages": {}, "wheels": {}})
    return QemuTarget(cpu=CORTEX_A72, sysroot=sysroot)


def _model(name: str, data: bytes) -> ModelUnderTest:
    table = np.arange(256, dtype=np.uint8)
    return ModelUnderTest(
        name=name,
        data=data,
        sha256=sha256_of(data),
        binding=TensorBinding(size=SIDE, feed=PictureFeed(table=table)),
        recipe="",
        sidecar=None,
    )


def _flattening() -> bytes:
    """A model whose outputs are its pixels."""
    from ai_edge_litert import schema_py_generated as schema

    code = schema.OperatorCodeT(
        builtinCode=schema.BuiltinOperator.RESHAPE, deprecatedBuiltinCode=schema.BuiltinOperator.RESHAPE
    )
    sides = (1, SIDE * SIDE * 3)
    reshape = schema.OperatorT(
        inputs=[0],
        outputs=[1],
        builtinOptionsType=schema.BuiltinOptions.ReshapeOptions,
        builtinOptions=schema.ReshapeOptionsT(newShape=list(sides)),
    )
    tensors = [_tensor(schema, "picture", (1, SIDE, SIDE, 3)), _tensor(schema, "pixels", sides)]
    graph = schema.SubGraphT(tensors=tensors, inputs=[0], outputs=[1], operators=[reshape])
    tree = schema.ModelT(version=3, operatorCodes=[code], subgraphs=[graph], buffers=[schema.BufferT()])
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _tensor(schema: Any, name: str, shape: Sequence[int]) -> Any:
    steps = schema.QuantizationParametersT(scale=[1.0], zeroPoint=[0])
    return schema.TensorT(name=name, shape=list(shape), type=schema.TensorType.UINT8, quantization=steps)


def _without_broken(plan: BenchmarkPlan) -> BenchmarkPlan:
    return replace(plan, models=plan.models[1:])


def _measure(target: QemuTarget, plan: BenchmarkPlan) -> TargetMeasurement:
    return target.measure(plan, track=silent)


def test_an_emulated_processor_gives_answers_and_counts_and_no_time(found: TargetMeasurement) -> None:
    assert found.target == "qemu:cortex-a72"
    assert found.is_emulated
    assert found.timed == ()
    assert [item.outputs.shape for item in found.answered] == [(4, SIDE * SIDE * 3)]
    assert [item.instructions for item in found.counted] == [(10, 11, 12)]


def test_only_one_thread_is_counted_with_the_kernels_that_the_runtime_chooses(
    found: TargetMeasurement,
) -> None:
    assert {(item.setting.threads, item.setting.kernels) for item in found.counted} == {(1, Kernels.XNNPACK)}


def test_the_kinds_of_instructions_are_those_of_the_middle_inference(found: TargetMeasurement) -> None:
    (profile,) = found.profiled
    assert [item.name for item in profile.operators] == list(KINDS)
    assert [item.count for item in profile.operators] == [8, 0, 0, 3]
    assert sum(item.share for item in profile.operators) == 1


def test_the_environment_is_the_emulated_one(found: TargetMeasurement) -> None:
    assert found.environment["device"] == "emulator of the processor of a Raspberry Pi 4"
    assert found.environment["emulator"] == "qemu-aarch64 version 7.2.22"
    assert found.environment["sysroot"].startswith("sha256 ")
    assert LITERT in found.environment
    assert not {"cores", "memory", "load", "governor", "kernel", "os"} & set(found.environment)


def test_a_model_that_the_runtime_does_not_take_is_refused_with_the_reason(found: TargetMeasurement) -> None:
    assert {(item.model, item.setting.runtime) for item in found.refused} == {("broken", LITERT)}
    assert "ValueError" in found.refused[0].why
    assert [item.model for item in found.counted] == ["flat"]


def test_a_model_that_kills_the_interpreter_is_refused_with_the_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: BenchmarkPlan
) -> None:
    dying = 'read -r job <job.json; case "$job" in *flat*) kill -SEGV $$ ;; esac'
    found = _measure(_target(tmp_path, monkeypatch, before=dying), _without_broken(plan))
    assert [(item.model, "SIGSEGV" in item.why) for item in found.refused] == [("flat", True)]


def test_an_emulator_without_plugins_counts_nothing_and_the_reason_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: BenchmarkPlan
) -> None:
    found = _measure(_target(tmp_path, monkeypatch, counted=""), _without_broken(plan))
    assert (found.counted, found.profiled) == ((), ())
    assert "not counted" in found.refused[0].why


def test_the_error_for_an_emulated_python_that_does_not_start_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: BenchmarkPlan
) -> None:
    target = _target(tmp_path, monkeypatch, before="echo 'no such library' >&2; exit 127")
    with raises_code("benchmark-worker-failed", "no such library", target.sysroot.folder, "make arm"):
        _measure(target, plan)


def test_a_runtime_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: BenchmarkPlan
) -> None:
    with raises_code("runtime-not-installed", "benchmark_model"):
        _measure(_target(tmp_path, monkeypatch), replace(plan, runtimes=["benchmark_model"]))


def test_the_error_for_an_unprepared_machine_names_the_command(tmp_path: Path) -> None:
    with raises_code("emulator-not-prepared", "make arm"):
        qemu_target("cortex-a76", folder=tmp_path)


def test_another_processor_is_refused_before_anything_is_looked_for(tmp_path: Path) -> None:
    with raises_code("target-not-supported", "qemu:max: ", "int8"):
        qemu_target("max", folder=tmp_path)
