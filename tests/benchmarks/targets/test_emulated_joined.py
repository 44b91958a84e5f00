"""A file with metadata, evidence map and distance on emulated ARM: run by `make arm-test`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.targets.emulated.emulator import CORTEX_A76, Sysroot
from dermpack.contract import Contract, FamiliarityOutput, read_contract
from dermpack.dataset.manifest import Dataset, Split, read_dataset
from dermpack.imaging.preprocessing import Policy, prepare
from dermpack.inference.metadata_rows import encode_split
from dermpack.inference.picture_feed import build_feed, declared_tensor, quantize
from dermpack.verification.familiarity import allowed_share
from tests.support.joined_export import OUTPUTS, convert_joined, train_both
from tests.support.prepared_arm import prepared_sysroot

pytestmark = [pytest.mark.arm, pytest.mark.tensorflow]

PICTURES = 20
# Steps of an integer output: the kernels of the host and of ARM round differently between the layers.
MOST_STEPS, MOST_FLOAT_APART = 3, 1e-3
RUN = """
import importlib, sys
import numpy as np
module = importlib.import_module(f"{sys.argv[1]}.interpreter")
interpreter = module.Interpreter("model.tflite")
runner = interpreter.get_signature_runner("serving_default")
fed = np.load("inputs.npz")
pairs = zip(fed["picture"], fed["metadata"])
rows = [runner(picture=picture[None], metadata=known[None]) for picture, known in pairs]
np.savez(sys.argv[2], **{name: np.concatenate([row[name] for row in rows]) for name in rows[0]})
"""


@pytest.fixture(scope="module")
def sysroot() -> Sysroot:
    return prepared_sysroot()


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports next to their dataset; skipped without a sysroot."""
    prepared_sysroot()
    folder = tmp_path_factory.mktemp("joined")
    _, run = train_both(folder)
    return convert_joined(run, folder / "exports", "float32", "int8")


def write_inputs(path: Path, contract: Contract, dataset: Dataset) -> None:
    """Write the bytes of the first pictures of the train split with what is known about the patients."""
    assert contract.metadata is not None
    pictures = dataset.manifest.of(Split.TRAIN)[:PICTURES]
    assert len(pictures) == PICTURES
    pixels = [
        prepare(dataset.file(one), contract.picture.width, policy=Policy.CENTRE_SQUARE) for one in pictures
    ]
    rows = encode_split(dataset, Split.TRAIN, contract.metadata.columns).rows[:PICTURES]
    feed = build_feed(declared_tensor(contract.picture), contract.picture)
    np.savez(
        path, picture=feed(np.stack(pixels)), metadata=quantize(rows, declared_tensor(contract.metadata))
    )


@pytest.mark.parametrize("recipe", ["float32", "int8"])
@pytest.mark.parametrize("runtime", ["tflite_runtime", "ai_edge_litert"])
def test_every_output_is_that_of_the_host(
    exports: Path, sysroot: Sysroot, tmp_path: Path, runtime: str, recipe: str
) -> None:
    pytest.importorskip(runtime)
    contract = read_contract(exports / recipe / "model.json")
    (tmp_path / "model.tflite").write_bytes((exports / recipe / "model.tflite").read_bytes())
    (tmp_path / "run.py").write_text(RUN, encoding="utf-8")
    write_inputs(tmp_path / "inputs.npz", contract, read_dataset(exports.parent / "dataset"))
    here = [sys.executable, "run.py", runtime, "here.npz"]
    there = [*sysroot.command(CORTEX_A76), "run.py", runtime, "there.npz"]
    subprocess.run(here, cwd=tmp_path, check=True)
    subprocess.run(there, cwd=tmp_path, check=True, env=sysroot.environment())
    expected, found = np.load(tmp_path / "here.npz"), np.load(tmp_path / "there.npz")
    assert set(found.files) == OUTPUTS
    for name, record in contract.outputs.items():
        apart = np.abs(found[name].astype(float) - expected[name])
        assert len(apart) == PICTURES
        if isinstance(record, FamiliarityOutput):
            assert (apart <= allowed_share(contract) * np.maximum(expected[name], 1)).all()
        else:
            assert apart.max() <= (MOST_FLOAT_APART if recipe == "float32" else MOST_STEPS), name
    if recipe == "int8":
        labels = [answers["probabilities"].argmax(axis=1) for answers in (expected, found)]
        assert (labels[0] == labels[1]).mean() >= 0.9
