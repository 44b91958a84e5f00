"""Run a file on every interpreter that is installed, with each of its kernels, in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

from converter.sources.run_source import RunSource
from dermpack.contract import RuntimeResult
from dermpack.errors import InputError
from dermpack.inference import Kernels, ModelSettings, Runtime, classifier_on, installed, open_host
from dermpack.metrics.kernel_tolerance import MEAN_APART, MOST_APART
from dermpack.metrics.predictions import Floats

PICTURES = 16  # of the validation split: an interpreter without fast kernels takes 50 ms for one


def try_runtimes(path: Path, source: RunSource, expected: Floats) -> tuple[RuntimeResult, ...]:
    """What becomes of the file on each; `expected` are its probabilities as they were scored."""
    return tuple(_tried(path, source, expected[:PICTURES]))


def _tried(path: Path, source: RunSource, expected: Floats) -> Iterator[RuntimeResult]:
    rows = np.asarray(source.validation.copies[0][: len(expected)])
    sidecar, data = ModelSettings(labels=source.run.classes), path.read_bytes()
    for engine in installed():
        with open_host(engine) as host:
            for kernels in Kernels:
                try:
                    classifier = classifier_on(host, data, where=path, sidecar=sidecar, kernels=kernels)
                    found = classifier.classify(rows)
                except InputError as error:
                    yield _result(engine, kernels, works=False, result=error.what)
                else:
                    yield _compared(engine, kernels, found, expected)


def _compared(engine: Runtime, kernels: Kernels, found: Floats, expected: Floats) -> RuntimeResult:
    apart = np.abs(found - expected)
    same = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
    said = f"{len(found)} pictures: the same label on {same}, probabilities at most {apart.max():.4f} apart"
    works = bool(apart.max() <= MOST_APART and apart.mean() <= MEAN_APART)  # also False for what is no number
    return _result(engine, kernels, works=works, result=said)


def _result(engine: Runtime, kernels: Kernels, *, works: bool, result: str) -> RuntimeResult:
    return RuntimeResult(
        runtime=engine.package,
        version=version(engine.package),
        delegate=kernels.value,
        works=works,
        result=result,
    )
