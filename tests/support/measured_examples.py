"""Small plans and measurements with exact values, independent of any machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol.plan import BenchmarkPlan, ModelUnderTest, ScoredPictures, Setting, TensorBinding
from benchmarks.protocol.results import (
    AnsweredPictures,
    CountedModel,
    OperatorTime,
    ProfiledModel,
    RefusedModel,
    SummarizedModel,
    TargetMeasurement,
    TimedModel,
    ToolPass,
)
from dermpack.dataset.manifest import Dataset, Manifest, Picture, Split
from dermpack.inference.interpreter_host import Kernels
from dermpack.inference.model_files import ModelSettings
from dermpack.inference.picture_feed import PictureFeed
from dermpack.storage.files import sha256_of

CLASSES = ("bcc", "mel", "nv")
TRUTH = (0, 0, 0, 1, 1, 1, 2, 2, 2, 2)
SCALE = 1 / 256
LITERT = Setting(runtime="ai-edge-litert", kernels=Kernels.XNNPACK, threads=1)
LITERT_TWO = Setting(runtime="ai-edge-litert", kernels=Kernels.XNNPACK, threads=2)
RUNTIME = Setting(runtime="tflite-runtime", kernels=Kernels.BUILTIN, threads=1)
HERE = {
    **{"device": "Workbench 3000", "processor": "Example CPU @ 2.0 GHz", "machine": "x86_64", "cores": "2"},
    **{"os": "Debian GNU/Linux 12", "python": "3.11.2", "ai-edge-litert": "2.3.0"},
}


def a_model(
    name: str = "float32", *, labels: Sequence[str] | None = CLASSES, temperature: float = 1.0
) -> ModelUnderTest:
    sidecar = None if labels is None else ModelSettings(labels=tuple(labels), temperature=temperature)
    data = name.encode() * (400 if name == "float32" else 100)
    return ModelUnderTest(
        name=name,
        data=data,
        sha256=sha256_of(data),
        binding=TensorBinding(size=96, feed=PictureFeed(table=np.arange(256, dtype=np.uint8))),
        recipe=name,
        sidecar=sidecar,
    )


def scored(truth: Sequence[int] = TRUTH, *, folder: Path = Path("demo")) -> ScoredPictures:
    pictures = tuple(_picture(index, CLASSES[label]) for index, label in enumerate(truth))
    dataset = Dataset(
        folder=folder,
        root=".",
        classes=CLASSES,
        manifest=Manifest(pictures=pictures),
        format="folders",
        source="demo",
        sha256="d" * 64,
    )
    return ScoredPictures(dataset=dataset, split=Split.TEST, pictures=pictures)


def a_plan(*names: str, truth: Sequence[int] = TRUTH) -> BenchmarkPlan:
    return BenchmarkPlan(
        models=[a_model(name) for name in names or ("float32", "int8")], scored=scored(truth)
    )


def saying(
    labels: Sequence[int], *, sure: int = 200, model: str = "float32", setting: Setting = LITERT
) -> AnsweredPictures:
    """Return integer outputs: `sure` of 256 for the label, the rest shared by the others."""
    rest = (256 - sure) // 2
    outputs = np.full((len(labels), len(CLASSES)), rest, dtype=np.uint8)
    outputs[np.arange(len(labels)), list(labels)] = sure
    return answered(outputs, model=model, setting=setting)


def answered(
    outputs: NDArray[np.generic], *, model: str = "float32", setting: Setting = LITERT, scale: float = SCALE
) -> AnsweredPictures:
    return AnsweredPictures(model=model, setting=setting, outputs=outputs, scale=scale, zero_point=0)


def timed(
    *,
    model: str = "float32",
    setting: Setting = LITERT,
    around_ms: float = 10.0,
    rounds: int = 60,
    seed: int = 0,
) -> TimedModel:
    """Return rounds with a tail of slow ones, as on a real machine."""
    generator = np.random.default_rng(seed)
    drawn = around_ms * (
        1 + 0.01 * generator.standard_normal(rounds) + 0.02 * generator.exponential(size=rounds)
    )
    return TimedModel(
        model=model,
        setting=setting,
        load_ms=3.5,
        first_ms=around_ms * 2.0,
        warm_up_rounds=12,
        rounds_ms=tuple(np.round(drawn, 6).tolist()),
        peak_bytes=48 << 20,
        delegated="all",
    )


def counted(
    *, model: str = "float32", setting: Setting = LITERT, instructions: int = 120_000_000
) -> CountedModel:
    return CountedModel(model=model, setting=setting, instructions=(instructions,) * 3, delegated="all")


def profiled(*, model: str = "float32", setting: Setting = LITERT) -> ProfiledModel:
    shares = {"CONV_2D": 0.6, "DEPTHWISE_CONV_2D": 0.3, "SOFTMAX": 0.1}
    operators = (
        OperatorTime(name=name, count=5, share=share, is_delegated=name != "SOFTMAX")
        for name, share in shares.items()
    )
    return ProfiledModel(model=model, setting=setting, operators=tuple(operators))


def summarized(*, model: str = "float32", around_ms: float = 8.0) -> SummarizedModel:
    setting = Setting(runtime="benchmark_model", kernels=Kernels.XNNPACK, threads=4)
    passes = tuple(_pass(around_ms * factor) for factor in (1.0, 1.01, 0.99))
    return SummarizedModel(model=model, setting=setting, passes=passes, delegated="all")


def refused(*, model: str = "int8", setting: Setting = RUNTIME) -> RefusedModel:
    return RefusedModel(model=model, setting=setting, why="Op builtin_code out of range: 206")


def measured(target: str = "host", **parts: object) -> TargetMeasurement:
    return TargetMeasurement(
        target=target,
        is_emulated=target.startswith("qemu:"),
        environment=HERE,
        **parts,  # type: ignore[arg-type] # the fields of TargetMeasurement, by name
    )


def _picture(index: int, label: str) -> Picture:
    return Picture(
        path=f"{label}/{index:03}.png",
        sha256=f"{index:064x}",
        width=96,
        height=96,
        label=label,
        split=Split.TEST,
        group=f"lesion {index // 2}",
        cluster="",
        metadata=(),
    )


def _pass(mean_ms: float) -> ToolPass:
    return ToolPass(
        load_ms=3.0,
        first_ms=mean_ms * 1.5,
        warm_up_rounds=20,
        rounds=100,
        mean_ms=mean_ms,
        deviation_ms=0.2,
        min_ms=mean_ms - 0.5,
        max_ms=mean_ms + 1.5,
        p5_ms=mean_ms - 0.4,
        median_ms=mean_ms - 0.1,
        p95_ms=mean_ms + 0.6,
        footprint_bytes=9 << 20,
    )
