"""Run a file on every interpreter, with each of its kernels, in child processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import DatasetError, InputError
from dermpack.imaging.decoding import Pixels
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.classifier import load_classifier
from dermpack.inference.interpreter_host import InterpreterHost, Kernels, Runtime
from dermpack.inference.metadata_rows import Rows
from dermpack.inference.model_files import ModelSettings
from dermpack.metrics.predictions import Floats
from dermpack.synthetic.scenes import render

RENDERED_SIZE, SEED = 224, 0
KERNEL_NAMES = {Kernels.XNNPACK: "XNNPACK", Kernels.BUILTIN: "own kernels"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InterpreterRun:
    """The outputs of a file on one interpreter, or the problem that prevented them."""

    engine: Runtime
    kernels: Kernels
    version: str
    outputs: Floats | None = None
    distances: Floats | None = None  # to the training pictures, if the file returns them
    evidence: Floats | None = None  # the maps, [n, height, width, labels]
    metadata_evidence: Floats | None = None  # [n, labels]
    is_delegated: bool = False  # whether XNNPACK executes any part of the graph
    problem: str = ""
    problem_code: str = ""  # the error code of the problem

    def __str__(self) -> str:
        return f"{self.engine.package} {self.version}, {KERNEL_NAMES[self.kernels]}"


def run_everywhere(
    hosts: Mapping[Runtime, InterpreterHost],
    model: bytes,
    *,
    where: Path,
    sidecar: ModelSettings,
    pixels: Pixels,
    threads: int,
    metadata: Rows | None = None,
) -> tuple[InterpreterRun, ...]:
    """Run a file on each host, on pictures as uint8 [n, size, size, 3] and rows of metadata.

    The built-in kernels come first, as the reference for the others.
    """
    size, runs = pixels.shape[1], []
    for kernels, host in product((Kernels.BUILTIN, Kernels.XNNPACK), hosts.values()):
        run = InterpreterRun(engine=host.engine, kernels=kernels, version=version(host.engine.package))
        try:
            classifier = load_classifier(
                host, model, where=where, sidecar=sidecar, threads=threads, kernels=kernels
            )
            if classifier.size != size:
                what = f"input size is {classifier.size} px, but the contract declares {size} px"
                raise InputError(where, what, "Export the model again.", code="contract-mismatch")
            answers = classifier.run_all(pixels, metadata)
            run = replace(
                run,
                outputs=answers.probabilities,
                distances=answers.familiarity,
                evidence=answers.evidence,
                metadata_evidence=answers.metadata_evidence,
                is_delegated=classifier.is_delegated,
            )
        except InputError as error:
            run = replace(run, problem=error.what, problem_code=error.code)
        runs.append(run)
    return tuple(runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePictures:
    """The files of the pictures, the generated ones first."""

    files: tuple[Path, ...]
    generated: int
    dataset: Dataset | None
    split: Split

    def pixels(self, size: int, policy: Policy) -> Pixels:
        """Return the pictures as an app prepares them: uint8 [n, size, size, 3]."""
        with PictureDecoder() as decoder:
            return np.stack(list(decoder.prepare_all(self.files, size, policy=policy)))

    def __str__(self) -> str:
        added = len(self.files) - self.generated
        chosen = f" and {added} of the {self.split.value} split" if added else ""
        return f"{self.generated} generated pictures{chosen}"


@contextmanager
def open_sample_pictures(*, pictures: int, dataset: Dataset | None, split: Split) -> Iterator[SamplePictures]:
    """Yield `pictures` generated pictures, and as many of the split; the generated files are then deleted."""
    with TemporaryDirectory(prefix="dermpack-verify-") as folder:
        generated = [Path(folder) / f"generated-{number:04}.png" for number in range(pictures)]
        for number, path in enumerate(generated):
            Image.fromarray(render(number, size=RENDERED_SIZE, seed=SEED)).save(path)
        chosen = []
        if dataset:
            candidates = dataset.manifest.of(split)
            if not candidates:
                what = f"the {split.value} split is empty"
                raise DatasetError(dataset.folder, what, "Choose another --split.", code="empty-split")
            # At even distances: the split is sorted by file name, not by label.
            count = min(pictures, len(candidates))
            indices = np.unique(np.linspace(0, len(candidates) - 1, count).astype(int))
            chosen = [dataset.file(candidates[index]) for index in indices]
        yield SamplePictures(files=(*generated, *chosen), generated=pictures, dataset=dataset, split=split)
