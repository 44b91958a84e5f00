"""The distance to the training pictures on emulated ARM: run by `make arm-test`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.targets.emulated.emulator import CORTEX_A76
from tests.support.mobilenets import LABELS, SIZE, mobilenet
from tests.support.prepared_arm import prepared_sysroot

pytestmark = [pytest.mark.arm, pytest.mark.tensorflow]

PICTURES = 20
RUN = """
import importlib, sys
import numpy as np
module = importlib.import_module(f"{sys.argv[1]}.interpreter")
interpreter = module.Interpreter("model.tflite")
interpreter.allocate_tensors()
source, *_ = interpreter.get_input_details()
target = interpreter.get_output_details()[-1]
rows = []
for picture in np.load("inputs.npy"):
    interpreter.set_tensor(source["index"], picture[np.newaxis])
    interpreter.invoke()
    rows.append(interpreter.get_tensor(target["index"])[0, 0])
np.save(sys.argv[2], np.array(rows))
"""


def noise(count: int, *, seed: int) -> NDArray[np.uint8]:
    """Return pictures of noise with another contrast each."""
    generator = np.random.default_rng(seed)
    contrast = np.linspace(10, 120, count).reshape(-1, 1, 1, 1)
    values = 128 + contrast * generator.uniform(-1, 1, size=(count, SIZE, SIZE, 3))
    return np.asarray(values, np.uint8)


@pytest.mark.parametrize("number", ["float32", "int8"])
@pytest.mark.parametrize("runtime", ["tflite_runtime", "ai_edge_litert"])
def test_the_distances_are_those_of_the_host(tmp_path: Path, runtime: str, number: str) -> None:
    from converter.familiarity.distance import fit_distance
    from converter.familiarity.features import measure_features
    from converter.familiarity.tail import append_distance
    from converter.pixel_scale import UNIT_SCALE

    sysroot = prepared_sysroot()
    pytest.importorskip(runtime)
    data = mobilenet(number)
    fitted = fit_distance(measure_features(data, noise(40, seed=0), labels=LABELS))
    (tmp_path / "model.tflite").write_bytes(append_distance(data, fitted, labels=LABELS))
    (tmp_path / "run.py").write_text(RUN, encoding="utf-8")
    pictures = noise(PICTURES, seed=1)
    np.save(tmp_path / "inputs.npy", UNIT_SCALE.apply(pictures) if number == "float32" else pictures)
    here = [sys.executable, "run.py", runtime, "here.npy"]
    there = [*sysroot.command(CORTEX_A76), "run.py", runtime, "there.npy"]
    subprocess.run(here, cwd=tmp_path, check=True)
    subprocess.run(there, cwd=tmp_path, check=True, env=sysroot.environment())
    expected, found = np.load(tmp_path / "here.npy"), np.load(tmp_path / "there.npy")
    if number == "float32":
        np.testing.assert_allclose(found, expected, rtol=1e-3)
    else:
        # Kernels round differently between integer layers; 66 of them with weights of chance add that up.
        assert np.corrcoef(found, expected)[0, 1] > 0.9
