"""What is to be measured: models, pictures, settings, how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dermpack.dataset.manifest import Dataset, Picture, Split
from dermpack.inference import Kernels, ModelSettings

# What a runtime chooses unasked is XNNPACK for the operators that this takes, which may be none of a file's.
KERNELS_WORDS = {Kernels.XNNPACK: "default kernels", Kernels.BUILTIN: "without XNNPACK"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelUnderTest:
    """One .tflite; `table` is what each of the 256 values of a pixel is fed as."""

    name: str  # tells it from the others of one report
    data: bytes
    sha256: str
    size: int  # side of its input
    table: NDArray[np.generic]
    recipe: str  # "int8 ptq", "float32"; "" where no contract says so
    sidecar: ModelSettings | None  # None: it can be timed, its outputs cannot be named


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a model is run."""

    runtime: str  # ai-edge-litert, tflite-runtime, benchmark_model
    kernels: Kernels
    threads: int

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.runtime}, {KERNELS_WORDS[self.kernels]}, {threads}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """As benchmark_model asks for: at least so many rounds, and at least so long."""

    warm_up_seconds: float = 0.5
    rounds: int = 50
    seconds: float = 1.0
    most_seconds: float = 150.0


MLPERF = Timing(
    rounds=1024, seconds=60.0, most_seconds=600.0
)  # single stream: it reports the 90th percentile


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredPictures:
    """The pictures whose outputs are compared, in the order of the answers."""

    dataset: Dataset
    split: Split
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPlan:
    """All that the targets are asked."""

    models: Sequence[ModelUnderTest]
    scored: ScoredPictures | None = None
    runtimes: Sequence[str] = ()  # none: every one that the target has
    threads: Sequence[int] = (1, 2, 4)
    kernels: Sequence[Kernels] = (Kernels.XNNPACK, Kernels.BUILTIN)
    timing: Timing = field(default_factory=Timing)
    seed: int = 0
