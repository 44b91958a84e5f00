"""Describe what to measure: models, pictures, settings and how long."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dermpack.dataset.manifest import Dataset, Picture, Split
from dermpack.errors import DatasetError, InputError, count_noun
from dermpack.inference.interpreter_host import Kernels
from dermpack.inference.model_files import ModelSettings
from dermpack.inference.picture_feed import PictureFeed

# By default a runtime uses XNNPACK for the operators that XNNPACK supports, which may be none of a model's.
KERNELS_WORDS = {Kernels.XNNPACK: "default kernels", Kernels.BUILTIN: "without XNNPACK"}
INSTALL = "Run there: pip install ai-edge-litert"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TensorBinding:
    """How to feed and read a model: by the names of a signature, or as the only input and output."""

    size: int  # side of the input in pixels
    feed: PictureFeed
    signature: str | None = None
    picture: str = "picture"
    answer: str = "probabilities"
    others: Mapping[str, Sequence[float]] = field(default_factory=dict)  # constant values of further inputs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelUnderTest:
    """One .tflite model."""

    name: str  # unique in a report
    data: bytes
    sha256: str
    binding: TensorBinding
    recipe: str  # "int8 ptq", "float32"; "" without a contract
    sidecar: ModelSettings | None  # None: the model can be timed, but its outputs have no labels
    dataset_sha256: str = ""  # of the dataset that it was trained on, if its contract has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a model is run."""

    runtime: str  # ai-edge-litert, tflite-runtime, benchmark_model
    kernels: Kernels
    threads: int

    def __str__(self) -> str:
        return f"{self.runtime}, {KERNELS_WORDS[self.kernels]}, {count_noun(self.threads, 'thread')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long to measure, in the terms of benchmark_model: a minimum of rounds and a minimum of seconds."""

    warm_up_seconds: float = 0.5
    rounds: int = 50
    seconds: float = 1.0
    most_seconds: float = 150.0


# MLPerf's single-stream scenario, which reports the 90th percentile.
MLPERF = Timing(rounds=1024, seconds=60.0, most_seconds=600.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredPictures:
    """The pictures whose outputs are compared, in the order of the answers."""

    dataset: Dataset
    split: Split
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPlan:
    """Everything that the targets measure."""

    models: Sequence[ModelUnderTest]
    scored: ScoredPictures | None = None
    runtimes: Sequence[str] = ()  # empty: every runtime that the target has
    threads: Sequence[int] = (1, 2, 4)
    kernels: Sequence[Kernels] = (Kernels.XNNPACK, Kernels.BUILTIN)
    timing: Timing = field(default_factory=Timing)
    seed: int = 0


def choose_pictures(dataset: Dataset, split: Split, *, most: int | None, seed: int) -> ScoredPictures:
    """Return all pictures of the split, or `most` of them, stratified by label and drawn by the seed."""
    pictures: Sequence[Picture] = dataset.manifest.of(split)
    if not pictures:
        what = f"the {split.value} split has no pictures"
        raise DatasetError(dataset.folder, what, "Choose another --split.", code="empty-split")
    if most is not None and most < len(pictures):
        # Shuffle within each label, then take every n-th: 20 of 10 and 90 pictures are 2 and 18.
        shuffled = random.Random(seed).sample(pictures, len(pictures))
        by_label = sorted(shuffled, key=lambda picture: picture.label)
        drawn = {by_label[index * len(by_label) // most].path for index in range(most)}
        pictures = [picture for picture in pictures if picture.path in drawn]
    missing = [picture.path for picture in pictures if not dataset.file(picture).is_file()]
    if missing:
        what = f"{len(missing)} of {len(pictures)} pictures are missing, for example {missing[0]}"
        hint = "Restore the files or import the dataset again."
        raise DatasetError(dataset.folder, what, hint, code="pictures-missing")
    return ScoredPictures(dataset=dataset, split=split, pictures=tuple(pictures))


def select_settings(
    plan: BenchmarkPlan, *, where: str, runtimes: Sequence[str], cores: int, install: str = INSTALL
) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
    """Return every combination of the plan that the target can run, and notes about what was left out."""
    requested = tuple(plan.runtimes) or tuple(runtimes)
    present = [runtime for runtime in requested if runtime in runtimes]
    threads = [count for count in plan.threads if count <= cores]
    machine_cores = count_noun(cores, "core")
    if not present:
        missing = " and ".join(requested) or "an interpreter for .tflite files"
        raise InputError(where, f"not installed: {missing}", install, code="runtime-not-installed")
    if not threads:
        counts = ", ".join(map(str, plan.threads))
        what = f"the machine has {machine_cores}, fewer than the threads ({counts})"
        raise InputError(where, what, "Choose fewer --threads.", code="invalid-option")
    absent = [runtime for runtime in requested if runtime not in present]
    notes = [f"{runtime} is not installed on the target and was left out" for runtime in absent]
    excess = [count for count in plan.threads if count > cores]
    notes += [f"{count} threads were left out: the target has {machine_cores}" for count in excess]
    settings = [
        Setting(runtime=runtime, kernels=kernels, threads=count)
        for runtime in present
        for kernels in plan.kernels
        for count in threads
    ]
    return tuple(settings), tuple(notes)
