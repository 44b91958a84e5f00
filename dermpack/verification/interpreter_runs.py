"""Run a file on every interpreter, with each of its kernels, in child processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import DatasetError, InputError
from dermpack.imaging import Pixels, Policy, prepare
from dermpack.inference import InterpreterHost, Kernels, ModelSettings, Runtime, load_classifier
from dermpack.metrics.predictions import Floats
from dermpack.synthetic import render

CHUNK = 16  # pictures in one message to the interpreter process


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InterpreterRun:
    """The outputs of a file on one interpreter, or the problem that prevented them."""

    engine: Runtime
    kernels: Kernels
    version: str
    outputs: Floats | None
    is_delegated: bool  # whether XNNPACK executes any part of the graph
    problem: str
    problem_code: str = ""  # the error code of the problem

    def __str__(self) -> str:
        kernels = "XNNPACK" if self.kernels is Kernels.XNNPACK else "own kernels"
        return f"{self.engine.package} {self.version}, {kernels}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InterpreterTask:
    """A file, and the pictures to run it on: uint8 [n, size, size, 3]."""

    model: bytes
    where: Path
    sidecar: ModelSettings
    pixels: Pixels
    threads: int


def run_everywhere(
    task: InterpreterTask, hosts: Mapping[Runtime, InterpreterHost]
) -> tuple[InterpreterRun, ...]:
    """Run the file on each host; the built-in kernels come first, as the reference for the others."""
    pairs = [(hosts[engine], kernels) for kernels in (Kernels.BUILTIN, Kernels.XNNPACK) for engine in hosts]
    return tuple(_run(task, host, kernels) for host, kernels in pairs)


def _run(task: InterpreterTask, host: InterpreterHost, kernels: Kernels) -> InterpreterRun:
    outputs, is_delegated, problem, problem_code = None, False, "", ""
    size = task.pixels.shape[1]
    try:
        classifier = load_classifier(
            host, task.model, where=task.where, sidecar=task.sidecar, threads=task.threads, kernels=kernels
        )
        if classifier.size != size:
            what = f"input size is {classifier.size} px, but the contract declares {size} px"
            raise InputError(task.where, what, "Export the model again.", code="contract-mismatch")
        chunks = [task.pixels[start : start + CHUNK] for start in range(0, len(task.pixels), CHUNK)]
        outputs = np.concatenate([classifier.classify(chunk) for chunk in chunks])
        is_delegated = classifier.is_delegated
    except InputError as error:
        problem, problem_code = error.what, error.code
    return InterpreterRun(
        engine=host.engine,
        kernels=kernels,
        version=version(host.engine.package),
        outputs=outputs,
        is_delegated=is_delegated,
        problem=problem,
        problem_code=problem_code,
    )


RENDERED_SIZE = 224
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePictures:
    """The files of the pictures, the generated ones first."""

    files: tuple[Path, ...]
    generated: int
    dataset: Dataset | None
    split: Split

    def pixels(self, size: int, policy: Policy) -> Pixels:
        """Return the pictures as an app prepares them: uint8 [n, size, size, 3]."""
        return np.stack([prepare(file, size, policy=policy) for file in self.files])

    def __str__(self) -> str:
        added = len(self.files) - self.generated
        chosen = f" and {added} of the {self.split.value} split" if added else ""
        return f"{self.generated} generated pictures{chosen}"


@contextmanager
def open_sample_pictures(*, pictures: int, dataset: Dataset | None, split: Split) -> Iterator[SamplePictures]:
    """Yield `pictures` generated pictures, and as many of the split; the generated files are then deleted."""
    with TemporaryDirectory(prefix="dermpack-verify-") as folder:
        generated = []
        for number in range(pictures):
            path = Path(folder) / f"generated-{number:04}.png"
            Image.fromarray(render(number, size=RENDERED_SIZE, seed=SEED)).save(path)
            generated.append(path)
        chosen = _choose_evenly(dataset, split, pictures) if dataset else ()
        yield SamplePictures(
            files=(*generated, *chosen), generated=len(generated), dataset=dataset, split=split
        )


def _choose_evenly(dataset: Dataset, split: Split, count: int) -> tuple[Path, ...]:
    """Return pictures at even distances in the split, which is sorted by file name and not by label."""
    pictures = dataset.manifest.of(split)
    if not pictures:
        what = f"the {split.value} split is empty"
        raise DatasetError(dataset.folder, what, "Choose another --split.", code="empty-split")
    indices = np.unique(np.linspace(0, len(pictures) - 1, min(count, len(pictures))).astype(int))
    return tuple(dataset.file(pictures[index]) for index in indices)
