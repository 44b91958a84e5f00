"""What real files answer and take on emulated ARM: run by `make arm-test`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.protocol.plan import BenchmarkPlan, ModelUnderTest, ScoredPictures, TensorBinding
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.targets.emulated.emulated_target import QemuTarget
from benchmarks.targets.emulated.emulator import CORTEX_A76, CPUS, Sysroot
from benchmarks.targets.measure import measure_targets
from dermpack.dataset.manifest import Split
from dermpack.imaging.preprocessing import Policy, prepare
from dermpack.inference.picture_feed import PictureFeed
from dermpack.progress import silent
from dermpack.storage.files import sha256_of
from tests.support.evaluation_dataset import make_dataset
from tests.support.mobilenets import NUMBERS, SIZE, mobilenet
from tests.support.prepared_arm import prepared_sysroot

pytestmark = [pytest.mark.arm, pytest.mark.tensorflow]

PICTURES = 20
PLACES = A72, A76 = tuple(f"qemu:{cpu.name}" for cpu in CPUS)
TFLITE, LITERT = "tflite-runtime", "ai-edge-litert"
Outputs = NDArray[np.generic]
ANSWER = """
import importlib, sys
import numpy as np
module = importlib.import_module(sys.argv[1])
kernels = getattr(module.OpResolverType, sys.argv[2])
interpreter = module.Interpreter("model.tflite", experimental_op_resolver_type=kernels)
interpreter.allocate_tensors()
(to,), (of,), rows = interpreter.get_input_details(), interpreter.get_output_details(), []
for picture in np.load("inputs.npy"):
    interpreter.set_tensor(to["index"], picture[np.newaxis])
    interpreter.invoke()
    rows.append(interpreter.get_tensor(of["index"]))
np.save("outputs.npy", np.concatenate(rows))
"""


@pytest.fixture(scope="module")
def sysroot() -> Sysroot:
    return prepared_sysroot()


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkPlan:
    dataset = make_dataset(tmp_path_factory.mktemp("pictures") / "data", n=PICTURES)
    pictures = tuple(item for item in dataset.manifest.pictures if item.split is Split.TEST)
    scored = ScoredPictures(dataset=dataset, split=Split.TEST, pictures=pictures)
    return BenchmarkPlan(models=[_model(number) for number in NUMBERS], scored=scored)


@pytest.fixture(scope="module")
def emulated(plan: BenchmarkPlan, sysroot: Sysroot) -> Mapping[str, TargetMeasurement]:
    targets = [QemuTarget(cpu=cpu, sysroot=sysroot) for cpu in CPUS]
    return {item.target: item for item in measure_targets(targets, plan).measured}


def _model(number: str) -> ModelUnderTest:
    data, whole = mobilenet(number), np.arange(256)
    table = whole.astype(np.uint8) if number == "int8" else (whole / 127.5 - 1).astype(np.float32)
    return ModelUnderTest(
        name=number,
        data=data,
        sha256=sha256_of(data),
        binding=TensorBinding(size=SIZE, feed=PictureFeed(table=table)),
        recipe=number,
        sidecar=None,
    )


def _outputs(measured: TargetMeasurement, model: str, runtime: str) -> Outputs:
    (found,) = (item for item in measured.answered if (item.model, item.setting.runtime) == (model, runtime))
    return found.outputs


def _count(measured: TargetMeasurement, model: str, runtime: str) -> tuple[int, ...]:
    (found,) = (item for item in measured.counted if (item.model, item.setting.runtime) == (model, runtime))
    return found.instructions


def _here(plan: BenchmarkPlan, model: str, runtime: str, folder: Path, *, kernels: str) -> Outputs:
    """What the host's own interpreter answers, in a process without TensorFlow: it spoils tflite-runtime."""
    module = f"{runtime.replace('-', '_')}.interpreter"
    pytest.importorskip(module.partition(".")[0])
    assert plan.scored is not None
    (planned,) = (item for item in plan.models if item.name == model)
    files = map(plan.scored.dataset.file, plan.scored.pictures)
    pixels = np.stack([prepare(file, SIZE, policy=Policy.CENTRE_SQUARE) for file in files])
    np.save(folder / "inputs.npy", planned.binding.feed(pixels))
    (folder / "model.tflite").write_bytes(planned.data)
    subprocess.run([sys.executable, "-c", ANSWER, module, kernels], cwd=folder, check=True)
    outputs: Outputs = np.load(folder / "outputs.npy", allow_pickle=False)
    return outputs


