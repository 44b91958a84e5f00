"""Plans of tiny models that run everywhere: no TensorFlow makes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.models import read_models
from benchmarks.protocol.plan import BenchmarkPlan, ScoredPictures, Timing
from dermpack.dataset.manifest import Split
from dermpack.inference.interpreter_host import Kernels, installed_runtimes
from tests.support.evaluation_dataset import make_dataset
from tests.support.runnable_models import LABELS, float_model, integer_model

QUICK = Timing(warm_up_seconds=0.01, rounds=30, seconds=0.0, most_seconds=20.0)
PICTURES = 12


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of two exports, with labels beside each."""
    folder = tmp_path / "exports"
    for name, data in (("float32", float_model()), ("int8", integer_model())):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.tflite").write_bytes(data)
        labels = ", ".join(f'"{label}"' for label in LABELS)
        (folder / name / "model.json").write_text(f'{{"labels": [{labels}]}}', encoding="utf-8")
    return folder


@pytest.fixture
def plan(models: Path, tmp_path: Path) -> BenchmarkPlan:
    """Both models and a dozen pictures, under as few settings as there can be."""
    dataset = make_dataset(tmp_path / "data", n=PICTURES, labels=LABELS)
    pictures = dataset.manifest.of(Split.TEST)
    return BenchmarkPlan(
        models=read_models([models]),
        scored=ScoredPictures(dataset=dataset, split=Split.TEST, pictures=pictures),
        runtimes=[installed_runtimes()[0].package],
        threads=(1,),
        kernels=(Kernels.XNNPACK,),
        timing=QUICK,
    )