@pytest.mark.parametrize("place", PLACES)
def test_integers_on_tflite_runtime_are_those_of_the_reference_kernels(
    emulated: Mapping[str, TargetMeasurement], plan: BenchmarkPlan, tmp_path: Path, place: str
) -> None:
    expected = _here(plan, "int8", TFLITE, tmp_path, kernels="BUILTIN_REF")
    assert len(np.unique(expected, axis=0)) > PICTURES / 2  # the pictures are told apart
    assert _outputs(emulated[place], "int8", TFLITE).tobytes() == expected.tobytes()


@pytest.mark.parametrize("place", PLACES)
def test_integers_on_ai_edge_litert_are_within_a_step(
    emulated: Mapping[str, TargetMeasurement], plan: BenchmarkPlan, tmp_path: Path, place: str
) -> None:
    expected = _here(plan, "int8", LITERT, tmp_path, kernels="AUTO").astype(np.int64)
    assert np.abs(_outputs(emulated[place], "int8", LITERT).astype(np.int64) - expected).max() <= 1


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("runtime", [TFLITE, LITERT])
def test_floats_are_within_a_ten_thousandth(
    emulated: Mapping[str, TargetMeasurement], plan: BenchmarkPlan, tmp_path: Path, place: str, runtime: str
) -> None:
    expected = _here(plan, "float32", runtime, tmp_path, kernels="AUTO")
    found = _outputs(emulated[place], "float32", runtime)
    assert np.abs(found.astype(np.float64) - expected.astype(np.float64)).max() < 1e-4


@pytest.mark.parametrize("place", PLACES)
def test_dynamic_range_is_refused_where_the_runtime_lacks_its_operators(
    emulated: Mapping[str, TargetMeasurement], place: str
) -> None:
    (refused,) = emulated[place].refused
    assert (refused.model, refused.setting.runtime) == ("dynamic", TFLITE)
    assert "FULLY_CONNECTED" in refused.why
    assert _outputs(emulated[place], "dynamic", LITERT).shape[0] == PICTURES


def test_counts_repeat_to_the_last_instruction_whatever_else_is_measured(
    emulated: Mapping[str, TargetMeasurement], plan: BenchmarkPlan, sysroot: Sysroot
) -> None:
    models = [item for item in plan.models if item.name != "dynamic"]
    again = QemuTarget(cpu=CORTEX_A76, sysroot=sysroot).measure(replace(plan, models=models), track=silent)
    assert again.counted == tuple(item for item in emulated[A76].counted if item.model != "dynamic")
    assert again.profiled == tuple(item for item in emulated[A76].profiled if item.model != "dynamic")


def test_dot_products_save_the_successor_instructions(emulated: Mapping[str, TargetMeasurement]) -> None:
    younger, older = emulated[A76], emulated[A72]
    assert max(_count(younger, "int8", LITERT)) < 0.7 * min(_count(older, "int8", LITERT))
    assert max(_count(younger, "int8", LITERT)) < min(_count(younger, "float32", LITERT))


def test_integers_cost_the_old_runtime_more_than_floats(emulated: Mapping[str, TargetMeasurement]) -> None:
    for measured in emulated.values():
        assert min(_count(measured, "int8", TFLITE)) > max(_count(measured, "float32", TFLITE))


@pytest.mark.parametrize(
    ("place", "runtime", "has"), [(A76, LITERT, True), (A72, LITERT, False), (A76, TFLITE, False)]
)
def test_the_kinds_of_instructions_explain_the_difference(
    emulated: Mapping[str, TargetMeasurement], place: str, runtime: str, *, has: bool
) -> None:
    (profile,) = (
        item for item in emulated[place].profiled if (item.model, item.setting.runtime) == ("int8", runtime)
    )
    assert (profile.operators[0].count > 0) is has


def test_no_time_is_reported(emulated: Mapping[str, TargetMeasurement]) -> None:
    assert [item.timed for item in emulated.values()] == [(), ()]
